/**
 * Makes `.cache/nodes/` with the Nodes that the tests run on beside their own: npm has them as packages. Made anew only when the
 * list changes.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Every major version that is supported, from its oldest good release on. */
const VERSIONS = { 20: '>=20.19 <21', 22: '22', 24: '24' };

/** @typedef {{ major: string, path: string }} Node */

/** @param {string} root the checkout. @returns {Node[]} this one first, then those that were made. */
export function nodes(root) {
  const [own = ''] = process.versions.node.split('.');
  const others = Object.keys(VERSIONS).filter((major) => major !== own);
  const made = others.map((major) => ({ major, path: pathOf(root, major) }));
  return [{ major: own, path: process.execPath }, ...made.filter(({ path }) => existsSync(path))];
}

/**
 * Brings them up to date.
 * @param {string} root the checkout.
 * @param {{ say?: (line: string) => void }} [options]
 * @returns {string | null} why some are missing, as a clause for people; null when all are there.
 */
export function makeNodes(root, { say = () => {} } = {}) {
  const folder = join(root, '.cache/nodes');
  const stamp = JSON.stringify({ VERSIONS, own: process.versions.node });
  if (existsSync(join(folder, 'stamp')) && readFileSync(join(folder, 'stamp'), 'utf8') === stamp) return null;
  say('Making .cache/nodes/ with the other versions of Node …');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), '{ "private": true }');
  const [own = ''] = process.versions.node.split('.');
  const packages = Object.entries(VERSIONS)
    .filter(([major]) => major !== own)
    .map(([major, range]) => `node${major}@npm:node-${process.platform}-${process.arch}@${range}`);
  const args = ['install', '--no-audit', '--no-fund', '--ignore-scripts', ...packages];
  const { status } = spawnSync('npm', args, { cwd: folder, stdio: ['ignore', 2, 2] });
  if (status !== 0) {
    rmSync(folder, { recursive: true, force: true });
    return `npm has no other Nodes for ${process.platform} on ${process.arch}, see above`;
  }
  writeFileSync(join(folder, 'stamp'), stamp);
  return null;
}

/** @param {string} root @param {string} major */
function pathOf(root, major) {
  return join(root, `.cache/nodes/node_modules/node${major}/bin/node`);
}

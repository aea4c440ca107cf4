/** Where and with what it was measured, in words. */
import { spawnSync } from 'node:child_process';
import { availableParallelism, release, totalmem } from 'node:os';

/** @returns {string} as "2 cores, 24 GB, Linux 6.18, x64" */
export function describeMachine() {
  const kernel = release().split('.').slice(0, 2).join('.');
  const memory = Math.round(totalmem() / 1e9);
  return `${availableParallelism()} cores, ${memory} GB, Linux ${kernel}, ${process.arch}`;
}

/**
 * @param {{ peers: import('./peers.mjs').Peer[], python: string, root: string }} options
 * @returns {Record<string, string>} version of each server and of what they run on, by title.
 */
export function versionsOf({ peers, python, root }) {
  const versions = {};
  for (const { title, version } of peers)
    versions[version.name ?? title] = versionOf(version, { python, root });
  versions.Tunicorn += commitOf(root);
  versions.nginx = number(run(['nginx', '-v'], root));
  versions.Apache = number(run(['apachectl', '-v'], root));
  versions.Django = versionOf({ package: 'django' }, { python, root });
  versions.Python = number(run([python, '--version'], root));
  versions['uWSGI’s Python'] = number(run(['uwsgi', '--plugin', 'python3', '--python-version'], root));
  versions.Node = process.version.slice(1);
  versions.wrk = number(run(['wrk', '--version'], root));
  for (const [name, value] of Object.entries(versions)) if (value === '') delete versions[name];
  for (const { title, isReference } of peers) if (isReference || / \+ /.test(title)) delete versions[title];
  return versions;
}

/** @param {import('./peers.mjs').Peer['version']} version */
function versionOf({ package: name, command }, { python, root }) {
  if (command) return number(run(command, root));
  const code = 'import importlib.metadata, sys; print(importlib.metadata.version(sys.argv[1]))';
  return number(run([python, '-c', code, String(name)], root));
}

/** What was measured may be newer than the number says. */
function commitOf(root) {
  const commit = run(['git', 'rev-parse', '--short', 'HEAD'], root).trim();
  return /^[0-9a-f]+$/.test(commit) ? ` (${commit})` : '';
}

/** @returns {string} both outputs; empty when the program is not there. */
export function run([program = '', ...args], root) {
  const { stdout, stderr, error } = spawnSync(program, args, {
    cwd: root,
    encoding: 'utf8',
    timeout: 20_000,
  });
  return error ? '' : `${stdout}${stderr}`;
}

function number(text) {
  return /\d+(\.\d+)+/.exec(text)?.[0] ?? '';
}

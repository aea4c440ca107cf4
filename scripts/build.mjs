/**
 * Compiles `src/` to `dist/` (and the TypeScript example to `dist/examples/`), puts the library into few files, and does nothing
 * when nothing changed: `npm start`, `npm test` and `npm install` all come through here. `--force` compiles regardless.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const PROJECTS = ['tsconfig.build.json', 'tsconfig.examples.json'];
const TSC = 'node_modules/typescript/bin/tsc';
const ROLLDOWN = 'node_modules/rolldown/bin/cli.mjs';
const EXAMPLE = 'examples/heyo-ts/heyo.ts';

/**
 * Brings `dist/` up to date.
 * @param {{ root?: string, force?: boolean, say?: (line: string) => void }} options `root`: the checkout.
 * @returns {boolean} whether anything was compiled.
 * @throws {Error} with a sentence for people: the compiler is missing, or found mistakes.
 */
export function build({ root = ROOT, force = false, say = () => {} } = {}) {
  const stamp = stampOf(root);
  if (!force && isFresh(root, stamp)) return false;
  for (const tool of [TSC, ROLLDOWN]) {
    if (!existsSync(join(root, tool))) throw new Error(missingTool(root, tool));
  }
  say('Building …');
  rmSync(join(root, 'dist/.stamp'), { force: true });
  removeOrphans(root);
  for (const project of PROJECTS) {
    if (project === 'tsconfig.examples.json' && !existsSync(join(root, EXAMPLE))) continue;
    run(root, TSC, ['-p', project]);
  }
  run(root, ROLLDOWN, ['-c', 'rolldown.config.mjs']);
  mkdirSync(join(root, 'dist'), { recursive: true });
  writeFileSync(join(root, 'dist/.stamp'), stamp);
  return true;
}

/** @param {string} tool path of a program of a dependency. */
function run(root, tool, args) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, tool), ...args], {
    cwd: root,
    encoding: 'utf8',
  });
  const command = [basename(tool), ...args].join(' ');
  if (status !== 0) throw new Error(`The build failed: ${command} says\n${stdout}${stderr}`);
}

/** Every source's path and content: what a checkout, a merge or a clock does to times does not matter. */
function stampOf(root) {
  const hash = createHash('sha256');
  const configs = ['package.json', 'tsconfig.json', ...PROJECTS, 'rolldown.config.mjs', 'scripts/build.mjs'];
  for (const path of [...configs, EXAMPLE, ...sourcesOf(root)]) {
    const full = join(root, path);
    if (existsSync(full)) hash.update(`${path}\0`).update(readFileSync(full)).update('\0');
  }
  return `${hash.digest('hex')}\n`;
}

function isFresh(root, stamp) {
  const path = join(root, 'dist/.stamp');
  if (!existsSync(path) || readFileSync(path, 'utf8') !== stamp) return false;
  return sourcesOf(root).every((source) => existsSync(join(root, outputOf(source))));
}

/** A module that is gone from `src/` must not go on working from `dist/`. */
function removeOrphans(root) {
  const wanted = new Set(sourcesOf(root).map(outputOf));
  for (const path of filesUnder(join(root, 'dist'), /\.(d\.ts|js)$/)) {
    const output = relative(root, path);
    if (output.startsWith('dist/examples/')) continue;
    if (!wanted.has(output.replace(/\.d\.ts$/, '.js'))) rmSync(path);
  }
}

function sourcesOf(root) {
  return filesUnder(join(root, 'src'), /\.ts$/)
    .map((path) => relative(root, path))
    .sort();
}

function outputOf(source) {
  return source.replace(/^src/, 'dist').replace(/\.ts$/, '.js');
}

function filesUnder(folder, pattern) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && pattern.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name));
}

function missingTool(root, tool) {
  return [
    `Cannot build: ${tool} is not there.`,
    `It is one of the development dependencies. Run this in ${root}:`,
    '    npm install --include=dev',
    '(--omit=dev and NODE_ENV=production leave them out.)',
  ].join('\n');
}

if (realpathSync(process.argv[1] ?? '') === fileURLToPath(import.meta.url)) {
  try {
    build({ force: process.argv.includes('--force'), say: (line) => console.error(line) });
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}

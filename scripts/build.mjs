/**
 * Compiles `src/` to `dist/` (and the TypeScript example to `dist/examples/`), and does nothing when nothing
 * changed: `npm start`, `npm test` and `npm install` all come through here. `--force` compiles regardless.
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
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const PROJECTS = ['tsconfig.build.json', 'tsconfig.examples.json'];
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
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  if (!existsSync(tsc)) throw new Error(missingCompiler(root));
  say('Building …');
  rmSync(join(root, 'dist/.stamp'), { force: true });
  removeOrphans(root);
  for (const project of PROJECTS) {
    if (project === 'tsconfig.examples.json' && !existsSync(join(root, EXAMPLE))) continue;
    compile(root, tsc, project);
  }
  mkdirSync(join(root, 'dist'), { recursive: true });
  writeFileSync(join(root, 'dist/.stamp'), stamp);
  return true;
}

function compile(root, tsc, project) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [tsc, '-p', project], {
    cwd: root,
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`The build failed: tsc -p ${project} says\n${stdout}${stderr}`);
}

/** Every source's path and content: what a checkout, a merge or a clock does to times does not matter. */
function stampOf(root) {
  const hash = createHash('sha256');
  const configs = ['package.json', 'tsconfig.json', ...PROJECTS, 'scripts/build.mjs'];
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

function missingCompiler(root) {
  return [
    'Cannot build: the TypeScript compiler is not installed.',
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

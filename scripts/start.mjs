/**
 * `npm start [-- options APP]`: builds what changed and runs the command in this process. Without arguments
 * it serves the bundled example: the one in Python, or where there is no Python the one in TypeScript.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

/** npm works in the package's folder and keeps the caller's only here. */
const CALLER = process.env.INIT_CWD ?? process.cwd();

async function start(args) {
  await buildIfStale();
  if (args.length > 0 || (CALLER !== ROOT && existsSync(join(CALLER, 'manage.py')))) {
    process.chdir(CALLER);
    return runCommand(args);
  }
  if (hasPython()) return startPython();
  return startTypeScript();
}

/** The npm package has `dist/` and neither sources nor this script's neighbour. */
async function buildIfStale() {
  if (!existsSync(join(ROOT, 'src'))) return;
  const { build } = await import('./build.mjs');
  build({ say: (line) => console.error(line) });
}

/** The same as `bin/tunicorn ARGS`, in this process: one process less between npm and the arbiter. */
async function runCommand(args) {
  process.argv = [process.execPath, join(ROOT, 'bin/tunicorn'), ...args];
  await import(pathToFileURL(join(ROOT, 'dist/cli/main.js')).href);
}

async function startPython() {
  const url = exampleUrl();
  say(`This is the bundled example, examples/heyo (Python). When the log says “Ready”, look at
    ${url}
or try
    curl '${url}?editor=vim'
For your own application, go to its folder and run (Django's is found by itself):
    npm --prefix ${ROOT} start -- mysite.wsgi:application -w 4
Ctrl-C ends it; npm start -- --help lists the options.`);
  process.chdir(join(ROOT, 'examples/heyo'));
  await runCommand(['heyo:application']);
}

async function startTypeScript() {
  const url = exampleUrl();
  say(`There is no Python 3.8 or newer here, so this is the TypeScript example, examples/heyo-ts. Look at
    ${url}
Install Python (Debian, Ubuntu: apt-get install python3; macOS: brew install python) and start again for
Django, Flask and other WSGI applications. Ctrl-C ends it.`);
  const { main } = await import(pathToFileURL(join(ROOT, 'dist/examples/heyo-ts/heyo.js')).href);
  await main();
}

/** Where the example will be: gunicorn's default address, or the port that PORT names. */
function exampleUrl() {
  return `http://127.0.0.1:${process.env.PORT ?? 8000}/`;
}

function hasPython() {
  const { status } = spawnSync('python3', ['-c', 'import sys; sys.exit(sys.version_info < (3, 8))']);
  return status === 0;
}

function say(text) {
  console.log(`\n${text}\n`);
}

try {
  // bin/require-node.cjs may stand before this file in the arguments.
  await start(process.argv.slice(process.argv.findIndex((arg) => arg.endsWith('start.mjs')) + 1));
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}

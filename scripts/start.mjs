/**
 * `npm start [-- options APP]`: builds what changed, then runs the command in this process, in the folder it
 * was called from. Where no application is named it serves the bundled example: the one in Python, or where
 * there is no Python the one in TypeScript.
 */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const EXAMPLE = join(ROOT, 'examples/heyo');

/** npm works in the package's folder and keeps the caller's only here. */
const CALLER = process.env.INIT_CWD ?? process.cwd();

async function start(argv) {
  await buildIfStale();
  process.chdir(CALLER);
  const { main } = await fromDist('cli/main.js');
  const settings = await exampleSettings(argv);
  if (settings === null) return main(argv);
  const problem = await findProblem(settings);
  if (problem !== null) return serveTypeScript(settings, problem);
  say(describePython(await urlOf(settings)));
  return main(['--chdir', EXAMPLE, ...argv, 'heyo']);
}

/** The npm package has `dist/`, and neither sources nor the script that builds. */
async function buildIfStale() {
  if (!existsSync(join(ROOT, 'src'))) return;
  const { build } = await import('./build.mjs');
  build({ say: (line) => console.error(line) });
}

/** The settings for the example; null when it is not wanted: an application or another task was named. */
async function exampleSettings(argv) {
  const { loadSettings } = await fromDist('config/load.js');
  try {
    const { action, app, settings, sources } = loadSettings({ argv, env: process.env, cwd: CALLER });
    const hasDjango = existsSync(join(settings.chdir, 'manage.py'));
    return action === 'serve' && app === '' && sources.chdir === 'default' && !hasDjango ? settings : null;
  } catch {
    return null; // The command tells the mistake in its own words.
  }
}

/** Why no Python can run the example; null when one can, or when the caller named one (and is told about it). */
async function findProblem(settings) {
  const { findInterpreter } = await fromDist('arbiter/interpreter.js');
  if (settings.python !== '' || process.env.VIRTUAL_ENV) return null;
  try {
    await findInterpreter({ ...settings, app: 'heyo', chdir: EXAMPLE, env: process.env, rights: null });
    return null;
  } catch (error) {
    if (error.name !== 'UserError') throw error;
    return error.message;
  }
}

function describePython(url) {
  return `This is the bundled example, examples/heyo (Python). When the log says “Ready”, look at
    ${url}
or ask from another terminal
    curl '${url}?editor=vim'
Your own application next: go to its folder, and there (Django finds its own; for Flask: app:app)
    npm --prefix ${ROOT} start -- mysite.wsgi:application -w 4
More: npm start -- --help. Ctrl-C ends it.`;
}

function describeTypeScript(url, problem) {
  return `${problem}
Until then this is the example in TypeScript, examples/heyo-ts, which needs no Python. Look at
    ${url}
or ask from another terminal
    curl '${url}?editor=vim'
With Python 3.8 or newer, npm start serves Django, Flask and other WSGI applications. Ctrl-C ends it.`;
}

async function serveTypeScript(settings, problem) {
  const { makeServer } = await fromDist('index.js');
  const { app } = await fromDist('examples/heyo-ts/heyo.js');
  const { host, port } = await addressOf(settings);
  const server = makeServer(host, port, app);
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => server.shutdown());
  await server.ready;
  say(describeTypeScript(`http://127.0.0.1:${server.serverPort}/`, problem));
  console.log(`Listening at http://127.0.0.1:${server.serverPort}`);
  await server.serveForever();
}

/** Where the example will be, as far as it is known before: any free port has its number only in the log. */
async function urlOf(settings) {
  const { host, port } = await addressOf(settings);
  const name = host === '0.0.0.0' ? '127.0.0.1' : host;
  return port === 0
    ? 'http://ADDRESS-IN-THE-LOG/'
    : `http://${name.includes(':') ? `[${name}]` : name}:${port}/`;
}

/** The first TCP address that was asked for. */
async function addressOf({ bind }) {
  const { parseAddress } = await fromDist('config/address.js');
  const first = bind.map(parseAddress).find(({ kind }) => kind === 'tcp');
  return first ?? { host: '127.0.0.1', port: 8000 };
}

function fromDist(module) {
  return import(pathToFileURL(join(ROOT, 'dist', module)).href);
}

function say(text) {
  console.log(`\n${text}\n`);
}

/**
 * Ctrl-C reaches this process twice: from the terminal, and once more from npm, which passes it on. If the
 * second came when Node is about to end it would kill it, and npm would report an error.
 */
function holdForNpm() {
  let came = 0;
  let onSecond = () => {};
  process.on('SIGINT', () => {
    came += 1;
    if (came > 1) onSecond();
  });
  return () =>
    new Promise((resolve) => {
      if (came !== 1 || process.env.npm_lifecycle_event === undefined) return resolve();
      const late = setTimeout(resolve, 1000);
      onSecond = () => {
        clearTimeout(late);
        resolve();
      };
    });
}

const secondInterrupt = holdForNpm();
try {
  await start(process.argv.slice(2));
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
await secondInterrupt();

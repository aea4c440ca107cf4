/**
 * Makes `.venv-test/` in the checkout with what the tests need from PyPI. The system's Python is only read:
 * everything is installed into that folder, and made anew only when `test/requirements.txt` changes.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** Tells of an interpreter: its version, and which ways to install packages it has. */
const PROBE = `
import importlib.util as u, json, sys
has = lambda name: u.find_spec(name) is not None
print(json.dumps({"version": list(sys.version_info[:2]), "ensurepip": has("ensurepip") and has("venv"), "venv": has("venv"), "pip": has("pip")}))
`;

/**
 * @typedef {{ command: string, version: [number, number], ensurepip: boolean, venv: boolean, pip: boolean }} Interpreter
 */

/**
 * Brings `.venv-test/` up to date.
 * @param {string} root the checkout.
 * @param {{ say?: (line: string) => void, interpreters?: string[] }} [options] `interpreters`: commands to choose from, best first.
 * @returns {string | null} why there is none, as a clause for people; null when it is there.
 */
export function makeVenv(root, { say = () => {}, interpreters = candidates() } = {}) {
  const venv = join(root, '.venv-test');
  const requirements = join(root, 'test/requirements.txt');
  const stamp = createHash('sha256').update(readFileSync(requirements)).digest('hex');
  if (isFresh(venv, stamp)) return null;
  say('Making .venv-test/ with what the tests need from PyPI …');
  const usable = rank(interpreters.map(probe).filter((found) => found !== null));
  if (usable.length === 0)
    return 'no Python here has ensurepip or pip (on Debian: apt-get install python3-venv)';
  for (const interpreter of usable) {
    rmSync(venv, { recursive: true, force: true });
    if (!create(interpreter, venv)) continue;
    if (!install(interpreter, { venv, requirements })) {
      rmSync(venv, { recursive: true, force: true });
      return 'pip could not install test/requirements.txt, see above';
    }
    writeFileSync(join(venv, 'stamp'), stamp);
    return null;
  }
  rmSync(venv, { recursive: true, force: true });
  return 'no virtual environment could be made (on Debian: apt-get install python3-venv)';
}

function isFresh(venv, stamp) {
  const path = join(venv, 'stamp');
  if (!existsSync(path) || readFileSync(path, 'utf8') !== stamp) return false;
  // The interpreter it was made from may be gone since.
  return spawnSync(join(venv, 'bin/python'), ['-c', ''], { stdio: 'ignore' }).status === 0;
}

/** @returns {Interpreter | null} null when it does not run. */
function probe(command) {
  const { status, stdout } = spawnSync(command, ['-c', PROBE], { encoding: 'utf8', env: cleanEnvironment() });
  if (status !== 0) return null;
  return { command, ...JSON.parse(stdout) };
}

/** Those that can install packages: first the ones on which Django 5 runs, then those with pip of their own. */
function rank(interpreters) {
  const score = ({ version, ensurepip }) =>
    (version[0] === 3 && version[1] >= 10 ? 2 : 0) + (ensurepip ? 1 : 0);
  return interpreters
    .filter(({ version, ensurepip, venv, pip }) => version[1] >= 8 && (ensurepip || (venv && pip)))
    .sort((a, b) => score(b) - score(a));
}

function create({ command, ensurepip }, venv) {
  const args = ensurepip ? ['-m', 'venv', venv] : ['-m', 'venv', '--without-pip', venv];
  const options = { stdio: 'ignore', env: cleanEnvironment() };
  return spawnSync(command, args, /** @type {const} */ (options)).status === 0;
}

/** An interpreter without ensurepip has its own pip work on the new environment. */
function install({ command, ensurepip }, { venv, requirements }) {
  const python = join(venv, 'bin/python');
  const pip = ensurepip ? [python, '-m', 'pip'] : [command, '-m', 'pip', '--python', python];
  const args = [...pip.slice(1), 'install', '--quiet', '--requirement', requirements];
  return spawnSync(pip[0] ?? '', args, { stdio: ['ignore', 2, 2], env: cleanEnvironment() }).status === 0;
}

/** Without the settings that would send packages elsewhere than into the new environment. */
function cleanEnvironment() {
  const env = { ...process.env, PIP_DISABLE_PIP_VERSION_CHECK: '1', PIP_ROOT_USER_ACTION: 'ignore' };
  for (const name of ['PIP_TARGET', 'PIP_PREFIX', 'PIP_USER', 'PIP_ROOT', 'PYTHONPATH', 'PYTHONHOME']) {
    delete env[name];
  }
  return env;
}

/** `python3`, the versioned ones on PATH, and those that pyenv has. */
function candidates() {
  const minors = [13, 12, 11, 10, 14, 9, 8];
  const pyenv = join(process.env.PYENV_ROOT ?? join(homedir(), '.pyenv'), 'versions');
  const versions = existsSync(pyenv) ? readdirSync(pyenv).sort().reverse() : [];
  return [
    'python3',
    ...minors.map((minor) => `python3.${minor}`),
    ...versions.map((version) => join(pyenv, version, 'bin/python3')),
  ];
}

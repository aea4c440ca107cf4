/** Finds the Python interpreter that runs the application, and asks it once who it is. */
import { execFile } from 'node:child_process';
import { accessSync, constants, readFileSync, statSync } from 'node:fs';
import { delimiter, dirname, join, resolve, sep } from 'node:path';
import { UserError } from '../errors.ts';
import { type Rights, withRights } from './rights.ts';

export interface Interpreter {
  /** Absolute path. */
  readonly path: string;
  /** As `3.11.7`. */
  readonly version: string;
  /** Where it was found, as a clause for the log: `from .venv`. */
  readonly from: string;
}

export interface InterpreterOptions {
  /** `--python`; empty when it was not given. */
  readonly python: string;
  readonly app: string;
  readonly chdir: string;
  /** The environment that workers get, and their rights: they are asked with both. */
  readonly env: NodeJS.ProcessEnv;
  readonly rights: Rights | null;
  /** Of `/etc/os-release`, for what to install. */
  readonly osRelease?: string;
}

interface Candidate {
  readonly file: string;
  readonly from: string;
}

const OLDEST = [3, 8] as const;
/** A cold disk, or an emulated machine, takes its time; a `python` that waits for input never ends. */
const TIMEOUT_MS = 20_000;
/** For every Python there is, 2.7 included. `json` is not imported: an install so broken should say so in the worker's words. */
const WHO = 'import sys; sys.stdout.write("%d.%d.%d|%s" % (tuple(sys.version_info[:3]) + (sys.executable,)))';

/**
 * `--python`, else the active virtual environment, else `.venv/` or `venv/` beside the application, else
 * `python3` or `python` of the PATH.
 * @throws {UserError} when there is none, or the one that was chosen is too old or does not run.
 */
export async function findInterpreter(options: InterpreterOptions): Promise<Interpreter> {
  const chosen = fromOption(options) ?? fromActive(options) ?? besideApplication(options);
  if (chosen !== null) return judge(chosen, await ask(chosen, options));
  let tooOld: UserError | null = null;
  for (const candidate of fromPath(options.env)) {
    const answer = await ask(candidate, options);
    if (answer.kind === 'version' && isTooOld(answer.version)) tooOld ??= old(candidate, answer.version);
    else return judge(candidate, answer);
  }
  throw tooOld ?? new UserError(`No Python was found. ${howToInstall(options.osRelease)}`);
}

function fromOption({ python, chdir, env }: InterpreterOptions): Candidate | null {
  if (python === '') return null;
  const file = python.includes(sep) ? resolve(chdir, python) : onPath(python, env);
  if (file !== null && isExecutable(file)) return { file, from: 'from --python' };
  const folder = file === null ? null : inEnvironment(file);
  if (folder !== null) return { file: folder, from: 'from --python' };
  throw new UserError(
    `--python ${python} is no program that can be run. Name the interpreter itself, such as --python /usr/bin/python3.`,
  );
}

function fromActive({ env }: InterpreterOptions): Candidate | null {
  const folder = env.VIRTUAL_ENV;
  if (folder === undefined || folder === '') return null;
  const file = inEnvironment(folder);
  if (file !== null) return { file, from: 'from the active virtual environment' };
  throw new UserError(
    `VIRTUAL_ENV names ${folder}, but there is no Python in it. Make it anew, leave it with \`deactivate\`, or name an interpreter with --python.`,
  );
}

/** Looked for in the working folder; for an application given as a path, in its folder and up to there. */
function besideApplication({ app, chdir }: InterpreterOptions): Candidate | null {
  for (const folder of applicationFolders(app, chdir)) {
    for (const name of ['.venv', 'venv']) {
      const file = inEnvironment(join(folder, name));
      if (file !== null) return { file, from: `from ${folder === chdir ? name : join(folder, name)}` };
    }
  }
  return null;
}

function applicationFolders(app: string, chdir: string): string[] {
  const path = /^[^:(]*/.exec(app)?.[0] ?? '';
  if (!path.includes('/') && !path.endsWith('.py')) return [chdir];
  const folders: string[] = [];
  const inside = `${chdir}${chdir.endsWith(sep) ? '' : sep}`;
  let folder = dirname(resolve(chdir, path));
  while (folder.startsWith(inside) && folder !== chdir) {
    folders.push(folder);
    folder = dirname(folder);
  }
  if (folders.length === 0 && folder !== chdir) folders.push(folder);
  return [...folders, chdir];
}

function inEnvironment(folder: string): string | null {
  for (const name of ['python', 'python3']) {
    const file = join(folder, 'bin', name);
    if (isExecutable(file)) return file;
  }
  return null;
}

function* fromPath(env: NodeJS.ProcessEnv): Generator<Candidate> {
  for (const name of ['python3', 'python']) {
    const file = onPath(name, env);
    if (file !== null) yield { file, from: 'from PATH' };
  }
}

function onPath(name: string, env: NodeJS.ProcessEnv): string | null {
  const folders = (env.PATH ?? '/usr/local/bin:/usr/bin:/bin').split(delimiter);
  return folders.map((folder) => resolve(folder, name)).find(isExecutable) ?? null;
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    // A folder passes that, too.
    return statSync(file).isFile();
  } catch {
    return false;
  }
}

type Answer =
  | { readonly kind: 'version'; readonly version: string; readonly path: string }
  | { readonly kind: 'broken'; readonly why: string };

function ask({ file }: Candidate, { env, rights }: InterpreterOptions): Promise<Answer> {
  return new Promise((done) => {
    const options = { env, timeout: TIMEOUT_MS, killSignal: 'SIGKILL' as const };
    const command = withRights({ file, args: ['-c', WHO] }, rights, file);
    const child = execFile(command.file, command.args, options, (error, stdout, stderr) => {
      const [, version, path] = /^(\d+\.\d+\.\d+)\|(.*)$/s.exec(stdout) ?? [];
      if (version !== undefined) return done({ kind: 'version', version, path: path || file });
      const late = error?.killed === true ? `It gave no answer for ${TIMEOUT_MS / 1000} s.` : '';
      done({ kind: 'broken', why: stderr.trim() || late || error?.message || 'It printed no version.' });
    });
    child.stdin?.end();
  });
}

/**
 * A launcher such as pyenv's costs time at each start and decides anew by the working folder: what it started
 * is taken instead. In a virtual environment the path is what makes it one, and stays.
 */
function judge(candidate: Candidate, answer: Answer): Interpreter {
  const { file, from } = candidate;
  if (answer.kind === 'broken') {
    throw new UserError(
      `The Python at ${file} (${from}) does not work. Repair it, or name another with --python. It said:\n${answer.why}`,
    );
  }
  if (isTooOld(answer.version)) throw old(candidate, answer.version);
  return { path: answer.path, version: answer.version, from };
}

function isTooOld(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1]);
}

function old({ file, from }: Candidate, version: string): UserError {
  return new UserError(
    `Python ${OLDEST.join('.')} or newer is needed, but ${file} (${from}) is Python ${version}. Name a newer one with --python, or make a virtual environment with it.`,
  );
}

/** What a person types to get a Python, by system. */
export function howToInstall(osRelease: string = readOsRelease()): string {
  if (process.platform === 'darwin' && osRelease === '') return 'Install it with: brew install python';
  const ids = [...osRelease.matchAll(/^ID(?:_LIKE)?="?([^"\n]*)"?$/gm)].flatMap((match) =>
    (match[1] ?? '').split(' '),
  );
  const has = (...names: string[]) => names.some((name) => ids.includes(name));
  if (has('debian', 'ubuntu')) return 'Install it with: apt install python3';
  if (has('alpine')) return 'Install it with: apk add python3';
  if (has('fedora', 'rhel', 'centos')) return 'Install it with: dnf install python3';
  if (has('arch')) return 'Install it with: pacman -S python';
  if (has('suse', 'opensuse')) return 'Install it with: zypper install python3';
  return 'Install Python 3.8 or newer (https://www.python.org/downloads/), or name an interpreter with --python.';
}

function readOsRelease(): string {
  try {
    return readFileSync('/etc/os-release', 'utf8');
  } catch {
    return '';
  }
}

/** Reads the settings, at the start and at each reload. A configuration file of gunicorn's is executed by Python. */
import { spawn } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { shownPath } from '../config/file.ts';
import { GUNICORN_NAMES, type PythonReport } from '../config/gunicorn-file.ts';
import {
  type Loaded,
  type LoadOptions,
  loadSettings,
  type PythonFile,
  pythonFileOf,
} from '../config/load.ts';
import { UserError } from '../errors.ts';
import { PACKAGE_ROOT } from './children.ts';
import { findInterpreter } from './interpreter.ts';

const PROGRAM = join(PACKAGE_ROOT, 'python', 'tunicorn-config.py');
/** A file that asks the network for its values may take a while; one that waits for ever must not hold a reload. */
const TIMEOUT_MS = 60_000;

export interface ReadOptions extends Omit<LoadOptions, 'python'> {
  /** How long Python may take. */
  readonly timeoutMs?: number;
}

/**
 * As `loadSettings`, whatever the language of the configuration file.
 * @throws UserError
 */
export async function readSettings({ timeoutMs = TIMEOUT_MS, ...options }: ReadOptions): Promise<Loaded> {
  const file = pythonFileOf(options);
  if (file === null) return loadSettings(options);
  return loadSettings({ ...options, python: await execute(file, { ...options, timeoutMs }) });
}

async function execute(
  file: PythonFile,
  { env, cwd, timeoutMs }: Required<ReadOptions>,
): Promise<PythonReport> {
  const shown = shownPath(file.location, cwd);
  requireFile(file.location, shown);
  const python = await findInterpreter({ ...file, env, rights: null });
  const args = [PROGRAM, file.location, file.chdir, ...GUNICORN_NAMES];
  // What the file prints is for people to see, and standard output may be a log by now.
  const child = spawn(python.path, args, { cwd, env, stdio: ['ignore', 2, 2, 'pipe'] });
  const report = child.stdio[3] as Readable;
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    child.kill('SIGKILL');
    // A process that the file started may hold the other end for ever.
    report.destroy();
  }, timeoutMs);
  const end = new Promise<string>((done, fail) => {
    child.on('error', fail);
    child.on('exit', (code, signal) => done(signal === null ? `status ${code}` : `signal ${signal}`));
  });
  try {
    const [how, said] = await Promise.all([end, text(report).catch(() => '')]);
    if (said !== '') return JSON.parse(said) as PythonReport;
    const what = late ? `was not done after ${timeoutMs / 1000} s` : `ended Python with ${how}`;
    throw new UserError(`The configuration file ${shown} ${what}. It should only set names.`);
  } finally {
    clearTimeout(timer);
  }
}

function requireFile(location: string, shown: string): void {
  if (location.startsWith('python:')) return;
  const why = !existsSync(location)
    ? 'there is none'
    : statSync(location).isDirectory()
      ? 'it is a folder'
      : '';
  if (why !== '') throw new UserError(`The configuration file ${shown} cannot be read: ${why}.`);
}

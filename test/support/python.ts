/** Every CPython on this machine that the worker must run on. */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';

export interface Python {
  readonly path: string;
  /** E.g. `3.11.7`. */
  readonly version: string;
}

const OLDEST = 8;
const PROBE = 'import sys,platform;print(platform.python_implementation(),*sys.version_info[:3])';
const root = join(import.meta.dirname, '../..');
let known: readonly Python[] | undefined;

/**
 * CPython 3.8 and newer: the tests' own virtual environment first (it has Django and Flask), then pyenv's,
 * then those on PATH; one for each version, oldest last of equal origin.
 */
export function pythons(): readonly Python[] {
  known ??= found(candidates());
  return known;
}

/** The one that most tests use: the first of {@link pythons}. */
export function python(): Python {
  const [first] = pythons();
  if (first === undefined) throw new Error('No CPython 3.8 or newer was found on this machine.');
  return first;
}

function candidates(): string[] {
  const versions = join(process.env.PYENV_ROOT ?? join(homedir(), '.pyenv'), 'versions');
  const installed = existsSync(versions)
    ? readdirSync(versions).map((name) => join(versions, name, 'bin/python'))
    : [];
  const folders = (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '');
  const names = ['python3', ...Array.from({ length: 12 }, (_, index) => `python3.${OLDEST + index}`)];
  const onPath = names.flatMap((name) => folders.map((folder) => join(folder, name)));
  return [join(root, '.venv-test/bin/python'), '/usr/bin/python3', ...installed, ...onPath];
}

function found(paths: readonly string[]): Python[] {
  const byVersion = new Map<string, Python>();
  for (const path of paths) {
    const version = existsSync(path) ? versionOf(path) : undefined;
    if (version !== undefined && !byVersion.has(version)) byVersion.set(version, { path, version });
  }
  return [...byVersion.values()];
}

function versionOf(path: string): string | undefined {
  try {
    const answer = execFileSync(path, ['-c', PROBE], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const [implementation, major, minor, patch] = answer.trim().split(' ');
    if (implementation !== 'CPython' || major !== '3' || Number(minor) < OLDEST) return undefined;
    return `${major}.${minor}.${patch}`;
  } catch {
    return undefined; // A pyenv shim without a version, or a broken link.
  }
}

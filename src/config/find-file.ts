/** Which configuration file is read, and reading those that are no Python. */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { UserError } from '../errors.ts';
import { type FileSettings, shownPath } from './file.ts';
import { fromGunicorn, type PythonReport } from './gunicorn-file.ts';
import { readTomlFile } from './toml-file.ts';

export interface Where {
  /** As `-c` names it; empty when it does not. */
  readonly named: string;
  /** The folder that the command is called in: names start there. */
  readonly cwd: string;
  /** `--chdir`, as far as the file itself has no say: files that nobody named are looked for there. */
  readonly chdir: string;
}

/** The absolute path of a named file that Python must execute, or `python:MODULE`; null for others. */
export function pythonLocation({ named, cwd }: Pick<Where, 'named' | 'cwd'>): string | null {
  if (named === '' || named.endsWith('.toml')) return null;
  return named.startsWith('python:') ? named : resolve(cwd, named.replace(/^file:/, ''));
}

/**
 * Reads the file that was named, else `tunicorn.toml`, else a `pyproject.toml` that has our table.
 * @param python what Python found, when it is a file of gunicorn's
 * @throws UserError when it cannot be read
 */
export function readFile(where: Where, python: PythonReport | undefined): FileSettings | null {
  const { named, cwd, chdir } = where;
  const location = pythonLocation(where);
  if (location !== null) {
    if (python === undefined) throw new Error(`${location} must be executed by Python first.`);
    const shown = shownPath(python.file ?? location, cwd);
    return fromGunicorn(python, { path: location, shown, folder: cwd });
  }
  if (named !== '') return readNamed(resolve(cwd, named.replace(/^file:/, '')), cwd);
  const paths = ['tunicorn.toml', 'pyproject.toml'].map((name) => join(chdir, name));
  for (const path of paths) {
    const settings = existsSync(path) ? readTomlFile({ path, shown: shownPath(path, cwd) }) : null;
    if (settings !== null) return settings;
  }
  return null;
}

function readNamed(path: string, cwd: string): FileSettings {
  const shown = shownPath(path, cwd);
  const settings = readTomlFile({ path, shown });
  if (settings !== null) return settings;
  throw new UserError(
    `${shown} has no table [tool.tunicorn]. Write one, or name another file with --config.`,
  );
}

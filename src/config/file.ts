/** What a configuration file says, whatever its language, and how its keys are understood. */
import { relative } from 'node:path';
import { closest, distance } from 'fastest-levenshtein';
import { FILE_ONLY, FLAG_OF_NAME, FOREIGN_FLAGS, type ForeignFlag } from './gunicorn.ts';
import { type Option, ROWS, type SettingKey } from './options.ts';

/** What a source says about one option, and how messages call the source. */
export interface Given {
  readonly texts: readonly string[];
  /** `--workers`, `TUNICORN_WORKERS`, `tunicorn.toml:3`. */
  readonly from: string;
  /** In a file: the key as it is written there. */
  readonly key?: string;
  /** Where each text stands, when that is not one place. */
  readonly places?: readonly string[];
}

export interface FileSettings {
  /** Absolute, or `python:MODULE`. */
  readonly path: string;
  readonly given: ReadonlyMap<SettingKey, Given>;
  readonly app: Given | undefined;
  /** The folder that `chdir` in the file starts from. */
  readonly folder: string;
  /** Sentences with file and line. */
  readonly mistakes: readonly string[];
  readonly notes: readonly string[];
}

export type Meaning =
  | { readonly kind: 'application' }
  | { readonly kind: 'option'; readonly key: SettingKey; readonly option: Option }
  | { readonly kind: 'foreign'; readonly flag: ForeignFlag }
  | { readonly kind: 'renamed'; readonly to: string }
  | { readonly kind: 'file-only'; readonly name: string }
  | { readonly kind: 'unknown'; readonly hint: string };

/** These say which file is read, or what is done with it. */
const ONLY_OUTSIDE: readonly SettingKey[] = ['config', 'checkConfig', 'printConfig'];

/** As people know it: from where they stand, unless that is a way up. */
export function shownPath(path: string, cwd: string): string {
  const short = relative(cwd, path);
  return short.startsWith('..') || short === '' ? path : short;
}

/** What a key of our files means; `-` and `_` are the same in it. */
export function meaningOf(key: string): Meaning {
  if (key === 'app') return { kind: 'application' };
  const row = ROWS.find(([, option]) => namesOf(option).some((name) => isSame(name, key)));
  if (row !== undefined) return { kind: 'option', key: row[0], option: row[1] };
  const flag = foreignFlag(key);
  if (flag !== undefined) return { kind: 'foreign', flag };
  const name = key.replaceAll('-', '_');
  if (name === 'wsgi_app') return { kind: 'renamed', to: 'app' };
  const to = Object.hasOwn(FLAG_OF_NAME, name) ? FLAG_OF_NAME[name] : undefined;
  if (to !== undefined) {
    const meant = foreignFlag(to);
    return meant === undefined ? { kind: 'renamed', to } : { kind: 'foreign', flag: meant };
  }
  return Object.hasOwn(FILE_ONLY, name)
    ? { kind: 'file-only', name }
    : { kind: 'unknown', hint: nearest(key) };
}

/** Whether a file may set it. */
export function isForFiles(key: SettingKey): boolean {
  return !ONLY_OUTSIDE.includes(key);
}

function foreignFlag(name: string): ForeignFlag | undefined {
  return FOREIGN_FLAGS.find(({ names }) => names.some((known) => isSame(known, name)));
}

function namesOf(option: Option): string[] {
  return [option.name, ...(option.aliases ?? [])];
}

function isSame(a: string, b: string): boolean {
  return a.replaceAll('_', '-') === b.replaceAll('_', '-');
}

function nearest(key: string): string {
  const names = ['app', ...ROWS.filter(([row]) => isForFiles(row)).map(([, { name }]) => name)];
  const name = key.toLowerCase().replaceAll('_', '-');
  const near = names.find((known) => known === name) ?? closest(name, names);
  return distance(name, near) <= Math.max(2, Math.floor(near.length / 3)) ? ` Did you mean ${near}?` : '';
}

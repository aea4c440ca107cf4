/** Reads `tunicorn.toml`, or the table `[tool.tunicorn]` of a `pyproject.toml`. Every mistake is told, not only the first. */
import { readFileSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { parse, TomlError } from 'smol-toml';
import { UserError } from '../errors.ts';
import { type FileSettings, type Given, isForFiles, meaningOf } from './file.ts';
import { FILE_ONLY } from './gunicorn.ts';
import type { Option, SettingKey } from './options.ts';
import { lineFinder } from './toml-lines.ts';
import { areTables, mountTexts } from './toml-mounts.ts';
import { textsOf } from './toml-values.ts';

export interface TomlFile {
  /** Absolute. */
  readonly path: string;
  /** As messages call it. */
  readonly shown: string;
}

const TOOL =
  '[tool.tunicorn] belongs in pyproject.toml. In this file its keys stand by themselves, in front of any table.';

type Table = Readonly<Record<string, unknown>>;

/**
 * Reads a file that was named, or that lies there.
 * @returns null for a `pyproject.toml` without our table
 * @throws UserError when it cannot be read, or is no TOML
 */
export function readTomlFile({ path, shown }: TomlFile): FileSettings | null {
  const text = textOf(path, shown);
  const base = basename(path) === 'pyproject.toml' ? ['tool', 'tunicorn'] : [];
  // The mistakes in a file that is not about us are nothing to end a start for.
  if (base.length > 0 && !text.includes('tunicorn')) return null;
  const document = parsed(text, shown);
  const table = base.reduce<unknown>((inner, key) => (isTable(inner) ? inner[key] : undefined), document);
  if (table === undefined) return null;
  const line = lineFinder(text);
  const place = (keys: readonly string[]) => `${shown}:${line([...base, ...keys])}`;
  if (!isTable(table)) throw new UserError(`${place([])}: tool.tunicorn is a table: [tool.tunicorn].`);
  const reader = new Reader(place);
  for (const [key, value] of Object.entries(table)) reader.take(key, value);
  return { ...reader.settings(), path, folder: dirname(path) };
}

/** Takes the keys one by one, and gathers what they say and what is wrong with them. */
class Reader {
  readonly #place: (keys: readonly string[]) => string;
  readonly #given = new Map<SettingKey, Given>();
  readonly #mistakes: string[] = [];
  readonly #notes: string[] = [];
  #app: Given | undefined;

  constructor(place: (keys: readonly string[]) => string) {
    this.#place = place;
  }

  settings(): Pick<FileSettings, 'given' | 'app' | 'mistakes' | 'notes'> {
    return { given: this.#given, app: this.#app, mistakes: this.#mistakes, notes: this.#notes };
  }

  take(key: string, value: unknown): void {
    const meaning = meaningOf(key);
    switch (meaning.kind) {
      case 'application':
        return this.#takeApplication(key, value);
      case 'option':
        return this.#takeOption(key, { ...meaning, value });
      case 'foreign':
        return this.#takeOther(key, meaning.flag.fate, meaning.flag.text);
      case 'renamed':
        return this.#wrong(key, `${key} is gunicorn's name for it. Write ${meaning.to}.`);
      case 'file-only':
        return this.#takeFileOnly(key, meaning.name);
      case 'unknown':
        if (key === 'tool') return this.#wrong(key, TOOL);
        return this.#wrong(key, `There is no option ${key}.${meaning.hint}`);
    }
  }

  #takeApplication(key: string, value: unknown): void {
    if (typeof value === 'string') this.#app = { texts: [value], from: this.#place([key]), key };
    else this.#wrong(key, 'app takes text, such as "mysite.wsgi".');
  }

  #takeOption(
    written: string,
    { key, option, value }: { key: SettingKey; option: Option; value: unknown },
  ): void {
    if (!isForFiles(key)) return this.#wrong(written, `${written} can be given on the command line only.`);
    const before = this.#given.get(key);
    if (before !== undefined) {
      return this.#wrong(written, `${written} stands in ${before.from} already, as ${before.key}.`);
    }
    if (key === 'mount' && areTables(value)) return this.#takeMounts(written, value);
    const read = textsOf(option, value);
    if ('texts' in read) {
      this.#given.set(key, { texts: read.texts, from: this.#place([written]), key: written });
    } else this.#wrong(written, `${written} takes ${read.takes}.`, read.at);
  }

  #takeMounts(written: string, tables: readonly Table[]): void {
    const place = (index: number, inner: string | null) =>
      this.#place([written, String(index), ...(inner === null ? [] : [inner])]);
    const { texts, places, mistakes } = mountTexts(tables, place);
    this.#mistakes.push(...mistakes);
    // Of a table that is wrong in itself no more has to be said.
    if (mistakes.length === 0)
      this.#given.set('mount', { texts, places, from: this.#place([written]), key: written });
  }

  #takeOther(key: string, fate: 'refused' | 'no-effect', text: string): void {
    if (fate === 'refused') this.#wrong(key, `${key} cannot be used. ${text}`);
    else this.#notes.push(`${this.#place([key])}: ${key} has no effect: ${text}`);
  }

  #takeFileOnly(key: string, name: string): void {
    const only = FILE_ONLY[name];
    if (only === undefined || only.fate === 'application') return;
    if (only.fate !== 'hook') return this.#takeOther(key, only.fate, only.text);
    const instead = only.instead === '' ? 'nothing here does the same.' : `here it is ${only.instead}.`;
    this.#wrong(key, `${key} is a hook of gunicorn's; ${instead}`);
  }

  #wrong(key: string, sentence: string, inner: readonly string[] = []): void {
    this.#mistakes.push(`${this.#place([key, ...inner])}: ${sentence}`);
  }
}

function textOf(path: string, shown: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new UserError(`The configuration file ${shown} cannot be read: ${reasonOf(error)}.`);
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is none',
  EISDIR: 'it is a folder',
  EACCES: 'permission denied',
};

function reasonOf(error: unknown): string {
  const { code = '', message } = error as NodeJS.ErrnoException;
  return REASONS[code] ?? message;
}

function parsed(text: string, shown: string): unknown {
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const [first = ''] = error.message.split('\n');
    const why = first.replace('Invalid TOML document: ', '');
    throw new UserError(`${shown}:${error.line}:${error.column}: This is no TOML: ${why}.`);
  }
}

function isTable(value: unknown): value is Table {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

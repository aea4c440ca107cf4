/** `[[mount]]` of a configuration file, turned into what `--mount` takes on a command line. */
import { quoted } from './mount-text.ts';
import { nearest, ownRow } from './mounts.ts';
import { textsOf } from './toml-values.ts';

export interface TomlMounts {
  readonly texts: readonly string[];
  /** Where each of them stands. */
  readonly places: readonly string[];
  /** With file and line. */
  readonly mistakes: readonly string[];
}

type Table = Readonly<Record<string, unknown>>;

/** Whether these are tables rather than texts as on the command line. */
export function areTables(value: unknown): value is readonly Table[] {
  return (
    Array.isArray(value) &&
    value.length > 0 &&
    value.every((each) => typeof each === 'object' && each !== null)
  );
}

/** @param place gives file and line of a key of the mount with this index */
export function mountTexts(
  tables: readonly Table[],
  place: (index: number, key: string | null) => string,
): TomlMounts {
  const mistakes: string[] = [];
  const texts = tables.map((table, index) => {
    const wrong = (key: string | null, sentence: string) =>
      void mistakes.push(`${place(index, key)}: ${sentence}`);
    return textOf(table, wrong);
  });
  return { texts, places: tables.map((_, index) => place(index, null)), mistakes };
}

type Wrong = (key: string | null, sentence: string) => void;

function textOf({ prefix, app = '', ...rest }: Table, wrong: Wrong): string {
  if (typeof prefix !== 'string')
    wrong(prefix === undefined ? null : 'prefix', 'A mount needs prefix = "/…".');
  if (typeof app !== 'string') wrong('app', 'app takes text, such as "mysite.wsgi".');
  const words = Object.entries(rest).flatMap(([key, value]) => wordsOf(key, value, wrong));
  return [`${prefix}=${app}`, ...words].map(quoted).join(' ');
}

function wordsOf(key: string, value: unknown, wrong: Wrong): string[] {
  const row = ownRow(key);
  if (row === undefined || row[1].perMount !== true) {
    const why =
      row === undefined
        ? `There is no option ${key}.${nearest(key)}`
        : `${key} belongs to the server as a whole. It stands outside [[mount]].`;
    wrong(key, why);
    return [];
  }
  const read = textsOf(row[1], value);
  if ('texts' in read) return read.texts.map((text) => `${row[1].name}=${text}`);
  wrong(key, `${key} takes ${read.takes}.`);
  return [];
}

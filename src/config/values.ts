/** How each type of option is read from text. A parser throws UserError whose text says which values are good. */
import { statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { UserError } from '../errors.ts';
import { LOG_LEVELS, type LogLevel } from '../observe/log.ts';
import { formatAddress, parseAddress } from './address.ts';
import { type MountText, parseMount } from './mount-text.ts';
import { networkProblem } from './network.ts';
import { type WorkerKind, workerKind } from './workers.ts';

export const FORWARDED_HEADERS = [
  'x-forwarded-for',
  'x-forwarded-proto',
  'x-forwarded-host',
  'x-forwarded-port',
  'forwarded',
] as const;

/** A URL prefix that begins and ends with `/`, and the absolute folder whose files it shows. */
export interface StaticOption {
  readonly prefix: string;
  readonly folder: string;
}

/** How many workers there may be: a fixed number when both are equal. */
export interface WorkerRange {
  readonly min: number;
  readonly max: number;
}

export type Retry = 'safe' | 'off';

/** How orders reach a worker of one thread while it runs a request. */
export type Control = 'signal' | 'thread';

/** What a parser may need: the folder that relative paths start from, and the smallest good number. */
export interface Context {
  readonly folder: string;
  readonly min: number;
}

/** Parsers of single values; the last one given wins. */
const SINGLE = {
  text: (text: string): string => text,
  count: (text: string, { min }: Context): number => count(text, min),
  seconds: (text: string, { min }: Context): number => seconds(text, min),
  size: (text: string, { min }: Context): number => size(text, min),
  flag: (text: string): boolean => flag(text),
  workers: (text: string): WorkerRange => workerRange(text),
  retry: (text: string): Retry => retry(text),
  control: (text: string): Control => control(text),
  'worker-kind': (text: string): WorkerKind => workerKind(text),
  'log-level': (text: string): LogLevel => level(text),
  umask: (text: string): number => umask(text),
  /** Empty for none. */
  address: (text: string, { folder }: Context): string =>
    text.trim() === '' ? '' : fullAddress(text, folder),
  folder: (text: string, { folder }: Context): string => existingFolder(text, folder),
  file: (text: string, { folder }: Context): string => (text === '' ? '' : resolve(folder, text)),
  'log-file': (text: string, { folder }: Context): string =>
    text === '' || text === '-' ? text : resolve(folder, text),
};

/** Parsers of lists; each text gives a part, and the parts of one source are joined. */
const LISTS = {
  addresses: (text: string, { folder }: Context): readonly string[] => [address(text, folder)],
  networks: (text: string): readonly string[] => commas(text).map(network),
  'forwarded-headers': (text: string): readonly string[] => commas(text).map(forwardedHeader),
  folders: (text: string, { folder }: Context): readonly string[] =>
    commas(text).map((path) => resolve(folder, path)),
  'existing-folders': (text: string, { folder }: Context): readonly string[] =>
    commas(text).map((path) => existingFolder(path, folder)),
  env: (text: string): readonly string[] => [environmentVariable(text)],
  static: (text: string, { folder }: Context): readonly StaticOption[] => [staticMount(text, folder)],
  mounts: (text: string): readonly MountText[] => [parseMount(text)],
};

type Single = typeof SINGLE;
type Lists = typeof LISTS;
export type ValueType = keyof Single | keyof Lists;
/** The TypeScript type of a type of option. */
export type Value<T extends ValueType> = T extends keyof Single
  ? ReturnType<Single[T]>
  : T extends keyof Lists
    ? ReturnType<Lists[T]>
    : never;

/**
 * Reads the texts that one source gave for one option.
 * @throws UserError which says what is good; the caller adds which option and where it came from
 */
export function parseValue(type: ValueType, texts: readonly string[], context: Context): Value<ValueType> {
  if (!isList(type)) return SINGLE[type](texts.at(-1) ?? '', context);
  const parse: (text: string, context: Context) => readonly unknown[] = LISTS[type];
  return texts.flatMap((text) => parse(text, context)) as Value<typeof type>;
}

/** Whether an option of this type may be repeated. */
export function isList(type: ValueType): type is keyof Lists {
  return Object.hasOwn(LISTS, type);
}

/** The texts in a variable: options that may be repeated are separated by commas; NAME=VALUE and mounts, which may hold some, by line ends. */
export function splitVariable(type: ValueType, text: string): readonly string[] {
  if (type === 'env' || type === 'mounts') return text.split('\n').filter((line) => line.trim() !== '');
  return type === 'addresses' || type === 'static' ? commas(text) : [text];
}

function commas(text: string): string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

function count(text: string, min: number): number {
  const number = Number(text);
  if (/^\d{1,9}$/.test(text) && number >= min) return number;
  throw new UserError(`A good value is a whole number from ${min} up.`);
}

function seconds(text: string, min: number): number {
  const number = Number(text);
  // A timer of Node's holds 2^31 milliseconds; beyond that it fires at once.
  if (/^\d+(\.\d+)?$/.test(text) && number >= min && number <= 2_000_000) return number;
  throw new UserError(`A good value is a number of seconds from ${min} to 2000000, such as 30 or 0.5.`);
}

/**
 * `4`, `auto`, or `2..8`.
 * @throws UserError for anything else; also what `tunicorn scale` reads
 */
export function workerRange(text: string): WorkerRange {
  if (text === 'auto') return { min: availableParallelism(), max: availableParallelism() };
  const [, low, high] = /^(\d{1,9})(?:\.\.(\d{1,9}))?$/.exec(text.trim()) ?? [];
  const min = Number(low ?? Number.NaN);
  const max = high === undefined ? min : Number(high);
  if (min <= max && max >= 1 && (high !== undefined || min >= 1)) return { min, max };
  throw new UserError('A good value is a whole number from 1 up, a range such as 2..8, or auto.');
}

function retry(text: string): Retry {
  if (text === 'safe' || text === 'off') return text;
  throw new UserError('Good values are safe and off.');
}

function control(text: string): Control {
  if (text === 'signal' || text === 'thread') return text;
  throw new UserError('Good values are signal and thread.');
}

const UNITS: Readonly<Record<string, number>> = { '': 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3, t: 1024 ** 4 };

function size(text: string, min: number): number {
  const [, digits = '', unit = ''] = /^(\d{1,15})([kmgt]?)(?:i?b)?$/i.exec(text) ?? [];
  const bytes = Number(digits) * (UNITS[unit.toLowerCase()] ?? 1);
  if (digits !== '' && bytes >= min && Number.isSafeInteger(bytes)) return bytes;
  throw new UserError(
    'A good value is a number of bytes, or one with k, M or G (of 1024): 8190, 64k, 10M, 2G.',
  );
}

function flag(text: string): boolean {
  if (/^(true|yes|on|1)$/i.test(text.trim())) return true;
  if (/^(false|no|off|0|)$/i.test(text.trim())) return false;
  throw new UserError('Good values are true and false.');
}

function level(text: string): LogLevel {
  const found = LOG_LEVELS.find((name) => name === text.trim().toLowerCase());
  if (found === undefined) throw new UserError(`Good values are ${LOG_LEVELS.join(', ')}.`);
  return found;
}

/** gunicorn takes `22` for decimal 22, which is octal 026; whoever writes it means 022. So say it clearly. */
function umask(text: string): number {
  const [, octal] = /^(?:0o?)?([0-7]{1,4})$/i.exec(text) ?? [];
  const clear = /^0/.test(text) || /^[0-7]$/.test(text);
  const mask = Number.parseInt(octal ?? '', 8);
  if (clear && mask <= 0o777) return mask;
  throw new UserError('A good value is octal with a 0 in front, from 0 to 0777: 022, 007.');
}

function existingFolder(text: string, from: string): string {
  const folder = resolve(from, text);
  const found = statSync(folder, { throwIfNoEntry: false });
  if (found === undefined) throw new UserError(`There is no folder ${folder}.`);
  if (!found.isDirectory()) throw new UserError(`${folder} is not a folder.`);
  return folder;
}

function address(text: string, from: string): string {
  const parsed = parseAddress(text.trim());
  if (parsed.kind !== 'unix') return formatAddress(parsed);
  return formatAddress(parseAddress(`unix:${resolve(from, parsed.path)}`));
}

/** The port that `--bind` adds to a host alone would be that of the site. */
function fullAddress(text: string, from: string): string {
  const full = address(text, from);
  if (/^(unix|fd):/.test(full) || /:\d+$/.test(text.trim())) return full;
  throw new UserError('A good value names a port or a path: 127.0.0.1:9100, :9100, unix:/run/site.sock.');
}

function network(text: string): string {
  if (text === '*') return text;
  const problem = networkProblem(text);
  if (problem !== '') throw new UserError(problem);
  return text;
}

function forwardedHeader(text: string): string {
  const name = text.toLowerCase();
  if (FORWARDED_HEADERS.some((known) => known === name)) return name;
  throw new UserError(`${JSON.stringify(text)} is not one of ${FORWARDED_HEADERS.join(', ')}.`);
}

function environmentVariable(text: string): string {
  if (/^[^=\0]+=[^\0]*$/s.test(text)) return text;
  throw new UserError('A good value is NAME=VALUE, such as DJANGO_SETTINGS_MODULE=mysite.settings.');
}

function staticMount(text: string, from: string): StaticOption {
  const cut = text.indexOf('=');
  const prefix = text.slice(0, cut);
  const path = text.slice(cut + 1);
  if (cut < 1 || path === '') throw new UserError('A good value is /PREFIX/=DIR, such as /static/=./static.');
  if (!/^\/[^?#%\\\0]*$/.test(prefix) || /\/\/|\/\.{1,2}(\/|$)/.test(prefix)) {
    throw new UserError(
      `The prefix ${JSON.stringify(prefix)} must be a plain path that begins with /, such as /static/.`,
    );
  }
  return { prefix: prefix.endsWith('/') ? prefix : `${prefix}/`, folder: existingFolder(path, from) };
}

/** Turns values of TOML into the texts of a command line, so that one parser reads both. */
import type { Option } from './options.ts';
import { isList, type ValueType } from './values.ts';

export type Texts =
  | { readonly texts: readonly string[] }
  /** What would be right, and at which inner key it is wrong. */
  | { readonly takes: string; readonly at?: readonly string[] };

/** Numbers are good for these. The rights of a umask are octal, which a number of TOML no longer shows. */
const NUMBERS: readonly ValueType[] = ['count', 'seconds', 'size', 'workers'];
/** Lists that are tables as well, and what stands on the right. */
const TABLES: Partial<Record<ValueType, string>> = {
  env: 'NAME = "VALUE"',
  static: '"/PREFIX/" = "DIR"',
  mounts: '"/PREFIX" = "APP"',
};

export function textsOf({ type }: Pick<Option, 'type'>, value: unknown): Texts {
  if (type === 'flag')
    return typeof value === 'boolean' ? { texts: [String(value)] } : { takes: 'true or false' };
  if (isList(type)) return listOf(type, value);
  if (NUMBERS.includes(type)) {
    const text = typeof value === 'number' ? numberText(value) : value;
    return typeof text === 'string' ? { texts: [text] } : { takes: 'a number, or text' };
  }
  if (typeof value === 'string') return { texts: [value] };
  if (type === 'umask') return { takes: 'text: "022"' };
  return { takes: typeof value === 'number' ? `text: "${value}"` : 'text' };
}

/** Never `1e+21`, which the parsers of numbers would call no number at all. */
function numberText(value: number): string {
  return Number.isSafeInteger(value) ? value.toFixed(0) : String(value);
}

function listOf(type: ValueType, value: unknown): Texts {
  if (typeof value === 'string') return { texts: [value] };
  if (Array.isArray(value)) {
    const texts = value.filter((part) => typeof part === 'string');
    return texts.length === value.length ? { texts } : { takes: 'a list of texts' };
  }
  const row = TABLES[type];
  if (row === undefined || typeof value !== 'object' || value === null || value instanceof Date) {
    return { takes: `text or a list of texts${row === undefined ? '' : `, or a table of ${row}`}` };
  }
  const pairs = Object.entries(value);
  const wrong = pairs.find(([, right]) => typeof right !== 'string');
  if (wrong !== undefined) return { takes: `texts in its table: ${row}`, at: [wrong[0]] };
  return { texts: pairs.map(([left, right]) => `${left}=${right}`) };
}

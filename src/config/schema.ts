/** `docs/tunicorn.schema.json`: the JSON Schema of `tunicorn.toml`, for editors. Rendered from the table of options. */
import { isForFiles } from './file.ts';
import { type Option, ROWS } from './options.ts';
import { isList, type ValueType } from './values.ts';

type Schema = Readonly<Record<string, unknown>>;

const TEXT: Schema = { type: 'string' };
const TEXTS: Schema = { type: ['string', 'array'], items: TEXT };
const TABLE: Schema = { type: ['string', 'array', 'object'], items: TEXT, additionalProperties: TEXT };
const MOST_NUMBERS: readonly ValueType[] = ['seconds'];
const WHOLE_NUMBERS: readonly ValueType[] = ['count', 'size', 'workers'];

/** Both spellings of a name are good; the one with `-` is the one that editors offer. */
export function renderSchema(): string {
  const rows = ROWS.filter(([key]) => isForFiles(key));
  const app = { type: 'string', description: 'The application, as on the command line.' };
  const schema = {
    $schema: 'http://json-schema.org/draft-07/schema#',
    $comment: 'Generated from src/config/options.ts: node scripts/docs.mjs --write',
    title: 'tunicorn.toml',
    type: 'object',
    properties: { app, ...Object.fromEntries(rows.map(([, option]) => [option.name, schemaOf(option)])) },
    patternProperties: Object.fromEntries(
      rows.filter(([, { name }]) => /[-_]/.test(name)).map(([, option]) => [pattern(option), typeOf(option)]),
    ),
    additionalProperties: false,
  };
  return `${JSON.stringify(schema, null, 1)}\n`;
}

function schemaOf(option: Option): Schema {
  return { ...typeOf(option), description: option.help, default: defaultOf(option) };
}

function typeOf({ type, min }: Option): Schema {
  if (type === 'flag') return { type: 'boolean' };
  if (type === 'env' || type === 'static') return TABLE;
  if (type === 'mounts') return mounts();
  if (isList(type)) return TEXTS;
  const limit = min === undefined ? {} : { minimum: min };
  if (WHOLE_NUMBERS.includes(type)) return { type: ['integer', 'string'], ...limit };
  return MOST_NUMBERS.includes(type) ? { type: ['number', 'string'], ...limit } : TEXT;
}

/** Tables, or texts as on the command line. */
function mounts(): Schema {
  const rows = ROWS.filter(([, { perMount }]) => perMount === true).map(([, option]) => option);
  const text = (description: string) => ({ ...TEXT, description });
  const table = {
    type: 'object',
    required: ['prefix'],
    properties: {
      prefix: text('Where the application is found: / or a path such as /api.'),
      app: text('The application, as on the command line.'),
      ...Object.fromEntries(
        rows.map((option) => [option.name, { ...typeOf(option), description: option.help }]),
      ),
    },
    patternProperties: Object.fromEntries(
      rows.filter(({ name }) => /[-_]/.test(name)).map((option) => [pattern(option), typeOf(option)]),
    ),
    additionalProperties: false,
  };
  return { type: ['string', 'array', 'object'], items: { anyOf: [TEXT, table] }, additionalProperties: TEXT };
}

function defaultOf({ type, default: fallback }: Option): unknown {
  if (type === 'flag') return fallback === 'true';
  const isNumber = WHOLE_NUMBERS.includes(type) || MOST_NUMBERS.includes(type);
  return isNumber && /^\d+$/.test(String(fallback)) ? Number(fallback) : fallback;
}

/** Every name of an option, with `-` or `_`. */
function pattern({ name, aliases = [] }: Option): string {
  return `^(${[...new Set([name, ...aliases].map((text) => text.replaceAll(/[-_]/g, '[-_]')))].join('|')})$`;
}

/** What a configuration file of gunicorn's sets, in our terms. Python has executed it: `src/arbiter/settings.ts`. */
import { UserError } from '../errors.ts';
import { type FileSettings, type Given, meaningOf } from './file.ts';
import { FILE_ONLY, FLAG_OF_NAME, FOREIGN_FLAGS, type ForeignFlag } from './gunicorn.ts';
import { type Option, ROWS, type SettingKey } from './options.ts';
import { isList, type ValueType } from './values.ts';

type PythonValue =
  | { readonly kind: 'value'; readonly value: string | number | boolean | null | readonly string[] }
  /** Its dotted path. */
  | { readonly kind: 'class'; readonly value: string }
  | { readonly kind: 'function' }
  | { readonly kind: 'dict'; readonly value: Readonly<Record<string, string>> }
  /** The name of its type. */
  | { readonly kind: 'other'; readonly value: string };

/** `line` is 0 where it is not known. */
export type PythonSetting = PythonValue & { readonly name: string; readonly line: number };

/** What `python/tunicorn-config.py` writes. */
export type PythonReport = { readonly file: string | null } & (
  | { readonly settings: readonly PythonSetting[] }
  | { readonly error: { readonly text: string; readonly line: number; readonly stack: string } }
);

/** Every name that gunicorn's file can set; others are variables of the file's own, as in gunicorn. */
export const GUNICORN_NAMES: readonly string[] = [
  ...ROWS.filter(([, { gunicorn }]) => gunicorn.fate !== 'ours').map(([, { name }]) => nameInFile(name)),
  ...FOREIGN_FLAGS.flatMap(({ names: [name = ''] }) => [nameInFile(name)]),
  ...Object.keys(FILE_ONLY),
].filter((name) => !['config', 'check_config', 'print_config'].includes(name));

function nameInFile(flag: string): string {
  const [name] = Object.entries(FLAG_OF_NAME).find(([, to]) => to === flag) ?? [];
  return name ?? flag.replaceAll('-', '_');
}

/**
 * Takes over what the file sets.
 * @param file `path` as it was named, `shown` as messages call it, `folder` that the command is called in
 * @throws UserError when Python could not execute it
 */
export function fromGunicorn(
  report: PythonReport,
  { path, shown, folder }: { path: string; shown: string; folder: string },
): FileSettings {
  const place = (line: number) => (line > 0 ? `${shown}:${line}` : shown);
  if ('error' in report) {
    const { text, line, stack } = report.error;
    throw new UserError(`${place(line)}: ${text}${stack === '' ? '' : `\n${stack.trimEnd()}`}`);
  }
  const taken = report.settings.map((setting) => take(setting, place(setting.line)));
  const pick = <K extends Taken['kind']>(kind: K) =>
    taken.filter((one): one is Extract<Taken, { kind: K }> => one.kind === kind);
  return {
    path,
    folder,
    given: new Map(pick('given').map(({ key, given }) => [key, given])),
    app: pick('application')[0]?.given,
    mistakes: pick('mistake').map(({ text }) => text),
    notes: [...pick('note').map(({ text }) => text), ...hookNote(shown, pick('hook'))],
  };
}

type Taken =
  | { readonly kind: 'given'; readonly key: SettingKey; readonly given: Given }
  | { readonly kind: 'application'; readonly given: Given }
  | { readonly kind: 'mistake' | 'note'; readonly text: string }
  | { readonly kind: 'hook'; readonly name: string; readonly instead: string }
  | { readonly kind: 'nothing' };

const NOTHING: Taken = { kind: 'nothing' };

function take(setting: PythonSetting, from: string): Taken {
  const { name } = setting;
  // None is how gunicorn's file says: leave it as it is.
  if (setting.kind === 'value' && setting.value === null) return NOTHING;
  if (Object.hasOwn(FILE_ONLY, name)) return takeFileOnly(setting, from);
  const meaning = meaningOf(FLAG_OF_NAME[name] ?? name);
  if (meaning.kind === 'foreign') return takeForeign(setting, { flag: meaning.flag, from });
  if (meaning.kind !== 'option') return NOTHING;
  const texts = textsOf(meaning.option, setting);
  if (texts === null) return { kind: 'mistake', text: `${from}: ${name} cannot be ${kindOf(setting)}.` };
  return { kind: 'given', key: meaning.key, given: { texts, from, key: name } };
}

function takeFileOnly(setting: PythonSetting, from: string): Taken {
  const { name } = setting;
  const only = FILE_ONLY[name];
  if (only === undefined || isEmpty(setting)) return NOTHING;
  if (only.fate === 'hook') return { kind: 'hook', name, instead: only.instead };
  if (only.fate === 'application') {
    if (setting.kind !== 'value' || typeof setting.value !== 'string') {
      return { kind: 'mistake', text: `${from}: ${name} cannot be ${kindOf(setting)}.` };
    }
    return { kind: 'application', given: { texts: [setting.value], from, key: name } };
  }
  if (name === 'secure_scheme_headers' && isUsualScheme(setting)) return NOTHING;
  return told({ name, from }, only);
}

function takeForeign(setting: PythonSetting, { flag, from }: { flag: ForeignFlag; from: string }): Taken {
  return asksFor(setting, flag) ? told({ name: setting.name, from }, flag) : NOTHING;
}

function told(
  { name, from }: { name: string; from: string },
  { fate, text }: { fate: 'refused' | 'no-effect'; text: string },
): Taken {
  if (fate === 'refused') return { kind: 'mistake', text: `${from}: ${name} cannot be used. ${text}` };
  return { kind: 'note', text: `${from}: ${name} has no effect: ${text}` };
}

/** Switches that are on when nobody says so, or whose flag says the contrary of their name. */
const ON_BY_DEFAULT = ['sendfile', 'suppress_ragged_eofs'];

function asksFor(setting: PythonSetting, flag: ForeignFlag): boolean {
  if (isEmpty(setting)) return ON_BY_DEFAULT.includes(setting.name);
  if (setting.kind !== 'value') return true;
  const text = String(setting.value).trim();
  if (flag.takes === 'value') return text !== flag.default;
  return (text.toLowerCase() === 'true') !== ON_BY_DEFAULT.includes(setting.name);
}

/** False, '', [] and {} ask for nothing. 0 is a number like others. */
function isEmpty(setting: PythonSetting): boolean {
  if (setting.kind === 'dict') return Object.keys(setting.value).length === 0;
  if (setting.kind !== 'value') return false;
  const { value } = setting;
  return value === false || value === '' || (Array.isArray(value) && value.length === 0);
}

/** The entry that every guide shows, and gunicorn's own three. */
function isUsualScheme(setting: PythonSetting): boolean {
  if (setting.kind !== 'dict') return false;
  const usual = ['X-FORWARDED-PROTOCOL=ssl', 'X-FORWARDED-PROTO=https', 'X-FORWARDED-SSL=on'];
  return Object.entries(setting.value).every(([name, value]) =>
    usual.includes(`${name.toUpperCase()}=${value}`),
  );
}

/** As it would be written on a command line; null for what the option cannot be. */
function textsOf({ type }: Pick<Option, 'type'>, setting: PythonSetting): readonly string[] | null {
  if (setting.kind === 'class') return type === 'worker-kind' ? [setting.value] : null;
  if (setting.kind !== 'value' || setting.value === null) return null;
  const { value } = setting;
  if (typeof value === 'object') return isList(type) ? value : null;
  if (typeof value === 'boolean') return type === 'flag' ? [String(value)] : null;
  if (typeof value === 'number') return numberTexts(type, value);
  return [value.trim()];
}

function numberTexts(type: ValueType, value: number): readonly string[] | null {
  // A number of Python's is a number: 18 is 0o22. Its text would be refused, or be taken for octal.
  if (type === 'umask') return [`0${value.toString(8)}`];
  // Users and groups have numbers.
  const good: readonly ValueType[] = ['count', 'seconds', 'size', 'workers', 'text'];
  return good.includes(type) ? [String(value)] : null;
}

function kindOf(setting: PythonSetting): string {
  if (setting.kind === 'other') return `a Python object of type ${setting.value}`;
  if (setting.kind !== 'value') return setting.kind === 'dict' ? 'a dict' : `a ${setting.kind}`;
  if (Array.isArray(setting.value)) return 'a list';
  return typeof setting.value === 'string'
    ? 'text'
    : String(setting.value).replace(/^t|^f/, (c) => c.toUpperCase());
}

/** One note for all hooks: a file that has one often has many. */
function hookNote(shown: string, hooks: readonly { name: string; instead: string }[]): string[] {
  if (hooks.length === 0) return [];
  const names = hooks.map(({ name }) => name).join(', ');
  const places = hooks
    .filter(({ instead }) => instead !== '')
    .map(({ name, instead }) => `${name} is ${instead}`);
  const others = hooks.filter(({ instead }) => instead === '').map(({ name }) => name);
  const lost = others.length === 0 ? [] : [`nothing does what ${others.join(', ')} did`];
  return [`${shown} has hooks that are not run: ${names}. Here ${[...places, ...lost].join('; ')}.`];
}

/** Reads a command line against the table. It only sorts the words; `load.ts` reads the values. */
import { parseArgs } from 'node:util';
import { distance } from 'fastest-levenshtein';
import { UserError } from '../errors.ts';
import { FOREIGN_FLAGS, type ForeignFlag } from './gunicorn.ts';
import { type Option, ROWS, type SettingKey } from './options.ts';

/** What a command line says, in its own order. */
export interface Arguments {
  readonly texts: ReadonlyMap<SettingKey, readonly string[]>;
  /** gunicorn's flags that are none of ours, as they were written. */
  readonly foreign: readonly {
    readonly flag: ForeignFlag;
    readonly written: string;
    readonly value: string;
  }[];
  readonly positionals: readonly string[];
  readonly help: boolean;
  readonly version: boolean;
}

type Target =
  | { readonly kind: 'ours'; readonly key: SettingKey; readonly option: Option }
  | { readonly kind: 'foreign'; readonly flag: ForeignFlag }
  | { readonly kind: 'help' }
  | { readonly kind: 'version' };

interface Definition {
  readonly target: Target;
  readonly takesValue: boolean;
  readonly short?: string;
}

const DEFINITIONS: ReadonlyMap<string, Definition> = new Map([
  ...ROWS.flatMap(([key, option]) =>
    definitions([option.name, ...(option.aliases ?? [])], {
      ...shortOf(option),
      target: { kind: 'ours', key, option },
      takesValue: option.type !== 'flag',
    }),
  ),
  ...FOREIGN_FLAGS.flatMap((flag) =>
    definitions(flag.names, {
      ...shortOf(flag),
      target: { kind: 'foreign', flag },
      takesValue: flag.takes === 'value',
    }),
  ),
  ...definitions(['help'], { target: { kind: 'help' }, takesValue: false, short: 'h' }),
  ...definitions(['version'], { target: { kind: 'version' }, takesValue: false, short: 'v' }),
]);

/** One definition under all its names; the short letter belongs to the first. */
function definitions(names: readonly string[], { short, ...rest }: Definition): [string, Definition][] {
  return names.map((name, i) => [name, i === 0 ? { ...rest, ...shortOf({ short }) } : rest]);
}

function shortOf({ short }: { readonly short?: string | undefined }): { short?: string } {
  return short === undefined ? {} : { short };
}

/**
 * Sorts the words of a command line as argparse does: options before or after the application, `--name value`,
 * `--name=value`, `-w4`, `-w 4`, `-w=4`, letters in one word. Unlike argparse it takes no shortened names:
 * a name that is unique today would change its meaning with the next option.
 * @param where names the source in messages; empty for the command line itself
 * @throws UserError for an unknown option, a missing value, or one too many
 */
export function parseArguments(argv: readonly string[], where = ''): Arguments {
  const texts = new Map<SettingKey, string[]>();
  const foreign: Arguments['foreign'][number][] = [];
  const positionals: string[] = [];
  let help = false;
  let version = false;
  for (const token of tokensOf(argv)) {
    if (token.kind === 'option-terminator') continue;
    if (token.kind === 'positional') {
      positionals.push(token.value);
      continue;
    }
    const definition = DEFINITIONS.get(token.name);
    if (definition === undefined) throw new UserError(unknownOption(token.rawName, where));
    const { target } = definition;
    const value = isRefused(target) ? (token.value ?? '') : valueFor(token, definition.takesValue, where);
    if (target.kind === 'ours') texts.set(target.key, [...(texts.get(target.key) ?? []), value]);
    else if (target.kind === 'foreign') foreign.push({ flag: target.flag, written: token.rawName, value });
    else if (target.kind === 'help') help = true;
    else version = true;
  }
  return { texts, foreign, positionals, help, version };
}

interface OptionToken {
  readonly rawName: string;
  readonly value?: string | undefined;
  readonly inlineValue?: boolean | undefined;
}

function tokensOf(argv: readonly string[]) {
  const options = Object.fromEntries(
    [...DEFINITIONS].map(([name, { takesValue, short }]) => [
      name,
      {
        type: takesValue ? ('string' as const) : ('boolean' as const),
        ...(short === undefined ? {} : { short }),
      },
    ]),
  );
  return parseArgs({ args: [...argv], options, strict: false, tokens: true, allowPositionals: true }).tokens;
}

function valueFor(token: OptionToken, takesValue: boolean, where: string): string {
  const name = token.rawName + where;
  if (!takesValue) {
    if (token.value !== undefined) throw new UserError(`${name} takes no value. Leave out =${token.value}.`);
    return 'true';
  }
  if (token.value === undefined) throw new UserError(`${name} needs a value.`);
  // `-w=4` is 4 in argparse; an option in place of the value is a value forgotten.
  if (token.inlineValue) return token.rawName.startsWith('--') ? token.value : token.value.replace(/^=/, '');
  if (/^-[^\d]/.test(token.value)) {
    throw new UserError(
      `${name} needs a value, and ${token.value} looks like an option. Write ${token.rawName}=${token.value} if it is meant.`,
    );
  }
  return token.value;
}

/** Whatever its value: the reason of its refusal helps more than a word about its grammar. */
function isRefused(target: Target): boolean {
  return target.kind === 'foreign' && target.flag.fate === 'refused';
}

function unknownOption(written: string, where: string): string {
  return `There is no option ${written}${where}.${didYouMean(written)} See tunicorn --help.`;
}

/** What other servers call it. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  host: 'bind',
  port: 'bind',
  listen: 'bind',
  socket: 'bind',
  processes: 'workers',
  'access-log': 'access-logfile',
  'error-log': 'error-logfile',
};

function didYouMean(written: string): string {
  if (!written.startsWith('--')) return '';
  const name = written.slice(2).toLowerCase().replaceAll('_', '-');
  const names = [...DEFINITIONS.keys()];
  const starts = names.filter((known) => known.startsWith(name));
  if (Object.hasOwn(ELSEWHERE, name)) return ` Did you mean --${ELSEWHERE[name]}?`;
  if (name !== '' && starts.length > 0 && starts.length <= 5) return ` Did you mean ${alternatives(starts)}?`;
  const far = (known: string) =>
    Math.min(distance(name, known), distance(name, known.slice(0, name.length)) + 1);
  const near = names.reduce((best, known) => (far(known) < far(best) ? known : best));
  return far(near) <= Math.max(2, name.length / 2) ? ` Did you mean --${near}?` : '';
}

function alternatives(names: readonly string[]): string {
  const flags = names.map((name) => `--${name}`);
  const last = flags.pop() ?? '';
  return flags.length === 0 ? last : `${flags.join(', ')} or ${last}`;
}

/**
 * The settings of this start, from every source. The stronger source wins whole, option by option:
 *
 *     the command line
 *     TUNICORN_… variables
 *     GUNICORN_CMD_ARGS
 *     (a configuration file: its place, for a later version)
 *     WEB_CONCURRENCY, PORT and FORWARDED_ALLOW_IPS, which gunicorn reads as defaults
 *     the default in the table
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { closest, distance } from 'fastest-levenshtein';
import { UserError } from '../errors.ts';
import { type Arguments, parseArguments } from './arguments.ts';
import { checkTogether } from './check.ts';
import { OPTIONS, type Option, ROWS, type SettingKey, type Settings, variableOf } from './options.ts';
import { splitWords } from './shell-words.ts';
import { parseValue, splitVariable } from './values.ts';

export type Action = 'serve' | 'help' | 'version' | 'check-config' | 'print-config';

export interface Loaded {
  readonly settings: Settings;
  /** The application as given; empty when none was. */
  readonly app: string;
  /** Lines for the log: flags that were accepted and change nothing, and what was not read. */
  readonly notes: readonly string[];
  readonly action: Action;
  /** Where each setting comes from, in words: `--workers`, `TUNICORN_WORKERS`, `default`. */
  readonly sources: Readonly<Record<SettingKey, string>>;
}

export interface LoadOptions {
  /** The words after the command. */
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The folder that the command is called in. */
  readonly cwd: string;
}

/** What a source says about one option, and how messages call the source. */
interface Given {
  readonly texts: readonly string[];
  readonly from: string;
}
type Source = (key: SettingKey, option: Option) => Given | undefined;

const CMD_ARGS = 'GUNICORN_CMD_ARGS';

/**
 * Reads and checks all settings.
 * @throws UserError for what cannot be: which option, from where, and which values are good
 */
export function loadSettings({ argv, env, cwd }: LoadOptions): Loaded {
  const line = parseArguments(argv);
  const cmdArgs = parseArguments(splitWords(env[CMD_ARGS] ?? ''), ` in ${CMD_ARGS}`);
  const action = actionOf(line, cmdArgs);
  const quiet = action === 'help' || action === 'version';
  if (!quiet) refuse([...line.foreign, ...cmdArgs.foreign]);
  const sources = quiet
    ? [defaults]
    : [
        fromArguments(line, ''),
        fromVariables(env),
        fromArguments(cmdArgs, ` in ${CMD_ARGS}`),
        fromPlatform(env),
        defaults,
      ];
  const app = quiet ? '' : applicationOf(line.positionals);
  const { settings, from } = readAll(sources, { app, cwd });
  if (quiet) return { settings, app, notes: [], action, sources: from };
  checkTogether(settings);
  const notes = [...noEffect(line, cmdArgs), ...unread(cmdArgs, env, { cwd, settings })];
  return {
    settings,
    app,
    notes,
    action: settings.printConfig ? 'print-config' : settings.checkConfig ? 'check-config' : 'serve',
    sources: from,
  };
}

/** The settings with nothing but defaults, for programs that serve without a command line. */
export function defaultSettings(cwd: string): Settings {
  return loadSettings({ argv: [], env: {}, cwd }).settings;
}

function actionOf(line: Arguments, cmdArgs: Arguments): Action {
  if (line.help || cmdArgs.help) return 'help';
  return line.version || cmdArgs.version ? 'version' : 'serve';
}

function applicationOf(positionals: readonly string[]): string {
  const [app = '', second] = positionals;
  if (second === undefined) return app;
  throw new UserError(
    `One application at a time: ${JSON.stringify(app)} and ${JSON.stringify(second)} were given. If the second belongs to an option, put it right behind the option.`,
  );
}

function fromArguments(words: Arguments, where: string): Source {
  return (key, option) => {
    const texts = words.texts.get(key);
    return texts && { texts, from: `--${option.name}${where}` };
  };
}

/** An empty variable counts as not set, except that an empty list of addresses is a good list. */
function fromVariables(env: LoadOptions['env']): Source {
  return (_key, option) => variable(env, variableOf(option), option);
}

function fromPlatform(env: LoadOptions['env']): Source {
  return (key, option) => {
    if (key === 'bind' && env.PORT) return { texts: [`0.0.0.0:${env.PORT.trim()}`], from: 'PORT' };
    return option.env === undefined ? undefined : variable(env, option.env, option);
  };
}

function variable(env: LoadOptions['env'], name: string, option: Option): Given | undefined {
  const text = env[name];
  const emptyCounts = option.type === 'networks' || option.type === 'forwarded-headers';
  if (text === undefined || (text === '' && !emptyCounts)) return undefined;
  return { texts: splitVariable(option.type, text), from: name };
}

const defaults: Source = (_key, option) => ({
  texts: typeof option.default === 'string' ? [option.default] : option.default,
  from: 'default',
});

function readAll(sources: readonly Source[], { app, cwd }: { app: string; cwd: string }) {
  const from = {} as Record<SettingKey, string>;
  const read = (key: SettingKey, option: Option, folder: string) => {
    const given = sources.map((source) => source(key, option)).find((found) => found !== undefined);
    from[key] = given?.from ?? 'default';
    return readValue(option, given ?? { texts: [], from: 'default' }, folder);
  };
  const chdir = String(read('chdir', OPTIONS.chdir, cwd));
  const values = Object.fromEntries(
    ROWS.map(([key, option]) => [key, key === 'chdir' ? chdir : read(key, option, chdir)]),
  );
  // Each value was read by the parser of its row's type, from which `Settings` is derived.
  const settings = { ...values, app } as Settings;
  return { settings: { ...settings, name: settings.name || app }, from };
}

function readValue(option: Option, { texts, from }: Given, folder: string): unknown {
  try {
    return parseValue(option.type, texts, { folder, min: option.min ?? 0 });
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    throw new UserError(`${valueAndSource(option, texts, from)}. ${error.message}`);
  }
}

function valueAndSource(option: Option, texts: readonly string[], from: string): string {
  const flag = `--${option.name}`;
  const origin = from.startsWith(flag)
    ? from
    : from === 'default'
      ? `${flag} (its default)`
      : `${from}, which sets ${flag}`;
  return `${JSON.stringify(texts.join(','))} is no good value for ${origin}`;
}

function refuse(foreign: Arguments['foreign']): void {
  const refused = foreign.filter(({ flag, value }) => flag.fate === 'refused' && value !== flag.default);
  const lines = new Map<string, string[]>();
  for (const { flag, written } of refused) lines.set(flag.text, [...(lines.get(flag.text) ?? []), written]);
  if (lines.size === 0) return;
  const told = [...lines].map(([text, names]) => `${[...new Set(names)].join(', ')} cannot be used. ${text}`);
  throw new UserError(told.join('\n'));
}

function noEffect(line: Arguments, cmdArgs: Arguments): string[] {
  const lines = [...line.foreign, ...cmdArgs.foreign]
    .filter(({ flag, value }) => flag.fate === 'no-effect' && value !== flag.default)
    .map(({ flag, written }) => `${written} has no effect: ${flag.text}`);
  return [...new Set(lines)];
}

/** What somebody may believe is read, and is not. */
function unread(
  cmdArgs: Arguments,
  env: LoadOptions['env'],
  { cwd, settings }: { cwd: string; settings: Settings },
): string[] {
  const notes = cmdArgs.positionals.map(
    (word) =>
      `${JSON.stringify(word)} in ${CMD_ARGS} is not read; as in gunicorn the application stands on the command line.`,
  );
  const file = [cwd, settings.chdir]
    .map((folder) => join(folder, 'gunicorn.conf.py'))
    .find((path) => existsSync(path));
  if (file !== undefined) {
    notes.push(
      `${file} is not read: a configuration file comes with a later version. Give its settings as flags or TUNICORN_… variables.`,
    );
  }
  return [...notes, ...misspelt(env)];
}

/** Only near misses are told: Kubernetes alone adds a dozen TUNICORN_… variables for a service of that name. */
function misspelt(env: LoadOptions['env']): string[] {
  const known = ROWS.map(([, option]) => variableOf(option));
  return Object.keys(env).flatMap((name) => {
    if (!name.startsWith('TUNICORN_') || known.includes(name)) return [];
    const near = closest(name, known);
    return distance(name, near) <= 2 ? [`The variable ${name} is not read. Did you mean ${near}?`] : [];
  });
}

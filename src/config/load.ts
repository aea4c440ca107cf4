/**
 * The settings of this start, from every source. The stronger source wins whole, option by option:
 *
 *     the command line
 *     TUNICORN_… variables
 *     GUNICORN_CMD_ARGS
 *     the configuration file
 *     WEB_CONCURRENCY, PORT and FORWARDED_ALLOW_IPS, which gunicorn reads as defaults
 *     the default in the table
 */
import { resolve } from 'node:path';
import { UserError } from '../errors.ts';
import { type Arguments, parseArguments } from './arguments.ts';
import { checkTogether } from './check.ts';
import type { FileSettings, Given } from './file.ts';
import { pythonLocation, readFile } from './find-file.ts';
import type { PythonReport } from './gunicorn-file.ts';
import { suitApplication, uselessForNode } from './kind.ts';
import type { MountText } from './mount-text.ts';
import { defaultName, resolveMounts } from './mounts.ts';
import { misspelt, noEffect, refuse, unreadFile } from './notes.ts';
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
  /** The configuration file that was read: its path, or `python:MODULE`; empty for none. */
  readonly file: string;
  /** Where each setting comes from, in words: `--workers`, `TUNICORN_WORKERS`, `tunicorn.toml:3`, `default`. */
  readonly sources: Readonly<Record<SettingKey | 'app', string>>;
}

export interface LoadOptions {
  /** The words after the command. */
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The folder that the command is called in. */
  readonly cwd: string;
  /** What Python said of the file that {@link pythonFileOf} names. */
  readonly python?: PythonReport | undefined;
}

/** A configuration file that Python must execute, and what finds the interpreter. */
export interface PythonFile {
  /** Absolute path, or `python:MODULE`. */
  readonly location: string;
  readonly python: string;
  readonly app: string;
  readonly chdir: string;
}

type Source = (key: SettingKey, option: Option) => Given | undefined;

const CMD_ARGS = 'GUNICORN_CMD_ARGS';

/**
 * Reads and checks all settings.
 * @throws UserError for what cannot be: which option, from where, and which values are good; every value that is
 * wrong is told, not only the first
 */
export function loadSettings({ argv, env, cwd, python }: LoadOptions): Loaded {
  const { line, cmdArgs, strong } = argumentsOf({ argv, env });
  const action = actionOf(line, cmdArgs);
  if (action === 'help' || action === 'version') return onlyDefaults(action, cwd);
  const foreign = [...line.foreign, ...cmdArgs.foreign];
  refuse(foreign);
  const file = readFile({ ...whereOf(strong, cwd), cwd }, python);
  const named = applicationOf(line.positionals);
  const app = named || (file?.app?.texts[0] ?? '');
  const sources = [...strong, fromFile(file), fromPlatform(env), defaults];
  const { settings: read, from, mounts, given } = readAll(sources, { app, cwd, file });
  const isOne = mounts.length === 0;
  const resolved = isOne ? null : resolveMounts({ server: read, texts: mounts, given, from });
  const settings = resolved === null ? suitApplication(read, from) : withMounts(read, { ...resolved, from });
  checkTogether(settings);
  const unread = file === null ? unreadFile([...new Set([cwd, settings.chdir])]) : [];
  return {
    settings,
    app,
    file: file?.path ?? '',
    notes: [
      ...noEffect(foreign),
      ...strayWords(cmdArgs),
      ...(file?.notes ?? []),
      ...unread,
      ...(resolved?.notes ?? uselessForNode(read)),
      ...misspelt(env),
    ],
    action: settings.printConfig ? 'print-config' : settings.checkConfig ? 'check-config' : 'serve',
    sources: { ...from, app: named === '' && file?.app !== undefined ? file.app.from : 'default' },
  };
}

/**
 * The file that must be executed before {@link loadSettings} can read it; null when there is none.
 * @throws UserError for a word that is no option
 */
export function pythonFileOf({ argv, env, cwd }: LoadOptions): PythonFile | null {
  const { line, cmdArgs, strong } = argumentsOf({ argv, env });
  const { named, chdir } = whereOf(strong, cwd);
  const location = pythonLocation({ named, cwd });
  if (location === null || actionOf(line, cmdArgs) !== 'serve') return null;
  return { location, chdir, python: textOf(strong, 'python'), app: line.positionals[0] ?? '' };
}

/** The settings with nothing but defaults, for programs that serve without a command line. */
export function defaultSettings(cwd: string): Settings {
  return onlyDefaults('serve', cwd).settings;
}

function onlyDefaults(action: Action, cwd: string): Loaded {
  const { settings, from } = readAll([defaults], { app: '', cwd, file: null });
  return { settings, app: '', file: '', notes: [], action, sources: { ...from, app: 'default' } };
}

/** The words of both command lines, and the sources that rank above a file. */
function argumentsOf({ argv, env }: Pick<LoadOptions, 'argv' | 'env'>) {
  const line = parseArguments(argv);
  const where = ` in ${CMD_ARGS}`;
  const cmdArgs = parseArguments(splitWords(env[CMD_ARGS] ?? ''), where);
  return {
    line,
    cmdArgs,
    strong: [fromArguments(line, ''), fromVariables(env), fromArguments(cmdArgs, where)],
  };
}

function whereOf(strong: readonly Source[], cwd: string): { named: string; chdir: string } {
  return { named: textOf(strong, 'config'), chdir: resolve(cwd, textOf(strong, 'chdir') || '.') };
}

function textOf(sources: readonly Source[], key: SettingKey): string {
  return firstOf(sources, key, OPTIONS[key])?.texts.at(-1) ?? '';
}

function firstOf(sources: readonly Source[], key: SettingKey, option: Option): Given | undefined {
  return sources.map((source) => source(key, option)).find((found) => found !== undefined);
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

function fromFile(file: FileSettings | null): Source {
  return (key) => file?.given.get(key);
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

/** @throws UserError with every value that is not good, and every mistake of the file */
function readAll(
  sources: readonly Source[],
  { app, cwd, file }: { app: string; cwd: string; file: FileSettings | null },
) {
  const wrong: string[] = [];
  const from = {} as Record<SettingKey, string>;
  const read = (key: SettingKey, option: Option, folder: string) => {
    const given = firstOf(sources, key, option) ?? { texts: [], from: 'default' };
    from[key] = given.from;
    const inFile = file?.given.get(key);
    // What a stronger source covers today is a mistake all the same.
    if (inFile !== undefined && inFile !== given) {
      readValue(option, inFile, { folder: key === 'chdir' ? (file?.folder ?? folder) : folder, wrong });
    }
    return readValue(option, given, { folder, wrong });
  };
  const inFile = file !== null && firstOf(sources, 'chdir', OPTIONS.chdir) === file.given.get('chdir');
  const chdir = read('chdir', OPTIONS.chdir, inFile ? file.folder : cwd);
  const folder = typeof chdir === 'string' ? chdir : cwd;
  const values = Object.fromEntries(
    ROWS.map(([key, option]) => [key, key === 'chdir' ? folder : read(key, option, folder)]),
  );
  const mistakes = [...(file?.mistakes ?? []), ...wrong];
  if (mistakes.length > 0) throw new UserError(inOrder(mistakes).join('\n'));
  // Each value was read by the parser of its row's type, from which `Settings` is derived.
  const settings = { ...values, app, mount: [] as Settings['mount'] } as Settings;
  const given = firstOf(sources, 'mount', OPTIONS.mount) ?? { texts: [], from: 'default' };
  const mounts = values.mount as readonly MountText[];
  return { settings: { ...settings, name: settings.name || app }, from, mounts, given };
}

function withMounts(
  server: Settings,
  { mounts, from }: { mounts: Settings['mount']; from: Readonly<Record<SettingKey, string>> },
): Settings {
  const settings = { ...server, mount: mounts };
  return from.name === 'default' ? { ...settings, name: defaultName(settings) } : settings;
}

/** As somebody mends them: from the first line of the file to the last. */
function inOrder(mistakes: readonly string[]): string[] {
  const line = (text: string) => Number(/^\S.*?:(\d+): /.exec(text)?.[1] ?? Number.MAX_SAFE_INTEGER);
  return [...mistakes].sort((a, b) => line(a) - line(b));
}

/** @returns undefined for a value that is not good; why is added to `wrong` */
function readValue(
  option: Option,
  given: Given,
  { folder, wrong }: { folder: string; wrong: string[] },
): unknown {
  try {
    return parseValue(option.type, given.texts, { folder, min: option.min ?? 0 });
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    wrong.push(`${valueAndSource(option, given)}. ${error.message}`);
    return undefined;
  }
}

function valueAndSource(option: Option, { texts, from, key }: Given): string {
  const value = JSON.stringify(texts.join(','));
  if (key !== undefined) return `${from}: ${value} is no good value for ${key}`;
  const flag = `--${option.name}`;
  const origin = from.startsWith(flag)
    ? from
    : from === 'default'
      ? `${flag} (its default)`
      : `${from}, which sets ${flag}`;
  return `${value} is no good value for ${origin}`;
}

function strayWords({ positionals }: Arguments): string[] {
  return positionals.map(
    (word) =>
      `${JSON.stringify(word)} in ${CMD_ARGS} is not read; as in gunicorn the application stands on the command line.`,
  );
}

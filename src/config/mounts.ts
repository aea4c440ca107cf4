/** Several applications in one server, each under a prefix of the path and with settings of its own. */
import { closest, distance } from 'fastest-levenshtein';
import { UserError } from '../errors.ts';
import type { Given } from './file.ts';
import { suitApplication, uselessForNode } from './kind.ts';
import type { MountText } from './mount-text.ts';
import { type Mount, OPTIONS, type Option, ROWS, type SettingKey, type Settings } from './options.ts';
import { isList, parseValue } from './values.ts';

/** The applications of a server, in the order in which they were given; without `--mount` the one at `/`. */
export function mountsOf(settings: Settings): readonly Mount[] {
  return settings.mount.length > 0 ? settings.mount : [{ prefix: '/', settings, own: [] }];
}

/** The name of processes that nobody has named: the application, or all of them. */
export function defaultName({ app, mount }: Pick<Settings, 'app' | 'mount'>): string {
  return mount.length > 0 ? mount.map((each) => each.settings.app || 'manage.py').join(' ') : app;
}

export interface MountsOptions {
  /** What a mount does not say holds for the whole server. */
  readonly server: Settings;
  readonly texts: readonly MountText[];
  /** Where the texts come from. */
  readonly given: Given;
  /** Where the settings of the server come from. */
  readonly from: Readonly<Record<SettingKey, string>>;
}

export interface Mounts {
  readonly mounts: readonly Mount[];
  /** What was asked for and changes nothing. */
  readonly notes: readonly string[];
}

/**
 * The settings of each application. One that was named outside `--mount` is the one at `/`.
 * @throws {UserError} with every mistake
 */
export function resolveMounts({ server, texts, given, from }: MountsOptions): Mounts {
  const mistakes: string[] = [];
  const notes: string[] = [];
  const mounts = withApplication(server, texts).flatMap((text, i) => {
    // One that stands in front of those that were given.
    const at = i - (server.app === '' ? 0 : 1);
    const place = given.places?.[at] ?? given.from;
    try {
      return [resolveMount(text, { server, from, place, notes })];
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      mistakes.push(error.message);
      return [];
    }
  });
  const twice = prefixTwice(mounts, server);
  if (twice !== '') mistakes.push(twice);
  if (mistakes.length > 0) throw new UserError(mistakes.join('\n'));
  return { mounts, notes };
}

function withApplication({ app }: Settings, texts: readonly MountText[]): readonly MountText[] {
  return app === '' ? texts : [{ prefix: '/', app, words: [] }, ...texts];
}

function prefixTwice(mounts: readonly Mount[], { app }: Settings): string {
  const prefixes = mounts.map(({ prefix }) => prefix);
  const twice = prefixes.find((prefix, i) => prefixes.indexOf(prefix) < i);
  if (twice === undefined) return '';
  if (twice === '/' && app !== '') {
    const other = mounts.find(({ prefix, settings }) => prefix === '/' && settings.app !== app);
    return `${app} is the application at /, and --mount /=${other?.settings.app ?? app} names one there, too. Leave out one of the two.`;
  }
  return `--mount ${twice} is given twice. One application answers under each prefix.`;
}

interface Context {
  readonly server: Settings;
  readonly from: Readonly<Record<SettingKey, string>>;
  readonly place: string;
  readonly notes: string[];
}

function resolveMount(text: MountText, { server, from, place, notes }: Context): Mount {
  const own = new OwnSettings(text, { server, place });
  const values = own.read();
  const { prefix, app } = text;
  const { preload = false, hooks = '' } = values;
  notes.push(...uselessForNode({ app, preload, hooks }).map((note) => `--mount ${prefix}: ${note}`));
  const name = nameOf(app, { prefix, server, from });
  const whole = { ...server, ...values, app, name, mount: [] };
  // What was chosen for the server need not suit each kind: what its file is decides.
  const workerClass = values.workerClass ?? 'python';
  const sources = { ...from, workerClass: 'default', ...own.sources() };
  const settings = suitApplication({ ...whole, workerClass }, sources);
  if (server.fronts > Math.max(1, settings.workers.min))
    throw new UserError(fewWorkers(prefix, { server, settings }));
  return { prefix, settings, own: own.keys };
}

function fewWorkers(prefix: string, { server, settings }: { server: Settings; settings: Settings }): string {
  return `--mount ${prefix} has ${settings.workers.min} of --workers, and --fronts is ${server.fronts}: each front needs a worker of each application. Use --fronts ${Math.max(1, settings.workers.min)} or give it workers=${server.fronts}.`;
}

function nameOf(
  app: string,
  { prefix, server, from }: { prefix: string; server: Settings; from: Context['from'] },
): string {
  if (from.name === 'default') return app;
  return prefix === '/' ? server.name : `${server.name} ${prefix}`;
}

/** What a mount says for itself. */
class OwnSettings {
  readonly #text: MountText;
  readonly #context: Pick<Context, 'server' | 'place'>;
  readonly #texts = new Map<SettingKey, string[]>();

  /** @throws {UserError} for a name that is no option, or none of one application */
  constructor(text: MountText, context: Pick<Context, 'server' | 'place'>) {
    this.#text = text;
    this.#context = context;
    for (const word of text.words) this.#take(word);
  }

  get keys(): readonly SettingKey[] {
    return [...this.#texts.keys()];
  }

  /** Where each comes from. */
  sources(): Partial<Record<SettingKey, string>> {
    const from = (key: SettingKey) => `${OPTIONS[key].name} of --mount ${this.#text.prefix}`;
    return Object.fromEntries(this.keys.map((key) => [key, from(key)]));
  }

  #take({ name, text }: MountText['words'][number]): void {
    const [key, option] = this.#find(name);
    if (text === undefined && option.type !== 'flag') throw this.#wrong(`${name} needs a value: ${name}=…`);
    this.#texts.set(key, [...(this.#texts.get(key) ?? []), text ?? 'true']);
  }

  #find(name: string): readonly [SettingKey, Option] {
    const row = ownRow(name);
    if (row === undefined) throw this.#wrong(`There is no option ${name}.${nearest(name)}`);
    if (row[1].perMount !== true) {
      throw this.#wrong(`${row[1].name} belongs to the server as a whole. Set it outside --mount.`);
    }
    return row;
  }

  /** @throws {UserError} with the first value that is not good */
  read(): Partial<Settings> {
    const { server } = this.#context;
    const chdir = this.#value('chdir', server.chdir);
    const folder = typeof chdir === 'string' ? chdir : server.chdir;
    const entries = this.keys.map((key) => [key, key === 'chdir' ? folder : this.#value(key, folder)]);
    const own: Partial<Settings> = Object.fromEntries(entries);
    // Variables of the server hold for all its applications; their own come on top.
    return own.env === undefined ? own : { ...own, env: [...server.env, ...own.env] };
  }

  #value(key: SettingKey, folder: string): unknown {
    const texts = this.#texts.get(key);
    const option: Option = OPTIONS[key];
    if (texts === undefined) return undefined;
    try {
      return parseValue(option.type, texts, { folder, min: option.min ?? 0 });
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      const value = JSON.stringify(isList(option.type) ? texts.join(',') : texts.at(-1));
      throw this.#wrong(`${value} is no good value for ${option.name}. ${error.message}`);
    }
  }

  #wrong(sentence: string): UserError {
    const { place } = this.#context;
    const where = place.startsWith('--mount')
      ? `--mount ${this.#text.prefix}`
      : `${place}: ${this.#text.prefix}`;
    return new UserError(`${where}: ${sentence}`);
  }
}

/** The row of a name as it is written in a mount; `-` and `_` are the same. */
export function ownRow(name: string): readonly [SettingKey, Option] | undefined {
  return ROWS.find(([, option]) =>
    [option.name, ...(option.aliases ?? [])].some(
      (known) => known.replaceAll('_', '-') === name.replaceAll('_', '-'),
    ),
  );
}

/** The near miss, as a sentence with a space in front; empty when nothing is near. */
export function nearest(name: string): string {
  const names = ROWS.filter(([, option]) => option.perMount === true).map(([, option]) => option.name);
  const near = closest(name.toLowerCase().replaceAll('_', '-'), names);
  return distance(name, near) <= Math.max(2, Math.floor(near.length / 3)) ? ` Did you mean ${near}?` : '';
}

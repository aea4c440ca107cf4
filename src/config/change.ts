/** What a reload takes up of changed settings, and what has to wait for a restart. */
import { isDeepStrictEqual } from 'node:util';
import { defaultName } from './mounts.ts';
import { OPTIONS, ROWS, type SettingKey, type Settings } from './options.ts';

export interface Change {
  readonly changed: readonly (SettingKey | 'app')[];
  /** Those of `changed` that a reload leaves as they were. */
  readonly needRestart: readonly SettingKey[];
}

export function compareSettings(before: Settings, after: Settings): Change {
  const keys = ROWS.map(([key]) => key).filter((key) => !isDeepStrictEqual(before[key], after[key]));
  // The name that follows the application is nobody's choice: it needs no word of its own.
  const follows = before.name === defaultName(before) && after.name === defaultName(after);
  const changed = keys.filter((key) => key !== 'name' || !follows);
  return {
    changed: before.app === after.app ? changed : ['app', ...changed],
    needRestart: changed.filter((key) =>
      key === 'mount' ? !haveSamePrefixes(before, after) : !OPTIONS[key].reloadable,
    ),
  };
}

/** The new settings as far as a reload takes them up: what needs a restart stays as it was. */
export function reloadedSettings(before: Settings, after: Settings): Settings {
  const kept = ROWS.filter(([, option]) => !option.reloadable).map(([key]) => [key, before[key]]);
  const settings: Settings = { ...after, ...Object.fromEntries(kept) };
  if (haveSamePrefixes(before, after)) return { ...settings, mount: inOrderOf(before, after) };
  return { ...settings, app: before.app, mount: before.mount };
}

/** Workers, queues and paths belong to the prefixes: others come with a restart only. */
function haveSamePrefixes(before: Settings, after: Settings): boolean {
  return isDeepStrictEqual(prefixes(before).sort(), prefixes(after).sort());
}

function prefixes({ mount }: Settings): string[] {
  return mount.map(({ prefix }) => prefix);
}

/** The number of an application is its place in the list, which may be written in another order now. */
function inOrderOf(before: Settings, after: Settings): Settings['mount'] {
  return before.mount.map((mount) => after.mount.find(({ prefix }) => prefix === mount.prefix) ?? mount);
}

/** For the log, and for whoever asked for the reload; empty when nothing needs a restart. */
export function restartNote({ needRestart }: Pick<Change, 'needRestart'>): string {
  if (needRestart.length === 0) return '';
  const names = needRestart.map((key) => `--${OPTIONS[key].name}`);
  const verb =
    names.length === 1 ? 'has changed, and stays as it was' : 'have changed, and stay as they were';
  return `${names.join(', ')} ${verb} until a restart.`;
}

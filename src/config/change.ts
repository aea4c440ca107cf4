/** What a reload takes up of changed settings, and what has to wait for a restart. */
import { isDeepStrictEqual } from 'node:util';
import { OPTIONS, ROWS, type SettingKey, type Settings } from './options.ts';

export interface Change {
  readonly changed: readonly (SettingKey | 'app')[];
  /** Those of `changed` that a reload leaves as they were. */
  readonly needRestart: readonly SettingKey[];
}

export function compareSettings(before: Settings, after: Settings): Change {
  const keys = ROWS.map(([key]) => key).filter((key) => !isDeepStrictEqual(before[key], after[key]));
  // The name that follows the application is nobody's choice: it needs no word of its own.
  const follows = before.name === before.app && after.name === after.app;
  const changed = keys.filter((key) => key !== 'name' || !follows);
  return {
    changed: before.app === after.app ? changed : ['app', ...changed],
    needRestart: changed.filter((key) => !OPTIONS[key].reloadable),
  };
}

/** The new settings as far as a reload takes them up: what needs a restart stays as it was. */
export function reloadedSettings(before: Settings, after: Settings): Settings {
  const kept = ROWS.filter(([, option]) => !option.reloadable).map(([key]) => [key, before[key]]);
  return { ...after, ...Object.fromEntries(kept) };
}

/** For the log, and for whoever asked for the reload; empty when nothing needs a restart. */
export function restartNote({ needRestart }: Pick<Change, 'needRestart'>): string {
  if (needRestart.length === 0) return '';
  const names = needRestart.map((key) => `--${OPTIONS[key].name}`);
  const verb =
    names.length === 1 ? 'has changed, and stays as it was' : 'have changed, and stay as they were';
  return `${names.join(', ')} ${verb} until a restart.`;
}

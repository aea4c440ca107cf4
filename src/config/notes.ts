/** What is said of a start that goes on: flags that change nothing, and what somebody may believe is read. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { closest, distance } from 'fastest-levenshtein';
import { UserError } from '../errors.ts';
import type { Arguments } from './arguments.ts';
import { ROWS, variableOf } from './options.ts';

type Foreign = Arguments['foreign'];

/** @throws UserError with all that cannot be used */
export function refuse(foreign: Foreign): void {
  const refused = foreign.filter(({ flag, value }) => flag.fate === 'refused' && value !== flag.default);
  const lines = new Map<string, string[]>();
  for (const { flag, written } of refused) lines.set(flag.text, [...(lines.get(flag.text) ?? []), written]);
  if (lines.size === 0) return;
  const told = [...lines].map(([text, names]) => `${[...new Set(names)].join(', ')} cannot be used. ${text}`);
  throw new UserError(told.join('\n'));
}

/** Once each. */
export function noEffect(foreign: Foreign): string[] {
  const lines = foreign
    .filter(({ flag, value }) => flag.fate === 'no-effect' && value !== flag.default)
    .map(({ flag, written }) => `${written} has no effect: ${flag.text}`);
  return [...new Set(lines)];
}

/** A file of gunicorn's that lies there: gunicorn would read it unasked. */
export function unreadFile(folders: readonly string[]): string[] {
  const file = folders.map((folder) => join(folder, 'gunicorn.conf.py')).find((path) => existsSync(path));
  return file === undefined ? [] : [`${file} is not read, because nobody named it: -c gunicorn.conf.py.`];
}

/** Only near misses are told: Kubernetes alone adds a dozen TUNICORN_… variables for a service of that name. */
export function misspelt(env: Readonly<Record<string, string | undefined>>): string[] {
  const known = ROWS.map(([, option]) => variableOf(option));
  return Object.keys(env).flatMap((name) => {
    if (!name.startsWith('TUNICORN_') || known.includes(name)) return [];
    const near = closest(name, known);
    return distance(name, near) <= 2 ? [`The variable ${name} is not read. Did you mean ${near}?`] : [];
  });
}

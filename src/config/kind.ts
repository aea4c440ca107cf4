/** What follows from the kind of the application: which worker runs it, and how many requests that runs at once. */
import { UserError } from '../errors.ts';
import type { SettingKey, Settings } from './options.ts';
import { isNodeFile } from './workers.ts';

/** Requests at once in a Node worker: they wait for others most of their time. */
const NODE_THREADS = 100;

/**
 * The settings with what nobody has chosen filled in by what the application is.
 * @param from Where each setting comes from.
 * @throws {UserError} when the chosen kind of worker cannot run it
 */
export function suitApplication(settings: Settings, from: Readonly<Record<SettingKey, string>>): Settings {
  const { app, workerClass } = settings;
  const isFile = isNodeFile(app);
  const isChosen = from.workerClass !== 'default';
  if (isChosen && workerClass === 'python' && isFile) {
    throw new UserError(
      `${app} is run by Node, but ${from.workerClass} asks for Python workers. Leave that out: the kind of worker follows from the file.`,
    );
  }
  if (isChosen && workerClass === 'node' && !isFile) {
    const what = app === '' ? 'no application is named' : `${app} is none`;
    throw new UserError(
      `${from.workerClass} asks for Node workers, which run a file that ends in .ts or .js (server.ts, server.ts:app), and ${what}.`,
    );
  }
  if (!isFile) return settings;
  const threads = from.threads === 'default' ? NODE_THREADS : settings.threads;
  return { ...settings, workerClass: 'node', threads, preload: false, hooks: '' };
}

/** What was asked for and has no meaning for a Node worker, for the log. */
export function uselessForNode({
  app,
  preload,
  hooks,
}: Pick<Settings, 'app' | 'preload' | 'hooks'>): string[] {
  if (!isNodeFile(app)) return [];
  const notes: string[] = [];
  if (preload) notes.push(`--preload has no effect on ${app}: a Node process cannot be forked.`);
  if (hooks !== '') notes.push(`--hooks has no effect on ${app}: ${hooks} is a Python module.`);
  return notes;
}

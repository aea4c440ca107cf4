/** The kinds of worker, for suites that hold for both: `describe.each(KINDS)('%s', (kind) => …)`. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './tunicorn.ts';

export type Kind = 'python' | 'node';

export const KINDS: readonly Kind[] = ['python', 'node'];

/** Applications that are there in both languages: `traffic.py` and `traffic.ts` do the same under the same paths. */
export const APPS: string = join(ROOT, 'test/apps');

/** How the command takes an application of `test/apps/`, from any folder: `--pythonpath … traffic`, or `…/traffic.ts`. */
export function appArgs(kind: Kind, name: string): string[] {
  return kind === 'python' ? ['--pythonpath', APPS, name] : [join(APPS, `${name.replaceAll('_', '-')}.ts`)];
}

/** One application in both languages, for a test that writes it into a folder of its own. */
export type Sources = Readonly<Record<Kind, string>>;

/** Writes it as `app.py` or `app.ts`. @returns what the command takes when it runs in that folder. */
export function writeApp(folder: string, { kind, sources }: { kind: Kind; sources: Sources }): string {
  const file = kind === 'python' ? 'app.py' : 'app.ts';
  writeFileSync(join(folder, file), sources[kind]);
  return kind === 'python' ? 'app' : file;
}

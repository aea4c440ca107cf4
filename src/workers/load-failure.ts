/** What is told of an application that cannot be loaded. */
import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import { inspect } from 'node:util';
import { parseSpec } from './entry.ts';

const CHECK_MS = 5000;
const JAVASCRIPT = /\.[cm]?js$/;
/** Folder of the server's own modules. */
const OURS = new URL('..', import.meta.url).href;

/**
 * The error with its stack, as far as it is the application's, and where it stands when it is one of syntax.
 * @param spec `server.ts`, or `server.ts:name`
 */
export function describeLoadFailure(
  error: unknown,
  { spec, folder }: { readonly spec: string; readonly folder: string },
): string {
  const text = inspect(error);
  const path = resolve(folder, parseSpec(spec).file);
  const where = error instanceof SyntaxError && !text.includes(path) ? placeOf(path) : '';
  return where + text.split('\n').filter(isTelling).join('\n');
}

/** How Node came to the module is no news. */
function isTelling(line: string): boolean {
  return !/^\s+at /.test(line) || !(line.includes(OURS) || line.includes('(node:internal/modules/'));
}

/** Node tells where a module's syntax is wrong only when it ends of it (https://nodejs.org/api/cli.html#-c---check). */
function placeOf(path: string): string {
  if (!JAVASCRIPT.test(path)) return '';
  const { stderr } = spawnSync(process.execPath, ['--check', path], { encoding: 'utf8', timeout: CHECK_MS });
  const [place = ''] = stderr.split('\n\n');
  return place.startsWith(path) || place.startsWith('file:') ? `${place}\n` : '';
}

/** The application that an entry file exports, whatever kind it is. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Application } from '../wsgi/types.ts';

export interface Entry {
  /** `server.ts:app` */
  readonly name: string;
  /** What it was found to be: `WSGI`, `Hono`, `Node listener` … */
  readonly kind: string;
  readonly application: Application;
  /** Lets the application tidy up; never rejects. */
  readonly close: () => Promise<void>;
}

/** No application was found: `message` says what was, and what to do. With a `cause` its stack says more. */
export class EntryError extends Error {
  override readonly name = 'EntryError';
  readonly code: string;

  constructor(code: string, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}

/** Looked for in this order when none is named. */
const NAMES = ['default', 'app', 'application', 'server', 'handler'];

/**
 * Imports the file and finds its application.
 * @param spec `server.ts`, or `server.ts:name` for what it exports by that name.
 * @throws {EntryError} when there is none; whatever the file itself throws.
 */
export async function loadEntry(spec: string, folder: string): Promise<Entry> {
  const { file, name } = parseSpec(spec);
  const path = resolve(folder, file);
  if (!existsSync(path)) throw new EntryError('no-file', `There is no file ${path}.`);
  const module = (await import(pathToFileURL(path).href)) as Record<string, unknown>;
  const found = name === '' ? NAMES.find((each) => module[each] !== undefined) : name;
  const value = found === undefined ? undefined : module[found];
  if (typeof value !== 'function') throw new EntryError('no-app', `${file} exports no application.`);
  return {
    name: `${file}:${found}`,
    kind: 'WSGI',
    application: value as Application,
    close: () => Promise.resolve(),
  };
}

export function parseSpec(spec: string): { readonly file: string; readonly name: string } {
  const [, file = spec, name = ''] = /^(.*\.[cm]?[jt]s):([^/]*)$/.exec(spec) ?? [];
  return { file, name };
}

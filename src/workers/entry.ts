/** The application that an entry file exports. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Application } from '../wsgi/types.ts';
import { describeValue, type Recognized, recognize } from './application-kind.ts';

export interface Entry {
  /** `server.ts`, or `server.ts:app` when that is the export's name. */
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

type Exports = Readonly<Record<string, unknown>>;

/** Looked for in this order when none is named. */
const NAMES = ['default', 'app', 'application', 'server', 'handler'];
const KINDS =
  'a WSGI application, an object with fetch (Hono, h3), a Node listener (Express, Koa, Fastify), or an http.Server that does not listen';

/**
 * Imports the file and finds its application.
 * @param spec `server.ts`, or `server.ts:name` for what it exports by that name.
 * @throws {EntryError} when there is none; whatever the file itself throws.
 */
export async function loadEntry(spec: string, folder: string): Promise<Entry> {
  const { file, name } = parseSpec(spec);
  const path = resolve(folder, file);
  if (!existsSync(path)) {
    throw new EntryError(
      'no-file',
      `There is no file ${path}. The application is named by its path from ${folder}.`,
    );
  }
  const exports = (await import(pathToFileURL(path).href)) as Exports;
  const { key, found } = name === '' ? search(file, exports) : named(file, { name, exports });
  return {
    name: key === 'default' ? file : `${file}:${key}`,
    kind: found.kind,
    application: found.application,
    close: async () => {
      await found.close();
    },
  };
}

export function parseSpec(spec: string): { readonly file: string; readonly name: string } {
  const [, file = spec, name = ''] = /^(.*\.[cm]?[jt]s):([^/]*)$/.exec(spec) ?? [];
  return { file, name };
}

interface Found {
  readonly key: string;
  readonly found: Recognized;
}

function named(file: string, { name, exports }: { readonly name: string; readonly exports: Exports }): Found {
  const value = exported(exports, name);
  if (value === undefined) {
    throw new EntryError('no-app', `${file} exports nothing by the name of ${name}. ${tell(file, exports)}`);
  }
  const found = ask(`${file}:${name}`, value);
  if (found !== null) return { key: name, found };
  throw new EntryError('no-app', `${file}:${name} is ${describeValue(value)}. It should be ${KINDS}.`);
}

function search(file: string, exports: Exports): Found {
  for (const key of NAMES) {
    const value = exported(exports, key);
    const found = value === undefined ? null : ask(key === 'default' ? file : `${file}:${key}`, value);
    if (found !== null) return { key, found };
  }
  throw new EntryError('no-app', `${file} exports no application. ${tell(file, exports)}`);
}

/** A CommonJS module's `default` is all of `module.exports`, under which its names stand too. */
function exported(exports: Exports, name: string): unknown {
  const whole = exports.default as Exports | undefined;
  const isObject = typeof whole === 'object' && whole !== null;
  return exports[name] ?? (isObject && name !== 'default' ? whole[name] : undefined);
}

function ask(where: string, value: unknown): Recognized | null {
  try {
    return recognize(value);
  } catch (error) {
    throw new EntryError('no-app', `${where}: ${(error as Error).message}`);
  }
}

/** What it does export, and what to do about it. */
function tell(file: string, exports: Exports): string {
  const found = Object.entries(exports).map(([name, value]) => `${name} (${describeValue(value)})`);
  const listens = isListening();
  const hint = listens
    ? ' The file listens by itself: export the server or application instead, and leave listen() out.'
    : '';
  const what = found.length === 0 ? 'It exports nothing at all.' : `It exports ${found.join(', ')}.`;
  return `${what} Export as default ${KINDS}, or name another export: ${file}:name.${hint}`;
}

/** By the handles of this process: a program that listens exports nothing, as a rule. */
function isListening(): boolean {
  return process.getActiveResourcesInfo().some((name) => /server/i.test(name));
}

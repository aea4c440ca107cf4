import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { makeServer } from '../../src/wsgi/make-server.ts';
import { pythons } from '../support/python.ts';
import { startTunicorn } from '../support/tunicorn.ts';
import { application } from './apps.ts';

/** A server that runs the applications of the table. */
export interface Backend {
  readonly port: number;
  /** How long the log is, to look only at what comes after. */
  logLength(): number;
  /** Waits until the text stands in the log, from `from` on. @throws {Error} after 20 s. */
  waitForLog(text: string, from: number): Promise<void>;
  stop(): Promise<void>;
}

export interface BackendKind {
  readonly name: string;
  readonly language: 'python' | 'typescript';
  readonly start: () => Promise<Backend>;
}

const WAIT_MS = 20_000;

/** The log of a backend, as text that grows. */
export class Log {
  #text = '';
  readonly #waiting = new Set<() => void>();

  get length(): number {
    return this.#text.length;
  }

  add(text: string): void {
    this.#text += text;
    for (const look of [...this.#waiting]) look();
  }

  waitFor(text: string, from: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => {
        this.#waiting.delete(look);
        reject(new Error(`No “${text}” in the log:\n${this.#text.slice(from)}`));
      }, WAIT_MS);
      const look = () => {
        if (!this.#text.includes(text, from)) return;
        this.#waiting.delete(look);
        clearTimeout(late);
        resolve();
      };
      this.#waiting.add(look);
      look();
    });
  }
}

async function startInProcess(): Promise<Backend> {
  const log = new Log();
  const server = makeServer('127.0.0.1', 0, application, { errors: (text) => log.add(text) });
  const served = server.serveForever();
  await server.ready;
  return {
    port: server.serverPort,
    logLength: () => log.length,
    waitForLog: (text, from) => log.waitFor(text, from),
    stop: async () => {
      await server.shutdown();
      await served;
    },
  };
}

/** The whole server, as people run it: arbiter, front, and one worker. */
async function startCommand(app: string, python: string | null): Promise<Backend> {
  const cwd = dirname(fileURLToPath(import.meta.url));
  const server = await startTunicorn({ args: [app], cwd, python });
  return {
    port: server.port,
    logLength: () => server.log().length,
    waitForLog: async (text, from) => {
      await server.waitForLog(new RegExp(`^[^]{${from},}?${text}`), WAIT_MS);
    },
    stop: async () => {
      await server.stop();
      await server[Symbol.asyncDispose]();
    },
  };
}

export const BACKENDS: readonly BackendKind[] = [
  { name: 'makeServer', language: 'typescript', start: startInProcess },
  {
    name: `Node worker, ${process.versions.node}`,
    language: 'typescript',
    start: () => startCommand('apps.ts:application', null),
  },
  ...pythons().map(
    ({ path, version }): BackendKind => ({
      name: `Python worker, ${version}`,
      language: 'python',
      start: () => startCommand('apps:application', path),
    }),
  ),
];

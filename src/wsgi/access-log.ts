import type { Trace } from '../http/exchange.ts';
import type { Fields } from '../http/types.ts';
import {
  type AccessEntry,
  type AccessFormat,
  compileAccessFormat,
  DEFAULT_ACCESS_FORMAT,
} from '../observe/access-format.ts';
import { LineWriter } from '../observe/line-writer.ts';
import { AccessedRequest } from './accessed-request.ts';
import { follow } from './follow.ts';
import { isPromise } from './kind.ts';
import { toBuffer } from './response.ts';
import { contentLength } from './response-head.ts';
import type { Application, Body, Chunk, Environ, Header, Middleware, StartResponse } from './types.ts';

export interface AccessLogOptions {
  /** As the command's `--access-logformat`, with the same atoms and the same default. */
  readonly format?: string;
  /** Takes a line, without its line feed. Default: standard output, without blocking. */
  readonly write?: (line: string) => void;
}

/** What nginx and the command's own log say of a client that left before it got anything. */
const CLIENT_LEFT = 499;
/** What the server answers when there is no head yet. */
const FAILED = 500;

/**
 * Middleware that writes one line about each request, once its body has ended: sent, failed, or left by the client.
 * Bytes are those given to the server, at most Content-Length, none for HEAD. An application that failed before its
 * head was sent counts as 500, as the server will answer so.
 */
export function accessLog(options: AccessLogOptions = {}): Middleware {
  const format = compileAccessFormat(options.format ?? DEFAULT_ACCESS_FORMAT);
  const write = options.write ?? standardOutput();
  return (app) => (environ, startResponse) =>
    new LoggedCall(environ, { format, write }).run(app, startResponse);
}

function standardOutput(): (line: string) => void {
  const writer = new LineWriter({ fd: 1 });
  return (line) => writer.write(line);
}

interface Log {
  readonly format: AccessFormat;
  readonly write: (line: string) => void;
}

/** One request on its way through. */
class LoggedCall {
  readonly #environ: Environ;
  readonly #log: Log;
  readonly #request: AccessedRequest;
  readonly #startedAt = performance.now();
  #status = 0;
  #fields: Fields = [];
  #bytes = 0;
  /** Part of the answer has reached the server: its head stands. */
  #begun = false;
  #told = false;

  constructor(environ: Environ, log: Log) {
    this.#environ = environ;
    this.#log = log;
    // Now, as the application may change environ.
    this.#request = new AccessedRequest(environ);
  }

  run(app: Application, startResponse: StartResponse): Body | Promise<Body> {
    try {
      const given = app(this.#environ, this.#starting(startResponse));
      return isPromise(given) ? this.#awaited(given) : this.#follow(given);
    } catch (error) {
      return this.#fail(error);
    }
  }

  async #awaited(given: Promise<Body>): Promise<Body> {
    try {
      return this.#follow(await given);
    } catch (error) {
      return this.#fail(error);
    }
  }

  #starting(startResponse: StartResponse): StartResponse {
    return (status, headers, ...excInfo) => {
      const write = startResponse(status, headers, ...excInfo);
      // Only what the server took counts.
      this.#status = Number.parseInt(status, 10);
      this.#fields = flat(headers);
      return (chunk) => {
        this.#begun = true;
        this.#count(chunk);
        return write(chunk);
      };
    };
  }

  #follow(body: Body): Body {
    const isWhole = Array.isArray(body);
    return follow(body, {
      part: (chunk) => this.#count(chunk),
      end: (failure) => {
        // Of a whole body the server has taken all, or nothing.
        if (isWhole && this.#hasLeft) this.#begun = false;
        this.#end(failure !== undefined);
      },
    });
  }

  get #hasLeft(): boolean {
    return this.#environ['tunicorn.gone']?.() ?? false;
  }

  #count(chunk: Chunk): void {
    const length = typeof chunk === 'string' ? Buffer.byteLength(chunk) : toBuffer(chunk).length;
    this.#bytes += length;
    if (length > 0) this.#begun = true;
  }

  #fail(error: unknown): never {
    this.#end(true);
    throw error;
  }

  #end(failed: boolean): void {
    if (!this.#begun && this.#hasLeft) this.#tell(CLIENT_LEFT, 0);
    else if (this.#status === 0 || (failed && !this.#begun)) this.#tell(FAILED, 0);
    else this.#tell(this.#status, this.#sent());
  }

  /** Body bytes that the server sends of those it was given. */
  #sent(): number {
    if (this.#request.method === 'HEAD' || this.#status === 204 || this.#status === 304) return 0;
    const length = contentLength(this.#fields);
    return length < 0 ? this.#bytes : Math.min(this.#bytes, length);
  }

  #tell(status: number, bytes: number): void {
    if (this.#told) return;
    this.#told = true;
    const { format, write } = this.#log;
    const durationMs = performance.now() - this.#startedAt;
    const entry: AccessEntry = {
      head: this.#request,
      requestLine: this.#request.line,
      peer: this.#request,
      exchange: { trace: this.#trace(format.needs.environ) },
      status,
      fields: status === this.#status ? this.#fields : [],
      bytes,
    };
    try {
      write(format.render(entry, { start: Date.now() - durationMs, durationMs }));
    } catch (error) {
      // A log that fails is no reason to break an answer.
      this.#environ['wsgi.errors'].write(`accessLog: a line could not be written: ${String(error)}\n`);
    }
  }

  /** With the keys of environ that the format asks for, as they are at the end. */
  #trace(keys: readonly string[]): Trace {
    const environ = new Map<string, string>();
    for (const key of keys) {
      const value = this.#environ[key];
      if (value !== undefined) environ.set(key, String(value));
    }
    return { pid: process.pid, attempt: 1, environ };
  }
}

/** As `headers.flat()`, which takes 1.9 µs for three headers; this, 0.1. */
function flat(headers: readonly Header[]): Fields {
  const fields: Fields = [];
  for (const [name, value] of headers) fields.push(name, value);
  return fields;
}

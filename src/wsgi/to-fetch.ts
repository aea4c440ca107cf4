import type { HttpError } from '../errors.ts';
import type { RequestBody, ResponseHead } from '../http/exchange.ts';
import { errorResponse } from '../http/response.ts';
import type { Fields } from '../http/types.ts';
import { SERVER_SOFTWARE } from '../version.ts';
import type { Answering, Call } from './call.ts';
import { decodePath } from './environ.ts';
import { runApplication } from './run.ts';
import type { Application } from './types.ts';

export interface ToFetchOptions {
  /** Takes what the application writes to `wsgi.errors`, and its failures. Default: standard error. */
  readonly errors?: (text: string) => void;
}

/**
 * A fetch handler that answers by a WSGI application: for tests, and for servers that speak fetch. The request's body is
 * read whole before the application is called, as everywhere; the answer is streamed. The request's `signal`, or a reader
 * that cancels the answer, is a client that leaves: as with `fetch`, what is not answered by then is rejected with the
 * signal's reason.
 */
export function toFetch(
  app: Application,
  options: ToFetchOptions = {},
): (request: Request) => Promise<Response> {
  const errors = options.errors ?? ((text: string) => void process.stderr.write(text));
  return async (request) => {
    const memory = Buffer.from(await request.arrayBuffer());
    request.signal.throwIfAborted();
    return new Promise((resolve, reject) => {
      const call = new FetchCall(request, { memory, resolve, reject });
      void runApplication(app, call, { errors, serverSoftware: SERVER_SOFTWARE });
    });
  };
}

interface Asked {
  readonly memory: Buffer;
  readonly resolve: (response: Response) => void;
  readonly reject: (reason: unknown) => void;
}

/** Statuses whose answers have no body, and may not be given one (Fetch §2.2.3). */
const BODYLESS = new Set([204, 205, 304]);

class FetchCall implements Call, Answering {
  readonly body: RequestBody;
  readonly title: string;
  readonly #request: Request;
  readonly #asked: Asked;
  #controller: ReadableStreamDefaultController<Uint8Array> | null = null;
  #gone = false;
  readonly #leave = () => this.#left();
  onDrain: (() => void) | null = null;
  onGone: (() => void) | null = null;

  constructor(request: Request, asked: Asked) {
    const { memory } = asked;
    this.#request = request;
    this.#asked = asked;
    this.body = { length: memory.length, memory, file: null };
    this.title = `${request.method} ${new URL(request.url).pathname}`;
    request.signal.addEventListener('abort', this.#leave, { once: true });
  }

  get exchange(): Answering {
    return this;
  }

  get gone(): boolean {
    return this.#gone;
  }

  entries(): readonly string[] {
    const url = new URL(this.#request.url);
    const target = `${url.pathname}${url.search}`;
    const usual = url.protocol === 'https:' ? '443' : '80';
    const entries = [
      ['REQUEST_METHOD', this.#request.method],
      ['SCRIPT_NAME', ''],
      ['PATH_INFO', decodePath(url.pathname)],
      ['QUERY_STRING', url.search.slice(1)],
      ['RAW_URI', target],
      ['REQUEST_URI', target],
      ['SERVER_PROTOCOL', 'HTTP/1.1'],
      ['SERVER_NAME', url.hostname],
      ['SERVER_PORT', url.port || usual],
      ['wsgi.url_scheme', url.protocol.slice(0, -1)],
      ['HTTP_HOST', url.host],
      ...headerEntries(this.#request.headers),
    ];
    if (this.body.length > 0) entries.push(['CONTENT_LENGTH', String(this.body.length)]);
    return entries.flat();
  }

  /** A Response cannot be preceded by another. */
  hint(): void {}

  respond(
    { status, fields }: ResponseHead,
    part: { readonly body: Buffer; readonly last: boolean },
  ): boolean {
    if (this.#gone) return true;
    const code = Number(status.slice(0, 3));
    const init = { status: code, statusText: status.slice(4), headers: pairs(fields) };
    const isBodyless = BODYLESS.has(code) || this.#request.method === 'HEAD';
    if (!part.last && !isBodyless) {
      this.#asked.resolve(new Response(this.#stream(), init));
      return this.write(part.body, false);
    }
    this.#asked.resolve(new Response(isBodyless ? null : part.body, init));
    this.#gone = part.last;
    return true;
  }

  write(chunk: Buffer, last: boolean): boolean {
    if (this.#gone) return true;
    this.#gone = last;
    const controller = this.#controller;
    if (controller === null) return true;
    if (chunk.length > 0) controller.enqueue(chunk);
    if (last) controller.close();
    return last || (controller.desiredSize ?? 1) > 0;
  }

  fail(error: HttpError): void {
    if (this.#gone) return;
    this.#gone = true;
    if (this.#controller !== null) return this.#controller.error(error);
    const { status, fields, body } = errorResponse(error);
    const init = { status: Number(status.slice(0, 3)), statusText: status.slice(4), headers: pairs(fields) };
    this.#asked.resolve(new Response(this.#request.method === 'HEAD' ? null : body, init));
  }

  release(): void {
    this.#request.signal.removeEventListener('abort', this.#leave);
  }

  #stream(): ReadableStream<Uint8Array> {
    return new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.#controller = controller;
      },
      pull: () => {
        const { onDrain } = this;
        this.onDrain = null;
        onDrain?.();
      },
      cancel: this.#leave,
    });
  }

  #left(): void {
    if (this.#gone) return;
    this.#gone = true;
    const { reason } = this.#request.signal;
    // Of a stream that was cancelled nobody is left to hear it, and of an answer that was given, neither.
    this.#controller?.error(reason);
    this.#asked.reject(reason);
    this.onGone?.();
  }
}

function* headerEntries(headers: Headers): Generator<[string, string], void, undefined> {
  for (const [name, value] of headers) {
    const key = name.toUpperCase().replaceAll('-', '_');
    // As from a client: what `_` could pose as, and the proxy of CGI programs (httpoxy), is dropped.
    if (name.includes('_') || name === 'proxy' || name === 'host' || key === 'CONTENT_LENGTH') continue;
    yield [key === 'CONTENT_TYPE' ? key : `HTTP_${key}`, value];
  }
}

function pairs(fields: Fields): [string, string][] {
  return fields.flatMap((name, i) => (i % 2 === 0 ? [[name, fields[i + 1] ?? ''] as [string, string]] : []));
}

import type { HttpError } from '../errors.ts';
import type { RequestBody, ResponseHead } from '../http/exchange.ts';
import { errorResponse } from '../http/response.ts';
import type { Fields } from '../http/types.ts';
import { SERVER_SOFTWARE } from '../version.ts';
import type { Answering, Call } from './call.ts';
import { runApplication } from './run.ts';
import type { Application } from './types.ts';

export interface ToFetchOptions {
  /** Takes what the application writes to `wsgi.errors`, and its failures. Default: standard error. */
  readonly errors?: (text: string) => void;
}

/**
 * A fetch handler that answers by a WSGI application: for tests, and for servers that speak fetch. The request's body is
 * read whole before the application is called, as everywhere; the answer is streamed. The request's `signal`, or a reader
 * that cancels the answer, is a client that leaves.
 */
export function toFetch(
  app: Application,
  options: ToFetchOptions = {},
): (request: Request) => Promise<Response> {
  const errors = options.errors ?? ((text: string) => void process.stderr.write(text));
  return async (request) => {
    const memory = Buffer.from(await request.arrayBuffer());
    return new Promise((resolve) => {
      const call = new FetchCall(request, { memory, resolve });
      void runApplication(app, call, { errors, serverSoftware: SERVER_SOFTWARE });
    });
  };
}

/** Statuses whose answers have no body, and may not be given one (Fetch §2.2.3). */
const BODYLESS = new Set([204, 205, 304]);

class FetchCall implements Call, Answering {
  readonly body: RequestBody;
  readonly title: string;
  readonly #request: Request;
  readonly #resolve: (response: Response) => void;
  #controller: ReadableStreamDefaultController<Uint8Array> | null = null;
  #gone = false;
  onDrain: (() => void) | null = null;
  onGone: (() => void) | null = null;

  constructor(
    request: Request,
    { memory, resolve }: { readonly memory: Buffer; readonly resolve: (response: Response) => void },
  ) {
    this.#request = request;
    this.#resolve = resolve;
    this.body = { length: memory.length, memory, file: null };
    this.title = `${request.method} ${new URL(request.url).pathname}`;
    const leave = () => this.#leave();
    if (request.signal.aborted) this.#gone = true;
    else request.signal.addEventListener('abort', leave, { once: true });
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
    const isWhole = part.last || BODYLESS.has(code) || this.#request.method === 'HEAD';
    if (isWhole) {
      this.#gone = part.last;
      const isEmpty = BODYLESS.has(code) || this.#request.method === 'HEAD';
      this.#resolve(new Response(isEmpty ? null : part.body, init));
      return true;
    }
    this.#resolve(new Response(this.#stream(), init));
    return this.write(part.body, false);
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
    this.#resolve(new Response(body, { status: Number(status.slice(0, 3)), headers: pairs(fields) }));
  }

  release(): void {}

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
      cancel: () => this.#leave(),
    });
  }

  #leave(): void {
    if (this.#gone) return;
    this.#gone = true;
    try {
      this.#controller?.error(this.#request.signal.reason);
    } catch {
      // It was cancelled: nobody reads it.
    }
    if (this.#controller === null) this.#resolve(new Response(null, { status: 499 }));
    this.onGone?.();
  }
}

function decodePath(path: string): string {
  return path.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
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

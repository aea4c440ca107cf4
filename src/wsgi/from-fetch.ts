import { inspect } from 'node:util';
import { HOP_BY_HOP } from '../http/grammar.ts';
import { nodeHttp } from './node-http.ts';
import { requestHeaders } from './request-headers.ts';
import { requestTarget } from './request-target.ts';
import type { Application, Body, Environ, Header, StartResponse } from './types.ts';

/** What Hono, h3, SvelteKit and others have: a Web Request in, a Web Response out. */
export type FetchHandler = (request: Request) => Response | Promise<Response>;

/** Methods whose requests have no body, and may not be given one (Fetch §5.4). */
const BODYLESS = new Set(['GET', 'HEAD']);
/** Methods that no Request can have (Fetch §2.2.1), in capitals. */
const FORBIDDEN = new Set(['CONNECT', 'TRACE', 'TRACK']);
const EMPTY = Buffer.alloc(0);

/**
 * A WSGI application that answers by a fetch handler. Bodies are streamed both ways; the request's `signal` is aborted
 * when the client leaves. The path is that within the application: what a mount has taken off (`SCRIPT_NAME`) is not in
 * the URL.
 * @param handler A function, or an object with a method `fetch`, as frameworks export it.
 */
export function fromFetch(handler: FetchHandler | { readonly fetch: FetchHandler }): Application {
  const fetch: FetchHandler = typeof handler === 'function' ? handler : (request) => handler.fetch(request);
  return async (environ, startResponse) => {
    const url = urlOf(environ);
    if (!URL.canParse(url)) return refuse(startResponse, '400 Bad Request', `${url} is no URL.`);
    if (FORBIDDEN.has(environ.REQUEST_METHOD.toUpperCase())) {
      return refuse(startResponse, '501 Not Implemented', `${environ.REQUEST_METHOD} cannot be asked here.`);
    }
    const response = await fetch(toRequest(url, environ));
    checkResponse(response);
    const { status, statusText, body } = response;
    const write = startResponse(
      `${status} ${statusText || (nodeHttp().STATUS_CODES[status] ?? '')}`,
      headersOf(response),
    );
    return body === null ? [] : bodyOf(body, () => void write(EMPTY));
  };
}

function urlOf(environ: Environ): string {
  const authority = environ.HTTP_HOST || `${environ.SERVER_NAME}:${environ.SERVER_PORT}`;
  return `${environ['wsgi.url_scheme']}://${authority}${requestTarget(environ)}`;
}

/** What no Request can hold never comes to the handler. */
function refuse(startResponse: StartResponse, status: string, reason: string): Body {
  startResponse(status, [['Content-Type', 'text/plain; charset=utf-8']]);
  return [`${reason}\n`];
}

function toRequest(url: string, environ: Environ): Request {
  const { REQUEST_METHOD: method } = environ;
  const length = Number(environ.CONTENT_LENGTH ?? 0);
  const body = length > 0 && !BODYLESS.has(method) ? environ['wsgi.input'].stream : null;
  const headers = [...requestHeaders(environ)];
  const request = new Request(url, {
    method,
    headers,
    body,
    ...(body === null ? {} : { duplex: 'half' }),
  } as RequestInit);
  // Made when somebody asks for it: few do, and a signal that follows another costs as much as the request itself.
  const signal = environ['tunicorn.signal'];
  if (signal !== undefined) Object.defineProperty(request, 'signal', { get: signal, configurable: true });
  return request;
}

/** Not by `instanceof`: a framework may bring a class of its own. */
function checkResponse(response: unknown): asserts response is Response {
  const { status, headers } = (response ?? {}) as Partial<Response>;
  if (typeof status === 'number' && typeof headers?.[Symbol.iterator] === 'function') return;
  throw new TypeError(`The fetch handler gave ${inspect(response, { depth: 0 })} instead of a Response.`);
}

/** Each Set-Cookie by itself. What belongs to the connection is the server's, whatever a framework says. */
function headersOf({ headers }: Response): Header[] {
  return [...headers].filter(([name]) => !HOP_BY_HOP.has(name.toLowerCase()));
}

/**
 * A body that is there at once is given whole, so that its length is known; any other part by part, and its head goes
 * ahead of a first part that lets itself be waited for: who opens server-sent events hears that they are open.
 */
async function bodyOf(stream: ReadableStream<Uint8Array>, sendHead: () => void): Promise<Body> {
  const reader = stream.getReader();
  const turn = new Promise<null>((resolve) => setImmediate(resolve, null));
  const first = begin(reader);
  const step = await Promise.race([first, turn]);
  if (step === null) {
    sendHead();
    return parts(reader, [first]);
  }
  if (step.done) return [];
  const second = begin(reader);
  const isWhole = (await Promise.race([second, turn]))?.done === true;
  return isWhole ? [step.value] : parts(reader, [first, second]);
}

type Reader = ReadableStreamDefaultReader<Uint8Array>;
type Reading = ReturnType<Reader['read']>;

/** Asks for the next part. If it fails, that is thrown where it is awaited. */
function begin(reader: Reader): Reading {
  const reading = reader.read();
  reading.catch(() => {});
  return reading;
}

/**
 * No async generator: its `return()` waits for the step under way, and a stream that has nothing to say for an hour would
 * hear only then that nobody listens.
 */
function parts(
  reader: Reader,
  ahead: Reading[],
): AsyncIterableIterator<Uint8Array> & { close(): Promise<void> } {
  return {
    next: async () => {
      const { done, value } = await (ahead.shift() ?? reader.read());
      return done ? { done, value: undefined } : { done, value };
    },
    return: async () => {
      await reader.cancel();
      return { done: true, value: undefined };
    },
    // For a client that left before any part was asked for: return() is not called then.
    close: () => reader.cancel(),
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}

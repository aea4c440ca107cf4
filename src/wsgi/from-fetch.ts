import { inspect } from 'node:util';
import { HOP_BY_HOP } from '../http/grammar.ts';
import { nodeHttp } from './node-http.ts';
import { requestHeaders } from './request-headers.ts';
import { requestTarget } from './request-target.ts';
import type { Application, Body, Environ, Header } from './types.ts';

/** What Hono, h3, SvelteKit and others have: a Web Request in, a Web Response out. */
export type FetchHandler = (request: Request) => Response | Promise<Response>;

/** Methods whose requests have no body, and may not be given one (Fetch §5.4). */
const BODYLESS = new Set(['GET', 'HEAD']);

/**
 * A WSGI application that answers by a fetch handler. Bodies are streamed both ways; the request's `signal` is aborted
 * when the client leaves. The path is that within the application: what a mount has taken off (`SCRIPT_NAME`) is not in
 * the URL.
 * @param handler A function, or an object with a method `fetch`, as frameworks export it.
 */
export function fromFetch(handler: FetchHandler | { readonly fetch: FetchHandler }): Application {
  const fetch: FetchHandler = typeof handler === 'function' ? handler : (request) => handler.fetch(request);
  return async (environ, startResponse) => {
    const response = await fetch(toRequest(environ));
    checkResponse(response);
    const { status, statusText } = response;
    startResponse(`${status} ${statusText || (nodeHttp().STATUS_CODES[status] ?? '')}`, headersOf(response));
    return response.body === null ? [] : bodyOf(response.body);
  };
}

function toRequest(environ: Environ): Request {
  const { REQUEST_METHOD: method, HTTP_HOST: host } = environ;
  const authority = host || `${environ.SERVER_NAME}:${environ.SERVER_PORT}`;
  const url = `${environ['wsgi.url_scheme']}://${authority}${requestTarget(environ)}`;
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

/** A body that is there at once is given whole, so that its length is known; any other part by part. */
async function bodyOf(stream: ReadableStream<Uint8Array>): Promise<Body> {
  const reader = stream.getReader();
  const first = await reader.read();
  if (first.done) return [];
  const next = reader.read();
  // What fails later is thrown where it is awaited.
  next.catch(() => {});
  const turn = new Promise<null>((resolve) => setImmediate(resolve, null));
  const second = await Promise.race([next, turn]);
  return second?.done === true ? [first.value] : parts(reader, { first: first.value, next });
}

type Reader = ReadableStreamDefaultReader<Uint8Array>;

/**
 * No async generator: its `return()` waits for the step under way, and a stream that has nothing to say for an hour would
 * hear only then that nobody listens.
 */
function parts(
  reader: Reader,
  { first, next }: { readonly first: Uint8Array; readonly next: ReturnType<Reader['read']> },
): AsyncIterableIterator<Uint8Array> {
  const ahead = [Promise.resolve({ done: false, value: first }), next];
  return {
    next: async () => {
      const { done, value } = await (ahead.shift() ?? reader.read());
      return done ? { done, value: undefined } : { done, value: value as Uint8Array };
    },
    return: async () => {
      await reader.cancel();
      return { done: true, value: undefined };
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}

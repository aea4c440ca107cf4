import { UserError } from '../errors.ts';
import { HOP_BY_HOP, TOKEN } from '../http/grammar.ts';
import type { Environ, Header, Middleware, StartResponse } from './types.ts';

export interface RequestIdOptions {
  /** The header that carries the id, in the request and in the response. Default: `X-Request-ID`. */
  readonly header?: string;
  /**
   * Takes the id that the request brings. Only where a proxy of yours sets it: clients could choose their ids
   * otherwise, and mix up whoever searches the logs for one. Default: false.
   */
  readonly trust?: boolean;
  /** Makes an id of visible characters. Default: a random UUID. */
  readonly make?: () => string;
}

/** Nothing that ends a log line, a quoted string or a shell word; and not longer than a log should hold. */
const VALID = /^[\w.:+/=@-]{1,128}$/;

/**
 * Middleware that gives each request an id: the application and whatever is inside find it as
 * `environ['tunicorn.request_id']` and in the request's own header, the client in the response. An id of the
 * request that is not trusted, or not of 1 to 128 letters, digits and `_.:+/=@-`, is replaced.
 * @throws {UserError} for a `header` that no header can be called.
 */
export function requestId(options: RequestIdOptions = {}): Middleware {
  const { header = 'X-Request-ID', trust = false, make = randomId } = options;
  const lower = header.toLowerCase();
  if (!TOKEN.test(header) || HOP_BY_HOP.has(lower)) {
    throw new UserError(`requestId: ${JSON.stringify(header)} cannot be the header of an id.`);
  }
  const key = `HTTP_${header.toUpperCase().replaceAll('-', '_')}` as const;
  return (app) => (environ, startResponse) => {
    const brought = trust ? environ[key] : undefined;
    const id = brought !== undefined && VALID.test(brought) ? brought : make();
    name(environ, key, id);
    const start: StartResponse = (status, headers, ...excInfo) =>
      startResponse(status, withHeader(headers, lower, [header, id]), ...excInfo);
    return app(environ, start);
  };
}

/** The global is loaded as it is first used; an import of `node:crypto` would delay every program's start. */
function randomId(): string {
  return crypto.randomUUID();
}

function name(environ: Environ, key: `HTTP_${string}`, id: string): void {
  environ['tunicorn.request_id'] = id;
  environ[key] = id;
}

/** The headers with this one in place of any of its name. What is wrong with the others, the server says. */
function withHeader(headers: readonly Header[], lower: string, header: Header): readonly Header[] {
  if (!Array.isArray(headers)) return headers;
  return [...headers.filter((one) => String(one?.[0]).toLowerCase() !== lower), header];
}

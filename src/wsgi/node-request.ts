import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { nodeHttp } from './node-http.ts';
import type { NodeSocket } from './node-socket.ts';
import { requestHeaders } from './request-headers.ts';
import { requestTarget } from './request-target.ts';
import type { Environ, InputStream } from './types.ts';

/** How much of the body is in memory twice at most. */
const PIECE = 64 * 1024;

export interface NodeRequest {
  /** Node's own class. Its body is read as the listener asks for it. */
  readonly request: IncomingMessage;
  /** What of a body has not been asked for is not wanted. */
  readonly skip: () => void;
}

export function makeRequest(environ: Environ, socket: NodeSocket): NodeRequest {
  const request = new (nodeHttp().IncomingMessage)(socket as unknown as Socket);
  let isSkipped = false;
  Object.assign(request, described(environ), {
    // All of it has arrived: what is left is to read it.
    complete: true,
    _read: () => push(request, isSkipped ? null : environ['wsgi.input']),
  });
  const skip = () => {
    if (request.readableDidRead) return;
    isSkipped = true;
    request.resume();
  };
  return { request, skip };
}

function described(environ: Environ) {
  const raw = [...requestHeaders(environ)];
  const { SERVER_PROTOCOL: protocol } = environ;
  return {
    method: environ.REQUEST_METHOD,
    url: requestTarget(environ),
    originalUrl: environ.RAW_URI,
    baseUrl: environ.SCRIPT_NAME,
    httpVersion: protocol.slice('HTTP/'.length),
    httpVersionMajor: 1,
    httpVersionMinor: protocol === 'HTTP/1.0' ? 0 : 1,
    rawHeaders: raw.flat(),
    // By name; those that repeated are joined already.
    headers: Object.fromEntries(raw),
    headersDistinct: Object.fromEntries(raw.map(([name, value]) => [name, [value]])),
  };
}

function push(request: IncomingMessage, input: InputStream | null): void {
  try {
    const piece = input?.read(PIECE);
    request.push(piece === undefined || piece.length === 0 ? null : piece);
  } catch (error) {
    request.destroy(error as Error);
  }
}

import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { nodeHttp } from './node-http.ts';
import type { NodeSocket } from './node-socket.ts';
import { requestHeaders } from './request-headers.ts';
import { requestTarget } from './request-target.ts';
import type { Environ } from './types.ts';

/** How much of the body is in memory twice at most. */
const PIECE = 64 * 1024;

/** The request as Node's own class, whose body is read as the listener asks for it. */
export function makeRequest(environ: Environ, socket: NodeSocket): IncomingMessage {
  const request = new (nodeHttp().IncomingMessage)(socket as unknown as Socket);
  const raw = [...requestHeaders(environ)].flat();
  const { SERVER_PROTOCOL: protocol } = environ;
  return Object.assign(request, {
    method: environ.REQUEST_METHOD,
    url: requestTarget(environ),
    originalUrl: environ.RAW_URI,
    baseUrl: environ.SCRIPT_NAME,
    httpVersion: protocol.slice('HTTP/'.length),
    httpVersionMajor: 1,
    httpVersionMinor: protocol === 'HTTP/1.0' ? 0 : 1,
    rawHeaders: raw,
    headers: headersOf(raw),
    // All of it has arrived: what is left is to read it.
    complete: true,
    _read: () => push(request, environ),
  });
}

/** As Node has them: by name, those that repeated joined already. */
function headersOf(raw: readonly string[]): Record<string, string> {
  const headers: Record<string, string> = {};
  for (let i = 0; i + 1 < raw.length; i += 2) headers[raw[i] ?? ''] = raw[i + 1] ?? '';
  return headers;
}

function push(request: IncomingMessage, environ: Environ): void {
  try {
    const piece = environ['wsgi.input'].read(PIECE);
    request.push(piece.length === 0 ? null : piece);
  } catch (error) {
    request.destroy(error as Error);
  }
}

/** `--metrics ADDRESS`: the figures for Prometheus over HTTP. Small on purpose: it runs in the arbiter. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type Address, formatUrl } from '../config/address.ts';
import { METRICS_TYPE, renderMetrics } from '../observe/metrics.ts';
import type { Controlled } from '../status.ts';
import { bindError } from './sockets.ts';

const PATIENCE_MS = 5000;
const MOST_CONNECTIONS = 20;

export interface MetricsServer {
  /** With the real port. */
  readonly url: string;
  close(): void;
}

/** @throws {UserError} when the address cannot be had */
export function openMetrics(address: Address, controlled: Controlled): Promise<MetricsServer> {
  const server = createServer(
    { requestTimeout: PATIENCE_MS, headersTimeout: PATIENCE_MS, keepAliveTimeout: PATIENCE_MS },
    (request, response) => void answer(request, response, controlled),
  );
  server.maxConnections = MOST_CONNECTIONS;
  server.setTimeout(2 * PATIENCE_MS);
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(bindError(address, error.code ?? '')));
    server.listen(where(address), () => resolve({ url: urlOf(address, server), close: () => close(server) }));
  });
}

function where(address: Address) {
  if (address.kind === 'tcp') return { host: address.host, port: address.port };
  return address.kind === 'unix' ? { path: address.path } : { fd: address.fd };
}

function urlOf(address: Address, server: Server): string {
  const bound = server.address();
  const port = typeof bound === 'object' && bound !== null ? bound.port : 0;
  const url = formatUrl(address.kind === 'tcp' ? { ...address, port } : address);
  return address.kind === 'tcp' ? `${url}/metrics` : url;
}

function close(server: Server): void {
  server.close();
  server.closeAllConnections();
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  controlled: Controlled,
): Promise<void> {
  const { method, url } = request;
  if (url?.split('?')[0] !== '/metrics') return refuse(response, 404, 'The figures are at /metrics.');
  if (method !== 'GET' && method !== 'HEAD') return refuse(response, 405, 'Only GET.');
  try {
    const text = await renderMetrics(await controlled.status());
    response.writeHead(200, { 'Content-Type': METRICS_TYPE, 'Content-Length': Buffer.byteLength(text) });
    response.end(method === 'HEAD' ? undefined : text);
  } catch (error) {
    refuse(response, 500, String(error));
  }
}

function refuse(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, {
    'Content-Type': 'text/plain',
    ...(status === 405 ? { Allow: 'GET, HEAD' } : {}),
  });
  response.end(`${text}\n`);
}

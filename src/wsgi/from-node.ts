import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { inspect } from 'node:util';
import { NodeExchange } from './node-exchange.ts';
import type { Application } from './types.ts';

/** What `http.createServer` takes. It may give a promise: what that is rejected with is an error of this request. */
export type NodeListener = (request: IncomingMessage, response: ServerResponse) => unknown;

/** An Express application is a listener itself; these are what Koa, Fastify and Node itself have. */
export type NodeApplication =
  | NodeListener
  | { readonly callback: () => NodeListener }
  | { readonly ready: () => PromiseLike<unknown>; readonly routing: NodeListener }
  | { readonly listening: boolean; readonly listeners: (event: 'request') => unknown[] };

/**
 * A WSGI application that answers by a Node listener: an Express, Koa or Fastify application, an `http.Server` that does not
 * listen, or a plain `(request, response)` function. Request and response are Node's own classes over a socket that
 * leads here, so that what reads their headers, pipes into them or waits for `drain`, `finish` and `close` finds what it
 * expects. `request.url` is the path within the application, `originalUrl` that of the client, `baseUrl` what a mount has taken off.
 * @throws {TypeError} for what is none of these, and for a server that listens already.
 */
export function fromNode(target: NodeApplication): Application {
  const listener = listenerOf(target);
  return (environ, startResponse) => new NodeExchange(environ, startResponse).run(listener);
}

function listenerOf(target: NodeApplication): NodeListener {
  if (typeof target === 'function') return target;
  if ('listening' in target && 'listeners' in target) return ofServer(target);
  if ('routing' in target && 'ready' in target) return ofFastify(target);
  if ('callback' in target) return target.callback();
  throw new TypeError(`This is no Node listener: ${inspect(target, { depth: 0 })}.`);
}

function ofServer(server: Extract<NodeApplication, { listening: boolean }>): NodeListener {
  if (server.listening) {
    throw new TypeError('The server listens already. Leave its listen() out: Tunicorn listens itself.');
  }
  const listeners = server.listeners('request') as RequestListener[];
  if (listeners.length === 0) throw new TypeError('The server has no listener for requests.');
  return (request, response) => {
    for (const listener of listeners) listener(request, response as Parameters<RequestListener>[1]);
  };
}

/** Its plug-ins are loaded with the first request, or before. */
function ofFastify(app: Extract<NodeApplication, { routing: NodeListener }>): NodeListener {
  let ready: PromiseLike<unknown> | null = null;
  return async (request, response) => {
    ready ??= app.ready();
    await ready;
    app.routing(request, response);
  };
}

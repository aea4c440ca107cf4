import type { IncomingMessage } from 'node:http';
import type { NodeListener } from './from-node.ts';
import { makeRequest } from './node-request.ts';
import { NodeResponse } from './node-response.ts';
import { NodeSocket } from './node-socket.ts';
import type { Body, Environ, StartResponse } from './types.ts';

/** One request through a Node listener. */
export class NodeExchange {
  readonly #environ: Environ;
  readonly #startResponse: StartResponse;
  readonly #socket: NodeSocket;
  readonly #request: IncomingMessage;
  readonly #response: NodeResponse;
  #left = false;

  constructor(environ: Environ, startResponse: StartResponse) {
    this.#environ = environ;
    this.#startResponse = startResponse;
    this.#socket = new NodeSocket(environ);
    const { request, skip } = makeRequest(environ, this.#socket);
    this.#request = request;
    this.#response = new NodeResponse(this.#request, { socket: this.#socket, environ });
    // Node's server does the same, so that `end` and `close` come for a body that nobody wanted as well.
    this.#response.response.once('finish', skip);
  }

  /** @returns the body, once the listener has said what the head is. */
  async run(listener: NodeListener): Promise<Body> {
    const failed = this.#call(listener);
    // A listener that has answered already need not be told of a client that leaves.
    if (!this.#response.response.writableEnded) this.#watch();
    await Promise.race([this.#response.head, failed]);
    if (this.#left) return this.#unwanted();
    const write = this.#startResponse(this.#response.status, this.#response.fields);
    // All of it is there: given whole, so that its length is known.
    if (this.#response.response.writableEnded) return this.#response.takeAll();
    // A head that was flushed may be all that the client waits for; an iterable sends it with the first part only.
    if (!this.#response.hasParts) await write('');
    return this.#parts();
  }

  /** Nobody sees this, but those whose application it is know what became of the request. */
  #unwanted(): Body {
    this.#startResponse('499 Client Closed Request', []);
    return [];
  }

  #watch(): void {
    const signal = this.#environ['tunicorn.signal']?.();
    if (signal?.aborted) this.#leave();
    else signal?.addEventListener('abort', () => this.#leave(), { once: true });
  }

  /** Rejected with what the listener throws; fulfilled never, since a listener may return long before it answers. */
  async #call(listener: NodeListener): Promise<never> {
    try {
      await listener(this.#request, this.#response.response);
    } catch (error) {
      this.#response.break(error);
      throw error;
    }
    return new Promise(() => {});
  }

  async *#parts(): AsyncGenerator<Buffer, void, undefined> {
    let ended = false;
    try {
      for (let part = await this.#response.take(); part !== null; part = await this.#response.take()) {
        yield part;
      }
      ended = true;
    } finally {
      if (!ended) this.#leave();
    }
  }

  /** The client has gone: the application sees it as it would on a socket. */
  #leave(): void {
    if (this.#left || this.#response.response.writableFinished) return;
    this.#left = true;
    this.#response.leave();
    this.#request.destroy();
    this.#socket.destroy();
  }
}

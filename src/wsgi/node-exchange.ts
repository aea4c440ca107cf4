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

  constructor(environ: Environ, startResponse: StartResponse) {
    this.#environ = environ;
    this.#startResponse = startResponse;
    this.#socket = new NodeSocket(environ);
    this.#request = makeRequest(environ, this.#socket);
    this.#response = new NodeResponse(this.#request, { socket: this.#socket, environ });
  }

  /** @returns the body, once the listener has said what the head is. */
  async run(listener: NodeListener): Promise<Body> {
    const signal = this.#environ['tunicorn.signal']?.();
    const leave = () => this.#leave();
    signal?.addEventListener('abort', leave, { once: true });
    const failed = this.#call(listener);
    await Promise.race([this.#response.head, failed]);
    this.#startResponse(this.#response.status, this.#response.fields);
    // All of it is there: given whole, so that its length is known.
    if (this.#response.response.writableEnded) return this.#response.takeAll();
    return this.#parts();
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
    if (this.#response.response.writableFinished) return;
    this.#request.destroy();
    this.#socket.destroy();
  }
}

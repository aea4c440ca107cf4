import { Duplex } from 'node:stream';
import type { Environ } from './types.ts';

type Written = (error?: Error | null) => void;

/**
 * The connection as a Node listener sees it. What the response writes to it is for nobody, since its parts are taken where
 * they are given; but it is held back until they were taken, so that `write` and `drain` tell how fast the client reads.
 */
export class NodeSocket extends Duplex {
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
  /** As of a TLS connection: frameworks tell by it whether the request is secure. */
  readonly encrypted: boolean;
  /** Ends the write that is held back. */
  #written: Written | null = null;
  #flowing = false;

  constructor(environ: Environ) {
    super({ autoDestroy: true });
    this.remoteAddress = environ.REMOTE_ADDR ?? '';
    this.remotePort = Number(environ.REMOTE_PORT ?? 0);
    this.localAddress = environ.SERVER_NAME;
    this.localPort = Number(environ.SERVER_PORT);
    this.encrypted = environ['wsgi.url_scheme'] === 'https';
    // A listener that ends the connection by an error has said what it has to say.
    this.on('error', () => {});
  }

  /** What was written is taken; what comes until `hold` belongs to that, since a corked response writes late. */
  flow(): void {
    this.#flowing = true;
    const written = this.#written;
    this.#written = null;
    written?.();
  }

  hold(): void {
    this.#flowing = false;
  }

  override _read(): void {}

  override _write(_chunk: Buffer, _encoding: BufferEncoding, callback: Written): void {
    this.#take(callback);
  }

  override _writev(_chunks: unknown, callback: Written): void {
    this.#take(callback);
  }

  #take(written: Written): void {
    if (this.#flowing) written();
    else this.#written = written;
  }

  setTimeout(): this {
    return this;
  }

  setNoDelay(): this {
    return this;
  }

  setKeepAlive(): this {
    return this;
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }

  destroySoon(): void {
    this.destroy();
  }

  address(): { address: string; port: number } {
    return { address: this.localAddress, port: this.localPort };
  }
}

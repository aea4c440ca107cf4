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
  /** The write that is held back. */
  #written: { readonly bytes: number; readonly callback: Written } | null = null;
  /** Bytes that may pass. */
  #allowed = 0;
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

  /** What has been written so far is taken. */
  release(): void {
    this.#allowed = this.writableLength;
    const written = this.#written;
    this.#written = null;
    if (written !== null) this.#take(written);
  }

  /** What is written from now on is taken at once. */
  flow(): void {
    this.#flowing = true;
    this.release();
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: Written): void {
    this.#take({ bytes: chunk.length, callback });
  }

  override _writev(chunks: readonly { readonly chunk: Buffer }[], callback: Written): void {
    this.#take({ bytes: chunks.reduce((sum, { chunk }) => sum + chunk.length, 0), callback });
  }

  #take(written: { readonly bytes: number; readonly callback: Written }): void {
    if (!this.#flowing && this.#allowed <= 0) {
      this.#written = written;
      return;
    }
    this.#allowed -= written.bytes;
    written.callback();
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

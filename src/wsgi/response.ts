import type { Fields } from '../http/types.ts';
import type { Answering } from './call.ts';
import { kindOf } from './kind.ts';
import { checkHeaders, checkStatus, contentLength } from './response-head.ts';
import type { Chunk, ExcInfo, Header, Write } from './types.ts';

/** The client has left while something else was awaited. */
export const GONE = Symbol('gone');
const DONE = Promise.resolve();

/**
 * One answer as PEP 3333 has it made: `start` is `startResponse`; the head is kept until the first bytes are
 * there, so that an error before them can still replace it.
 */
export class Response {
  readonly #exchange: Answering;
  /** Told of errors that come when nobody waits for them any more, and of bytes beyond Content-Length. */
  readonly #report: (problem: unknown) => void;
  #status = '';
  #fields: Fields | null = null;
  /** Bytes of Content-Length still to come; infinite without one. */
  #left = Number.POSITIVE_INFINITY;
  #sent = false;
  #complete = false;
  #overrun = false;
  #clientLeft: boolean;
  #abandon: (() => void) | null = null;
  /** Made when somebody asks for it: few do, and it costs as much as the rest of a small answer. */
  #controller: AbortController | null = null;

  constructor(exchange: Answering, report: (problem: unknown) => void) {
    this.#exchange = exchange;
    this.#report = report;
    this.#clientLeft = exchange.gone;
    exchange.onGone = () => {
      this.#clientLeft = !this.#complete;
      this.#controller?.abort();
      this.#abandon?.();
    };
  }

  /** Aborted when the client leaves before the answer is complete, or the request runs over its deadline. */
  get signal(): AbortSignal {
    if (this.#controller === null) {
      this.#controller = new AbortController();
      if (this.gone) this.#controller.abort();
    }
    return this.#controller.signal;
  }

  /** Whether that signal is, or would be, aborted. */
  get gone(): boolean {
    return this.#clientLeft;
  }

  /** A 103 ahead of the answer; nothing once that has begun. */
  hint(headers: readonly Header[]): void {
    const fields = checkHeaders(headers);
    if (!this.#sent) this.#exchange.hint(fields);
  }

  /** Nobody wants another part: the client has left, or the application gives more than it said. */
  get unwanted(): boolean {
    return this.#overrun || (this.#exchange.gone && !this.#complete);
  }

  start(status: string, headers: readonly Header[], excInfo?: ExcInfo): Write {
    const isCaught = excInfo !== undefined && excInfo !== null;
    if (isCaught && this.#sent) throw excInfo;
    if (!isCaught && this.#fields !== null) {
      throw new Error('startResponse was called a second time without excInfo (PEP 3333).');
    }
    const checked = checkStatus(status);
    const fields = checkHeaders(headers);
    const length = contentLength(fields);
    this.#left = length < 0 ? Number.POSITIVE_INFINITY : length;
    this.#status = checked;
    this.#fields = fields;
    return (chunk) => (this.send(toBuffer(chunk), false) ? DONE : this.drained());
  }

  /**
   * Sends the head, when it has not been sent, and a part of the body. With the last byte of Content-Length the
   * answer is complete, whatever `last` says: the application may go on, or fail, but the client has it whole.
   * @returns false when the sender should wait for `drained`.
   */
  send(body: Buffer, last: boolean): boolean {
    if (this.#complete) return this.#excess(body);
    this.#left -= body.length;
    const complete = last || this.#left <= 0;
    const goOn = this.#sent ? this.#exchange.write(body, complete) : this.#sendHead(body, complete);
    this.#complete = complete;
    return goOn || complete;
  }

  #sendHead(body: Buffer, last: boolean): boolean {
    if (this.#fields === null) throw new Error('startResponse was not called before the body (PEP 3333).');
    const goOn = this.#exchange.respond({ status: this.#status, fields: this.#fields }, { body, last });
    this.#sent = true;
    return goOn;
  }

  #excess(body: Buffer): true {
    if (body.length > 0 && !this.#overrun) {
      this.#overrun = true;
      this.#report('The application gave more than its Content-Length: the rest is dropped');
    }
    return true;
  }

  /** Fulfilled when the client has taken enough for more to be sent, or has left. */
  drained(): Promise<void> {
    if (this.#exchange.gone) return DONE;
    return new Promise((resolve) => {
      this.#abandon = resolve;
      this.#exchange.onDrain = resolve;
    });
  }

  /** What the promise gives, or GONE as soon as the client has left, as it may never be fulfilled then. */
  unlessGone<T>(promise: PromiseLike<T>): Promise<T | typeof GONE> {
    return new Promise((resolve, reject) => {
      this.#abandon = () => resolve(GONE);
      if (this.#exchange.gone) resolve(GONE);
      promise.then(resolve, (error: unknown) =>
        this.#exchange.gone ? this.#late(error, reject) : reject(error),
      );
    });
  }

  #late(error: unknown, reject: (error: unknown) => void): void {
    if (!this.#isAbort(error)) this.#report(error);
    reject(error);
  }

  /** What it awaited was given up at our signal, as it was meant to be: nothing is wrong with the application. */
  #isAbort(error: unknown): boolean {
    const signal = this.#controller?.signal;
    if (signal === undefined || !signal.aborted) return false;
    return error === signal.reason || (error as Error | undefined)?.cause === signal.reason;
  }
}

/** @throws {TypeError} for what is no part of a body. */
export function toBuffer(chunk: Chunk | undefined): Buffer {
  if (typeof chunk === 'string') return Buffer.from(chunk);
  if (Buffer.isBuffer(chunk)) return chunk;
  if (chunk instanceof Uint8Array) return Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
  throw new TypeError(`A part of the body must be a Uint8Array or a string, not ${kindOf(chunk)}.`);
}

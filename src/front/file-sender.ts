import { closeSync, read } from 'node:fs';
import { HttpError } from '../errors.ts';
import type { Exchange, ResponseHead } from '../http/exchange.ts';
import type { Span } from './preconditions.ts';

/** Read at once; what is no longer goes out together with its head. */
const CHUNK_BYTES = 64 * 1024;
/**
 * The same for a client that has taken all before it: 10 MB cost 160 turns through the thread pool else. Not more than
 * an answer may keep in memory, should this client come to lag.
 */
const LONG_CHUNK_BYTES = 256 * 1024;

const EMPTY = Buffer.alloc(0);

export interface Sending {
  /** Must state the length of the span. */
  readonly response: ResponseHead;
  readonly span: Span;
  /** The file could not be read to the end of the span, or the head not be sent. */
  readonly onFailure: (error: HttpError) => void;
}

/**
 * Sends a part of an open file at the client's pace, with one chunk in memory, and closes it in every case. A client
 * that takes each chunk at once is given longer ones; one that lags behind, short ones. Should the file end before the span does, the client's connection is cut.
 */
export function sendFile(fd: number, exchange: Exchange, sending: Sending): void {
  new FileSender(fd, exchange, sending).next();
}

class FileSender {
  readonly #fd: number;
  readonly #exchange: Exchange;
  /** Null once the head is out. */
  #response: ResponseHead | null;
  #at: number;
  readonly #end: number;
  readonly #onFailure: (error: HttpError) => void;
  #length = CHUNK_BYTES;
  #buffer: Buffer = EMPTY;

  constructor(fd: number, exchange: Exchange, { response, span, onFailure }: Sending) {
    this.#fd = fd;
    this.#exchange = exchange;
    this.#response = response;
    this.#at = span.start;
    this.#end = span.end;
    this.#onFailure = onFailure;
  }

  /** Reads on. Only one read is under way at a time, and the file is closed only when none is. */
  next(): void {
    if (this.#exchange.unsent > 0) this.#length = CHUNK_BYTES;
    const length = Math.min(this.#length, this.#end - this.#at);
    if (length <= 0) return this.#take(EMPTY);
    const buffer = this.#room(length);
    read(this.#fd, buffer, 0, length, this.#at, (error, count) => {
      if (error === null && count > 0) return this.#take(buffer.subarray(0, count));
      this.#fail(new HttpError('file-failed', error?.message ?? 'It became shorter as it was sent.'));
    });
  }

  /** Where to read to: the same again if nobody holds it any more, since new memory costs more than the copy into it. */
  #room(length: number): Buffer {
    if (this.#exchange.unsent > 0 || this.#buffer.length < length) {
      // Not from the pool: the socket keeps the bytes until the client has taken them.
      this.#buffer = Buffer.allocUnsafeSlow(length);
    }
    return this.#buffer;
  }

  #take(chunk: Buffer): void {
    this.#at += chunk.length;
    const last = this.#at >= this.#end;
    const flowing = this.#trySend(chunk, last);
    if (flowing === null) return;
    if (last || this.#exchange.gone) return this.#close();
    if (flowing) {
      this.#length = Math.min(2 * this.#length, LONG_CHUNK_BYTES);
      return this.next();
    }
    // What is not sent yet counts where it waits; beside it nothing is held for a client that lags.
    this.#buffer = EMPTY;
    this.#length = CHUNK_BYTES;
    this.#exchange.onDrain = () => {
      this.#stopWaiting();
      this.next();
    };
    this.#exchange.onGone = () => this.#close();
  }

  /** Null when the head holds what may not be sent, which only an application's can: that must not end this process. */
  #trySend(chunk: Buffer, last: boolean): boolean | null {
    try {
      return this.#send(chunk, last);
    } catch (error) {
      if (!(error instanceof HttpError)) throw error;
      this.#fail(error);
      return null;
    }
  }

  #send(chunk: Buffer, last: boolean): boolean {
    const response = this.#response;
    this.#response = null;
    if (response === null) return this.#exchange.write(chunk, last);
    return this.#exchange.respond(response, { body: chunk, last, patient: true });
  }

  #fail(error: HttpError): void {
    const isHeard = !this.#exchange.gone;
    this.#exchange.fail(error);
    this.#close();
    if (isHeard) this.#onFailure(error);
  }

  #stopWaiting(): void {
    this.#exchange.onDrain = null;
    this.#exchange.onGone = null;
  }

  #close(): void {
    this.#stopWaiting();
    // Nothing was written, so there is nothing to wait for; a turn through the pool costs more than the request.
    closeSync(this.#fd);
  }
}

import { readSync } from 'node:fs';
import type { RequestBody } from '../http/exchange.ts';
import type { InputStream } from './types.ts';

const LF = 10;
/** How much of a spooled body is looked through for a line end at a time. */
const WINDOW = 64 * 1024;
const EMPTY = Buffer.alloc(0);

/** `wsgi.input` over a request body in memory or in a spool file (PEP 3333, "Input and Error Streams"). */
export class BodyInput implements InputStream {
  readonly #fd: number;
  readonly #length: number;
  /** The bytes of the body from `#start` on: all of it in memory, or the last window of the file. */
  #bytes: Buffer;
  #start = 0;
  #at = 0;
  #over = false;

  constructor(body: RequestBody) {
    this.#fd = body.file === null ? -1 : body.file.fd;
    this.#length = body.length;
    this.#bytes = body.file === null ? body.memory : EMPTY;
  }

  read(size?: number): Buffer {
    const bytes = this.#slice(this.#at, this.#end(size));
    this.#at += bytes.length;
    return bytes;
  }

  readline(size?: number): Buffer {
    const end = this.#lineEnd(this.#end(size));
    return this.read(end - this.#at);
  }

  readlines(hint?: number): Buffer[] {
    const lines: Buffer[] = [];
    const stop = hint === undefined || hint <= 0 ? this.#length : this.#at + hint;
    while (this.#at < Math.min(stop, this.#length)) lines.push(this.readline());
    return lines;
  }

  *[Symbol.iterator](): Generator<Buffer, void, undefined> {
    for (let line = this.readline(); line.length > 0; line = this.readline()) yield line;
  }

  /**
   * No more can be read: the request is over. Its spool file is closed then, and an application that kept
   * `wsgi.input` would read from whatever file gets the same descriptor next.
   */
  end(): void {
    this.#over = true;
    this.#bytes = EMPTY;
  }

  #end(size: number | undefined): number {
    if (this.#over) throw new Error('wsgi.input was read after the request was over.');
    return size === undefined || size < 0
      ? this.#length
      : Math.min(this.#length, this.#at + Math.trunc(size));
  }

  #lineEnd(limit: number): number {
    for (let from = this.#at; from < limit; ) {
      if (from >= this.#start + this.#bytes.length || from < this.#start) {
        this.#bytes = this.#readFile(from, Math.min(this.#length, from + WINDOW));
        this.#start = from;
      }
      const found = this.#bytes.indexOf(LF, from - this.#start);
      if (found >= 0) return Math.min(limit, this.#start + found + 1);
      from = this.#start + this.#bytes.length;
    }
    return limit;
  }

  #slice(from: number, to: number): Buffer {
    if (from >= this.#start && to <= this.#start + this.#bytes.length) {
      return this.#bytes.subarray(from - this.#start, to - this.#start);
    }
    return this.#readFile(from, to);
  }

  #readFile(from: number, to: number): Buffer {
    const bytes = Buffer.allocUnsafe(to - from);
    for (let at = 0; at < bytes.length; ) {
      const got = readSync(this.#fd, bytes, at, bytes.length - at, from + at);
      if (got === 0)
        throw new Error(`The spooled request body ends at ${from + at} of ${this.#length} bytes.`);
      at += got;
    }
    return bytes;
  }
}

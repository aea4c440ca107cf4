import { read, readSync } from 'node:fs';
import { promisify } from 'node:util';
import type { RequestBody } from '../http/exchange.ts';
import { parseForm } from './form.ts';
import { pullStream } from './pull-stream.ts';
import type { InputStream } from './types.ts';

const readAsync = promisify(read);

const LF = 10;
/** How much of a spooled body is looked through for a line end at a time. */
const WINDOW = 64 * 1024;
/** How much of it is read at a time by those who can wait: a long read of a slow disk holds one thread of a few. */
const PIECE = 256 * 1024;
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
  readonly #contentType: () => string | undefined;

  /** @param contentType gives the request's Content-Type, by which `formData` reads. */
  constructor(body: RequestBody, contentType: () => string | undefined = () => undefined) {
    this.#contentType = contentType;
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
    this.#checkOpen();
    const lines: Buffer[] = [];
    const stop = hint === undefined || hint <= 0 ? this.#length : this.#at + hint;
    while (this.#at < Math.min(stop, this.#length)) lines.push(this.readline());
    return lines;
  }

  *[Symbol.iterator](): Generator<Buffer, void, undefined> {
    for (let line = this.readline(); line.length > 0; line = this.readline()) yield line;
  }

  async text(): Promise<string> {
    return new TextDecoder().decode(await this.#rest());
  }

  async json(): Promise<unknown> {
    const text = await this.text();
    try {
      return JSON.parse(text);
    } catch (error) {
      throw new SyntaxError(`The request body is no JSON: ${(error as Error).message}`, { cause: error });
    }
  }

  async formData(): Promise<FormData> {
    return parseForm(this.#contentType() ?? '', () => this.#rest());
  }

  get stream(): ReadableStream<Uint8Array> {
    return pullStream((view) => this.#fill(view));
  }

  /**
   * No more can be read: the request is over. Its spool file is closed then, and an application that kept
   * `wsgi.input` would read from whatever file gets the same descriptor next.
   */
  end(): void {
    this.#over = true;
    this.#bytes = EMPTY;
  }

  #checkOpen(): void {
    if (this.#over) throw new Error('wsgi.input was read after the request was over.');
  }

  /** All that is left, read without blocking. Nothing is left for others as soon as it is called. */
  async #rest(): Promise<Uint8Array> {
    if (this.#fd < 0) return this.read();
    const bytes = new Uint8Array(this.#end(undefined) - this.#at);
    await this.#fill(bytes);
    return bytes;
  }

  /** Puts the next bytes into `view`. @returns how many; 0 at the end. */
  async #fill(view: Uint8Array): Promise<number> {
    const end = this.#end(view.length);
    const part = view.subarray(0, end - this.#at);
    if (this.#fd < 0) {
      part.set(this.read(part.length));
      return part.length;
    }
    const from = this.#at;
    this.#at = end;
    for (let at = 0; at < part.length; ) at += await this.#readPiece(part.subarray(at), from + at);
    return part.length;
  }

  async #readPiece(into: Uint8Array, from: number): Promise<number> {
    const { bytesRead } = await readAsync(this.#fd, into, 0, Math.min(into.length, PIECE), from);
    // The request may have ended meanwhile, and another file may have been read by the same descriptor.
    this.#checkOpen();
    if (bytesRead === 0) throw this.#tooShort(from);
    return bytesRead;
  }

  #tooShort(at: number): Error {
    return new Error(`The spooled request body ends at ${at} of ${this.#length} bytes.`);
  }

  #end(size: number | undefined): number {
    this.#checkOpen();
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
      if (got === 0) throw this.#tooShort(from + at);
      at += got;
    }
    return bytes;
  }
}

import { HttpError } from '../errors.ts';
import { chunkSize } from './body.ts';
import { addTrailer, HeadBuilder } from './head.ts';
import {
  CHUNK_EXTENSION_BYTES,
  CHUNK_LINE_BYTES,
  effectiveLimits,
  HARD_SECTION_BYTES,
  LEADING_EMPTY_LINES,
} from './limits.ts';
import { type LineRule, ReceiveBuffer } from './receive-buffer.ts';
import type { Fields, Limits, RequestEvent } from './types.ts';

type State =
  | 'request-line'
  | 'fields'
  | 'length'
  | 'chunk-size'
  | 'chunk-data'
  | 'chunk-end'
  | 'trailers'
  | 'end';

const CHUNK_LINE: LineRule = { limit: CHUNK_LINE_BYTES, tooLong: 'bad-chunk', malformed: 'bad-chunk' };
const PARTIAL_LINE_BYTES = 200;
/** Behind the data of a chunk stands its CRLF and nothing else (RFC 9112 §7.1). */
const CHUNK_END: LineRule = { limit: 0, tooLong: 'bad-chunk', malformed: 'bad-chunk' };

/**
 * Bytes of one client connection in, requests out (RFC 9112). It knows no socket, timer or log. `push` bytes,
 * then call `next` until it gives null; after `end` it goes on with the next request of the connection. What
 * comes out depends on the bytes alone, never on how they were cut. After an error it always throws that error:
 * where one request has ended and the next begins is then in doubt (RFC 9112 §9.3, §11.2).
 */
export class RequestParser {
  readonly #limits: Limits;
  readonly #requestLine: LineRule;
  readonly #fieldLine: LineRule;
  readonly #trailerLine: LineRule;
  readonly #bytes = new ReceiveBuffer();
  #state: State = 'request-line';
  #head: HeadBuilder | null = null;
  #trailers: Fields = [];
  #line = '';
  /** The beginning of a line that was too long, when it is no longer among the bytes. */
  #longLine = '';
  #emptyLines = 0;
  /** Bytes of this head or trailer section so far. */
  #section = 0;
  /** Bytes that are still to come of a body with a length, or of a chunk. */
  #missing = 0;
  #bodyBytes = 0;
  #extensionBytes = 0;
  #error: unknown = null;

  constructor(limits: Limits) {
    this.#limits = effectiveLimits(limits);
    const { line, fieldSize } = this.#limits;
    this.#requestLine = { limit: line, tooLong: 'target-too-long', malformed: 'bad-request-line' };
    this.#fieldLine = { limit: fieldSize, tooLong: 'head-too-large', malformed: 'bad-header' };
    this.#trailerLine = { limit: fieldSize, tooLong: 'head-too-large', malformed: 'bad-trailer' };
  }

  /** Bytes pushed and not yet given out or understood. */
  get buffered(): number {
    return this.#bytes.length;
  }

  /** The line of the request that has begun, also of one that was refused; for logs. Empty when there is none. */
  get requestLine(): string {
    return this.#line;
  }

  /** What has come of a request line that is not whole, or was refused as such: up to 200 bytes; for logs. */
  get partialLine(): string {
    if (this.#longLine !== '') return this.#longLine;
    return this.#state === 'request-line' ? this.#bytes.peekLine(PARTIAL_LINE_BYTES) : '';
  }

  /** Whether a request has begun and not ended: some bytes of it have come. */
  get isInside(): boolean {
    return this.#state !== 'request-line' || this.#bytes.length > 0;
  }

  /** Adds bytes. The chunk is kept by reference, data events are views of it: do not write into it again. */
  push(chunk: Buffer): void {
    this.#bytes.push(chunk);
  }

  /**
   * The next event, or null when more bytes are needed.
   * @throws {HttpError} when the bytes are refused, and the same one ever after.
   */
  next(): RequestEvent | null {
    if (this.#error !== null) throw this.#error;
    try {
      return this.#next();
    } catch (error) {
      this.#error = error;
      throw error;
    }
  }

  #next(): RequestEvent | null {
    // Each step gives an event, or null for "more bytes", or undefined when the state has changed without one.
    for (;;) {
      const event = this.#step();
      if (event !== undefined) return event;
    }
  }

  #step(): RequestEvent | null | undefined {
    switch (this.#state) {
      case 'request-line':
        return this.#readRequestLine();
      case 'fields':
        return this.#readFields();
      case 'length':
        return this.#readData('end');
      case 'chunk-size':
        return this.#readChunkSize();
      case 'chunk-data':
        return this.#readData('chunk-end');
      case 'chunk-end':
        return this.#readChunkEnd();
      case 'trailers':
        return this.#readTrailers();
      case 'end':
        return this.#finish();
    }
  }

  #readRequestLine(): RequestEvent | null | undefined {
    const head = this.#bytes.takeHead();
    if (head !== null) return this.#readWholeHead(head);
    const line = this.#bytes.takeLine(this.#requestLine);
    if (line === null) return null;
    if (line === '') return this.#countEmptyLine();
    this.#line = line;
    this.#head = new HeadBuilder(line);
    this.#section = 0;
    this.#state = 'fields';
    return undefined;
  }

  /** RFC 9112 §2.2: empty lines before a request line are ignored, for clients that add one to a body. */
  #countEmptyLine(): undefined {
    this.#emptyLines += 1;
    if (this.#emptyLines > LEADING_EMPTY_LINES)
      throw new HttpError('bad-request-line', 'Too many empty lines.');
  }

  /** The same as line by line, on one string: 3.9 µs for a browser's request of 12 fields instead of 6.6 (measured). */
  #readWholeHead(text: string): RequestEvent {
    let end = lineEnd(text, 0);
    if (end > this.#requestLine.limit) {
      this.#longLine = text.slice(0, PARTIAL_LINE_BYTES);
      throw tooLong(this.#requestLine);
    }
    this.#line = text.slice(0, end);
    const head = new HeadBuilder(this.#line);
    let count = 0;
    while (end < text.length) {
      const start = end + 2;
      end = lineEnd(text, start);
      if (end - start > this.#fieldLine.limit) throw tooLong(this.#fieldLine);
      count += 1;
      if (count > this.#limits.fields) throw this.#tooMany();
      head.add(text.slice(start, end));
    }
    return this.#startBody(head);
  }

  #readFields(): RequestEvent | null {
    const head = this.#head as HeadBuilder;
    for (;;) {
      const line = this.#bytes.takeLine(this.#fieldLine);
      if (line === null) return null;
      if (line === '') return this.#startBody(head);
      this.#countField(head.fields, line);
      head.add(line);
    }
  }

  #countField(fields: Fields, line: string): void {
    if (fields.length >= 2 * this.#limits.fields) throw this.#tooMany();
    this.#section += line.length + 2;
    if (this.#section > HARD_SECTION_BYTES) {
      throw new HttpError('head-too-large', `All fields together: the limit is ${HARD_SECTION_BYTES} bytes.`);
    }
  }

  #tooMany(): HttpError {
    return new HttpError('head-too-large', `The limit is ${this.#limits.fields} fields.`);
  }

  #startBody(builder: HeadBuilder): RequestEvent {
    const head = builder.finish(this.#limits);
    this.#head = null;
    this.#emptyLines = 0;
    this.#bodyBytes = 0;
    this.#extensionBytes = 0;
    if (head.body === 'chunked') {
      this.#state = 'chunk-size';
    } else {
      this.#missing = head.body;
      this.#state = head.body === 0 ? 'end' : 'length';
    }
    return { type: 'head', head };
  }

  #readData(then: State): RequestEvent | null {
    const data = this.#bytes.takeData(this.#missing);
    if (data === null) return null;
    this.#missing -= data.length;
    if (this.#missing === 0) this.#state = then;
    return { type: 'data', data };
  }

  #readChunkSize(): null | undefined {
    const line = this.#bytes.takeLine(CHUNK_LINE);
    if (line === null) return null;
    const { size, extension } = chunkSize(line);
    this.#extensionBytes += extension;
    if (this.#extensionBytes > CHUNK_EXTENSION_BYTES)
      throw new HttpError('bad-chunk', 'Too many chunk extensions.');
    this.#bodyBytes += size;
    if (this.#bodyBytes > this.#limits.body) {
      throw new HttpError('body-too-large', `The limit is ${this.#limits.body} bytes.`);
    }
    this.#missing = size;
    this.#section = 0;
    this.#state = size === 0 ? 'trailers' : 'chunk-data';
    return undefined;
  }

  #readChunkEnd(): null | undefined {
    const line = this.#bytes.takeLine(CHUNK_END);
    if (line === null) return null;
    this.#state = 'chunk-size';
    return undefined;
  }

  /** RFC 9112 §7.1.2: `trailer-section = *( field-line CRLF )`, under the same limits as the head. */
  #readTrailers(): null | undefined {
    for (;;) {
      const line = this.#bytes.takeLine(this.#trailerLine);
      if (line === null) return null;
      if (line === '') {
        this.#state = 'end';
        return undefined;
      }
      this.#countField(this.#trailers, line);
      addTrailer(this.#trailers, line);
    }
  }

  #finish(): RequestEvent {
    const trailers = this.#trailers;
    this.#trailers = [];
    this.#line = '';
    this.#state = 'request-line';
    return { type: 'end', trailers };
  }
}

function lineEnd(text: string, start: number): number {
  const end = text.indexOf('\r', start);
  return end < 0 ? text.length : end;
}

function tooLong(rule: LineRule): HttpError {
  return new HttpError(rule.tooLong, `The limit is ${rule.limit} bytes.`);
}

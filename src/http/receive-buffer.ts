import { type ErrorCode, HttpError } from '../errors.ts';

/** How long a line may be, and which errors break it. */
export interface LineRule {
  /** Bytes without the CRLF. */
  readonly limit: number;
  readonly tooLong: ErrorCode;
  readonly malformed: ErrorCode;
}

const EMPTY = Buffer.alloc(0);
const HEAD_END = Buffer.from('\r\n\r\n');
const CR = 13;
const LF = 10;
/** Longer heads are read line by line, where every limit is checked before the bytes are copied. */
const WHOLE_HEAD_BYTES = 65_536;

/** RFC 9110 §5.5, §5.6.1: HTAB, SP, visible and obs-text may stand in a line: 1. Controls, NUL and DEL may not: 0. */
const IN_LINE = new Uint8Array(256).map((_, byte) => (byte === 9 || (byte >= 32 && byte !== 127) ? 1 : 0));

/**
 * Lines without controls, joined by CRLF (RFC 9112 §2.2). CR and LF elsewhere do not match. The classes are
 * disjoint, so it is linear; one match over all lines takes a third of the time of a search for what is bad.
 */
const CLEAN = /^(?:[\t\x20-\x7e\x80-\xff]*\r\n)*[\t\x20-\x7e\x80-\xff]*$/;

/**
 * The bytes that have come and are not yet understood. A chunk is taken as it is, without a copy, while nothing
 * is left of the one before; the rest of an unfinished line is gathered in storage that doubles, so that input
 * byte by byte costs linear time. `scanned` remembers how far a line has been searched already.
 */
export class ReceiveBuffer {
  #bytes: Buffer = EMPTY;
  #start = 0;
  #end = 0;
  #scanned = 0;

  /** Bytes not yet taken. */
  get length(): number {
    return this.#end - this.#start;
  }

  /** Adds bytes. They are kept, and given out again, by reference: the caller must not write into `chunk` again. */
  push(chunk: Buffer): void {
    if (this.#start === this.#end) {
      this.#bytes = chunk;
      this.#start = 0;
      this.#end = chunk.length;
      this.#scanned = 0;
    } else if (chunk.length > 0) {
      this.#append(chunk);
    }
  }

  /** Only ever writes behind `end`: what was given out as a view before it stays as it is. */
  #append(chunk: Buffer): void {
    // A chunk of the caller's is full to its end, so this never writes into it.
    if (this.#end + chunk.length > this.#bytes.length) {
      const grown = Buffer.allocUnsafe(Math.max(256, 2 * (this.length + chunk.length)));
      this.#bytes.copy(grown, 0, this.#start, this.#end);
      this.#bytes = grown;
      this.#end -= this.#start;
      this.#scanned -= this.#start;
      this.#start = 0;
    }
    chunk.copy(this.#bytes, this.#end);
    this.#end += chunk.length;
  }

  /**
   * The fast way for a head that came in one piece: all its lines without the CRLFCRLF, when they are here
   * and hold no byte that may not be there. Null means nothing but: read line by line (which finds the error, too).
   */
  takeHead(): string | null {
    // Searched before, or an empty line first.
    if (this.#scanned !== this.#start || this.#bytes[this.#start] === CR) return null;
    const headEnd = this.#bytes.indexOf(HEAD_END, this.#start);
    if (headEnd < 0 || headEnd + 4 > this.#end || headEnd - this.#start > WHOLE_HEAD_BYTES) return null;
    const text = this.#bytes.toString('latin1', this.#start, headEnd);
    if (!CLEAN.test(text)) return null;
    this.#advance(headEnd + 4);
    return text;
  }

  /**
   * The next line without its CRLF, or null when its end has not come.
   * @throws {HttpError} at the first byte that breaks the rule, however the bytes were cut.
   */
  takeLine(rule: LineRule): string | null {
    const bytes = this.#bytes;
    const end = this.#end;
    // The byte after the last allowed one may only be the CR.
    const last = this.#start + rule.limit;
    for (let at = this.#scanned; at < end; at += 1) {
      const byte = bytes[at] as number;
      if (byte === CR) {
        if (at + 1 === end) return this.#pause(at);
        if (bytes[at + 1] !== LF) throw new HttpError(rule.malformed, 'A bare CR is no line end.');
        const line = bytes.toString('latin1', this.#start, at);
        this.#advance(at + 2);
        return line;
      }
      if (at >= last) throw new HttpError(rule.tooLong, `The limit is ${rule.limit} bytes.`);
      if (IN_LINE[byte] === 0) throw new HttpError(rule.malformed, describe(byte));
    }
    return this.#pause(end);
  }

  /** The beginning of the line that comes next, whatever stands in it: latin-1, without its end, `most` bytes at most. */
  peekLine(most: number): string {
    const text = this.#bytes.toString('latin1', this.#start, Math.min(this.#end, this.#start + most));
    return text.split(/[\r\n]/, 1)[0] ?? '';
  }

  /** Up to `most` bytes as they lie here, as a view; null when there are none. */
  takeData(most: number): Buffer | null {
    if (this.#start === this.#end) return null;
    const end = Math.min(this.#end, this.#start + most);
    const data = this.#bytes.subarray(this.#start, end);
    this.#advance(end);
    return data;
  }

  #pause(at: number): null {
    this.#scanned = at;
    return null;
  }

  #advance(to: number): void {
    this.#start = to;
    this.#scanned = to;
    // An idle connection must not keep the last chunk alive.
    if (to === this.#end) {
      this.#bytes = EMPTY;
      this.#start = this.#end = this.#scanned = 0;
    }
  }
}

function describe(byte: number): string {
  if (byte === LF) return 'A bare LF is no line end.';
  return `Control character 0x${byte.toString(16).padStart(2, '0')}.`;
}

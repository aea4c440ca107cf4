import { closeSync, fstatSync, openSync } from 'node:fs';
import { HttpError } from '../errors.ts';
import { encodeFrame, FLAG, type Frame, KIND, MAX_PART } from '../gateway/frames.ts';
import type { RequestBody, ResponseHead } from '../http/exchange.ts';
import type { Fields } from '../http/types.ts';
import type { Answering, Call } from '../wsgi/call.ts';
import type { Environ } from '../wsgi/types.ts';
import { shiftPath } from './script-name.ts';

/** What a call needs of the lane that it came on. */
export interface Carrier {
  /** Keys of `environ` that are to be told with the head. */
  readonly logEnviron: readonly string[];
  /** The front has more of what was written than it can take at the moment. */
  readonly full: boolean;
  /** `last`: the answer is complete, and may wait for others of this turn of the event loop. */
  send(frame: Buffer, last: boolean): void;
  /** The call is over, and its last frame is out. */
  ended(call: FrontCall): void;
}

/** What is sent in a frame of its own while the front holds one for each lane. */
const PIECE = 1024 * 1024;

/** One request that a front has sent, and the way to answer it by frames. */
export class FrontCall implements Answering, Call {
  readonly id: number;
  readonly body: RequestBody;
  readonly title: string;
  readonly #entries: string[];
  readonly #carrier: Carrier;
  #environ: Environ | null = null;
  #begun = false;
  #complete = false;
  #held = false;
  #gone = false;
  onDrain: (() => void) | null = null;
  onGone: (() => void) | null = null;

  /** @throws {Error} when the file that holds the request body cannot be opened. */
  constructor({ id, flags, head, body }: Frame, carrier: Carrier) {
    this.id = id;
    this.#carrier = carrier;
    this.#entries = head.split('\0');
    this.title = `${this.#entry('REQUEST_METHOD')} ${this.#entry('RAW_URI')}`;
    this.body = (flags & FLAG.SPOOLED) === 0 ? inMemory(body) : inFile(body.toString());
  }

  get exchange(): Answering {
    return this;
  }

  /** Lets `prefix` be the application's own name. @returns false when the path does not lie under it */
  shift(prefix: string): boolean {
    return prefix === '' || shiftPath(this.#entries, prefix);
  }

  /** Nobody waits for the answer, or it is complete. */
  get gone(): boolean {
    return this.#gone || this.#complete;
  }

  entries(): readonly string[] {
    return this.#entries;
  }

  seen(environ: Environ): void {
    this.#environ = environ;
  }

  #entry(key: string): string {
    for (let i = 0; i + 1 < this.#entries.length; i += 2) {
      if (this.#entries[i] === key) return this.#entries[i + 1] ?? '';
    }
    return '';
  }

  hint(fields: Fields): void {
    if (!this.gone) this.#send(KIND.EARLY, { head: fields.join('\0') });
  }

  respond(
    { status, fields }: ResponseHead,
    part: { readonly body: Buffer; readonly last: boolean },
  ): boolean {
    if (this.gone) return true;
    const head = [status, ...fields, ...this.#logged()].join('\0');
    if (head.length > MAX_PART) {
      throw new HttpError('application-error', `The response head is ${head.length} bytes long.`);
    }
    this.#begun = true;
    return this.#sendBody(part, { kind: KIND.RESPONSE, head });
  }

  write(body: Buffer, last: boolean): boolean {
    if (this.gone) return true;
    return this.#sendBody({ body, last }, { kind: KIND.BODY, head: '' });
  }

  fail(error: HttpError): void {
    if (this.gone) return;
    this.#complete = true;
    const message = error.detail.replaceAll('\0', ' ').slice(0, 2000);
    const head = `error\0${error.name}\0message\0${Buffer.from(message).toString('latin1')}`;
    this.#send(KIND.FAILED, { head });
  }

  /** The application is through with the request. The front is owed a last frame, whatever became of it. */
  release(): void {
    if (this.body.file !== null) closeSync(this.body.file.fd);
    this.#finish();
    this.#carrier.ended(this);
  }

  #finish(): void {
    if (this.#complete) return;
    this.#complete = true;
    if (this.#begun) this.#send(KIND.BODY, { flags: FLAG.LAST });
    else this.#send(KIND.FAILED, { head: 'error\0ClientGone\0message\0The client left.' });
  }

  /** Nobody waits for the answer any more. */
  abandon(): void {
    if (this.gone) return;
    this.#gone = true;
    this.onGone?.();
  }

  /** It ran over its deadline: whatever the application still does with it, it is over. */
  interrupt(): void {
    this.abandon();
    this.#finish();
  }

  /** The client of this one lags behind: nothing more should come until `go`. */
  hold(): void {
    this.#held = true;
  }

  go(): void {
    this.#held = false;
    this.drain();
  }

  /** There is room again. */
  drain(): void {
    if (this.#held || this.#carrier.full) return;
    const { onDrain } = this;
    this.onDrain = null;
    onDrain?.();
  }

  #sendBody(
    { body, last }: { readonly body: Buffer; readonly last: boolean },
    { kind, head }: { readonly kind: number; readonly head: string },
  ): boolean {
    this.#complete = last;
    if (body.length <= PIECE) this.#send(kind, { head, body, flags: last ? FLAG.LAST : 0 });
    else this.#sendPieces(body, { kind, head, last });
    return last || !(this.#held || this.#carrier.full);
  }

  #sendPieces(body: Buffer, { kind, head, last }: { kind: number; head: string; last: boolean }): void {
    for (let at = 0; at < body.length; at += PIECE) {
      const flags = last && at + PIECE >= body.length ? FLAG.LAST : 0;
      const piece = body.subarray(at, at + PIECE);
      this.#send(at === 0 ? kind : KIND.BODY, { head: at === 0 ? head : '', body: piece, flags });
    }
  }

  #send(kind: number, parts: Partial<Frame>): void {
    this.#carrier.send(encodeFrame({ kind, id: this.id, ...parts }), this.#complete);
  }

  *#logged(): Generator<string> {
    for (const key of this.#carrier.logEnviron) {
      const value = this.#environ?.[key];
      if (value !== undefined) yield* [`:environ.${key}`, toLatin1(String(value))];
    }
  }
}

/** What latin-1 does not have is written as JavaScript does. */
function toLatin1(text: string): string {
  return text.replace(/[\0\u0100-\uffff]/g, (c) =>
    c === '\0' ? ' ' : `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

function inMemory(memory: Buffer): RequestBody {
  return { length: memory.length, memory, file: null };
}

function inFile(path: string): RequestBody {
  const fd = openSync(path, 'r');
  return { length: fstatSync(fd).size, memory: Buffer.alloc(0), file: { fd, path } };
}

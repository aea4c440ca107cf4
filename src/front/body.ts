import { HttpError } from '../errors.ts';
import type { RequestBody } from '../http/exchange.ts';
import type { Room } from './room.ts';
import type { SpoolFile } from './spool.ts';

const EMPTY = Buffer.alloc(0);
/** A client faster than the disk is slowed down once this much waits to be written. */
const UNWRITTEN_LIMIT = 256 * 1024;

/** A request without a body, as nearly all are. */
export const NO_BODY: RequestBody = { length: 0, memory: EMPTY, file: null };

/**
 * Gathers one request body: in memory while it is short and the room has memory, in a spool file from then on.
 * `add` gives false when the caller should stop reading from the client until `onReady` is called.
 */
export class BodyCollector {
  readonly #room: Room;
  readonly #memoryLimit: number;
  #parts: Buffer[] = [];
  #length = 0;
  #memory = 0;
  #file: SpoolFile | null = null;
  #released = false;
  /** Called when `add` may be called again after it gave false, and when the file cannot be written. */
  onReady: (() => void) | null = null;
  /** Why the body cannot be held, once that is so. */
  error: HttpError | null = null;

  constructor(room: Room, memoryLimit: number) {
    this.#room = room;
    this.#memoryLimit = memoryLimit;
  }

  add(chunk: Buffer): boolean {
    this.#length += chunk.length;
    if (this.#file !== null) return this.#append(chunk);
    if (this.#length <= this.#memoryLimit && this.#room.takeMemory(chunk.length)) {
      this.#memory += chunk.length;
      this.#parts.push(chunk);
      return true;
    }
    return this.#spill() && this.#append(chunk);
  }

  /** Moves what is in memory into a spool file. */
  #spill(): boolean {
    try {
      this.#file = this.#room.openSpool();
    } catch (error) {
      this.#full(error as Error);
      return false;
    }
    const parts = this.#parts;
    this.#parts = [];
    this.#room.giveMemory(this.#memory);
    this.#memory = 0;
    return parts.every((part) => this.#append(part));
  }

  #append(chunk: Buffer): boolean {
    const file = this.#file;
    if (file === null || this.error !== null) return false;
    if (!file.append(chunk)) {
      this.#full(file.error);
      return false;
    }
    if (file.unwritten < UNWRITTEN_LIMIT) return true;
    file.settled(() => this.#ready());
    return false;
  }

  #ready(): void {
    if (this.#file?.error) this.#full(this.#file.error);
    else this.onReady?.();
  }

  #full(cause: Error | null): void {
    if (this.error !== null) return;
    // Without a cause the limit was reached, which the room has told already.
    if (cause !== null) this.#room.complain(cause.message);
    this.error = new HttpError('spool-full', cause?.message ?? 'spool-limit is reached');
    this.onReady?.();
  }

  /** Calls back with the whole body once all of it can be read, or with the error that prevented it. */
  finish(callback: (body: RequestBody | HttpError) => void): void {
    const file = this.#file;
    if (this.error !== null) return callback(this.error);
    if (file === null) return callback({ length: this.#length, memory: this.#joined(), file: null });
    this.onReady = () => {
      this.onReady = null;
      callback(this.error ?? { length: this.#length, memory: EMPTY, file: { fd: file.fd, path: file.path } });
    };
    file.settled(() => this.#ready());
  }

  #joined(): Buffer {
    return this.#parts.length === 1 ? (this.#parts[0] as Buffer) : Buffer.concat(this.#parts, this.#length);
  }

  /** Gives back memory, room and file. The body cannot be read after it. */
  release(): void {
    if (this.#released) return;
    this.#released = true;
    this.onReady = null;
    this.#parts = [];
    this.#room.giveMemory(this.#memory);
    this.#memory = 0;
    this.#file?.close();
  }
}

import { HttpError } from '../errors.ts';
import type { RequestBody } from '../http/exchange.ts';
import { ByteQueue } from './byte-queue.ts';
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
  /** What of it is in memory; its length is counted by the room. */
  readonly #memory = new ByteQueue();
  #length = 0;
  #file: SpoolFile | null = null;
  #released = false;
  #waiting = false;
  #givenUp = false;
  /** Called when `add` may be called again after it gave false without an error, or has one now. */
  onReady: (() => void) | null = null;
  /** Why the body cannot be held, once that is so. */
  error: HttpError | null = null;

  constructor(room: Room, memoryLimit: number) {
    this.#room = room;
    this.#memoryLimit = memoryLimit;
  }

  /** Takes the next bytes. @returns false when the caller should wait; or, with `error` set, give up. */
  add(chunk: Buffer): boolean {
    this.#length += chunk.length;
    if (this.#file === null) {
      if (this.#length <= this.#memoryLimit && this.#room.takeMemory(chunk.length)) {
        this.#memory.push(chunk);
        return true;
      }
      this.#spill();
    }
    return this.#append(chunk);
  }

  /** Moves what is in memory into a spool file. */
  #spill(): void {
    const held = this.#memory.join();
    this.#dropMemory();
    try {
      this.#file = this.#room.openSpool();
      if (held.length > 0) this.#append(held);
    } catch (error) {
      this.#full(error as Error);
    }
  }

  #append(chunk: Buffer): boolean {
    const file = this.#file;
    if (file === null || this.#givenUp) return false;
    if (!file.append(chunk)) {
      this.#giveUp(file, () => this.onReady?.());
      return false;
    }
    if (file.unwritten < UNWRITTEN_LIMIT && !this.#room.isTight) return true;
    if (!this.#waiting) file.settled(() => this.#onWritten(file));
    this.#waiting = true;
    return false;
  }

  #dropMemory(): void {
    this.#room.giveMemory(this.#memory.length);
    this.#memory.clear();
  }

  #onWritten(file: SpoolFile): void {
    this.#waiting = false;
    if (file.error === null) this.onReady?.();
    else this.#giveUp(file, () => this.onReady?.());
  }

  /** It does not fit. The room of what did is free before anybody is told: whoever is refused may try less at once. */
  #giveUp(file: SpoolFile, callback: () => void): void {
    if (this.#givenUp) return;
    this.#givenUp = true;
    file.close(() => {
      this.#full(file.error);
      callback();
    });
  }

  #full(cause: Error | null): void {
    if (this.error !== null) return;
    // Without a cause the limit was reached, which the room has told already.
    if (cause !== null) this.#room.complain(cause.message);
    this.error = new HttpError('spool-full', cause?.message ?? 'spool-limit is reached');
  }

  /** Calls back with the whole body once all of it can be read, or with the error that prevented it. */
  finish(callback: (body: RequestBody | HttpError) => void): void {
    const file = this.#file;
    if (this.error !== null) return callback(this.error);
    if (file === null) return callback({ length: this.#length, memory: this.#memory.join(), file: null });
    file.settled(() => {
      if (file.error !== null) return this.#giveUp(file, () => this.error !== null && callback(this.error));
      callback({ length: this.#length, memory: EMPTY, file: { fd: file.fd, path: file.path } });
    });
  }

  /** Gives back memory, room and file. The body cannot be read after it. */
  release(): void {
    if (this.#released) return;
    this.#released = true;
    this.onReady = null;
    this.#dropMemory();
    this.#file?.close();
  }
}

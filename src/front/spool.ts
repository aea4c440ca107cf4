import { close, ftruncate, read, write } from 'node:fs';
import type { Room } from './room.ts';

/**
 * An unlinked file as a first-in, first-out store of bytes. Appends are queued and written in order by one
 * write at a time; reads follow behind. Its bytes count against the room until they are read or it is closed.
 */
export class SpoolFile {
  readonly fd: number;
  readonly #room: Room;
  #queue: Buffer[] = [];
  /** Bytes appended so far, bytes on disk, and bytes read. */
  #appended = 0;
  #written = 0;
  #read = 0;
  #counted = 0;
  #writing = false;
  #reading = false;
  #closed = false;
  #error: Error | null = null;
  #onSettled: (() => void) | null = null;

  constructor(fd: number, room: Room) {
    this.fd = fd;
    this.#room = room;
  }

  /** A path by which another process of the same user opens the same file. */
  get path(): string {
    return `/proc/${process.pid}/fd/${this.fd}`;
  }

  /** Bytes appended and not read yet. */
  get length(): number {
    return this.#appended - this.#read;
  }

  /** Bytes that still wait in memory to be written. */
  get unwritten(): number {
    return this.#appended - this.#written;
  }

  /** The first write error (a full disk); everything after it is lost. */
  get error(): Error | null {
    return this.#error;
  }

  /** Queues bytes to be written. @returns false when the room has none left for them: nothing is queued then. */
  append(chunk: Buffer): boolean {
    if (this.#closed || this.#error !== null) return false;
    if (!this.#room.takeSpool(chunk.length, this.length)) return false;
    this.#counted += chunk.length;
    this.#appended += chunk.length;
    this.#queue.push(chunk);
    if (!this.#writing) this.#writeNext();
    return true;
  }

  /** Calls back once, when everything appended is on disk or has failed. */
  settled(callback: () => void): void {
    if (!this.#writing) return callback();
    this.#onSettled = callback;
  }

  #writeNext(): void {
    const chunk = this.#queue.length === 1 ? (this.#queue[0] as Buffer) : Buffer.concat(this.#queue);
    this.#queue = [];
    this.#writing = true;
    this.#writeWhole(chunk);
  }

  #writeWhole(chunk: Buffer): void {
    write(this.fd, chunk, 0, chunk.length, this.#written, (error, count) => {
      if (error !== null) return this.#settle(error);
      this.#written += count;
      if (count < chunk.length) return this.#writeWhole(chunk.subarray(count));
      if (this.#queue.length > 0 && !this.#closed) return this.#writeNext();
      this.#settle(null);
    });
  }

  #settle(error: Error | null): void {
    this.#writing = false;
    this.#error ??= error;
    if (this.#closed) return this.#release();
    const callback = this.#onSettled;
    this.#onSettled = null;
    callback?.();
  }

  /**
   * Reads up to `limit` of the oldest bytes that are on disk and calls back with them; with an empty buffer
   * when none are there yet. One read at a time.
   */
  read(limit: number, callback: (error: Error | null, chunk: Buffer) => void): void {
    const length = Math.min(limit, this.#written - this.#read);
    if (length === 0) return this.settled(() => callback(this.#error, Buffer.alloc(0)));
    this.#reading = true;
    read(this.fd, Buffer.allocUnsafe(length), 0, length, this.#read, (error, count, chunk) => {
      this.#reading = false;
      if (this.#closed) return this.#release();
      if (error !== null) return callback(error, chunk);
      this.#read += count;
      this.#rewindWhenEmpty();
      callback(null, chunk.subarray(0, count));
    });
  }

  /** An emptied file gives its room back, so that one slow client among fast ones does not hold it. */
  #rewindWhenEmpty(): void {
    if (this.#read < this.#appended || this.#writing) return;
    this.#room.giveSpool(this.#counted);
    this.#counted = 0;
    this.#appended = 0;
    this.#written = 0;
    this.#read = 0;
    // A truncation counts as a write: one that ran beside the next append would destroy it.
    this.#writing = true;
    ftruncate(this.fd, 0, (error) => {
      if (error === null && this.#queue.length > 0 && !this.#closed) return this.#writeNext();
      this.#settle(error);
    });
  }

  /** Gives the room back and closes the file, after a read or write under way has ended. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#queue = [];
    this.#onSettled = null;
    if (!this.#writing && !this.#reading) this.#release();
  }

  #release(): void {
    if (this.#writing || this.#reading) return;
    this.#room.giveSpool(this.#counted);
    this.#counted = 0;
    close(this.fd, () => {});
  }
}

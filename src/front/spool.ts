import { close, ftruncate, read, write } from 'node:fs';
import type { Room } from './room.ts';

const EMPTY = Buffer.alloc(0);

/** Gets bytes, or an empty buffer when there are none. */
type Reader = (error: Error | null, chunk: Buffer) => void;

/**
 * An unlinked file as a first-in, first-out store of bytes. Appends are queued and written in order by one
 * write at a time; reads follow behind. What it takes on the disk counts against the room until the file has
 * been read to its end or is closed, and as memory while it waits to be written.
 */
export class SpoolFile {
  readonly fd: number;
  readonly #room: Room;
  readonly #limit: number;
  /** Appended, and not yet given to a write. */
  #queue: Buffer[] = [];
  /** What the disk did not take. It can still be read. */
  #refused = EMPTY;
  /** Bytes appended so far, bytes on disk, and bytes read. */
  #appended = 0;
  #written = 0;
  #read = 0;
  #counted = 0;
  #memory = 0;
  #writing = false;
  #reading = false;
  #closed = false;
  #error: Error | null = null;
  #onSettled: (() => void)[] = [];
  #onWritten: (() => void) | null = null;
  #onFreed: () => void = () => {};

  /** @param limit bytes that this file may take of the room */
  constructor(fd: number, { room, limit }: { readonly room: Room; readonly limit: number }) {
    this.fd = fd;
    this.#room = room;
    this.#limit = limit;
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
    return this.#memory;
  }

  /** The first write error (a full disk): what is not on the disk by then stays in memory, and no more is taken. */
  get error(): Error | null {
    return this.#error;
  }

  /** Queues bytes to be written. @returns false when there is no room left for them: nothing is queued then. */
  append(chunk: Buffer): boolean {
    if (this.#closed || this.#error !== null) return false;
    if (this.#counted + chunk.length > this.#limit || !this.#room.takeSpool(chunk.length)) return false;
    this.#counted += chunk.length;
    this.#appended += chunk.length;
    this.#hold(chunk.length);
    this.#queue.push(chunk);
    if (!this.#writing) this.#writeNext();
    return true;
  }

  /** Calls back once, when everything appended is on disk or has been refused. Not after `close`. */
  settled(callback: () => void): void {
    if (!this.#writing) return callback();
    this.#onSettled.push(callback);
  }

  #hold(bytes: number): void {
    this.#memory += bytes;
    this.#room.addMemory(bytes);
  }

  #writeNext(): void {
    const chunk = this.#queue.length === 1 ? (this.#queue[0] as Buffer) : Buffer.concat(this.#queue);
    this.#queue = [];
    this.#writing = true;
    this.#writeWhole(chunk);
  }

  #writeWhole(chunk: Buffer): void {
    write(this.fd, chunk, 0, chunk.length, this.#written, (error, count) => {
      if (error !== null) return this.#refuse(error, chunk);
      this.#written += count;
      this.#hold(-count);
      this.#tellReader();
      if (count < chunk.length) return this.#writeWhole(chunk.subarray(count));
      if (this.#queue.length > 0 && !this.#closed) return this.#writeNext();
      this.#settle();
    });
  }

  #refuse(error: Error, chunk: Buffer): void {
    this.#error = error;
    this.#refused = Buffer.concat([chunk, ...this.#queue]);
    this.#queue = [];
    this.#settle();
  }

  #settle(): void {
    this.#writing = false;
    if (this.#closed) return this.#release();
    this.#tellReader();
    const callbacks = this.#onSettled;
    this.#onSettled = [];
    for (const callback of callbacks) callback();
  }

  #tellReader(): void {
    const reader = this.#onWritten;
    this.#onWritten = null;
    if (!this.#closed) reader?.();
  }

  /**
   * Reads up to `limit` of the oldest bytes and calls back with them, once some are on the disk; with an empty
   * buffer when there are none. One read at a time. Does not call back after `close`.
   */
  read(limit: number, callback: Reader): void {
    const length = Math.min(limit, this.#written - this.#read);
    if (length > 0) return this.#readDisk(length, callback);
    if (this.#refused.length > 0) return callback(null, this.#takeRefused(limit));
    if (this.length === 0) return callback(null, EMPTY);
    this.#onWritten = () => this.read(limit, callback);
  }

  #readDisk(length: number, callback: Reader): void {
    this.#reading = true;
    read(this.fd, Buffer.allocUnsafe(length), 0, length, this.#read, (error, count, chunk) => {
      this.#reading = false;
      if (this.#closed) return this.#release();
      if (error !== null || count === 0) return callback(error ?? new Error('The file is too short.'), EMPTY);
      this.#read += count;
      this.#rewindWhenEmpty();
      callback(null, chunk.subarray(0, count));
    });
  }

  #takeRefused(limit: number): Buffer {
    const taken = this.#refused.subarray(0, limit);
    this.#refused = this.#refused.subarray(taken.length);
    this.#written += taken.length;
    this.#read += taken.length;
    this.#hold(-taken.length);
    return taken;
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
      if (error !== null) return this.#refuse(error, EMPTY);
      if (this.#queue.length > 0 && !this.#closed) return this.#writeNext();
      this.#settle();
    });
  }

  /**
   * Gives the room back and closes the file, after a read or write under way has ended.
   * @param onFreed called when the disk has its room back, which takes long for a large file.
   */
  close(onFreed: () => void = () => {}): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#onFreed = onFreed;
    this.#queue = [];
    this.#refused = EMPTY;
    this.#onSettled = [];
    this.#onWritten = null;
    if (!this.#writing && !this.#reading) this.#release();
  }

  #release(): void {
    if (this.#writing || this.#reading) return;
    this.#hold(-this.#memory);
    this.#room.giveSpool(this.#counted);
    this.#counted = 0;
    close(this.fd, this.#onFreed);
  }
}

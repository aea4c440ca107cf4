import { constants, openSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { SpoolFile } from './spool.ts';

/** Loaded with the first spool file: it is a good part of the start of a small server. */
const crypto = () => process.getBuiltinModule('node:crypto');

/** How often a full spool is told in the log: it is an overload, and its log lines must not be one too. */
const COMPLAIN_EVERY_MS = 60_000;

export interface RoomOptions {
  /** Bytes that request bodies, long heads and unsent responses may hold in memory together, sockets included. */
  readonly memoryLimit: number;
  readonly spoolDir: string;
  /** Bytes that all spool files may hold together. */
  readonly spoolLimit: number;
  readonly warn: (message: string) => void;
}

/**
 * The room that all connections of a process share for bytes on their way: memory first, then unlinked files.
 * It only counts; whoever takes must give back.
 */
export class Room {
  #options: RoomOptions;
  #memory = 0;
  #spooled = 0;
  #complainedAt = Number.NEGATIVE_INFINITY;

  constructor(options: RoomOptions) {
    this.#options = options;
  }

  configure(limits: Omit<RoomOptions, 'warn'>): void {
    this.#options = { ...limits, warn: this.#options.warn };
  }

  /** Bytes held in memory and in spool files now. */
  get used(): { readonly memory: number; readonly spooled: number } {
    return { memory: this.#memory, spooled: this.#spooled };
  }

  /** More than the limit is in memory: whoever can wait until it is on the disk should. */
  get isTight(): boolean {
    return this.#memory > this.#options.memoryLimit;
  }

  takeMemory(bytes: number): boolean {
    if (this.#memory + bytes > this.#options.memoryLimit) return false;
    this.#memory += bytes;
    return true;
  }

  /** Counts bytes that are in memory already, whatever the limit says. */
  addMemory(bytes: number): void {
    this.#memory += bytes;
  }

  giveMemory(bytes: number): void {
    this.#memory -= bytes;
  }

  takeSpool(bytes: number): boolean {
    if (this.#spooled + bytes > this.#options.spoolLimit) {
      this.complain(`spool-limit (${this.#options.spoolLimit} bytes) is reached`);
      return false;
    }
    this.#spooled += bytes;
    return true;
  }

  giveSpool(bytes: number): void {
    this.#spooled -= bytes;
  }

  /** Tells in the log, once a minute at most, that something could not be spooled. */
  complain(why: string): void {
    const now = performance.now();
    if (now - this.#complainedAt < COMPLAIN_EVERY_MS) return;
    this.#complainedAt = now;
    this.#options.warn(
      `No room in the spool folder ${this.#options.spoolDir}: ${why}. ` +
        'Uploads that need it are answered with 503. Raise --spool-limit or name a larger --spool-dir.',
    );
  }

  /**
   * Opens an unlinked file: nothing is left behind however this process ends. Blocking, since it is rare and
   * takes microseconds.
   * @param limit bytes that it may take of the room.
   * @throws {Error} with the system's code when the folder takes no file.
   */
  openSpool(limit = Number.POSITIVE_INFINITY): SpoolFile {
    const path = join(
      this.#options.spoolDir,
      `tunicorn-${process.pid}-${crypto().randomBytes(9).toString('base64url')}`,
    );
    const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
    const fd = openSync(path, flags, 0o600);
    unlinkSync(path);
    return new SpoolFile(fd, { room: this, limit });
  }
}

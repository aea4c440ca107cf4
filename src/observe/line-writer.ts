import { close, write } from 'node:fs';

/** More than this waiting, and lines are lost: a reader that has stopped must not take the server's memory. */
const LIMIT_CHARS = 8 * 1024 * 1024;
const RETRY_MS = 10;
const FLUSH_MS = 2000;

export interface LineWriterOptions {
  readonly fd: number;
  /** Told how many lines were lost, once what was waiting is written. */
  readonly onLost?: (lines: number) => void;
  readonly limitChars?: number;
}

/**
 * Writes lines in order without ever blocking: those of one turn of the event loop go out in one write.
 * Several processes may append to the same file: each write ends with a line's end.
 */
export class LineWriter {
  #fd: number;
  readonly #onLost: (lines: number) => void;
  readonly #limit: number;
  #lines: string[] = [];
  #chars = 0;
  #lost = 0;
  #writing = false;
  /** A write is under way. */
  #sending = false;
  /** The descriptor that it goes to, when there is another one by now. */
  #left = -1;
  /** The reader is gone for good. */
  #dead = false;
  #onIdle: (() => void)[] = [];

  constructor({ fd, onLost = () => {}, limitChars = LIMIT_CHARS }: LineWriterOptions) {
    this.#fd = fd;
    this.#onLost = onLost;
    this.#limit = limitChars;
  }

  write(line: string): void {
    if (this.#dead) return;
    if (this.#chars + line.length > this.#limit) {
      this.#lost += 1;
      return;
    }
    this.#lines.push(line);
    this.#chars += line.length + 1;
    if (this.#writing) return;
    this.#writing = true;
    setImmediate(() => this.#next());
  }

  /** What has not been given to a write yet goes to `fd`; the old descriptor is closed when its write has ended. */
  move(fd: number): void {
    const before = this.#fd;
    this.#fd = fd;
    this.#dead = false;
    if (before <= 2) return;
    if (this.#sending) this.#left = before;
    else close(before);
  }

  /** Resolves when everything is written, or after two seconds in which a reader did not take it. */
  flush(): Promise<void> {
    if (!this.#writing) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, FLUSH_MS);
      this.#onIdle.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  #next(): void {
    if (this.#dead || this.#lines.length === 0) return this.#idle();
    this.#lines.push('');
    const bytes = Buffer.from(this.#lines.join('\n'));
    this.#lines = [];
    this.#sending = true;
    this.#send(this.#fd, bytes, 0);
  }

  #send(fd: number, bytes: Buffer, from: number): void {
    write(fd, bytes, from, bytes.length - from, null, (error, count) => {
      if (error?.code === 'EAGAIN') return void setTimeout(() => this.#send(fd, bytes, from), RETRY_MS);
      if (error) this.#fail(error.code ?? '', bytes);
      else if (from + count < bytes.length) return this.#send(fd, bytes, from + count);
      this.#sending = false;
      if (this.#left >= 0) close(this.#left);
      this.#left = -1;
      this.#chars = this.#lines.reduce((sum, line) => sum + line.length + 1, 0);
      this.#next();
    });
  }

  #fail(code: string, bytes: Buffer): void {
    // A full disk may have room again later; a closed pipe or terminal never comes back.
    if (code === 'EPIPE' || code === 'EIO' || code === 'EBADF') this.#dead = true;
    this.#lost += bytes.reduce((lines, byte) => lines + (byte === 0x0a ? 1 : 0), 0);
  }

  #idle(): void {
    this.#writing = false;
    if (this.#lost > 0) this.#onLost(this.#lost);
    this.#lost = 0;
    for (const resolve of this.#onIdle.splice(0)) resolve();
  }
}

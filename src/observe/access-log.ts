import { count } from '../count.ts';
import { type AccessEntry, type AccessFormat, compileAccessFormat } from './access-format.ts';
import { LineWriter } from './line-writer.ts';

export { type AccessEntry, compileAccessFormat } from './access-format.ts';

export interface AccessLogOptions {
  readonly fd: number;
  /** As `--access-logformat` takes it. */
  readonly format: string;
  /** Told when lines could not be written. */
  readonly warn?: (message: string) => void;
}

/** One line about each request. */
export class AccessLog {
  #format: AccessFormat;
  readonly #writer: LineWriter;

  constructor({ fd, format, warn = () => {} }: AccessLogOptions) {
    this.#format = compileAccessFormat(format);
    this.#writer = new LineWriter({
      fd,
      onLost: (lines) =>
        warn(
          `${count(lines, 'line', 'of the access log')} ${lines === 1 ? 'was' : 'were'} lost: its disk is full or its reader too slow`,
        ),
    });
  }

  /** The request is over now; it began at `startedAt`, a time of `performance.now()`. Never throws or blocks. */
  write(entry: AccessEntry & { readonly startedAt: number }): void {
    const durationMs = Math.max(0, performance.now() - entry.startedAt);
    this.#writer.write(this.#format.render(entry, { start: Date.now() - durationMs, durationMs }));
  }

  /** Lines look like this from now on. */
  set format(format: string) {
    this.#format = compileAccessFormat(format);
  }

  /** Lines go to this descriptor from now on. */
  move(fd: number): void {
    this.#writer.move(fd);
  }

  /** Resolves when the lines so far are written, or nobody takes them. */
  flush(): Promise<void> {
    return this.#writer.flush();
  }
}

/** The error log: what happened, for the people who run the server. In the line format of gunicorn. */
import { closeSync, constants, fstatSync, openSync, writeSync } from 'node:fs';
import { isatty } from 'node:tty';
import { UserError } from '../errors.ts';

/** From the most talkative to the most silent. */
export const LOG_LEVELS = ['debug', 'info', 'warning', 'error', 'critical'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export type Logger = {
  /** Writes one entry of that level; `text` may have several lines. Never throws. */
  readonly [level in LogLevel]: (text: string) => void;
} & {
  /** Where the entries go, for children that log to the same place. */
  readonly fd: number;
};

/** A log that can be moved, and made more or less talkative. */
export type LogFile = Logger & {
  level: LogLevel;
  /** Writes what an application says: as it is, and whatever the level. Never throws. */
  write(text: string): void;
  /** After a rotation: goes on in the file that has this path now. @throws UserError when it cannot be opened. */
  reopen(path: string): void;
};

/** How long one entry waits for the reader of a full pipe. The arbiter must stay able to judge. */
const PATIENCE_MS = 1000;
const PAUSE_MS = 5;

const { O_WRONLY, O_APPEND, O_CREAT, O_NONBLOCK, O_NOCTTY } = constants;
const APPEND = O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_NOCTTY;

/** Gives a log that writes entries of `level` and above to `fd`, each at once and whole. */
export function createLogger(options: { fd: number; level: LogLevel }): LogFile {
  const sink = new Sink(options.fd);
  let lowest = LOG_LEVELS.indexOf(options.level);
  const at = (level: LogLevel) => (text: string) => {
    if (LOG_LEVELS.indexOf(level) >= lowest) sink.write(formatEntry(level, text, new Date()));
  };
  return {
    debug: at('debug'),
    info: at('info'),
    warning: at('warning'),
    error: at('error'),
    critical: at('critical'),
    get fd() {
      return sink.fd;
    },
    get level() {
      return LOG_LEVELS[lowest] ?? 'info';
    },
    set level(level) {
      lowest = LOG_LEVELS.indexOf(level);
    },
    write(text) {
      sink.write(text);
    },
    reopen(path) {
      if (path !== '-') sink.move(openLogFile(path));
    },
  };
}

/** One entry with its newline: `[2026-11-22 22:48:38 +0000] [1234] [INFO] text`, in local time. */
export function formatEntry(level: LogLevel, text: string, now: Date): string {
  return `[${localTime(now)}] [${process.pid}] [${level.toUpperCase()}] ${visible(text.trimEnd())}\n`;
}

/**
 * Opens a log for appending and gives its descriptor, which does not block; `-` is standard error, or standard
 * output when `standard` says 1 (the access log).
 * @throws UserError when it cannot be opened
 */
export function openLogFile(path: string, standard: 1 | 2 = 2): number {
  if (path === '-') return ownStream(standard);
  try {
    return openSync(path, APPEND, 0o666);
  } catch (error) {
    throw new UserError(
      `Cannot write the log ${path}: ${reason(error)}. Name a file in a folder that exists and may be written, or - for ${standard === 1 ? 'standard output' : 'standard error'}.`,
    );
  }
}

/**
 * Descriptors of ours must not block: a pipe that nobody reads, or a terminal after Ctrl-S, would stop the process
 * at its next entry. The standard ones cannot be changed for that, since the application, whose print() needs them
 * to block, shares their state; so the same pipe or terminal is opened once more. A socket cannot be.
 */
function ownStream(standard: 1 | 2): number {
  try {
    if (!isatty(standard) && !fstatSync(standard).isFIFO()) return standard;
    return openSync(`/proc/self/fd/${standard}`, APPEND & ~O_CREAT);
  } catch {
    return standard;
  }
}

/** `+0130` for a zone one and a half hours ahead of UTC. */
export function zoneOffset(now: Date): string {
  const minutes = -now.getTimezoneOffset();
  const size = Math.abs(minutes);
  return `${minutes < 0 ? '-' : '+'}${two(Math.floor(size / 60))}${two(size % 60)}`;
}

export function two(number: number): string {
  return number < 10 ? `0${number}` : String(number);
}

function localTime(now: Date): string {
  const date = `${now.getFullYear()}-${two(now.getMonth() + 1)}-${two(now.getDate())}`;
  const time = `${two(now.getHours())}:${two(now.getMinutes())}:${two(now.getSeconds())}`;
  return `${date} ${time} ${zoneOffset(now)}`;
}

/** A client's bytes in an entry could otherwise clear the terminal or colour it (CWE-117, CWE-150). */
function visible(text: string): string {
  return text.replace(
    /[\0-\x08\x0b-\x1f\x7f-\x9f]/g,
    (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
}

function reason(error: unknown): string {
  const code = codeOf(error);
  if (code === 'ENOENT') return 'its folder does not exist';
  if (code === 'EACCES' || code === 'EPERM') return 'permission denied';
  if (code === 'EISDIR') return 'it is a folder';
  if (code === 'ENXIO') return 'it is a pipe that nobody reads, or a socket';
  if (code === 'ENOTDIR') return 'a part of its path is not a folder';
  return error instanceof Error ? error.message : String(error);
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}

/**
 * Writes synchronously, so that an entry is out before the process can die of what it tells.
 *
 * A pipe whose other end made it non-blocking answers EAGAIN when it is full: then wait, but not for ever.
 * What nobody reads is dropped and counted; the next entry that goes through tells how many are missing.
 */
class Sink {
  #fd: number;
  #dropped = 0;
  #cut = false;
  /** The terminal is closed, or the reader is gone: nothing will ever arrive. */
  #dead = false;

  constructor(fd: number) {
    this.#fd = fd;
  }

  get fd(): number {
    return this.#fd;
  }

  move(fd: number): void {
    const before = this.#fd;
    this.#fd = fd;
    this.#dead = false;
    // Children that were started with the old one have descriptors of their own.
    if (before > 2) closeSync(before);
  }

  write(entry: string): void {
    if (this.#dead) return;
    const patience = this.#dropped === 0 ? PATIENCE_MS : 0;
    if (!this.#whole(Buffer.from(this.#missing() + entry), patience)) this.#dropped += 1;
    else this.#dropped = 0;
  }

  /** What goes in front of the first entry after a gap. */
  #missing(): string {
    if (this.#dropped === 0) return '';
    const text = `The reader of this log was too slow: ${this.#dropped} entries are missing here`;
    return `${this.#cut ? '\n' : ''}${formatEntry('warning', text, new Date())}`;
  }

  #whole(bytes: Buffer, patienceMs: number): boolean {
    const deadline = performance.now() + patienceMs;
    let sent = 0;
    while (sent < bytes.length) {
      const count = this.#part(bytes, sent);
      sent += count;
      if (this.#dead) return true;
      if (count === 0) {
        if (performance.now() >= deadline) break;
        pause(PAUSE_MS);
      }
    }
    if (sent > 0) this.#cut = sent < bytes.length;
    return sent === bytes.length;
  }

  #part(bytes: Buffer, from: number): number {
    try {
      return writeSync(this.#fd, bytes, from);
    } catch (error) {
      const code = codeOf(error);
      if (code === 'EAGAIN' || code === 'EINTR') return 0;
      // A full disk may have room again later; a closed pipe, terminal or descriptor never comes back.
      if (code === 'EPIPE' || code === 'EIO' || code === 'EBADF') this.#dead = true;
      return 0;
    }
  }
}

function pause(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

/** A file that a worker holds open and offers as its answer (FILE). */
import { closeSync, constants, fstatSync, openSync, readFileSync, readlinkSync } from 'node:fs';
import type { HttpError } from '../errors.ts';
import type { Exchange, ResponseHead } from '../http/exchange.ts';
import type { Fields } from '../http/types.ts';
import { answerFile, field } from './file-answer.ts';
import { httpDate } from './preconditions.ts';

export interface Offer {
  /** Descriptor in the worker. */
  readonly fd: number;
  readonly dev: string;
  readonly ino: string;
  /** What of it is the body. */
  readonly offset: number;
  readonly length: number;
}

/** It cannot be opened here: this `file`, or none that this `worker` has. */
export interface Refusal {
  readonly refused: 'file' | 'worker';
  /** For the log; empty when the worker has just died, which is told by others. */
  readonly why: string;
}

/** The body of a FILE frame; null when it is none. */
export function readOffer(body: Buffer): Offer | null {
  const words = body.toString('latin1').split('\0');
  const said = new Map(words.flatMap((word, i) => (i % 2 === 0 ? [[word, words[i + 1] ?? '']] : [])));
  const [fd, offset, length] = ['fd', 'offset', 'length'].map((name) => number(said.get(name)));
  const [dev, ino] = [said.get('dev'), said.get('ino')];
  if (fd === undefined || offset === undefined || length === undefined) return null;
  if (Number.isNaN(fd + offset + length) || dev === undefined || ino === undefined) return null;
  return { fd, dev, ino, offset, length };
}

function number(text = ''): number {
  return /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
}

/**
 * Opens the worker's file by its descriptor, with a position of its own: also when it has no name any more. At once, not
 * by the pool of threads: nothing is looked up on a disk, for the worker has it open (8 µs; the pool takes 40).
 */
export function openOffer(pid: number, offer: Offer): { readonly fd: number } | Refusal {
  const path = `/proc/${pid}/fd/${offer.fd}`;
  let fd: number;
  try {
    // What stands under that number may be a FIFO meanwhile, if the worker died and its pid is another's.
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch (error) {
    return { refused: canSee(path) ? 'file' : 'worker', why: isDead(pid) ? '' : (error as Error).message };
  }
  const stats = fstatSync(fd, { bigint: true });
  if (stats.isFile() && String(stats.dev) === offer.dev && String(stats.ino) === offer.ino) return { fd };
  closeSync(fd);
  return { refused: 'worker', why: `${path} is another file than the worker's` };
}

/** Its parent may not have asked for its end yet: then it has a number still, and no files. */
function isDead(pid: number): boolean {
  try {
    process.kill(pid, 0);
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return /^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2));
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
}

/** The rights of the file say no, or the pool of descriptors is empty; else it is the worker that is closed to us. */
function canSee(path: string): boolean {
  try {
    readlinkSync(path);
    return true;
  } catch {
    return false;
  }
}

/**
 * Answers with the opened file, which is closed in every case. The application has seen the request's conditions and
 * wants the file sent; only whether a part of it will do is ours to judge, by the ETag and Last-Modified that it gave.
 */
export function answerOffer(
  fd: number,
  exchange: Exchange,
  {
    response,
    offer,
    onFailure,
  }: {
    readonly response: ResponseHead;
    readonly offer: Offer;
    readonly onFailure: (error: HttpError) => void;
  },
): void {
  const { fields } = response;
  const announced = number(field(fields, 'content-length') ?? String(offer.length));
  answerFile(fd, exchange, {
    response: { ...response, fields: Number.isNaN(announced) ? fields : withoutLength(fields) },
    start: offer.offset,
    // A file that is longer than the application's Content-Length is cut to that (PEP 3333).
    size: Math.min(offer.length, Number.isNaN(announced) ? offer.length : announced),
    validators: {
      etag: field(fields, 'etag') ?? '',
      modified: httpDate(field(fields, 'last-modified')) ?? Number.NaN,
    },
    asked: 'range',
    onFailure,
  });
}

function withoutLength(fields: Fields): Fields {
  return fields.filter((_, i) => fields[i - (i % 2)]?.toLowerCase() !== 'content-length');
}

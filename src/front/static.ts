/**
 * Static files on our own connections: GET and HEAD, with validators, ranges, and no way out of the folder.
 * Folders are not listed and have no index page; a file that is not there is a 404, the application is not asked.
 */
import { closeSync, constants, fstatSync, open, readlinkSync, realpath, type Stats } from 'node:fs';
import { posix } from 'node:path';
import { lookup } from 'mrmime';
import { HttpError } from '../errors.ts';
import type { Exchange } from '../http/exchange.ts';
import type { Fields } from '../http/types.ts';
import type { StaticMount } from '../messages.ts';
import { sendFile } from './file-sender.ts';
import { evaluate, type Span, type Validators } from './preconditions.ts';

/** A path under one or more mounts: where its file may be, in the order to look. None: there can be no such file. */
export interface Match {
  readonly places: readonly Place[];
}

interface Place {
  readonly root: Root;
  /** Relative to the folder, without `.` and `..`. */
  readonly name: string;
}

interface OpenFile {
  readonly fd: number;
  readonly name: string;
  readonly stats: Stats;
}

/** One folder. Its real path is looked up again when it seems to have changed: deployments swap symlinks. */
class Root {
  readonly folder: string;
  #real = '';

  constructor(folder: string) {
    this.folder = folder;
  }

  /** Whether the real path of a file is inside the real path of the folder. */
  holds(file: string, answer: (inside: boolean) => void): void {
    if (isInside(file, this.#real)) return answer(true);
    realpath(this.folder, (error, real) => {
      if (error === null) this.#real = real;
      answer(error === null && isInside(file, real));
    });
  }
}

function isInside(file: string, folder: string): boolean {
  return folder !== '' && file.startsWith(folder.endsWith('/') ? folder : `${folder}/`);
}

/** Serves the files of the mounts. Among mounts that cover a path the longest prefix comes first, then their order. */
export class StaticFiles {
  readonly #mounts: readonly { readonly prefix: string; readonly roots: readonly Root[] }[];

  constructor(mounts: readonly StaticMount[]) {
    this.#mounts = mounts
      .map(({ prefix, folders }) => ({ prefix, roots: folders.map((folder) => new Root(folder)) }))
      .sort((a, b) => b.prefix.length - a.prefix.length);
  }

  /**
   * @param path of the request, still percent-encoded.
   * @returns null when no mount covers it: then it is the application's.
   */
  match(path: string): Match | null {
    if (this.#mounts.length === 0) return null;
    const plain = decode(path);
    const mounts = this.#mounts.filter(({ prefix }) => plain.startsWith(prefix));
    if (mounts.length === 0) return null;
    const places = mounts.flatMap(({ prefix, roots }) => {
      const name = fileName(plain.slice(prefix.length));
      return name === null ? [] : roots.map((root) => ({ root, name }));
    });
    return { places };
  }

  /** Answers the exchange, whatever it asks. The request body is not read. */
  serve(match: Match, exchange: Exchange): void {
    exchange.release();
    const { method } = exchange.head;
    if (method !== 'GET' && method !== 'HEAD') {
      return refuse(exchange, { status: '405 Method Not Allowed', fields: ['Allow', 'GET, HEAD'] });
    }
    this.#tryPlace(match.places, exchange);
  }

  #tryPlace([place, ...others]: readonly Place[], exchange: Exchange): void {
    if (place === undefined) return refuse(exchange, { status: '404 Not Found' });
    openFile(place, (error, file) => {
      if (file !== null) return answer(file, exchange);
      switch (error?.code) {
        case 'EACCES':
        case 'EPERM':
          return refuse(exchange, { status: '403 Forbidden' });
        case 'EMFILE':
        case 'ENFILE':
        case 'EIO':
          return exchange.fail(new HttpError('file-failed', error.message));
        default:
          return this.#tryPlace(others, exchange);
      }
    });
  }
}

/** The decoded path; unchanged when it is not UTF-8, as no mount and no file has such a name. */
function decode(path: string): string {
  if (!path.includes('%')) return path;
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

/**
 * The file's name under its folder, or null when there can be none. It is decoded once, so `%252e` is a name
 * with a percent sign. Names that begin with a dot are nobody's business (`.git`, `.env`), except
 * `.well-known` (RFC 8615). A backslash separates folders on some systems.
 */
function fileName(path: string): string | null {
  if (path === '' || path.endsWith('/') || /[\0\\]/.test(path)) return null;
  // Empty parts are passed over, as nginx does: a STATIC_URL with a slash too many works behind it.
  const parts = path.split('/').filter((part) => part !== '');
  if (parts.some((part, i) => part.startsWith('.') && !(part === '.well-known' && i === 0))) return null;
  return parts.join('/');
}

/**
 * Opens a regular file below the folder. What was opened is checked, not the path: that could be swapped for
 * a symlink in between. `error` is null when there is something, but nothing to serve.
 */
function openFile(
  { root, name }: Place,
  done: (error: NodeJS.ErrnoException | null, file: OpenFile | null) => void,
): void {
  const path = posix.join(root.folder, name);
  // Without O_NONBLOCK the open of a FIFO would wait for its writer and take a thread of the pool with it.
  const flags = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;
  open(path, flags, (error, fd) => {
    if (error !== null) return done(error, null);
    const nothing = () => {
      closeSync(fd);
      done(null, null);
    };
    // Of an open file the kernel knows both without a look at the disk: 6 µs together, where the pool takes 38.
    const stats = fstatSync(fd);
    if (!stats.isFile()) return nothing();
    realPath(fd, path, (real) => {
      root.holds(real, (inside) => (inside ? done(null, { fd, name, stats }) : nothing()));
    });
  });
}

/** The real path of an open file; empty when it cannot be known. */
function realPath(fd: number, path: string, done: (real: string) => void): void {
  if (process.platform !== 'linux') return realpath(path, (error, real) => done(error === null ? real : ''));
  try {
    done(readlinkSync(`/proc/self/fd/${fd}`));
  } catch {
    done('');
  }
}

function answer({ fd, name, stats }: OpenFile, exchange: Exchange): void {
  const { size } = stats;
  const validators = validatorsOf(stats);
  const verdict = evaluate(exchange.head, { size, validators });
  const fields = ['ETag', validators.etag, 'Last-Modified', new Date(validators.modified).toUTCString()];
  switch (verdict.type) {
    case 'whole':
      return send(fd, exchange, { name, size, fields, span: null });
    case 'part':
      return send(fd, exchange, { name, size, fields, span: verdict.span });
    case 'not-modified':
      closeSync(fd);
      exchange.respond({ status: '304 Not Modified', fields }, { body: Buffer.alloc(0), last: true });
      return;
    case 'failed':
      closeSync(fd);
      return refuse(exchange, { status: '412 Precondition Failed' });
    case 'unsatisfiable':
      closeSync(fd);
      return refuse(exchange, {
        status: '416 Range Not Satisfiable',
        fields: ['Content-Range', `bytes */${size}`],
      });
  }
}

interface Sending {
  readonly name: string;
  readonly size: number;
  readonly fields: Fields;
  /** Null for the whole file. */
  readonly span: Span | null;
}

function send(fd: number, exchange: Exchange, { name, size, fields, span }: Sending): void {
  const { start, end } = span ?? { start: 0, end: size };
  const response = {
    status: span === null ? '200 OK' : '206 Partial Content',
    fields: ['Content-Type', contentType(name), 'Content-Length', String(end - start), ...fields],
  };
  response.fields.push('Accept-Ranges', 'bytes', 'X-Content-Type-Options', 'nosniff');
  if (span !== null) response.fields.push('Content-Range', `bytes ${start}-${end - 1}/${size}`);
  const isHead = exchange.head.method === 'HEAD';
  sendFile(fd, exchange, { response, span: isHead ? { start, end: start } : { start, end } });
}

/**
 * RFC 9110 §8.8: size and time of the last change. The tag is weak while the file is younger than two seconds,
 * as it might be written again within one tick of its file system's clock. A time in the future is none (§8.8.2.1).
 */
function validatorsOf({ size, mtimeMs }: Stats): Validators {
  const now = Date.now();
  const tag = `"${Math.round(mtimeMs * 1000).toString(36)}-${size.toString(36)}"`;
  const modified = Math.floor(Math.min(mtimeMs, now) / 1000) * 1000;
  return { etag: now - mtimeMs < 2000 ? `W/${tag}` : tag, modified };
}

/** By the name's ending. Text is UTF-8 unless it says itself (XML does). */
function contentType(name: string): string {
  const ending = posix.extname(name);
  const type = lookup(ending) ?? (ending === '.ico' ? 'image/x-icon' : 'application/octet-stream');
  return type.startsWith('text/') && type !== 'text/xml' ? `${type}; charset=utf-8` : type;
}

function refuse(exchange: Exchange, answer: { readonly status: string; readonly fields?: Fields }): void {
  const page = `<!doctype html>\n<html lang="en">\n<title>${answer.status}</title>\n<h1>${answer.status}</h1>\n</html>\n`;
  const fields = ['Content-Type', 'text/html; charset=utf-8', ...(answer.fields ?? [])];
  exchange.respond({ status: answer.status, fields }, { body: Buffer.from(page), last: true });
}

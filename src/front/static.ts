/**
 * Static files on our own connections: GET and HEAD, with validators, ranges, and no way out of the folder.
 * Folders are not listed and have no index page; a file that is not there is a 404, the application is not asked.
 */
import { HttpError } from '../errors.ts';
import type { Exchange } from '../http/exchange.ts';
import type { StaticMount } from '../messages.ts';
import { answerFile, contentType, refuse, validatorsOf } from './file-answer.ts';
import { Mounts } from './mounts.ts';
import { type OpenFile, openFirst, type Place } from './open-file.ts';

/** A path under one or more mounts: where its file may be, in the order to look. None: there can be no such file. */
export interface Match {
  readonly places: readonly Place[];
}

/** Serves the files of the mounts. Among mounts that cover a path the longest prefix comes first, then their order. */
export class StaticFiles {
  readonly #mounts: Mounts;

  constructor(mounts: readonly StaticMount[]) {
    this.#mounts = new Mounts(mounts);
  }

  /**
   * @param path of the request, still percent-encoded.
   * @returns null when no mount covers it: then it is the application's.
   */
  match(path: string): Match | null {
    if (this.#mounts.empty) return null;
    const places = this.#mounts.places(decode(path), fileName);
    return places === null ? null : { places };
  }

  /** Answers the exchange, whatever it asks. The request body is not read. */
  serve(match: Match, exchange: Exchange): void {
    exchange.release();
    const { method } = exchange.head;
    if (method !== 'GET' && method !== 'HEAD') {
      return refuse(exchange, { status: '405 Method Not Allowed', fields: ['Allow', 'GET, HEAD'] });
    }
    openFirst(match.places, (outcome) => {
      switch (outcome.type) {
        case 'open':
          return answer(outcome.file, exchange);
        case 'nothing':
          return refuse(exchange, { status: '404 Not Found' });
        case 'forbidden':
          return refuse(exchange, { status: '403 Forbidden' });
        case 'failed':
          return exchange.fail(new HttpError('file-failed', outcome.error.message));
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

function answer({ fd, name, stats }: OpenFile, exchange: Exchange): void {
  const validators = validatorsOf(stats);
  const fields = ['Content-Type', contentType(name), 'ETag', validators.etag];
  fields.push('Last-Modified', new Date(validators.modified).toUTCString());
  fields.push('X-Content-Type-Options', 'nosniff');
  const response = { status: '200 OK', fields };
  answerFile(fd, exchange, { response, start: 0, size: stats.size, validators, asked: 'all' });
}

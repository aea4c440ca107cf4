import { HttpError } from '../errors.ts';
import { CHUNK_SIZE, CONTENT_LENGTH, TRANSFER_CODING, trimBlanks } from './grammar.ts';

/** What the head says of the body. Empty strings where the field is missing. */
export interface BodyFields {
  readonly minor: 0 | 1;
  readonly length: string;
  /** All Transfer-Encoding values, joined by commas. */
  readonly codings: string;
  /** Most bytes of body allowed. */
  readonly limit: number;
}

/**
 * RFC 9112 §6.3: how long the body of a request is. Everything in doubt is refused: the byte after the body
 * is the next request, and whoever disagrees with us on its place can smuggle one.
 * @throws {HttpError} `bad-framing`, `unknown-coding` or `body-too-large`.
 */
export function bodyFraming(head: BodyFields): number | 'chunked' {
  if (head.codings !== '') return codedBody(head);
  return head.length === '' ? 0 : contentLength(head.length, head.limit);
}

function codedBody(head: BodyFields): 'chunked' {
  // RFC 9112 §6.1: a server may refuse both together, and ought to see an attack in it.
  if (head.length !== '') throw new HttpError('bad-framing', 'Content-Length with Transfer-Encoding.');
  // RFC 9112 §6.1: HTTP/1.0 has no transfer codings; whoever sent this was fed it by somebody else.
  if (head.minor === 0) throw new HttpError('bad-framing', 'Transfer-Encoding on HTTP/1.0.');
  const codings = head.codings.split(',').map(codingName);
  const chunked = codings.indexOf('chunked');
  // RFC 9112 §6.1, §6.3: chunked once, and last.
  if (chunked >= 0 && chunked !== codings.length - 1)
    throw new HttpError('bad-framing', 'chunked must be the last coding, once.');
  // RFC 9112 §6.1: 501 for a coding that is not understood. We undo none but chunked.
  if (codings.length !== 1 || chunked !== 0) throw new HttpError('unknown-coding');
  return 'chunked';
}

function codingName(member: string): string {
  const match = TRANSFER_CODING.exec(trimBlanks(member));
  if (match === null) throw new HttpError('bad-framing', 'Transfer-Encoding is malformed.');
  const name = (match[1] ?? '').toLowerCase();
  // RFC 9112 §7.1: chunked has no parameters; their presence is an error.
  if (name === 'chunked' && match[2] !== '')
    throw new HttpError('bad-framing', 'chunked takes no parameters.');
  return name;
}

function contentLength(value: string, limit: number): number {
  if (!CONTENT_LENGTH.test(value)) throw new HttpError('bad-framing', 'Content-Length is no number.');
  const length = Number(value);
  // Also what a number cannot count exactly: `limit` is never above that.
  if (length > limit) throw new HttpError('body-too-large', `The limit is ${limit} bytes.`);
  return length;
}

export interface ChunkSize {
  /** Bytes of data that follow; 0 for the last chunk. */
  readonly size: number;
  /** Length of the extensions in bytes. */
  readonly extension: number;
}

/**
 * RFC 9112 §7.1: reads a chunk-size line (without its CRLF).
 * @throws {HttpError} `bad-chunk`; also for a size that overflows, which a shorter integer would read as a small one.
 */
export function chunkSize(line: string): ChunkSize {
  const match = CHUNK_SIZE.exec(line);
  if (match === null) throw new HttpError('bad-chunk', 'The chunk size is malformed.');
  const [, digits = '', extension = ''] = match;
  const size = Number.parseInt(digits, 16);
  if (size > Number.MAX_SAFE_INTEGER) throw new HttpError('bad-chunk', 'The chunk size overflows.');
  return { size, extension: extension.length };
}

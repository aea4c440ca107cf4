import { ERRORS, HttpError } from '../errors.ts';
import type { ResponseHead } from './exchange.ts';
import { HOP_BY_HOP, TOKEN } from './grammar.ts';
import type { RequestHead } from './types.ts';

/** What of the request decides the answer's framing. */
export type Asked = Pick<RequestHead, 'method' | 'minor' | 'keepAlive'>;

export interface FrameOptions {
  /** The first part of the body, and whether it is all of it: then its length is known. */
  readonly body: Buffer;
  readonly last: boolean;
  /** The current Date value (RFC 9110 §5.6.7), made once a second by the caller. */
  readonly date: string;
  /** Value of the Server field unless the application gives one; empty for none. */
  readonly server: string;
  /** The server wants to close the connection after this answer. */
  readonly close: boolean;
}

/** RFC 9112 §4: `status-line = HTTP-version SP status-code SP [ reason-phrase ]`. 1xx are not final, 600 up mean nothing. */
const STATUS = /^[2-5][0-9]{2} [\t\x20-\x7e\x80-\xff]*$/;

/** RFC 9110 §5.5: `field-value`. CR, LF or NUL would end the field: the rest would be the attacker's (response splitting). */
export const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

const DIGITS = /^[0-9]{1,15}$/;

/** What a field means for framing. */
export type Kind = 'plain' | 'length' | 'date' | 'server' | 'hop-by-hop';

const SPECIAL = new Map<string, Kind>([
  ['content-length', 'length'],
  ['date', 'date'],
  ['server', 'server'],
  ...[...HOP_BY_HOP].map((name): [string, Kind] => [name, 'hop-by-hop']),
]);

/** Spellings seen before, so that a usual name costs one look-up. Bounded: names may be made up by the application. */
const KINDS = new Map<string, Kind>();
const KINDS_KEPT = 1000;

const NOTHING: Buffer[] = [];
const CRLF = Buffer.from('\r\n');
const LAST_CHUNK = Buffer.from('0\r\n\r\n');
/** Up to this size one copy is cheaper than three buffers to write. */
const JOIN_BYTES = 4096;

interface HeadFacts {
  readonly lines: string;
  /** Content-Length as the application gave it, -1 without. */
  readonly length: number;
  readonly hasDate: boolean;
  readonly hasServer: boolean;
}

/** How the body goes out: not at all, cut to a length, in chunks, or until the connection is closed (RFC 9112 §6). */
type Coding = 'none' | 'length' | 'chunked' | 'close';

/** The head of one answer, and the encoder of its body. */
export class Framing {
  /** Status line and fields up to and with the empty line; latin-1. */
  readonly head: string;
  /** Whether the connection may be used again, provided that the body then comes out whole (`missing` is 0). */
  readonly keepAlive: boolean;
  /** HEAD, 204, 304: nothing follows the head, whatever the application sends. */
  readonly bodyless: boolean;
  readonly status: number;
  readonly #coding: Coding;
  /** Bytes of Content-Length still to come. */
  #left: number;
  #overrun = 0;
  #missing = 0;
  readonly #counts: boolean;

  constructor(
    head: string,
    plan: { coding: Coding; length: number; keepAlive: boolean; status: number; isHead: boolean },
  ) {
    this.head = head;
    this.keepAlive = plan.keepAlive;
    this.status = plan.status;
    this.bodyless = plan.coding === 'none';
    this.#coding = plan.coding;
    this.#left = plan.coding === 'length' ? plan.length : 0;
    // The body of an answer to HEAD is dropped by rule; the body of a 204 is a mistake worth a log line.
    this.#counts = !plan.isHead;
  }

  /** The end of the connection is the end of the body, so a client cannot tell a break from the end. */
  get isDelimitedByClose(): boolean {
    return this.#coding === 'close';
  }

  /** Bytes that the application gave beyond its Content-Length, or with a status that has no body; they are not sent. */
  get overrun(): number {
    return this.#overrun;
  }

  /** Bytes that were missing to the Content-Length when the body ended: the connection must be closed. */
  get missing(): number {
    return this.#missing;
  }

  /**
   * Encodes the next part of the body, the first one (that `frameResponse` was given) included.
   * @returns what to send, possibly nothing. The parts may be views of `chunk`.
   */
  encode(chunk: Buffer, last: boolean): Buffer[] {
    switch (this.#coding) {
      case 'none':
        if (this.#counts) this.#overrun += chunk.length;
        return NOTHING;
      case 'length':
        return this.#cut(chunk, last);
      case 'chunked':
        return encodeChunk(chunk, last);
      case 'close':
        return chunk.length === 0 ? NOTHING : [chunk];
    }
  }

  #cut(chunk: Buffer, last: boolean): Buffer[] {
    const taken = Math.min(chunk.length, this.#left);
    this.#left -= taken;
    this.#overrun += chunk.length - taken;
    if (last) this.#missing = this.#left;
    if (taken === 0) return NOTHING;
    return [taken === chunk.length ? chunk : chunk.subarray(0, taken)];
  }
}

/** RFC 9112 §7.1: `chunk = chunk-size CRLF chunk-data CRLF`. An empty chunk would be the last one. */
function encodeChunk(chunk: Buffer, last: boolean): Buffer[] {
  if (chunk.length === 0) return last ? [LAST_CHUNK] : NOTHING;
  const size = Buffer.from(`${chunk.length.toString(16)}\r\n`, 'latin1');
  const parts = last ? [size, chunk, CRLF, LAST_CHUNK] : [size, chunk, CRLF];
  return chunk.length <= JOIN_BYTES ? [Buffer.concat(parts)] : parts;
}

/**
 * Decides how an answer is framed (RFC 9112 §6) and writes its head.
 * With all of the body at hand it gets a Content-Length; else the application's own, else chunked, else, on HTTP/1.0, the end
 * of the connection. Never Content-Length and Transfer-Encoding together.
 * @throws {HttpError} `application-error` when the head holds what may not be sent.
 */
export function frameResponse(request: Asked, response: ResponseHead, options: FrameOptions): Framing {
  const status = checkStatus(response.status);
  const facts = checkFields(response.fields);
  const isHead = request.method === 'HEAD';
  const coding = chooseCoding(request, facts, { status, last: options.last });
  const length = announcedLength(facts, { status, coding, isHead, options });
  // RFC 9112 §6.3: a body that ends short of its Content-Length can only be ended by closing.
  const isShort = coding === 'length' && options.last && options.body.length < length;
  const keepAlive = request.keepAlive && !options.close && coding !== 'close' && !isShort;
  const head =
    // RFC 9110 §2.5: the version is the highest we speak, also to an HTTP/1.0 client.
    `HTTP/1.1 ${response.status}\r\n${facts.lines}` +
    (facts.hasDate ? '' : `Date: ${options.date}\r\n`) +
    (facts.hasServer || options.server === '' ? '' : `Server: ${options.server}\r\n`) +
    (length < 0 ? '' : `Content-Length: ${length}\r\n`) +
    (coding === 'chunked' ? 'Transfer-Encoding: chunked\r\n' : '') +
    connectionLine(request.minor, keepAlive);
  return new Framing(head, { coding, length, keepAlive, status, isHead });
}

/**
 * The head of a 103 (Early Hints, RFC 8297), with the empty line behind it.
 * @throws {HttpError} `application-error` when the fields hold what may not be sent.
 */
export function earlyHead(fields: readonly string[]): string {
  const { lines, length } = checkFields(fields);
  // RFC 9110 §8.6: never in a 1xx.
  if (length >= 0) throw refused('Content-Length does not belong in early hints.');
  return `HTTP/1.1 103 Early Hints\r\n${lines}\r\n`;
}

/** RFC 9112 §9.3, §9.6: silence means persist on 1.1 and close on 1.0; 1.0 clients are told both. */
function connectionLine(minor: 0 | 1, keepAlive: boolean): string {
  if (!keepAlive) return 'Connection: close\r\n\r\n';
  return minor === 0 ? 'Connection: keep-alive\r\n\r\n' : '\r\n';
}

function chooseCoding(request: Asked, facts: HeadFacts, answer: { status: number; last: boolean }): Coding {
  // RFC 9112 §6.3: these have no body, whatever their fields say.
  if (request.method === 'HEAD' || answer.status === 204 || answer.status === 304) return 'none';
  if (facts.length >= 0 || answer.last) return 'length';
  return request.minor === 1 ? 'chunked' : 'close';
}

/** The Content-Length to send, -1 for none (RFC 9110 §8.6). */
function announcedLength(
  facts: HeadFacts,
  answer: { status: number; coding: Coding; isHead: boolean; options: FrameOptions },
): number {
  // Must not be there. Dropped, not refused: Django's CommonMiddleware adds `Content-Length: 0` to every 204.
  if (answer.status === 204) return -1;
  if (facts.length >= 0) return facts.length;
  const { body, last } = answer.options;
  if (answer.coding === 'length') return body.length;
  // To HEAD: what GET would have. An empty body says nothing, many frameworks leave it out.
  return answer.isHead && answer.status !== 304 && last && body.length > 0 ? body.length : -1;
}

function checkStatus(status: string): number {
  // Most answers have the status that the one before had.
  if (status === lastStatus) return lastCode;
  if (!STATUS.test(status)) throw refused(`The status ${quote(status)} is not "NNN reason" from 200 to 599.`);
  lastStatus = status;
  lastCode = Number(status.slice(0, 3));
  return lastCode;
}

let lastStatus: string | null = null;
let lastCode = 0;

function checkFields(fields: readonly string[]): HeadFacts {
  let lines = '';
  let length = -1;
  let hasDate = false;
  let hasServer = false;
  for (let index = 0; index + 1 < fields.length; index += 2) {
    const name = fields[index] as string;
    const value = fields[index + 1] as string;
    const kind = fieldKind(name);
    if (kind === null) throw refused(`${quote(name)} is no field name.`);
    if (!VALUE.test(value))
      throw refused(`The value of ${name} holds a character that may not be sent: ${quote(value)}.`);
    if (kind === 'hop-by-hop') throw refused(`${name} is a hop-by-hop field, which is the server's to send.`);
    if (kind === 'length') {
      if (length >= 0) throw refused('Content-Length is repeated.');
      if (!DIGITS.test(value)) throw refused(`Content-Length ${quote(value)} is no length.`);
      length = Number(value);
      continue;
    }
    if (kind === 'date') hasDate = true;
    if (kind === 'server') hasServer = true;
    lines += `${name}: ${value}\r\n`;
  }
  return { lines, length, hasDate, hasServer };
}

/** By the name of a field, as the application spells it; null when it is no token. */
export function fieldKind(name: string): Kind | null {
  return KINDS.get(name) ?? learnKind(name);
}

function learnKind(name: string): Kind | null {
  if (!TOKEN.test(name)) return null;
  const kind = SPECIAL.get(name.toLowerCase()) ?? 'plain';
  // A copy: `name` may be a slice that keeps a whole answer head in memory.
  if (KINDS.size < KINDS_KEPT) KINDS.set(Buffer.from(name, 'latin1').toString('latin1'), kind);
  return kind;
}

function refused(detail: string): HttpError {
  return new HttpError('application-error', detail);
}

/** For the log: escaped, and not endless. */
function quote(text: string): string {
  return JSON.stringify(text.length > 100 ? `${text.slice(0, 100)}…` : text);
}

const REASONS: Record<number, string> = {
  400: 'Bad Request',
  404: 'Not Found',
  408: 'Request Timeout',
  413: 'Content Too Large',
  414: 'URI Too Long',
  417: 'Expectation Failed',
  431: 'Request Header Fields Too Large',
  500: 'Internal Server Error',
  501: 'Not Implemented',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
  505: 'HTTP Version Not Supported',
};

/**
 * The page for an error: a small HTML document that names the status and the catalogue's sentence. Never the detail,
 * which is for the log. 503 asks to come again in a second (RFC 9110 §10.2.3).
 */
export function errorResponse(error: HttpError): ResponseHead & { readonly body: Buffer } {
  const status = `${error.status} ${REASONS[error.status] ?? 'Error'}`;
  const page = `<!doctype html>\n<html lang="en">\n<title>${status}</title>\n<h1>${status}</h1>\n<p>${ERRORS[error.code].text}</p>\n</html>\n`;
  const fields = ['Content-Type', 'text/html; charset=utf-8'];
  if (error.status === 503) fields.push('Retry-After', '1');
  return { status, fields, body: Buffer.from(page) };
}

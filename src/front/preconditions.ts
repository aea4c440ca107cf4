/** Conditional and range requests (RFC 9110 §13, §14) for a file: pure, from fields to what has to be sent. */
import type { Fields, RequestHead } from '../http/types.ts';

/** What identifies the state of a file. */
export interface Validators {
  /** With its quotes, and `W/` when it is weak. */
  readonly etag: string;
  /** In ms since 1970, on a whole second. */
  readonly modified: number;
}

/** A part of a file: `end` is after its last byte. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

export type Verdict =
  | { readonly type: 'whole' }
  | { readonly type: 'part'; readonly span: Span }
  /** 304 */
  | { readonly type: 'not-modified' }
  /** 412 */
  | { readonly type: 'failed' }
  /** 416 */
  | { readonly type: 'unsatisfiable' };

const WHOLE: Verdict = { type: 'whole' };

/**
 * RFC 9110 §13.2.2: evaluates If-Match, If-Unmodified-Since, If-None-Match, If-Modified-Since, If-Range and Range
 * in this order, for GET and HEAD on a file of `size` bytes. Several ranges at once are answered with the whole
 * file, which §14.2 allows: nobody but attackers asks for them.
 */
export function evaluate(
  head: Pick<RequestHead, 'method' | 'fields'>,
  { size, validators }: { readonly size: number; readonly validators: Validators },
): Verdict {
  if (!meetsDemands(head.fields, validators)) return { type: 'failed' };
  if (isKnown(head.fields, validators)) return { type: 'not-modified' };
  return evaluateRange(head, { size, validators });
}

/** If-Range and Range alone. With an empty tag and a time that is NaN nothing is known of the state. */
export function evaluateRange(
  { method, fields }: Pick<RequestHead, 'method' | 'fields'>,
  { size, validators }: { readonly size: number; readonly validators: Validators },
): Verdict {
  const range = value(fields, 'range');
  // RFC 9110 §14.2: Range means something for GET only.
  if (range === null || method !== 'GET' || !isSameState(value(fields, 'if-range'), validators)) return WHOLE;
  return parseRange(range, size);
}

/** §13.1.1 and §13.1.4. */
function meetsDemands(fields: Fields, validators: Validators): boolean {
  const ifMatch = value(fields, 'if-match');
  if (ifMatch !== null) return ifMatch === '*' || tags(ifMatch).some((tag) => isStrongMatch(tag, validators));
  const since = httpDate(value(fields, 'if-unmodified-since'));
  return since === null || validators.modified <= since;
}

/** §13.1.2 and §13.1.3: the client has this state already. */
function isKnown(fields: Fields, validators: Validators): boolean {
  const ifNoneMatch = value(fields, 'if-none-match');
  if (ifNoneMatch !== null) {
    return ifNoneMatch === '*' || tags(ifNoneMatch).some((tag) => opaque(tag) === opaque(validators.etag));
  }
  const since = httpDate(value(fields, 'if-modified-since'));
  return since !== null && validators.modified <= since;
}

/** §13.1.5: a part may only be added to what the client has if it is of the very same bytes. */
function isSameState(ifRange: string | null, validators: Validators): boolean {
  if (ifRange === null || isStrongMatch(ifRange, validators)) return true;
  // A file that was written a moment ago may be written again in the same second (§8.8.2.2).
  return !validators.etag.startsWith('W/') && httpDate(ifRange) === validators.modified;
}

/** §8.8.3.2: strong comparison. */
function isStrongMatch(tag: string, { etag }: Validators): boolean {
  return tag === etag && etag !== '' && !etag.startsWith('W/');
}

function opaque(tag: string): string {
  return tag.startsWith('W/') ? tag.slice(2) : tag;
}

/** §8.8.3: `entity-tag = [ %s"W/" ] DQUOTE *etagc DQUOTE`. */
function tags(list: string): string[] {
  return list.match(/(?:W\/)?"[\x21\x23-\x7e\x80-\xff]*"/g) ?? [];
}

/** §14.1.2: `bytes=0-99`, `bytes=100-`, `bytes=-500`. What is malformed, or of another unit, is ignored. */
function parseRange(range: string, size: number): Verdict {
  const match = /^bytes=[ \t]*(?:(\d+)-(\d*)|-(\d+))[ \t]*$/i.exec(range);
  if (match === null) return WHOLE;
  const [, first, last = '', suffix] = match;
  const start = first === undefined ? Math.max(0, size - Number(suffix)) : Number(first);
  const end = last === '' ? size : Math.min(size, Number(last) + 1);
  if (last !== '' && Number(last) < start) return WHOLE;
  if (start >= size) return { type: 'unsatisfiable' };
  return { type: 'part', span: { start, end } };
}

const MONTH = '(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)';
const TIME = '\\d{2}:\\d{2}:\\d{2}';
/** §5.6.7: IMF-fixdate and RFC 850's date, and asctime's, which names no zone. */
const WITH_ZONE = new RegExp(`^[A-Za-z]{3,9}, \\d{2}[ -]${MONTH}[ -](?:\\d{2}|\\d{4}) ${TIME} GMT$`);
const ASCTIME = new RegExp(`^[A-Za-z]{3} ${MONTH} [\\d ]\\d ${TIME} \\d{4}$`);

/** In ms since 1970; null when it is no date, which then is ignored. */
export function httpDate(text: string | null): number | null {
  if (text === null) return null;
  const dated = WITH_ZONE.test(text) ? text : ASCTIME.test(text) ? `${text} GMT` : '';
  const ms = Date.parse(dated);
  return Number.isNaN(ms) ? null : ms;
}

/** RFC 9110 §5.3: fields of one name are one list; null when there is none. */
function value(fields: Fields, name: string): string | null {
  let list: string | null = null;
  for (let i = 0; i < fields.length; i += 2) {
    if (fields[i] === name) list = list === null ? (fields[i + 1] ?? '') : `${list}, ${fields[i + 1]}`;
  }
  return list;
}

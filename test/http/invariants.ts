import { HttpError } from '../../src/errors.ts';
import { isHost, TOKEN } from '../../src/http/grammar.ts';
import { CHUNK_LINE_BYTES, effectiveLimits } from '../../src/http/limits.ts';
import { RequestParser } from '../../src/http/parser.ts';
import type { Limits, RequestHead } from '../../src/http/types.ts';
import { everyByte, feed, type Outcome, plain, randomCuts, type SeenRequest } from './feed.ts';

/** What a parser may refuse with; the other codes of the catalogue belong to other parts. */
const PARSER_CODES = new Set([
  'bad-request-line',
  'bad-target',
  'bad-header',
  'bad-host',
  'bad-framing',
  'bad-chunk',
  'bad-trailer',
  'body-too-large',
  'target-too-long',
  'bad-expectation',
  'head-too-large',
  'unknown-coding',
  'bad-version',
]);

/** Controls, and whitespace at an end. */
const BAD_IN_VALUE = /[^\t\x20-\x7e\x80-\xff]|^[ \t]|[ \t]$/;
/** For some 20 KB; linear rules take well under one. */
const MOST_MS = 15;
/** Input up to this size is also fed byte by byte. */
const BYTEWISE_BYTES = 4096;

/**
 * Tries everything that must hold for any input at all.
 * @throws {Error} that says what did not.
 */
export function checkInvariants(bytes: Buffer, limits: Limits, random: () => number): Outcome {
  const whole = feedInTime(bytes, limits);
  checkSame(whole, feed(bytes, randomCuts(bytes.length, random), limits), 'cut at random');
  if (bytes.length <= BYTEWISE_BYTES)
    checkSame(whole, feed(bytes, everyByte(bytes.length), limits), 'byte by byte');
  if (whole.error !== null && !PARSER_CODES.has(whole.error.code)) fail(`refused with ${whole.error.code}`);
  const seen = whole.open === null ? whole.requests : [...whole.requests, whole.open];
  for (const request of seen) checkRequest(request, limits);
  for (const request of whole.requests) checkRoundTrip(request, limits);
  checkMemory(bytes, limits);
  return whole;
}

/** Of five runs one must be quick: the others may have met the garbage collector, or a busy machine. */
function feedInTime(bytes: Buffer, limits: Limits): Outcome {
  const times: number[] = [];
  for (;;) {
    const start = performance.now();
    const outcome = feed(bytes, [], limits);
    times.push(performance.now() - start);
    if (Math.min(...times) < MOST_MS) return outcome;
    if (times.length === 5) fail(`it takes ${Math.min(...times)} ms`);
  }
}

function checkSame(whole: Outcome, cut: Outcome, how: string): void {
  const [left, right] = [JSON.stringify(plain(whole)), JSON.stringify(plain(cut))];
  if (left !== right) fail(`${how} it gives something else:\n  whole: ${left}\n  cut:   ${right}`);
}

/** What everyone behind the parser relies on. */
function checkRequest(request: SeenRequest, limits: Limits): void {
  const { head } = request;
  const names = head.fields.filter((_, index) => index % 2 === 0);
  const values = head.fields.filter((_, index) => index % 2 === 1);
  const count = (wanted: string) => names.filter((name) => name === wanted).length;
  if (!TOKEN.test(head.method)) fail(`method ${head.method}`);
  if (!isPath(head)) fail(`path ${head.path}`);
  if (/[^\x21-\x7e]|#/.test(head.target)) fail(`target ${head.target}`);
  if (!names.every((name) => TOKEN.test(name) && name === name.toLowerCase()))
    fail('a name is no lower-case token');
  if (values.some((value) => BAD_IN_VALUE.test(value))) fail('a value holds what may not be there');
  if (head.minor === 1 ? count('host') !== 1 : count('host') > 1) fail('Host fields');
  if (head.host === '' ? head.minor === 1 : !isHost(head.host)) fail(`host ${head.host}`);
  if (count('content-length') + Math.min(1, count('transfer-encoding')) > 1)
    fail('two opinions on the length');
  if (
    head.body === 'chunked'
      ? count('transfer-encoding') !== 1 || head.minor === 0
      : count('transfer-encoding') > 0
  )
    fail('framing');
  if (head.body !== 'chunked' && request.body.length > head.body) fail('more body than announced');
  const { body, fields } = effectiveLimits(limits);
  // One more: the Host that an absolute-form target brings to HTTP/1.0.
  if (request.body.length > body || names.length > fields + 1) fail('over the limits');
}

function isPath(head: RequestHead): boolean {
  if (head.path === '*') return head.method === 'OPTIONS';
  return head.path.startsWith('/') && !/[?#\0]|%(?![0-9a-f]{2})|%00/i.test(head.path);
}

/** Whoever writes the request anew from what we saw (a proxy, in effect) means the same: nothing was smuggled. */
function checkRoundTrip(request: SeenRequest, limits: Limits): void {
  const { head } = request;
  const lines = [`${head.method} ${head.target} HTTP/1.${head.minor}`];
  for (let index = 0; index < head.fields.length; index += 2)
    lines.push(`${head.fields[index]}: ${head.fields[index + 1]}`);
  const trailers = request.trailers
    .map((text, index) => (index % 2 === 0 ? `${text}: ` : `${text}\r\n`))
    .join('');
  const data = request.body === '' ? '' : `${request.body.length.toString(16)}\r\n${request.body}\r\n`;
  const body = head.body === 'chunked' ? `${data}0\r\n${trailers}\r\n` : request.body;
  const again = feed(Buffer.from(`${lines.join('\r\n')}\r\n\r\n${body}`, 'latin1'), [], roomier(limits));
  if (JSON.stringify(again.requests) !== JSON.stringify([request])) {
    fail(`written anew it reads otherwise: ${again.error?.message ?? JSON.stringify(again.requests)}`);
  }
}

/** A line written anew can be longer by the space behind a colon, and a Host may have been added. */
function roomier(limits: Limits): Limits {
  const { line, fields, fieldSize, body } = effectiveLimits(limits);
  return { line, fields: fields + 1, fieldSize: fieldSize + 1, body };
}

/** What waits in the parser when it asks for more is at most one line; and an error stays. */
function checkMemory(bytes: Buffer, limits: Limits): void {
  const { line, fieldSize } = effectiveLimits(limits);
  const most = Math.max(line, fieldSize, CHUNK_LINE_BYTES) + 2;
  const parser = new RequestParser(limits);
  let first: unknown = null;
  try {
    parser.push(bytes);
    while (parser.next() !== null);
    if (parser.buffered > most) fail(`${parser.buffered} bytes wait`);
  } catch (error) {
    first = error;
  }
  if (!(first instanceof HttpError)) {
    if (first !== null) throw first;
    return;
  }
  try {
    parser.push(Buffer.from('GET / HTTP/1.1\r\nHost: a\r\n\r\n'));
    parser.next();
  } catch (error) {
    if (error === first) return;
  }
  fail('after an error it does not repeat it');
}

function fail(message: string): never {
  throw new Error(message);
}

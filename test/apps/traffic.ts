/** Gives back what it gets, and what it is asked for: slowly, in parts, or a lot of it. `traffic.py` is the same. */
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { crc32 } from 'node:zlib';
import type { Application, Body, Environ, StartResponse } from '../../src/wsgi/types.ts';

type View = (environ: Environ, startResponse: StartResponse, query: URLSearchParams) => Body | Promise<Body>;

const TEXT = ['Content-Type', 'text/plain'] as const;
const STEP = 60_000;
const PERIOD = 65_536;

/** Method, path and query, the field X-Tag, and the body. */
const echo: View = (environ, startResponse, query) => {
  startResponse('200 OK', [TEXT, ['X-Tag', environ.HTTP_X_TAG ?? '']]);
  const line = `${environ.REQUEST_METHOD} ${environ.PATH_INFO}?${environ.QUERY_STRING}\n`;
  const first = Buffer.from(line, 'latin1');
  const body = environ['wsgi.input'].read();
  const count = query.get('parts');
  return count === null ? [Buffer.concat([first, body])] : parts(first, body, Number(count));
};

async function* parts(first: Buffer, body: Buffer, count: number): AsyncGenerator<Buffer> {
  yield first;
  const step = Math.max(1, Math.floor(body.length / count));
  for (let start = 0; start < body.length; start += step) yield body.subarray(start, start + step);
}

/** Length and CRC of the body. */
const checksum: View = (environ, startResponse) => {
  let [length, crc] = [0, 0];
  for (let block = environ['wsgi.input'].read(PERIOD); block.length > 0; ) {
    length += block.length;
    crc = crc32(block, crc);
    block = environ['wsgi.input'].read(PERIOD);
  }
  startResponse('200 OK', [TEXT]);
  return [`${length} ${crc}`];
};

const ENDLESS = Buffer.from(
  Uint8Array.from({ length: 2 * PERIOD }, (_, at) => {
    const i = at % PERIOD;
    return (i * 31 + (i >> 8)) & 255;
  }),
);

/** `size` bytes in blocks of 60,000, each byte by its place; with `length` its length is told. */
const produce: View = (_, startResponse, query) => {
  const size = Number(query.get('size'));
  const told = query.has('length') ? [['Content-Length', String(size)] as const] : [];
  startResponse('200 OK', [['Content-Type', 'application/octet-stream'], ...told]);
  return blocks(size);
};

function* blocks(size: number): Generator<Buffer> {
  for (let at = 0; at < size; at += STEP) {
    const from = at % PERIOD;
    yield ENDLESS.subarray(from, from + Math.min(STEP, size - at));
  }
}

const slow: View = async (_, startResponse, query) => {
  await sleep(Number(query.get('s')) * 1000);
  startResponse('200 OK', [TEXT]);
  return ['slept'];
};

/** Stops for `s` seconds in the middle of its answer. */
const gap: View = async function* (_, startResponse, query) {
  startResponse('200 OK', [TEXT, ['Content-Length', '10']]);
  yield 'first';
  await sleep(Number(query.get('s')) * 1000);
  yield 'later';
} as View;

/** The names and values of the request's own environ, as lines. */
const digest: View = (environ, startResponse) => {
  startResponse('200 OK', [['Content-Type', 'text/plain; charset=latin-1']]);
  const own = Object.entries(environ).filter(([, value]) => typeof value === 'string');
  const lines = own.sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, value]) => `${key}=${value}\n`);
  const sum = createHash('sha256').update(environ['wsgi.input'].read()).digest('hex');
  return [Buffer.from(lines.join(''), 'latin1'), sum];
};

const VIEWS: Readonly<Record<string, View>> = { echo, checksum, produce, sleep: slow, gap, environ: digest };

export const application: Application = (environ, startResponse) => {
  const view = VIEWS[environ.PATH_INFO.split('/')[1] ?? ''];
  if (view === undefined) throw new Error(`There is no view ${environ.PATH_INFO}.`);
  return view(environ, startResponse, new URLSearchParams(environ.QUERY_STRING));
};

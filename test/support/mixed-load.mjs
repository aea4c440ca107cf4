/**
 * A load of mixed requests, as a process of its own: each connection asks again when everything that it asked for
 * is answered. It never asks twice: what became of each request is recorded. Its parent is mixed-load.ts.
 */
import net from 'node:net';
import { takeAnswer } from './load-answers.mjs';
import { mulberry32 } from './random.mjs';

/**
 * @typedef {object} Kind
 * @property {string} name
 * @property {number} share of what is asked, 0 to 1
 * @property {string} method
 * @property {number} [times] how often the body holds the nonce
 * @property {number} [blocks] the answer is streamed
 * @property {boolean} [slow]
 * @property {number} [most] so many are sent in one write, at most
 */

/** @type {readonly Kind[]} */
export const KINDS = [
  { name: 'get', share: 0.38, method: 'GET' },
  { name: 'head', share: 0.08, method: 'HEAD' },
  { name: 'post', share: 0.23, method: 'POST', times: 3 },
  { name: 'upload', share: 0.01, method: 'POST', times: 20_000 },
  { name: 'stream', share: 0.05, method: 'GET', blocks: 3 },
  { name: 'slow get', share: 0.05, method: 'GET', slow: true },
  { name: 'slow post', share: 0.05, method: 'POST', times: 1, slow: true },
  { name: 'burst', share: 0.15, method: 'GET', most: 12 },
];

/**
 * What became of a request that has no status. `cut`: an answer in parts ended before its end; when a reset comes while
 * this process is busy, Node takes it for an end (measured: 8 of 300 by `resetAndDestroy`), so the two are one here.
 */
export const FATES = /** @type {const} */ ({ none: 0, cut: 1, reset: 2, wrong: 3, silent: 4, refused: 5 });

/** @typedef {{ port: number, connections: number, seed: number }} MixedOptions */
/** @typedef {{ id: number, kind: Kind }} Asked `id` is the nonce */

const SLOW_FROM_MS = 5;
const SLOW_TO_MS = 20;
const PATIENCE_MS = 30_000;
const EXAMPLES = 50;

/** @type {number[]} by nonce: index in KINDS */ const kinds = [];
/** @type {number[]} by nonce: a status, or one of FATES */ const fates = [];
/** @type {string[]} what nothing can excuse, for people */ const faults = [];
const options = /** @type {MixedOptions} */ (JSON.parse(process.argv[2] ?? '{}'));
let stopping = false;
let open = 0;
let done = 0;

/** The same requests for the same seed. */
const random = mulberry32(options.seed);

class MixedConnection {
  /** @type {net.Socket} */ #socket;
  /** @type {Asked[]} */ #asked = [];
  /** @type {Buffer} */ #bytes = Buffer.alloc(0);
  /** @type {NodeJS.Timeout} */ #late;
  #over = false;

  constructor() {
    open++;
    this.#late = setTimeout(() => this.#end(FATES.silent, 'no answer in time'), PATIENCE_MS);
    this.#socket = net.connect({ port: options.port, host: '127.0.0.1', noDelay: true });
    this.#socket.on('connect', () => this.#ask());
    this.#socket.on('data', (data) => this.#take(data));
    this.#socket.on('end', () => this.#end(FATES.reset, 'FIN'));
    this.#socket.on('error', (error) => {
      const code = String(/** @type {NodeJS.ErrnoException} */ (error).code);
      this.#end(code === 'ECONNREFUSED' ? FATES.refused : FATES.reset, code);
    });
  }

  #ask() {
    if (stopping) return this.#close();
    const { asked, text } = nextRequests();
    this.#asked = asked;
    this.#late.refresh();
    this.#socket.write(text, 'latin1');
  }

  /** @param {Buffer} data */
  #take(data) {
    this.#bytes = this.#bytes.length === 0 ? data : Buffer.concat([this.#bytes, data]);
    try {
      this.#takeAnswers();
    } catch (error) {
      this.#end(FATES.wrong, /** @type {Error} */ (error).message);
    }
  }

  #takeAnswers() {
    for (let first = this.#asked[0]; first !== undefined; first = this.#asked[0]) {
      const answer = takeAnswer(this.#bytes, first.kind.method === 'HEAD');
      if (answer === null) return;
      this.#bytes = answer.rest;
      this.#asked.shift();
      const fault = faultOf(first, answer);
      record(first.id, fault === '' ? answer.status : FATES.wrong, fault);
      if (answer.close) return this.#end(FATES.reset, 'closed');
    }
    if (this.#bytes.length > 0) throw new Error(`stray bytes: ${this.#bytes.toString('latin1', 0, 100)}`);
    this.#ask();
  }

  /** @param {number} fate @param {string} why */
  #end(fate, why) {
    if (this.#over) return;
    const text = `${why} after ${this.#bytes.length} bytes`;
    for (const [at, asked] of this.#asked.entries()) {
      const isCut = fate === FATES.reset && at === 0 && isInPart(asked, this.#bytes);
      record(asked.id, isCut ? FATES.cut : fate, text);
    }
    if (fate === FATES.wrong) faults.push(text);
    this.#close();
    if (!stopping && fate !== FATES.refused) new MixedConnection();
  }

  #close() {
    this.#over = true;
    clearTimeout(this.#late);
    this.#socket.destroy();
    open--;
  }
}

/** The head of its own answer has come, and it is one that comes in parts. @param {Asked} asked @param {Buffer} bytes */
function isInPart({ id, kind }, bytes) {
  return kind.blocks !== undefined && bytes.toString('latin1').includes(`\r\nX-Nonce: ${id}\r\n`);
}

/** @param {Asked} asked @param {import('./load-answers.mjs').Answer} answer */
function faultOf({ id, kind: { method, blocks = 0 } }, { status, nonce, body }) {
  if (status !== 200) return '';
  const text = blocks === 0 ? String(id) : Array.from({ length: blocks }, (_, i) => `${id}.${i};`).join('');
  const wanted = method === 'HEAD' ? '' : text;
  return nonce === String(id) && body === wanted ? '' : `got ${nonce}: ${body.slice(0, 100)}`;
}

/** @param {number} id @param {number} fate @param {string} why */
function record(id, fate, why) {
  fates[id] = fate;
  done++;
  if (fate < 100 && fate !== FATES.cut && faults.length < EXAMPLES)
    faults.push(`${id}: fate ${fate}, ${why}`);
}

function chooseKind() {
  let at = random();
  for (const [index, { share }] of KINDS.entries()) {
    if (at < share) return index;
    at -= share;
  }
  return 0;
}

/** What one connection asks for in one write. @returns {{ asked: Asked[], text: string }} */
function nextRequests() {
  const index = chooseKind();
  const kind = /** @type {Kind} */ (KINDS[index]);
  const asked = [];
  let text = '';
  for (let left = 1 + Math.floor(random() * (kind.most ?? 1)); left > 0; left--) {
    const id = kinds.push(index) - 1;
    fates.push(FATES.none);
    asked.push({ id, kind });
    text += requestText({ id, kind });
  }
  return { asked, text };
}

/** @param {Asked} asked */
function requestText({ id, kind: { method, times = 0, blocks = 0, slow = false } }) {
  const body = `${id},`.repeat(times);
  const words = [`n=${id}`, `times=${times}`];
  if (blocks > 0) words.push(`blocks=${blocks}`, 'ms=0.5');
  if (slow) words.push(`ms=${Math.round(SLOW_FROM_MS + random() * (SLOW_TO_MS - SLOW_FROM_MS))}`);
  const length = times > 0 ? `Content-Length: ${body.length}\r\n` : '';
  return `${method} /?${words.join('&')} HTTP/1.1\r\nHost: load\r\n${length}\r\n${body}`;
}

function stop() {
  stopping = true;
  const look = setInterval(() => {
    if (open > 0) return;
    clearInterval(look);
    const report = { kinds: Uint8Array.from(kinds), fates: Uint16Array.from(fates), faults };
    process.send?.({ type: 'report', report }, () => process.exit(0));
  }, 5);
}

if (process.send !== undefined && options.port !== undefined) {
  process.on('disconnect', () => process.exit(1));
  process.on('message', stop);
  setInterval(() => process.send?.({ type: 'progress', done }), 50).unref();
  for (let i = 0; i < options.connections; i++) new MixedConnection();
}

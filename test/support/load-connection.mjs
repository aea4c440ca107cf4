/** One connection of the load: at most one request at a time, and a recorded fate for each. */
import net from 'node:net';
import { takeAnswer } from './load-answers.mjs';

/**
 * What became of a request.
 * - `ok`: 200 with the request's own nonce. `status`: a whole answer with another status.
 * - `refused`: no connection. `reset`: RST. `cut`: FIN before the end of the answer, or without one.
 * - `raced`: FIN or RST and not one byte of an answer, on a connection that had been idle for as long as the server
 *   keeps one: the race of RFC 9112 §9.3.1 that no server can win.
 * - `wrong`: another request's answer, one that breaks the rules, or bytes behind it. `silent`: none in time.
 * @typedef {'ok' | 'status' | 'refused' | 'reset' | 'cut' | 'raced' | 'wrong' | 'silent'} Fate
 */

/**
 * Times are milliseconds of the machine's monotonic clock, the same in every process.
 * @typedef {object} Fated
 * @property {string} method
 * @property {string} path
 * @property {string} nonce
 * @property {boolean} fresh on a connection of its own
 * @property {number} sentMs
 * @property {number} doneMs
 * @property {Fate} fate
 * @property {number} status 0 without an answer
 * @property {number} worker process id of who answered; 0 when unknown
 * @property {string} retryAfter as the answer has it
 * @property {string} why for people
 */

/** @typedef {{ method: string, path: string, nonce: string, fresh: boolean }} Wanted */

/** @typedef {{ port: number, keepAliveMs: number, patienceMs: number }} Target */

/**
 * `closed`: ended by the server while idle, or after `Connection: close`, as it may. `idleResets`: RST instead.
 * `stray`: bytes that nobody asked for.
 * @typedef {{ opened: number, closed: number, idleResets: number, stray: number }} Connections
 */

export const now = () => Number(process.hrtime.bigint()) / 1e6;

export class LoadConnection {
  /** @type {net.Socket} */ #socket;
  /** @type {Target} */ #target;
  /** @type {Connections} */ #counts;
  /** @type {Buffer} */ #bytes = Buffer.alloc(0);
  /** @type {{ wanted: Wanted, sentMs: number, idleMs: number, done: (fated: Fated) => void } | null} */ #asked =
    null;
  /** @type {NodeJS.Timeout | undefined} */ #timer;
  #idleSince = now();
  #connected = false;
  #over = false;

  /** @param {Target} target @param {Connections} counts */
  constructor(target, counts) {
    this.#target = target;
    this.#counts = counts;
    this.#socket = net.connect({ port: target.port, host: '127.0.0.1', noDelay: true });
    this.#socket.on('connect', () => {
      this.#connected = true;
      counts.opened++;
    });
    this.#socket.on('data', (data) => this.#take(data));
    this.#socket.on('end', () => this.#end('cut', 'FIN'));
    this.#socket.on('error', (error) =>
      this.#fail(/** @type {NodeJS.ErrnoException} */ (error).code ?? error.message),
    );
    this.#socket.on('close', () => this.#end('cut', 'closed'));
  }

  /** No further request may be sent: the server has closed it, or said that it will. */
  get isOver() {
    return this.#over;
  }

  /** @param {Wanted} wanted @returns {Promise<Fated>} */
  ask(wanted) {
    const { method, path, nonce } = wanted;
    const body = method === 'POST' ? nonce : '';
    const separator = path.includes('?') ? '&' : '?';
    const head = [
      `${method} ${path}${separator}nonce=${nonce} HTTP/1.1`,
      'Host: load',
      ...(wanted.fresh ? ['Connection: close'] : []),
      ...(method === 'POST' ? [`Content-Length: ${body.length}`] : []),
    ];
    return new Promise((done) => {
      const sentMs = now();
      this.#asked = { wanted, sentMs, idleMs: this.#connected ? sentMs - this.#idleSince : 0, done };
      this.#timer = setTimeout(() => this.#end('silent', 'no answer in time'), this.#target.patienceMs);
      this.#socket.write(`${head.join('\r\n')}\r\n\r\n${body}`, 'latin1');
    });
  }

  close() {
    this.#over = true;
    this.#socket.destroy();
  }

  /** @param {Buffer} data */
  #take(data) {
    if (this.#asked === null) {
      this.#counts.stray++;
      return this.close();
    }
    this.#bytes = this.#bytes.length === 0 ? data : Buffer.concat([this.#bytes, data]);
    try {
      const answer = takeAnswer(this.#bytes);
      if (answer !== null) this.#answered(answer);
    } catch (error) {
      this.#end('wrong', /** @type {Error} */ (error).message);
    }
  }

  /** @param {import('./load-answers.mjs').Answer} answer */
  #answered({ status, close, worker, retryAfter, body, rest }) {
    this.#bytes = Buffer.alloc(0);
    const { wanted } = /** @type {NonNullable<typeof this.#asked>} */ (this.#asked);
    if (rest.length > 0) return this.#end('wrong', `${rest.length} bytes behind the answer`);
    if (status === 200 && body !== wanted.nonce)
      return this.#end('wrong', `the answer to ${body.slice(0, 100)}`);
    // What the server announced: the client sends nothing more, and waits for its FIN.
    if (close || wanted.fresh) this.#over = true;
    this.#settle(status === 200 ? 'ok' : 'status', status === 200 ? '' : body.slice(0, 200), {
      status,
      worker,
      retryAfter,
    });
  }

  /** @param {string} code */
  #fail(code) {
    if (code === 'ECONNREFUSED') return this.#end('refused', code);
    this.#end('reset', code);
  }

  /** @param {Fate} how @param {string} why */
  #end(how, why) {
    if (this.#asked !== null) {
      const late = this.#asked.idleMs >= this.#target.keepAliveMs && this.#bytes.length === 0;
      const fate = late && (how === 'cut' || how === 'reset') ? 'raced' : how;
      const got = this.#bytes.length === 0 ? '' : ` after ${this.#bytes.length} bytes`;
      this.#over = true;
      this.#settle(fate, `${why}${got}`, { status: 0, worker: 0, retryAfter: '' });
      this.#socket.destroy();
    } else if (!this.#socket.destroyed || how === 'reset') {
      if (how === 'reset') this.#counts.idleResets++;
      else this.#counts.closed++;
      this.close();
    }
  }

  /** @param {Fate} fate @param {string} why @param {Pick<Fated, 'status' | 'worker' | 'retryAfter'>} answer */
  #settle(fate, why, answer) {
    clearTimeout(this.#timer);
    const { wanted, sentMs, done } = /** @type {NonNullable<typeof this.#asked>} */ (this.#asked);
    this.#asked = null;
    this.#idleSince = now();
    done({ ...wanted, sentMs, doneMs: this.#idleSince, fate, why, ...answer });
  }
}

/**
 * A client that keeps its connection, sends one request at a time and compares every byte of every body. It opens a
 * new connection when the server has said `Connection: close`, as browsers do.
 */
import { connect } from 'node:net';

const HEAD_END = '\r\n\r\n';

/** @param {string} path @returns {Buffer} as wrk sends it. */
export function get(path) {
  return Buffer.from(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`);
}

/** @param {string} path @param {Buffer} body */
export function post(path, body) {
  const head = `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: ${body.length}\r\n\r\n`;
  return Buffer.concat([Buffer.from(head), body]);
}

/**
 * @param {Buffer} bytes what has come so far.
 * @returns {{ bodyAt: number, end: number, keep: boolean } | null} null while the head is not complete.
 * @throws {Error} on another status than 200, or without a length.
 */
export function parseHead(bytes) {
  const at = bytes.indexOf(HEAD_END);
  if (at === -1) return null;
  const head = bytes.latin1Slice(0, at);
  if (!/^HTTP\/1\.[01] 200 /.test(head)) throw new Error(`answered ${head.slice(9, 12)}`);
  const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
  if (length === undefined) throw new Error('answered without Content-Length');
  const connection = /\r\nconnection: *([^\r]+)/i.exec(head)?.[1]?.toLowerCase();
  const keep = head.startsWith('HTTP/1.1') ? connection !== 'close' : connection === 'keep-alive';
  const bodyAt = at + HEAD_END.length;
  return { bodyAt, end: bodyAt + Number(length), keep };
}

export class Client {
  #port;
  #socket = null;
  #received = Buffer.alloc(0);
  /** @type {{ expected: Buffer, resolve: (bytes: number) => void, reject: (error: Error) => void } | null} */
  #waiting = null;
  #ended = false;

  /** @param {number} port of 127.0.0.1 */
  constructor(port) {
    this.#port = port;
  }

  /** Whether the server has closed a connection that was idle. */
  get isOpen() {
    return this.#socket !== null && !this.#socket.destroyed;
  }

  /**
   * @param {Buffer} bytes the request.
   * @param {Buffer} expected the body that must come.
   * @returns {Promise<number>} length of the whole answer.
   */
  request(bytes, expected) {
    return new Promise((resolve, reject) => {
      if (this.#ended) return reject(new Error('ended'));
      this.#waiting = { expected, resolve, reject };
      if (!this.isOpen) this.#open();
      this.#socket.write(bytes);
    });
  }

  end() {
    this.#ended = true;
    this.#socket?.destroy();
    this.#fail(new Error('ended'));
  }

  #open() {
    const socket = connect({ port: this.#port, host: '127.0.0.1', noDelay: true });
    this.#socket = socket;
    this.#received = Buffer.alloc(0);
    socket.on('data', (chunk) => this.#take(chunk));
    socket.on('error', (error) => socket === this.#socket && this.#fail(error));
    socket.on('close', () => {
      if (socket === this.#socket) this.#fail(new Error('connection cut'));
    });
  }

  #take(chunk) {
    this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
    try {
      const head = parseHead(this.#received);
      if (head === null || this.#received.length < head.end) return;
      this.#finish(head);
    } catch (error) {
      this.#socket.destroy();
      this.#fail(error);
    }
  }

  #finish({ bodyAt, end, keep }) {
    const answer = this.#received;
    this.#received = Buffer.alloc(0);
    if (!keep) this.#socket.destroy();
    const waiting = this.#waiting;
    if (waiting === null || answer.length > end) throw new Error('answered more than it was asked for');
    if (!answer.subarray(bodyAt, end).equals(waiting.expected)) throw new Error('answered wrong bytes');
    this.#waiting = null;
    waiting.resolve(end);
  }

  #fail(error) {
    const waiting = this.#waiting;
    this.#waiting = null;
    waiting?.reject(error);
  }
}

/**
 * As much of a PostgreSQL server as a client library needs to connect and to ask (protocol 3.0, PostgreSQL's manual,
 * "Message Formats"). Its answers leave one byte at a time, whenever the test says so.
 */

import type { AddressInfo } from 'node:net';
import { createServer, type Server, type Socket } from 'node:net';

const SSL_REQUEST = 80877103;
const GSS_REQUEST = 80877104;
const TEXT = 25;

export class Postgres implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** Called before each byte of an answer to a query. */
  readonly #pace: () => Promise<void>;
  /** What was asked. */
  readonly queries: string[] = [];

  private constructor(pace: () => Promise<void>) {
    this.#pace = pace;
    this.#server = createServer((socket) => this.#serve(socket));
  }

  static async open(pace: () => Promise<void>): Promise<Postgres> {
    const postgres = new Postgres(pace);
    await new Promise<void>((resolve) => postgres.#server.listen(0, '127.0.0.1', resolve));
    return postgres;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => {});
    socket.setNoDelay(true);
    const turns = new Turns(socket, { pace: this.#pace, queries: this.queries });
    socket.on('data', (chunk) => turns.push(chunk));
  }
}

/** One connection: what the client has said is answered in order. */
class Turns {
  readonly #socket: Socket;
  readonly #options: { readonly pace: () => Promise<void>; readonly queries: string[] };
  #bytes: Buffer = Buffer.alloc(0);
  #started = false;
  #answer: Buffer[] = [];
  #query = '';
  /** `I` outside of a transaction, `T` in one. */
  #state = 'I';

  constructor(socket: Socket, options: { readonly pace: () => Promise<void>; readonly queries: string[] }) {
    this.#socket = socket;
    this.#options = options;
  }

  push(chunk: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    for (;;) {
      const head = this.#started ? 1 : 0;
      if (this.#bytes.length < head + 4) return;
      const length = head + this.#bytes.readUInt32BE(head);
      if (this.#bytes.length < length) return;
      const body = this.#bytes.subarray(head + 4, length);
      const kind = this.#started ? String.fromCharCode(this.#bytes[0] ?? 0) : '';
      this.#bytes = this.#bytes.subarray(length);
      if (this.#started) void this.#take(kind, body);
      else this.#start(body.readUInt32BE(0));
    }
  }

  #start(request: number): void {
    if (request === SSL_REQUEST || request === GSS_REQUEST) return void this.#socket.write('N');
    this.#started = true;
    const settings = { server_version: '16.0', client_encoding: 'UTF8', DateStyle: 'ISO', TimeZone: 'UTC' };
    const status = { ...settings, standard_conforming_strings: 'on', integer_datetimes: 'on' };
    const parameters = Object.entries(status).map(([name, value]) => message('S', strings(name, value)));
    const key = message('K', Buffer.alloc(8, 1));
    this.#socket.write(Buffer.concat([message('R', int32(0)), ...parameters, key, this.#ready()]));
  }

  #ready(): Buffer {
    return message('Z', Buffer.from(this.#state));
  }

  /** Simple queries (`Q`), and extended ones: parse, bind, describe, execute, sync. */
  async #take(kind: string, body: Buffer): Promise<void> {
    switch (kind) {
      case 'Q':
        this.#note(body.toString('utf8', 0, body.length - 1));
        this.#answer = [this.#columns(), ...this.#rows()];
        return this.#finish();
      case 'P': {
        const name = body.indexOf(0) + 1;
        this.#note(body.toString('utf8', name, body.indexOf(0, name)));
        this.#answer.push(message('1'));
        return;
      }
      case 'B':
        this.#answer.push(message('2'));
        return;
      case 'D':
        this.#answer.push(this.#columns());
        return;
      case 'E':
        this.#answer.push(...this.#rows());
        return;
      case 'S':
        return this.#finish();
      default:
      // Terminate, and whatever needs no answer.
    }
  }

  #note(query: string): void {
    this.#query = query.trim();
    this.#options.queries.push(this.#query);
    const [verb = ''] = this.#query.toUpperCase().split(/\W/);
    if (verb === 'BEGIN') this.#state = 'T';
    if (verb === 'COMMIT' || verb === 'ROLLBACK') this.#state = 'I';
  }

  get #selects(): boolean {
    return /^select/i.test(this.#query);
  }

  #columns(): Buffer {
    if (!this.#selects) return Buffer.alloc(0);
    const column = Buffer.concat([
      strings('answer'),
      int32(0),
      int16(0),
      int32(TEXT),
      int16(-1),
      int32(-1),
      int16(0),
    ]);
    return message('T', Buffer.concat([int16(1), column]));
  }

  /** Two rows: a word, and what was asked. */
  #rows(): Buffer[] {
    if (!this.#selects) return [message('C', strings(this.#query.toUpperCase().split(/\W/)[0] ?? ''))];
    const rows = ['first', this.#query].map((text) =>
      message('D', Buffer.concat([int16(1), int32(Buffer.byteLength(text)), Buffer.from(text)])),
    );
    return [...rows, message('C', strings('SELECT 2'))];
  }

  async #finish(): Promise<void> {
    const bytes = Buffer.concat([...this.#answer.splice(0), this.#ready()]);
    for (const byte of this.#selects ? bytes : []) {
      await this.#options.pace();
      this.#socket.write(Buffer.of(byte));
    }
    if (!this.#selects) this.#socket.write(bytes);
  }
}

function message(kind: string, body: Buffer = Buffer.alloc(0)): Buffer {
  return Buffer.concat([Buffer.from(kind), int32(body.length + 4), body]);
}

function strings(...texts: readonly string[]): Buffer {
  return Buffer.from(texts.map((text) => `${text}\0`).join(''));
}

function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeInt16BE(value);
  return bytes;
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}

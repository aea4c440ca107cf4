import type { IncomingMessage, OutgoingHttpHeader, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { HOP_BY_HOP } from '../http/grammar.ts';
import { nodeHttp } from './node-http.ts';
import type { NodeSocket } from './node-socket.ts';
import type { Environ, Header } from './types.ts';

type Callback = (error?: Error | null) => void;
type Given = string | Uint8Array;
type HeadFields = OutgoingHttpHeaders | OutgoingHttpHeader[] | undefined;

/**
 * Node's own response, all of whose events and rules are the real ones; what it would write in HTTP goes nowhere. Its head
 * and the parts of its body are taken where they are given.
 *
 * The methods are the object's own, not those of a class: Express gives each response another prototype.
 */
export class NodeResponse {
  readonly response: ServerResponse;
  /** Fulfilled when the head stands; rejected when the response was broken off before. */
  readonly head: Promise<void>;
  /** `200 OK` */
  status = '';
  fields: Header[] = [];
  readonly #own = nodeHttp().ServerResponse.prototype;
  readonly #environ: Environ;
  readonly #socket: NodeSocket;
  #parts: Buffer[] = [];
  #left = false;
  #needsDrain = false;
  #broken: unknown = null;
  #onHead: () => void = () => {};
  #onBroken: (error: unknown) => void = () => {};
  #wake: () => void = () => {};

  constructor(
    request: IncomingMessage,
    { socket, environ }: { readonly socket: NodeSocket; readonly environ: Environ },
  ) {
    this.#environ = environ;
    this.#socket = socket;
    this.response = new (nodeHttp().ServerResponse)(request);
    this.head = new Promise((resolve, reject) => {
      this.#onHead = resolve;
      this.#onBroken = reject;
    });
    // What happens after the head is thrown where the parts are taken.
    this.head.catch(() => {});
    this.#attach();
    this.#tap();
  }

  /** What Node's server does with the socket of a connection. */
  #attach(): void {
    const { response } = this;
    response.assignSocket(this.#socket as unknown as Socket);
    this.#socket.on('drain', () => {
      if (!this.#needsDrain) return;
      this.#needsDrain = false;
      response.emit('drain');
    });
    // `close` follows when everything has been taken.
    response.once('finish', () => this.#socket.destroy());
    this.#socket.once('close', () => this.break(closedEarly(this.#socket.errored)));
  }

  #tap(): void {
    const { response } = this;
    Object.assign(response, {
      writeHead: (code: number, reason?: string | HeadFields, fields?: HeadFields) =>
        this.#writeHead(code, { reason, fields }),
      flushHeaders: () => {
        this.#own.flushHeaders.call(response);
        this.#onHead();
      },
      write: (chunk: Given, encoding?: BufferEncoding | Callback, callback?: Callback) =>
        this.#write(chunk, { encoding, callback }),
      end: (chunk?: Given | Callback, encoding?: BufferEncoding | Callback, callback?: Callback) =>
        this.#end(chunk, { encoding, callback }),
      writeContinue: () => {},
      writeProcessing: () => {},
      writeEarlyHints: (hints: Record<string, string | string[]>, callback?: () => void) =>
        this.#hint(hints, callback),
    });
    Object.defineProperty(response, 'writableNeedDrain', { get: () => this.#needsDrain });
  }

  /** The next part; null after the last. @throws what broke the response off. */
  async take(): Promise<Buffer | null> {
    while (this.#parts.length === 0) {
      if (this.#left) return null;
      if (this.#broken !== null) throw this.#broken;
      if (this.response.writableEnded) {
        this.#socket.flow();
        return null;
      }
      const more = new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      // Everything so far is with the client, or nearly: more may come.
      this.#socket.flow();
      await more;
    }
    const parts = this.#parts;
    this.#parts = [];
    return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts);
  }

  /** The whole body of a response that has ended. */
  takeAll(): Buffer[] {
    this.#socket.flow();
    return this.#parts;
  }

  /** Some of the body can be taken. */
  get hasParts(): boolean {
    return this.#parts.length > 0;
  }

  /** The client has gone, which is no error: whoever waits goes on with nothing. */
  leave(): void {
    this.#left = true;
    this.#onHead();
    this.#wake();
  }

  /** Nothing more comes, because of this. */
  break(error: unknown): void {
    if (this.#left || this.#broken !== null || this.response.writableFinished) return;
    this.#broken = error;
    this.#onBroken(error);
    this.#wake();
  }

  #writeHead(
    code: number,
    { reason, fields }: { readonly reason: string | HeadFields; readonly fields: HeadFields },
  ): ServerResponse {
    const { response } = this;
    const given = typeof reason === 'string' ? fields : (fields ?? reason);
    // Those that are given here only would be known to the bytes alone.
    if (given !== undefined && !response.headersSent) setAll(response, given);
    if (typeof reason === 'string') this.#own.writeHead.call(response, code, reason as never);
    else this.#own.writeHead.call(response, code);
    const text = response.statusMessage || (nodeHttp().STATUS_CODES[response.statusCode] ?? '');
    this.status = `${response.statusCode} ${text}`;
    this.fields = [...fieldsOf(response)];
    return response;
  }

  #write(
    chunk: Given,
    given: {
      readonly encoding: BufferEncoding | Callback | undefined;
      readonly callback: Callback | undefined;
    },
  ): boolean {
    const { response } = this;
    const { encoding, callback } = sort(given);
    const isOpen = !response.writableEnded && !response.destroyed;
    const flowing = this.#held(() => this.#own.write.call(response, chunk, encoding ?? 'utf8', callback));
    if (!flowing) this.#needsDrain = true;
    if (isOpen) this.#add(chunk, encoding);
    return flowing;
  }

  #end(
    chunk: Given | Callback | null | undefined,
    given: {
      readonly encoding: BufferEncoding | Callback | undefined;
      readonly callback: Callback | undefined;
    },
  ): ServerResponse {
    const { response } = this;
    const isOpen = !response.writableEnded;
    const last = typeof chunk === 'function' ? null : (chunk ?? null);
    const { encoding, callback } =
      typeof chunk === 'function' ? { encoding: undefined, callback: chunk } : sort(given);
    this.#held(() => {
      if (last === null) (this.#own.end as (done?: Callback) => void).call(response, callback);
      else this.#own.end.call(response, last, encoding ?? 'utf8', callback);
    });
    if (isOpen) this.#add(last ?? '', encoding);
    return response;
  }

  /** Holds back what is written until it has been taken. Whoever waits is woken, and lets it go, also when nothing was written. */
  #held<T>(write: () => T): T {
    this.#socket.hold();
    try {
      return write();
    } finally {
      this.#wake();
    }
  }

  #hint(hints: Record<string, string | string[]>, callback?: () => void): void {
    const fields = Object.entries(hints).flatMap(([name, values]) =>
      [values].flat().map((value): Header => [name, value]),
    );
    this.#environ['wsgi.early_hints']?.(fields);
    callback?.();
  }

  /** Whoever waits goes on when the listener has come to rest: it may write more, or end, in the same breath. */
  #add(chunk: Given, encoding: BufferEncoding | undefined): void {
    const part = typeof chunk === 'string' ? Buffer.from(chunk, encoding) : Buffer.from(chunk);
    if (part.length > 0) this.#parts.push(part);
    this.#onHead();
  }
}

/** The encoding may be left out. */
function sort({
  encoding,
  callback,
}: {
  readonly encoding: BufferEncoding | Callback | undefined;
  readonly callback: Callback | undefined;
}): { encoding: BufferEncoding | undefined; callback: Callback | undefined } {
  return typeof encoding === 'function'
    ? { encoding: undefined, callback: encoding }
    : { encoding, callback };
}

/** As Node does where some have been set before: those of the same name make way. */
function setAll(response: ServerResponse, fields: NonNullable<HeadFields>): void {
  if (!Array.isArray(fields)) {
    for (const [name, value] of Object.entries(fields)) response.setHeader(name, value as string);
    return;
  }
  const pairs = [...pairsOf(fields)];
  for (const [name] of pairs) response.removeHeader(name);
  for (const [name, value] of pairs) response.appendHeader(name, value);
}

/** Of `[name, value, name, value]`, and of `[[name, value], [name, value]]`. */
function* pairsOf(list: OutgoingHttpHeader[]): Generator<[name: string, value: string | string[]]> {
  const flat = Array.isArray(list[0]) ? (list as unknown as OutgoingHttpHeader[][]).flat() : list;
  for (let i = 0; i + 1 < flat.length; i += 2) {
    const value = flat[i + 1];
    yield [String(flat[i]), Array.isArray(value) ? value.map(String) : String(value)];
  }
}

/** Without a stack: it would tell of sockets here, and nothing of the listener. */
function closedEarly(cause: Error | null): Error {
  const error = new Error('The listener closed the response before it was complete.');
  error.stack = `${error.name}: ${error.message}`;
  return cause === null ? error : Object.assign(error, { cause });
}

/** What belongs to the connection is the server's, whatever a framework says. */
function* fieldsOf(response: ServerResponse): Generator<Header> {
  // In the spelling in which they were given; Node's types of 20 do not know it.
  const { getRawHeaderNames } = response as unknown as { getRawHeaderNames(): string[] };
  for (const name of getRawHeaderNames.call(response)) {
    if (HOP_BY_HOP.has(name.toLowerCase())) continue;
    for (const value of [response.getHeader(name)].flat()) yield [name, String(value)];
  }
}

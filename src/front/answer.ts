import { HttpError } from '../errors.ts';
import type { Exchange, Peer, RequestBody, ResponseHead, Trace } from '../http/exchange.ts';
import { earlyHead, errorResponse, type Framing, frameResponse } from '../http/response.ts';
import type { Fields, RequestHead } from '../http/types.ts';
import type { Outgoing } from './outgoing.ts';
import type { Turn } from './turn.ts';

/** As nginx logs it: the client left before there was an answer. */
export const CLIENT_LEFT = 499;

/** Value of the Server field: no version, which only helps those who look for old ones. */
export const SERVER = 'tunicorn';

/** What an answer needs of the connection it goes out on. */
export interface Channel {
  readonly outgoing: Outgoing;
  readonly local: { readonly unix: boolean };
  /** No other answer follows on this connection. */
  readonly lastAnswer: boolean;
  /** With which an answer that is whole may leave; null for at once. */
  readonly turn: Turn | null;
  readonly context: { date(): string; warn(message: string): void };
  /** The head goes out. */
  responding(): void;
  /** Something was written: a client that does not read it gets a deadline. */
  watchSending(): void;
  /** The answer is complete. */
  answered(answer: Answer, keepAlive: boolean): void;
  /** The answer was broken off: nothing can follow it. */
  broken(answer: Answer): void;
}

export interface AnswerOptions {
  readonly client: Channel;
  readonly head: RequestHead;
  readonly peer: Peer;
  readonly body: RequestBody;
  readonly release: () => void;
}

/** The answer to one request on its client's connection. */
export class Answer implements Exchange {
  readonly head: RequestHead;
  readonly body: RequestBody;
  readonly peer: Peer;
  readonly #client: Channel;
  readonly #release: () => void;
  #framing: Framing | null = null;
  #gone = false;
  waiting = false;
  trace: Trace | null = null;
  onDrain: (() => void) | null = null;
  onGone: (() => void) | null = null;
  /** Status and fields as they were sent, and the body bytes that followed them. */
  status = CLIENT_LEFT;
  fields: Fields = [];
  bytes = 0;

  constructor({ client, head, peer, body, release }: AnswerOptions) {
    this.#client = client;
    this.head = head;
    this.peer = peer;
    this.body = body;
    this.#release = release;
  }

  get gone(): boolean {
    return this.#gone;
  }

  get unsent(): number {
    return this.#client.outgoing.unsent;
  }

  hint(fields: Fields): void {
    const head = earlyHead(fields);
    const { outgoing } = this.#client;
    // RFC 9110 §15.2: not to HTTP/1.0. A client that does not read would make them pile up, and gains nothing by them.
    if (this.#gone || this.#framing !== null || this.head.minor === 0 || outgoing.blocked) return;
    outgoing.writeHead(head, []);
  }

  respond(
    response: ResponseHead,
    part: { readonly body: Buffer; readonly last: boolean; readonly patient?: boolean },
  ): boolean {
    if (this.#gone) return true;
    const { context, outgoing, lastAnswer, local } = this.#client;
    // No spread: V8 makes a new hidden class for each such object (measured: a fifth of the front's time).
    const framing = frameResponse(this.head, response, {
      body: part.body,
      last: part.last,
      date: context.date(),
      server: SERVER,
      close: lastAnswer,
    });
    if (this.#framing === null) this.#client.responding();
    this.#framing = framing;
    this.status = framing.status;
    this.fields = response.fields;
    // Whoever reads from a UNIX socket cannot tell an end from a break where the close ends the body: such an
    // answer leaves only when it is whole.
    if (local.unix && framing.isDelimitedByClose && !part.last) outgoing.hold();
    outgoing.patient = part.patient === true;
    const turn = part.last ? this.#client.turn : null;
    return this.#wrote(outgoing.writeHead(framing.head, this.#encode(framing, part), turn), part.last);
  }

  write(chunk: Buffer, last: boolean): boolean {
    const framing = this.#framing;
    if (this.#gone || framing === null) return true;
    return this.#wrote(this.#client.outgoing.write(this.#encode(framing, { body: chunk, last })), last);
  }

  #encode(framing: Framing, { body, last }: { readonly body: Buffer; readonly last: boolean }): Buffer[] {
    const overrun = framing.overrun;
    const parts = framing.encode(body, last);
    if (!framing.bodyless) this.bytes += body.length - (framing.overrun - overrun);
    return parts;
  }

  #wrote(flowing: boolean, last: boolean): boolean {
    if (last) this.#complete();
    else if (this.#client.outgoing.overfull)
      this.fail(new HttpError('spool-full', 'for an answer held whole'));
    else this.#client.watchSending();
    return flowing || this.#gone;
  }

  #complete(): void {
    const framing = this.#framing;
    if (framing === null) return;
    const client = this.#client;
    const title = `${this.head.method} ${this.head.target}`;
    if (framing.overrun > 0) {
      client.context.warn(
        `The application sent ${framing.overrun} bytes more than its Content-Length for ${title}: they were cut off.`,
      );
    }
    if (framing.missing > 0) {
      client.context.warn(
        `The application sent ${framing.missing} bytes less than its Content-Length for ${title}: ` +
          'the connection is closed.',
      );
      return this.#break();
    }
    if (client.outgoing.held) client.outgoing.release();
    client.watchSending();
    this.#gone = true;
    client.answered(this, framing.keepAlive);
  }

  fail(error: HttpError): void {
    if (this.#gone) return;
    const { outgoing } = this.#client;
    // Nothing of a held answer has left: it can still be told what happened.
    if (outgoing.held) outgoing.discard();
    else if (this.#framing !== null) return this.#break();
    const response = errorResponse(error);
    this.bytes = 0;
    this.respond(response, { body: response.body, last: true });
  }

  #break(): void {
    this.#gone = true;
    this.#client.broken(this);
  }

  /** The connection is gone. */
  onClientGone(): void {
    if (this.#gone) return;
    this.#gone = true;
    this.onGone?.();
  }

  release(): void {
    this.#release();
  }
}

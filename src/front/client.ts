import type { Socket } from 'node:net';
import { HttpError } from '../errors.ts';
import { ConnectionState } from '../http/connection.ts';
import type { Exchange, Peer, RequestBody } from '../http/exchange.ts';
import { RequestParser } from '../http/parser.ts';
import { errorResponse, frameResponse } from '../http/response.ts';
import type { Fields, Limits, RequestEvent, RequestHead } from '../http/types.ts';
import { Answer, type Channel, SERVER } from './answer.ts';
import { BodyCollector, NO_BODY } from './body.ts';
import type { DeadlineList } from './deadlines.ts';
import { Outgoing } from './outgoing.ts';
import type { Room } from './room.ts';

/** A pipelining client is read no further once this much waits unparsed behind its request. */
const READ_AHEAD_BYTES = 64 * 1024;
/** A head longer than this counts as held in memory, like a body: thousands of long ones would be gigabytes. */
const FREE_HEAD_BYTES = 32 * 1024;
/** What of a refused client is still read until the connection is cut (RFC 9112 §9.6). */
const LINGER_BYTES = 1024 * 1024;
const CONTINUE = 'HTTP/1.1 100 Continue\r\n\r\n';

/** The deadlines of a client's connection; each list has one delay. */
export interface ClientDeadlines {
  readonly head: DeadlineList<Client>;
  readonly body: DeadlineList<Client>;
  readonly idle: DeadlineList<Client>;
  readonly send: DeadlineList<Client>;
  readonly linger: DeadlineList<Client>;
}

/** What one answer amounted to, for counters and the access log. */
export interface Outcome {
  /** Null when the head could not be read. */
  readonly head: RequestHead | null;
  readonly requestLine: string;
  readonly peer: Peer;
  readonly exchange: Exchange | null;
  /** Of the answer; 499 when the client left before there was one. */
  readonly status: number;
  readonly fields: Fields;
  /** Body bytes given to the connection. */
  readonly bytes: number;
  readonly startedAt: number;
}

/** What all connections of one server share. */
export interface ClientContext {
  readonly limits: Limits;
  readonly bodyMemory: number;
  readonly keepAlive: boolean;
  readonly room: Room;
  readonly deadlines: ClientDeadlines;
  readonly clients: Set<Client>;
  /** No answer keeps its connection open any longer. */
  readonly stopping: boolean;
  /** Today as the Date field wants it. */
  date(): string;
  /** @throws {HttpError} `bad-scheme` when trusted proxies contradict each other */
  resolvePeer(fields: Fields, client: Client): Peer;
  handle(exchange: Exchange): void;
  /** The connection is gone. */
  left(client: Client): void;
  finished(outcome: Outcome): void;
  warn(message: string): void;
}

/** One client connection: reads requests one after the other, and answers each before it looks at the next. */
export class Client implements Channel {
  readonly socket: Socket;
  readonly local: { readonly host: string; readonly port: number; readonly unix: boolean };
  readonly outgoing: Outgoing;
  readonly #context: ClientContext;
  readonly #parser: RequestParser;
  readonly #state = new ConnectionState();
  #head: RequestHead | null = null;
  #peer: Peer | null = null;
  #body: BodyCollector | null = null;
  #bodyWaits = false;
  #answer: Answer | null = null;
  #startedAt = 0;
  #halfClosed = false;
  #advancing = false;
  #discarded = 0;
  /** Bytes of the head that is coming in, and how many of them the room counts until it is answered. */
  #headBytes = 0;
  #headCounted = 0;

  constructor(socket: Socket, context: ClientContext, local: Client['local']) {
    this.socket = socket;
    this.local = local;
    this.#context = context;
    this.#parser = new RequestParser(context.limits);
    this.outgoing = new Outgoing(socket, context.room);
    this.outgoing.onEmpty = () => this.#onEmpty();
    this.outgoing.onFailure = () => this.cut();
    socket.on('data', (chunk: Buffer) => this.#onData(chunk));
    socket.on('drain', () => this.#onDrain());
    socket.on('end', () => this.#onHalfClose());
    socket.on('close', () => this.#onClose());
    // The reset of a client that left; `close` follows.
    socket.on('error', () => {});
    context.clients.add(this);
    context.deadlines.head.add(this);
  }

  /** Whether it is between requests, with nothing owed to it. */
  get idle(): boolean {
    return this.#state.current === 'idle';
  }

  /** Closes a connection on which nothing is under way; others close after their answer. */
  closeIfIdle(): void {
    if (this.#state.current === 'idle') this.#close('stop');
  }

  /** The server's time to stop is over. @returns whether a request was under way. */
  giveUp(): boolean {
    if (this.#answer !== null) {
      this.#answer.fail(new HttpError('stopping'));
      return true;
    }
    if (!this.#receiving) return false;
    this.#refuse(new HttpError('stopping'));
    return true;
  }

  /** The head did not come in time. */
  onHeadDue(): void {
    if (this.#state.current === 'idle') this.#close('stop');
    else this.#refuse(new HttpError('head-timeout'));
  }

  onBodyDue(): void {
    this.#refuse(new HttpError('body-timeout'));
  }

  onIdleDue(): void {
    if (this.#state.current !== 'idle') return;
    // What it was sent is still on its way: it reads slowly, which another deadline watches.
    if (this.outgoing.blocked || this.socket.writableLength > 0) this.#context.deadlines.send.add(this);
    else this.#close('stop');
  }

  /** It took nothing for the whole delay. */
  onSendDue(): void {
    if (this.outgoing.empty && this.socket.writableLength === 0) {
      // It took all of it without a sign. If its keep-alive time ended meanwhile, this is the moment.
      if (!this.#context.deadlines.idle.has(this)) this.closeIfIdle();
      return;
    }
    this.#context.warn(`A client at ${this.address} stopped reading its answer; the connection is cut.`);
    this.cut();
  }

  get #receiving(): boolean {
    return this.#state.current === 'head' || this.#state.current === 'body';
  }

  get #closing(): boolean {
    return this.#state.current === 'closing' || this.#state.current === 'closed';
  }

  /** The other end's address; empty on a UNIX socket. */
  get address(): string {
    return plainAddress(this.socket.remoteAddress ?? '');
  }

  /** Ends the connection so that no client can take what it got for whole. */
  cut(): void {
    // A UNIX socket has no reset; there an end without the last chunk must do.
    if (this.local.unix) this.socket.destroy();
    else this.socket.resetAndDestroy();
  }

  #onData(chunk: Buffer): void {
    if (this.#state.current === 'closing') return this.#discard(chunk);
    this.#parser.push(chunk);
    if (this.#state.current === 'idle') this.#next();
    else this.#advance();
    if (this.#state.current === 'head') this.#countHead(chunk.length);
    this.#throttle();
  }

  #countHead(bytes: number): void {
    this.#headBytes += bytes;
    if (this.#headBytes <= FREE_HEAD_BYTES) return;
    const more = this.#headBytes - this.#headCounted;
    if (this.#context.room.takeMemory(more)) this.#headCounted += more;
    else this.#refuse(new HttpError('queue-full', 'memory-limit is reached by the heads of requests'));
  }

  #releaseHead(): void {
    this.#context.room.giveMemory(this.#headCounted);
    this.#headCounted = 0;
    this.#headBytes = 0;
  }

  #begin(): void {
    this.#state.apply('bytes');
    this.#startedAt = performance.now();
    const { idle, head } = this.#context.deadlines;
    idle.delete(this);
    if (!head.has(this)) head.add(this);
  }

  /** Works through what has arrived, up to a whole request that has to be answered first. */
  #advance(): void {
    if (this.#advancing) return;
    this.#advancing = true;
    try {
      while (this.#receiving && !this.#bodyWaits && this.#step());
    } catch (error) {
      if (!(error instanceof HttpError)) throw error;
      this.#refuse(error);
    } finally {
      this.#advancing = false;
    }
    if (this.#halfClosed) this.#leaveIncomplete();
    this.#throttle();
  }

  /** A client that has half-closed never sends the rest of its request. */
  #leaveIncomplete(): void {
    if (this.#receiving && !this.#bodyWaits) this.#close('refuse');
  }

  /** @throws {HttpError} when the request has to be refused */
  #step(): boolean {
    const event = this.#parser.next();
    if (event === null) return false;
    this.#onEvent(event);
    if (this.#state.current === 'idle' && this.#parser.buffered > 0 && !this.outgoing.blocked) this.#begin();
    return true;
  }

  #onEvent(event: RequestEvent): void {
    switch (event.type) {
      case 'head':
        return this.#onHead(event.head);
      case 'data':
        return this.#onBodyData(event.data);
      case 'end':
        return this.#onBodyEnd();
    }
  }

  #onHead(head: RequestHead): void {
    const { deadlines, room, bodyMemory } = this.#context;
    deadlines.head.delete(this);
    this.#head = head;
    this.#peer = this.#context.resolvePeer(head.fields, this);
    if (head.body === 0) return;
    this.#state.apply('headers');
    deadlines.body.add(this);
    this.#body = new BodyCollector(room, bodyMemory);
    // A client that has begun to send does not wait for it (RFC 9110 §10.1.1).
    if (head.expectContinue && this.#parser.buffered === 0) this.outgoing.writeHead(CONTINUE, []);
  }

  #onBodyData(data: Buffer): void {
    const body = this.#body;
    if (body === null) return;
    if (body.add(data)) return this.#context.deadlines.body.add(this);
    if (body.error !== null) throw body.error;
    // The disk is slower than the client: that is not the client's fault.
    this.#bodyWaits = true;
    this.#context.deadlines.body.delete(this);
    body.onReady = () => this.#onBodyReady(body);
  }

  #onBodyReady(body: BodyCollector): void {
    this.#bodyWaits = false;
    if (!this.#receiving) return;
    if (body.error !== null) return this.#refuse(body.error);
    this.#context.deadlines.body.add(this);
    this.#advance();
  }

  #onBodyEnd(): void {
    this.#context.deadlines.body.delete(this);
    this.#state.apply('request');
    if (this.#body === null) return this.#hand(NO_BODY);
    this.#body.finish((body) => {
      if (this.#state.current !== 'queued') return;
      if (body instanceof HttpError) this.#refuse(body);
      else this.#hand(body);
    });
  }

  /** Gives the whole request to the handler. */
  #hand(body: RequestBody): void {
    const [head, peer] = [this.#head, this.#peer];
    if (head === null || peer === null) throw new Error('A request without a head was handed on.');
    const collector = this.#body;
    this.#body = null;
    this.#answer = new Answer({ client: this, head, peer, body, release: () => collector?.release() });
    this.#context.handle(this.#answer);
  }

  get context(): ClientContext {
    return this.#context;
  }

  /** The head of the answer goes out. */
  responding(): void {
    this.#state.apply('respond');
  }

  /** This answer is the connection's last. */
  get lastAnswer(): boolean {
    const over = this.#halfClosed && this.#parser.buffered === 0;
    return over || this.#context.stopping || !this.#context.keepAlive;
  }

  /** Something was written: a client that does not read it gets a deadline. */
  watchSending(): void {
    const { send } = this.#context.deadlines;
    // What is held back is not the client's to take yet.
    const kept = !this.outgoing.empty && !this.outgoing.held;
    if ((this.socket.writableNeedDrain || kept) && !send.has(this)) send.add(this);
  }

  /** The answer is complete. */
  answered(answer: Answer, keepAlive: boolean): void {
    this.#report(answer);
    this.outgoing.onDrain = null;
    // That it is the last may have become true since its head was sent.
    if (!keepAlive || this.lastAnswer) return this.#close('finish');
    this.#state.apply('reuse');
    this.#context.deadlines.idle.add(this);
    this.#next();
  }

  /** The answer was broken off: nothing can follow it on this connection. */
  broken(answer: Answer): void {
    this.#report(answer);
    this.cut();
  }

  #report(answer: Answer): void {
    // What belongs to this request must not be taken for the next one's, nor stay while the connection is idle.
    this.#releaseHead();
    this.#answer = null;
    this.#head = null;
    this.#peer = null;
    const { head, peer, status, fields, bytes } = answer;
    const requestLine = lineOf(head);
    const startedAt = this.#startedAt;
    this.#context.finished({ head, requestLine, peer, exchange: answer, status, fields, bytes, startedAt });
  }

  /** Goes on with what the client has sent ahead, once it has taken its answers. */
  #next(): void {
    if (
      this.#state.current !== 'idle' ||
      this.#advancing ||
      this.#parser.buffered === 0 ||
      this.outgoing.blocked
    )
      return;
    this.#begin();
    this.#advance();
  }

  /** Reads no further from a client that is ahead of its answers, or of the disk. */
  #throttle(): void {
    if (this.#closing) return;
    // Behind a disk that lags, thousands of uploads that read ahead would be the memory that the disk is to save.
    const pause = this.#bodyWaits || (!this.#receiving && this.#parser.buffered > READ_AHEAD_BYTES);
    if (pause !== this.socket.isPaused()) pause ? this.socket.pause() : this.socket.resume();
  }

  /** Refuses the request: what comes after it can no longer be told from its rest. */
  #refuse(error: HttpError): void {
    if (this.#closing) return;
    const response = errorResponse(error);
    const framing = frameResponse(
      { method: this.#head?.method ?? 'GET', minor: this.#head?.minor ?? 1, keepAlive: false },
      response,
      { body: response.body, last: true, date: this.#context.date(), server: SERVER, close: true },
    );
    this.outgoing.writeHead(framing.head, framing.encode(response.body, true));
    this.watchSending();
    this.#context.finished({
      head: this.#head,
      requestLine: this.#head === null ? this.#begunLine : lineOf(this.#head),
      peer: this.#peer ?? this.#context.resolvePeer([], this),
      exchange: null,
      status: error.status,
      fields: response.fields,
      bytes: framing.bodyless ? 0 : response.body.length,
      startedAt: this.#startedAt,
    });
    this.#close('refuse');
  }

  /**
   * Writes what is owed, half-closes, and discards what still comes: a close with unread bytes would make the
   * kernel reset the connection, and the client would lose the answer (RFC 9112 §9.6).
   */
  #close(why: 'stop' | 'finish' | 'refuse'): void {
    if (this.#closing) return;
    this.#state.apply(why);
    this.#forget();
    this.#body?.release();
    this.#body = null;
    this.socket.resume();
    if (this.outgoing.empty) this.#end();
  }

  /** What the log can tell of a request without a head. */
  get #begunLine(): string {
    return this.#parser.requestLine === '' ? this.#parser.partialLine : this.#parser.requestLine;
  }

  #end(): void {
    if (this.socket.writableEnded) return;
    const { send, linger } = this.#context.deadlines;
    // There is no sign of progress between the last write and its end: from here one delay must do for it.
    if (this.socket.writableLength > 0) send.add(this);
    this.socket.end(() => {
      send.delete(this);
      if (!this.socket.destroyed && !this.#halfClosed) linger.add(this);
    });
  }

  #discard(chunk: Buffer): void {
    this.#discarded += chunk.length;
    // Not read any further it must stop, and may see the answer before the deadline ends the connection.
    if (this.#discarded > LINGER_BYTES) this.socket.pause();
  }

  #onDrain(): void {
    this.#context.deadlines.send.delete(this);
    this.outgoing.pump();
    this.watchSending();
  }

  #onEmpty(): void {
    if (!this.socket.writableNeedDrain) this.#context.deadlines.send.delete(this);
    if (this.#state.current === 'closing') return this.#end();
    this.#next();
  }

  #onHalfClose(): void {
    this.#halfClosed = true;
    switch (this.#state.current) {
      case 'idle':
        // What it has sent ahead is answered once it has taken the answers before.
        if (this.#parser.buffered === 0) this.#close('stop');
        return;
      case 'head':
      case 'body':
        return this.#leaveIncomplete();
      case 'queued':
        if (this.#answer?.waiting === true) this.socket.destroy();
        return;
      case 'responding':
      case 'closing':
      case 'closed':
    }
  }

  #forget(): void {
    this.#releaseHead();
    const { head, body, idle } = this.#context.deadlines;
    head.delete(this);
    body.delete(this);
    idle.delete(this);
  }

  #onClose(): void {
    this.#state.apply('gone');
    this.#forget();
    this.#context.deadlines.send.delete(this);
    this.#context.deadlines.linger.delete(this);
    this.outgoing.close();
    this.#body?.release();
    this.#body = null;
    const answer = this.#answer;
    if (answer !== null) {
      this.#report(answer);
      answer.onClientGone();
    }
    this.#context.left(this);
  }
}

function lineOf(head: RequestHead): string {
  return `${head.method} ${head.target} HTTP/1.${head.minor}`;
}

/** IPv4 clients of a socket that listens on every address come as `::ffff:127.0.0.1`. */
export function plainAddress(address: string): string {
  return address.startsWith('::ffff:') ? address.slice('::ffff:'.length) : address;
}

import type { Socket } from 'node:net';
import { HttpError } from '../errors.ts';
import { ConnectionState } from '../http/connection.ts';
import type { Peer, RequestBody } from '../http/exchange.ts';
import { errorResponse, frameResponse } from '../http/response.ts';
import { Answer, type Channel, SERVER } from './answer.ts';
import { NO_BODY } from './body.ts';
import type { ClientContext } from './client-context.ts';
import { Intake, lineOf } from './intake.ts';
import { Link } from './line.ts';
import { Outgoing } from './outgoing.ts';
import type { SocketPeer } from './proxy-headers.ts';
import type { Turn } from './turn.ts';

/** A pipelining client is read no further once this much waits unparsed behind its request. */
const READ_AHEAD_BYTES = 64 * 1024;
/** What of a refused client is still read until the connection is cut (RFC 9112 §9.6). */
const LINGER_BYTES = 1024 * 1024;
const CONTINUE = 'HTTP/1.1 100 Continue\r\n\r\n';

/** Our end of a connection. */
export interface LocalEnd {
  readonly host: string;
  readonly port: number;
  readonly unix: boolean;
  /** The connection that carries this one, when it is encrypted. */
  readonly raw?: Socket;
}

/** One client connection: reads requests one after the other, and answers each before it looks at the next. */
export class Client implements Channel {
  readonly socket: Socket;
  readonly local: LocalEnd;
  readonly outgoing: Outgoing;
  /** The other end as the socket knows it; on a UNIX socket without an address. */
  readonly origin: SocketPeer;
  readonly #context: ClientContext;
  readonly #intake: Intake;
  readonly #state = new ConnectionState();
  /** Its place among those whose next bytes are due: of a head, a body, or the next request. */
  readonly #reading = new Link<Client>(this);
  /** Its place among those that owe us to take what they were sent, or to close. */
  readonly #sending = new Link<Client>(this);
  #peer: Peer | null = null;
  #answer: Answer | null = null;
  #startedAt = 0;
  #halfClosed = false;
  #advancing = false;
  #discarded = 0;

  constructor(socket: Socket, context: ClientContext, local: LocalEnd) {
    this.socket = socket;
    this.local = local;
    this.origin = {
      address: plainAddress(socket.remoteAddress ?? ''),
      port: socket.remotePort ?? 0,
      unix: local.unix,
      scheme: local.raw === undefined ? 'http' : 'https',
      serverName: local.host,
      serverPort: local.port,
    };
    this.#context = context;
    const { limits, bodyMemory, room } = context;
    this.#intake = new Intake({ limits, bodyMemory, room, onDisk: (error) => this.#onDisk(error) });
    this.outgoing = new Outgoing(socket, context.room);
    this.outgoing.onDrain = () => this.#answer?.onDrain?.();
    this.outgoing.onEmpty = () => this.#onEmpty();
    this.outgoing.onTaken = () => this.#onDrain();
    this.outgoing.onLeft = () => this.watchSending();
    this.outgoing.onFailure = () => this.cut();
    socket.on('data', (chunk: Buffer) => this.#onData(chunk));
    socket.on('drain', () => this.#onDrain());
    socket.on('end', () => this.#onHalfClose());
    socket.on('close', () => this.#onClose());
    // The reset of a client that left; `close` follows.
    socket.on('error', () => {});
    context.clients.add(this);
    context.deadlines.head.add(this.#reading);
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
    // A request may have come since, and been answered, and its time has begun anew.
    if (this.#state.current !== 'idle' || this.#context.deadlines.idle.has(this.#reading)) return;
    // What it was sent is still on its way: it reads slowly, which another deadline watches.
    if (this.outgoing.blocked || this.socket.writableLength > 0)
      this.#context.deadlines.send.add(this.#sending);
    else this.#close('stop');
  }

  /** It took nothing for the whole delay. */
  onSendDue(): void {
    if (this.outgoing.empty && this.socket.writableLength === 0) {
      // It took all of it without a sign. If its keep-alive time ended meanwhile, this is the moment.
      if (!this.#context.deadlines.idle.has(this.#reading)) this.closeIfIdle();
      return;
    }
    this.#context.warn(
      `A client at ${this.origin.address} stopped reading its answer; the connection is cut.`,
    );
    this.cut();
  }

  get #receiving(): boolean {
    return this.#state.current === 'head' || this.#state.current === 'body';
  }

  get #closing(): boolean {
    return this.#state.current === 'closing' || this.#state.current === 'closed';
  }

  /** Ends the connection so that no client can take what it got for whole. */
  cut(): void {
    this.outgoing.flush();
    // A UNIX socket has no reset; there an end without the last chunk must do.
    if (this.local.unix) this.socket.destroy();
    else (this.local.raw ?? this.socket).resetAndDestroy();
  }

  #onData(chunk: Buffer): void {
    if (this.#state.current === 'closing') return this.#discard(chunk);
    this.#intake.push(chunk);
    if (this.#state.current === 'idle') this.#next();
    else this.#advance();
    if (this.#state.current === 'head' && !this.#intake.countHead(chunk.length)) {
      this.#refuse(new HttpError('queue-full', 'memory-limit is reached by the heads of requests'));
    }
    this.#throttle();
  }

  #begin(): void {
    this.#state.apply('bytes');
    this.#startedAt = performance.now();
  }

  /** Works through what has arrived, up to a whole request that has to be answered first. */
  #advance(): void {
    if (this.#advancing) return;
    this.#advancing = true;
    try {
      while (this.#receiving && !this.#intake.waits && this.#step());
    } catch (error) {
      if (!(error instanceof HttpError)) throw error;
      this.#refuse(error);
    } finally {
      this.#advancing = false;
    }
    // A head that came whole needs none.
    const { head } = this.#context.deadlines;
    if (this.#state.current === 'head' && !head.has(this.#reading)) head.add(this.#reading);
    if (this.#halfClosed) this.#leaveIncomplete();
    this.#throttle();
  }

  /** A client that has half-closed never sends the rest of its request. */
  #leaveIncomplete(): void {
    if (this.#receiving && !this.#intake.waits) this.#close('refuse');
  }

  /** @throws {HttpError} when the request has to be refused */
  #step(): boolean {
    const read = this.#intake.next();
    if (read === null) return false;
    if (read === 'head') this.#onHead();
    else if (read === 'data') this.#onBodyData();
    else this.#onBodyEnd();
    if (this.#state.current === 'idle' && this.#intake.buffered > 0 && !this.outgoing.blocked) this.#begin();
    return true;
  }

  #onHead(): void {
    const { head } = this.#intake;
    if (head === null) return;
    const { deadlines } = this.#context;
    this.#reading.leave();
    this.#peer = this.#context.resolvePeer(head.fields, this);
    if (head.body === 0) return;
    this.#state.apply('headers');
    deadlines.body.add(this.#reading);
    // A client that has begun to send does not wait for it (RFC 9110 §10.1.1).
    if (head.expectContinue && this.#intake.buffered === 0) this.outgoing.writeHead(CONTINUE, []);
  }

  #onBodyData(): void {
    const { body } = this.#context.deadlines;
    // That the disk is slower than the client is not the client's fault.
    if (this.#intake.waits) body.delete(this.#reading);
    else body.add(this.#reading);
  }

  #onDisk(error: HttpError | null): void {
    if (!this.#receiving) return;
    if (error !== null) return this.#refuse(error);
    this.#context.deadlines.body.add(this.#reading);
    this.#advance();
  }

  #onBodyEnd(): void {
    this.#context.deadlines.body.delete(this.#reading);
    this.#state.apply('request');
    if (this.#intake.bodyless) return this.#hand(NO_BODY);
    this.#intake.finish((body) => {
      if (this.#state.current !== 'queued') return;
      if (body instanceof HttpError) this.#refuse(body);
      else this.#hand(body);
    });
  }

  /** Gives the whole request to the handler. */
  #hand(body: RequestBody): void {
    const { head } = this.#intake;
    const peer = this.#peer;
    if (head === null || peer === null) throw new Error('A request without a head was handed on.');
    this.#answer = new Answer({ client: this, head, peer, body, release: this.#intake.handOver() });
    this.#context.handle(this.#answer);
  }

  get context(): ClientContext {
    return this.#context;
  }

  /** With which its answer may leave; null when that has taken its time already. */
  get turn(): Turn | null {
    const { turn } = this.#context;
    return turn.admits(this.#startedAt) ? turn : null;
  }

  /** The head of the answer goes out. */
  responding(): void {
    this.#state.apply('respond');
  }

  /** This answer is the connection's last. */
  get lastAnswer(): boolean {
    const over = this.#halfClosed && this.#intake.buffered === 0;
    return over || this.#context.stopping || !this.#context.keepAlive;
  }

  /** Something was written: a client that does not read it gets a deadline. */
  watchSending(): void {
    const { send } = this.#context.deadlines;
    // What is held back is not the client's to take yet.
    const kept = !this.outgoing.empty && !this.outgoing.held;
    if ((this.socket.writableNeedDrain || kept) && !send.has(this.#sending)) send.add(this.#sending);
  }

  /** The answer is complete. */
  answered(answer: Answer, keepAlive: boolean): void {
    this.#report(answer);
    // That it is the last may have become true since its head was sent.
    if (!keepAlive || this.lastAnswer) return this.#close('finish');
    this.#state.apply('reuse');
    this.#context.deadlines.idle.add(this.#reading);
    this.#next();
  }

  /** The answer was broken off: nothing can follow it on this connection. */
  broken(answer: Answer): void {
    this.#report(answer);
    this.cut();
  }

  #report(answer: Answer): void {
    this.#intake.forget();
    this.#answer = null;
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
      this.#intake.buffered === 0 ||
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
    const pause = this.#intake.waits || (!this.#receiving && this.#intake.buffered > READ_AHEAD_BYTES);
    if (pause !== this.socket.isPaused()) pause ? this.socket.pause() : this.socket.resume();
  }

  /** Refuses the request: what comes after it can no longer be told from its rest. */
  #refuse(error: HttpError): void {
    if (this.#closing) return;
    const { head, requestLine } = this.#intake;
    const response = errorResponse(error);
    const framing = frameResponse(
      { method: head?.method ?? 'GET', minor: head?.minor ?? 1, keepAlive: false },
      response,
      { body: response.body, last: true, date: this.#context.date(), server: SERVER, close: true },
    );
    this.outgoing.writeHead(framing.head, framing.encode(response.body, true));
    this.watchSending();
    this.#context.finished({
      head,
      requestLine,
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
    this.socket.resume();
    if (this.outgoing.empty) this.#end();
  }

  #end(): void {
    if (this.socket.writableEnded) return;
    this.outgoing.flush();
    const { send, linger } = this.#context.deadlines;
    // There is no sign of progress between the last write and its end: from here one delay must do for it.
    if (this.socket.writableLength > 0) send.add(this.#sending);
    this.socket.end(() => {
      send.delete(this.#sending);
      if (!this.socket.destroyed && !this.#halfClosed) linger.add(this.#sending);
    });
  }

  #discard(chunk: Buffer): void {
    this.#discarded += chunk.length;
    // Not read any further it must stop, and may see the answer before the deadline ends the connection.
    if (this.#discarded > LINGER_BYTES) this.socket.pause();
  }

  #onDrain(): void {
    this.#context.deadlines.send.delete(this.#sending);
    this.outgoing.pump();
    this.watchSending();
  }

  #onEmpty(): void {
    if (!this.socket.writableNeedDrain) this.#context.deadlines.send.delete(this.#sending);
    if (this.#state.current === 'closing') return this.#end();
    this.#next();
    // Its keep-alive time was over before it had taken its answer: it counts from here, or nobody would ever look again.
    const hasNoDeadline = this.#state.current === 'idle' && this.#reading.line === null;
    if (hasNoDeadline && this.socket.writableLength === 0) this.#context.deadlines.idle.add(this.#reading);
  }

  #onHalfClose(): void {
    this.#halfClosed = true;
    switch (this.#state.current) {
      case 'idle':
        // What it has sent ahead is answered once it has taken the answers before.
        if (this.#intake.buffered === 0) this.#close('stop');
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
    this.#intake.close();
    this.#reading.leave();
  }

  #onClose(): void {
    this.#state.apply('gone');
    this.#forget();
    this.#sending.leave();
    this.outgoing.close();
    const answer = this.#answer;
    if (answer !== null) {
      this.#report(answer);
      answer.onClientGone();
    }
    this.#context.left(this);
  }
}

/** IPv4 clients of a socket that listens on every address come as `::ffff:127.0.0.1`. */
export function plainAddress(address: string): string {
  return address.startsWith('::ffff:') ? address.slice('::ffff:'.length) : address;
}

import type { Socket } from 'node:net';
import type { Exchange, Peer } from '../http/exchange.ts';
import type { Fields, Limits } from '../http/types.ts';
import { CLIENT_LEFT } from './answer.ts';
import { Client, type LocalEnd } from './client.ts';
import type { ClientContext, ClientDeadlines, Outcome } from './client-context.ts';
import type { Deadlines } from './deadlines.ts';
import type { Room } from './room.ts';
import { Turn } from './turn.ts';

/** Idle connections get this long to send the request that is on its way, once the server stops. */
const STOP_IDLE_MS = 1000;
const LINGER_MS = 2000;

/** What a reload may change; it holds for new connections, the times for all. */
export interface ClientSettings {
  /** As the options of these names; 0 is the hard cap of `effectiveLimits`. */
  readonly limitRequestLine: number;
  readonly limitRequestFields: number;
  readonly limitRequestFieldSize: number;
  readonly limitRequestBody: number;
  readonly bodyMemory: number;
  /** Seconds; `keepAlive` 0 closes after each answer, the others are off at 0. */
  readonly keepAlive: number;
  readonly clientHeaderTimeout: number;
  readonly clientBodyTimeout: number;
  readonly sendTimeout: number;
}

export interface ClientsOptions extends ClientSettings {
  readonly deadlines: Deadlines;
  readonly room: Room;
  readonly resolvePeer: (fields: Fields, client: Client) => Peer;
  readonly handle: (exchange: Exchange) => void;
  readonly finished: (outcome: Outcome) => void;
  readonly warn: (message: string) => void;
}

/** All client connections of one server, and what they share. */
export class Clients implements ClientContext {
  readonly room: Room;
  readonly deadlines: ClientDeadlines;
  readonly clients = new Set<Client>();
  readonly turn = new Turn();
  readonly resolvePeer: (fields: Fields, client: Client) => Peer;
  readonly handle: (exchange: Exchange) => void;
  readonly warn: (message: string) => void;
  readonly #report: (outcome: Outcome) => void;
  #limits: Limits;
  #bodyMemory: number;
  #keepAlive: boolean;
  #stopping = false;
  readonly #onStopped: (() => void)[] = [];
  #idleTimer: NodeJS.Timeout | undefined;
  #givenUp = false;
  #date = '';
  #dateSecond = -1;
  /** Requests answered or refused so far; not those that were given up, by their client or at a stop. */
  count = 0;

  constructor(options: ClientsOptions) {
    const seconds = (value: number, onDue: (client: Client) => void) =>
      options.deadlines.list<Client>(value * 1000, onDue);
    this.room = options.room;
    this.resolvePeer = options.resolvePeer;
    this.handle = options.handle;
    this.warn = options.warn;
    this.#report = options.finished;
    this.deadlines = {
      head: seconds(options.clientHeaderTimeout, (client) => client.onHeadDue()),
      body: seconds(options.clientBodyTimeout, (client) => client.onBodyDue()),
      idle: seconds(options.keepAlive, (client) => afterPoll(() => client.onIdleDue())),
      send: seconds(options.sendTimeout, (client) => client.onSendDue()),
      linger: options.deadlines.list<Client>(LINGER_MS, (client) => client.socket.destroy()),
    };
    this.#limits = limitsOf(options);
    this.#bodyMemory = options.bodyMemory;
    this.#keepAlive = options.keepAlive > 0;
  }

  get limits(): Limits {
    return this.#limits;
  }

  get bodyMemory(): number {
    return this.#bodyMemory;
  }

  get keepAlive(): boolean {
    return this.#keepAlive;
  }

  configure(settings: ClientSettings): void {
    this.#limits = limitsOf(settings);
    this.#bodyMemory = settings.bodyMemory;
    this.#keepAlive = settings.keepAlive > 0;
    this.deadlines.head.delayMs = settings.clientHeaderTimeout * 1000;
    this.deadlines.body.delayMs = settings.clientBodyTimeout * 1000;
    this.deadlines.idle.delayMs = settings.keepAlive * 1000;
    this.deadlines.send.delayMs = settings.sendTimeout * 1000;
  }

  get stopping(): boolean {
    return this.#stopping;
  }

  accept(socket: Socket, local: LocalEnd): void {
    // Node asks the kernel for the address when it is first read, and keeps it. After a reset there is none: a
    // client could have its request run, and logged, without one.
    if (!local.unix && socket.remoteAddress === undefined) return void socket.destroy();
    new Client(socket, this, local);
  }

  date(): string {
    const second = Math.floor(Date.now() / 1000);
    if (second !== this.#dateSecond) {
      this.#dateSecond = second;
      this.#date = new Date(second * 1000).toUTCString();
    }
    return this.#date;
  }

  finished(outcome: Outcome): void {
    if (outcome.status !== CLIENT_LEFT && !this.#givenUp) this.count++;
    this.#report(outcome);
  }

  /** A client's connection is gone. */
  left(client: Client): void {
    this.clients.delete(client);
    if (this.clients.size > 0) return;
    for (const resolve of this.#onStopped.splice(0)) resolve();
  }

  /**
   * Answers what is under way, closes every connection after it, and resolves when none is left. Idle
   * connections get `idleMs` to send the request that is on its way; called again, that counts anew. With null that
   * does not count yet: there may be more to accept, of whom nothing has been read.
   */
  stop(idleMs: number | null = STOP_IDLE_MS): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#idleTimer);
    if (idleMs !== null)
      this.#idleTimer = setTimeout(() => afterPoll(() => this.#closeIdle()), idleMs).unref();
    if (this.clients.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#onStopped.push(resolve));
  }

  #closeIdle(): void {
    for (const client of this.clients) client.closeIfIdle();
  }

  /** Ends what is under way: with 503 where nothing was sent yet. @returns how many requests that were. */
  giveUp(): number {
    this.#givenUp = true;
    let count = 0;
    for (const client of this.clients) if (client.giveUp()) count++;
    return count;
  }

  /** Cuts every connection. */
  destroy(): void {
    for (const client of this.clients) client.socket.destroy();
  }
}

function limitsOf(settings: ClientSettings): Limits {
  return {
    line: settings.limitRequestLine,
    fields: settings.limitRequestFields,
    fieldSize: settings.limitRequestFieldSize,
    body: settings.limitRequestBody,
  };
}

/**
 * Timers come before sockets in a turn of the event loop: what has come meanwhile is to be read first. A connection that was
 * idle when the turn began may have its next request in the kernel, and would be closed in its face.
 */
function afterPoll(action: () => void): void {
  setImmediate(action);
}

/** What the connections of one server share, and what they tell it. */
import type { Exchange, Peer } from '../http/exchange.ts';
import type { Fields, Limits, RequestHead } from '../http/types.ts';
import type { Client } from './client.ts';
import type { DeadlineList } from './deadlines.ts';
import type { Room } from './room.ts';
import type { Turn } from './turn.ts';

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
  readonly turn: Turn;
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

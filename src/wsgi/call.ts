/** One request for an application, wherever it came from: a client of this process, or a front. */
import type { Exchange } from '../http/exchange.ts';
import { environEntries } from './environ.ts';
import type { Environ } from './types.ts';

/** The way to answer a request, of which an application needs no more than this. */
export type Answering = Pick<
  Exchange,
  'body' | 'gone' | 'onDrain' | 'onGone' | 'hint' | 'respond' | 'write' | 'fail' | 'release'
>;

export interface Call {
  readonly exchange: Answering;
  /**
   * The request's own part of `environ`: `[key, value, key, value, …]`.
   * @throws {HttpError} when the request can have none.
   */
  entries(): readonly string[];
  /** `GET /path`, for people. */
  readonly title: string;
  /** Told of the `environ` that the application gets. */
  seen?(environ: Environ): void;
}

/** The call that a client of this process makes. */
export function callOf(exchange: Exchange): Call {
  const { head, peer, body } = exchange;
  return {
    exchange,
    entries: () => environEntries({ head, peer, bodyLength: body.length }),
    title: `${head.method} ${head.target}`,
  };
}

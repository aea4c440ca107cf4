import type { HttpError } from '../errors.ts';
import type { Fields, RequestHead } from './types.ts';

/** A request body that has arrived whole: in memory, or in an unlinked file when it was too long for that. */
export interface RequestBody {
  readonly length: number;
  /** The bytes; empty when `file` holds them. */
  readonly memory: Buffer;
  /** An open descriptor, and a path by which another process of the same user can open the same file. */
  readonly file: { readonly fd: number; readonly path: string } | null;
}

/** Who asks, and under which name and scheme: as the socket says, or a trusted proxy. */
export interface Peer {
  readonly address: string;
  readonly port: number;
  readonly scheme: 'http' | 'https';
  readonly serverName: string;
  readonly serverPort: number;
}

/**
 * One request, whole, and the way to answer it. Call `respond` once and then `write` until `last`; or `fail`.
 * After the client has gone all of them do nothing.
 */
export interface Exchange {
  readonly head: RequestHead;
  readonly body: RequestBody;
  readonly peer: Peer;
  /** The client has left, or the answer is complete: nothing more can be sent. */
  readonly gone: boolean;
  /** Bytes of what was written that are still in this process's memory: buffers that held them are not to be changed. */
  readonly unsent: number;
  /** What the handler has to say for the access log. */
  trace: Trace | null;
  /** Set by the handler while the request waits for its turn: a client that half-closes then counts as gone. */
  waiting: boolean;
  /** Called when the client has taken enough for `write` to go on after it gave false. */
  onDrain: (() => void) | null;
  /** Called once when the client leaves before the answer is complete. */
  onGone: (() => void) | null;
  /**
   * Sends a 103 with these fields ahead of the answer; nothing where the client does not know it or lags behind, or once the
   * answer has begun.
   * @throws {HttpError} `application-error` when they hold what may not be sent; nothing has been sent then.
   */
  hint(fields: Fields): void;
  /**
   * Sends the status line and fields, and the first part of the body. `patient`: the sender holds nothing dear
   * while it waits, so it is asked to as soon as the client lags behind, and nothing of the answer is spooled unless
   * memory is tight.
   * @returns false when the sender should wait for `onDrain`.
   * @throws {HttpError} `application-error` when the head holds what may not be sent; nothing has been sent then.
   */
  respond(
    response: ResponseHead,
    options: { readonly body: Buffer; readonly last: boolean; readonly patient?: boolean },
  ): boolean;
  /** Sends the next part of the body. @returns false when the sender should wait for `onDrain`. */
  write(chunk: Buffer, last: boolean): boolean;
  /** Answers with an error page; after `respond` it cuts the connection, so that the body cannot pass for whole. */
  fail(error: HttpError): void;
  /** The handler needs the request body no longer. Owed once for every exchange, however it ended. */
  release(): void;
}

export interface Trace {
  /** Process id of the worker that ran the request. */
  readonly pid: number;
  /** 2 when its first worker died and it ran once more. */
  readonly attempt: number;
  /** The keys of `environ` that the log format names. */
  readonly environ: ReadonlyMap<string, string> | null;
}

export interface ResponseHead {
  /** Status code and reason: `200 OK`. */
  readonly status: string;
  readonly fields: Fields;
}

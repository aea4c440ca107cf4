import { HttpError } from '../../src/errors.ts';
import { RequestParser } from '../../src/http/parser.ts';
import type { Fields, Limits, RequestHead } from '../../src/http/types.ts';

export interface SeenRequest {
  readonly head: RequestHead;
  /** Latin-1. */
  body: string;
  trailers: Fields;
}

/** All that came out of the parser, data joined: what must not depend on how the bytes were cut. */
export interface Outcome {
  readonly requests: SeenRequest[];
  /** The request whose head has come and whose end has not. */
  readonly open: SeenRequest | null;
  readonly error: HttpError | null;
  readonly requestLine: string;
  readonly isInside: boolean;
}

/** Feeds a parser the bytes cut at `cuts` (ascending offsets). Anything thrown that is no HttpError goes through. */
export function feed(bytes: Buffer, cuts: Iterable<number>, limits: Limits): Outcome {
  const parser = new RequestParser(limits);
  const requests: SeenRequest[] = [];
  const body: Buffer[] = [];
  let open: SeenRequest | null = null;
  let error: HttpError | null = null;
  const drain = () => {
    for (let event = parser.next(); event !== null; event = parser.next()) {
      if (event.type === 'head') {
        open = { head: event.head, body: '', trailers: [] };
      } else if (event.type === 'data') {
        body.push(event.data);
      } else if (open !== null) {
        requests.push({ ...open, body: Buffer.concat(body).toString('latin1'), trailers: event.trailers });
        body.length = 0;
        open = null;
      }
    }
  };
  try {
    for (const chunk of slices(bytes, cuts)) {
      parser.push(chunk);
      drain();
    }
  } catch (thrown) {
    if (!(thrown instanceof HttpError)) throw thrown;
    error = thrown;
  }
  const begun = open as SeenRequest | null;
  if (begun !== null) open = { ...begun, body: Buffer.concat(body).toString('latin1') };
  return { requests, open, error, requestLine: parser.requestLine, isInside: parser.isInside };
}

/** Copies, as a socket gives them: each chunk has its own memory. */
function* slices(bytes: Buffer, cuts: Iterable<number>): Generator<Buffer> {
  let start = 0;
  for (const cut of cuts) {
    yield Buffer.from(bytes.subarray(start, cut));
    start = cut;
  }
  yield Buffer.from(bytes.subarray(start));
}

/** The outcome as plain values, to be compared. */
export function plain(outcome: Outcome) {
  return {
    requests: outcome.requests,
    open: outcome.open,
    error: outcome.error === null ? null : { code: outcome.error.code, detail: outcome.error.detail },
    requestLine: outcome.requestLine,
    // After an error the whole of the input may or may not have been taken; nobody reads on.
    isInside: outcome.error === null && outcome.isInside,
  };
}

/** Every offset: one byte at a time. */
export function everyByte(length: number): number[] {
  return Array.from({ length: Math.max(0, length - 1) }, (_, index) => index + 1);
}

/** Up to `most` random offsets, ascending. */
export function randomCuts(length: number, random: () => number, most = 8): number[] {
  const count = Math.floor(random() * (most + 1));
  const cuts = Array.from({ length: count }, () => Math.floor(random() * (length + 1)));
  return cuts.sort((left, right) => left - right);
}

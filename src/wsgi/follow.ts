import type { Body, Chunk } from './types.ts';

export interface Follower {
  /** Told of each part before it is given on, empty ones too. What it throws counts as a failure of the body. */
  readonly part: (chunk: Chunk) => void;
  /**
   * Told once when the body is over: it came to its end, failed, or nobody wants it any more.
   * @param failure what the body threw, in an array, as anything can be thrown.
   */
  readonly end: (failure?: readonly [unknown]) => void;
}

/**
 * The same body for middleware that only looks on. It stays what it is: an array is sent whole with its length, a
 * generator or stream part by part; `return()` and `close()` reach the application (PEP 3333, "Middleware: Components
 * that Play Both Sides").
 */
export function follow(body: Body, follower: Follower): Body {
  const over = once(follower.end);
  const close = () => {
    try {
      return body.close?.();
    } finally {
      // An array has no other end; and a generator that was never begun is not ended by `return()`.
      over();
    }
  };
  return Object.assign(followed(body, { part: follower.part, end: over }), { close });
}

function followed(body: Body, follower: Follower): Iterable<Chunk> | AsyncIterable<Chunk> {
  if (Array.isArray(body)) {
    for (const chunk of body as readonly Chunk[]) follower.part(chunk);
    // A copy, as the application may give the same array for every request.
    return [...(body as readonly Chunk[])];
  }
  return Symbol.asyncIterator in body ? eachAsync(body, follower) : each(body, follower);
}

function* each(body: Iterable<Chunk>, { part, end }: Follower): Generator<Chunk, void, undefined> {
  try {
    for (const chunk of body) {
      part(chunk);
      yield chunk;
    }
  } catch (error) {
    end([error]);
    throw error;
  } finally {
    end();
  }
}

function eachAsync(body: AsyncIterable<Chunk>, follower: Follower): AsyncIterable<Chunk> {
  return { [Symbol.asyncIterator]: () => new FollowedParts(body[Symbol.asyncIterator](), follower) };
}

/**
 * No generator: that would keep `return()` back until the part arrives which it waits for, and the source of a
 * stream whose client has left would never be told.
 */
class FollowedParts implements AsyncIterator<Chunk> {
  readonly #parts: AsyncIterator<Chunk>;
  readonly #follower: Follower;

  constructor(parts: AsyncIterator<Chunk>, follower: Follower) {
    this.#parts = parts;
    this.#follower = follower;
  }

  async next(): Promise<IteratorResult<Chunk>> {
    try {
      const step = await this.#parts.next();
      if (step.done === true) this.#follower.end();
      else this.#follower.part(step.value);
      return step;
    } catch (error) {
      this.#follower.end([error]);
      throw error;
    }
  }

  async return(): Promise<IteratorResult<Chunk>> {
    try {
      return (await this.#parts.return?.()) ?? { done: true, value: undefined };
    } finally {
      this.#follower.end();
    }
  }
}

function once(end: Follower['end']): Follower['end'] {
  let isOver = false;
  return (failure) => {
    if (isOver) return;
    isOver = true;
    end(failure);
  };
}

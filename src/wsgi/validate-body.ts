/** Checks of the iterable that an application gives (wsgiref.validate: `check_iterator`, `IteratorWrapper`). */
import { isPromise, kindOf } from './kind.ts';
import type { Body, Chunk } from './types.ts';
import type { ValidatedAnswer } from './validate-answer.ts';
import { application, SECTIONS, server, type Warn } from './violation.ts';

/** @throws {WsgiViolation} for what is no body. */
export function checkBody(body: unknown): asserts body is Body {
  if (body === undefined || body === null || body === false) {
    application.breaks(
      'application',
      `The application must give an iterable, if only an empty array, not ${kindOf(body)}.`,
    );
  }
  if (typeof body === 'string' || body instanceof Uint8Array) {
    application.breaks(
      'streaming',
      `The application gave ${kindOf(body)}: give an array that holds it, or each character or byte is a part.`,
    );
  }
  const { close, ...found } = symbolsOf(body);
  if (!found.isAsync && !found.isSync) {
    application.breaks(
      'application',
      `The application must give an iterable or async iterable of parts, not ${kindOf(body)}.`,
    );
  }
  if (close !== undefined && typeof close !== 'function') {
    application.breaks('details', `close of the iterable must be a function, not ${kindOf(close)}.`);
  }
}

function symbolsOf(body: unknown) {
  const given = body as Partial<Iterable<unknown> & AsyncIterable<unknown> & { close: unknown }>;
  return {
    isAsync: typeof given[Symbol.asyncIterator] === 'function',
    isSync: typeof given[Symbol.iterator] === 'function',
    close: given.close,
  };
}

/**
 * The body as the server gets it. An array is checked at once and stays one, as it is sent whole.
 * @param warn told when the server drops the body without a call of `close`.
 */
export function validatedBody(body: Body, { answer, warn, title }: BodyOptions): Body {
  const state = { isClosed: false, warn, title };
  const close = () => {
    state.isClosed = true;
    answer.close();
    return body.close?.();
  };
  const parts = Array.isArray(body)
    ? checkedArray(body, answer)
    : new Parts(body, { answer, state }).iterable();
  const validated: Body = Object.assign(parts, { close });
  dropped.register(validated, state);
  return validated;
}

export interface BodyOptions {
  readonly answer: ValidatedAnswer;
  readonly warn: Warn;
  /** `GET /path` */
  readonly title: string;
}

interface State {
  isClosed: boolean;
  readonly warn: Warn;
  readonly title: string;
}

/** Whether `close` is never called is known only when nobody holds the body any more. */
const dropped = new FinalizationRegistry(({ isClosed, warn, title }: State) => {
  if (!isClosed)
    warn(`The server never called close() of the body for ${title} (PEP 3333, "${SECTIONS.details}").`);
});

function checkedArray(body: readonly unknown[], answer: ValidatedAnswer): Chunk[] {
  const parts = body.map((chunk) => answer.part(chunk, 'iterable'));
  answer.end();
  return parts;
}

/** The iterator of a body that is asked part by part. */
class Parts {
  readonly #body: Body;
  readonly #answer: ValidatedAnswer;
  readonly #state: State;
  #isBegun = false;

  constructor(body: Body, { answer, state }: { readonly answer: ValidatedAnswer; readonly state: State }) {
    this.#body = body;
    this.#answer = answer;
    this.#state = state;
  }

  iterable(): Iterable<Chunk> | AsyncIterable<Chunk> {
    const body = this.#body;
    if (Symbol.asyncIterator in body) {
      return { [Symbol.asyncIterator]: () => this.#async(this.#begin(() => body[Symbol.asyncIterator]())) };
    }
    return { [Symbol.iterator]: () => this.#sync(this.#begin(() => body[Symbol.iterator]())) };
  }

  #begin<T>(iterator: () => T): T {
    if (this.#isBegun) server.breaks('details', 'The body was iterated a second time.');
    this.#isBegun = true;
    return iterator();
  }

  #sync(inner: Iterator<Chunk>): IterableIterator<Chunk> {
    const iterator: IterableIterator<Chunk> = {
      [Symbol.iterator]: () => iterator,
      next: () => this.#step(this.#ask(() => inner.next())),
      return: () => inner.return?.() ?? { done: true, value: undefined },
    };
    return iterator;
  }

  #async(inner: AsyncIterator<Chunk>): AsyncIterableIterator<Chunk> {
    const iterator: AsyncIterableIterator<Chunk> = {
      [Symbol.asyncIterator]: () => iterator,
      next: async () => this.#step(await this.#ask(() => inner.next())),
      return: async () => (await inner.return?.()) ?? { done: true, value: undefined },
    };
    return iterator;
  }

  #ask<T>(next: () => T): T {
    if (this.#state.isClosed) server.breaks('details', 'The body was asked for a part after its close().');
    return this.#answer.asked(next);
  }

  #step(step: IteratorResult<Chunk>): IteratorResult<Chunk> {
    if (isPromise(step)) {
      application.breaks(
        'application',
        'next() of an iterable gave a promise: it must be an async iterable then.',
      );
    }
    if (typeof step !== 'object' || step === null) {
      application.breaks('application', `next() must give { done, value }, not ${kindOf(step)}.`);
    }
    if (step.done !== true) return { done: false, value: this.#answer.part(step.value, 'iterable') };
    this.#answer.end();
    return step;
  }
}

/** One call of an application and the answer it gives, watched from both sides. */
import { isPromise, kindOf } from './kind.ts';
import type { Chunk, StartResponse, Write } from './types.ts';
import { checkExcInfo, checkHead, type Head } from './validate-head.ts';
import { application, server, type Warn } from './violation.ts';

/** Where a part of the body came by. */
type Way = 'write' | 'iterable';

export class ValidatedAnswer {
  readonly #isHeadRequest: boolean;
  readonly #warn: Warn;
  #head: Head | null = null;
  #bytes = 0;
  /** The server has something of the body, and so has sent the head. */
  #isSent = false;
  /** The server threw excInfo, as the head had been sent. */
  #isRefused = false;
  /** The server waits for the next part. */
  #isAsked = false;
  #isOver = false;

  constructor({ method, warn }: { readonly method: string; readonly warn: Warn }) {
    this.#isHeadRequest = method === 'HEAD';
    this.#warn = warn;
  }

  /** `startResponse` as the application gets it. */
  start(startResponse: StartResponse, args: readonly unknown[]): Write {
    if (args.length !== 2 && args.length !== 3) {
      application.breaks('start', `startResponse takes two or three arguments, not ${args.length}.`);
    }
    const [status, headers, excInfo] = args;
    const head = checkHead(status, headers, this.#warn);
    checkExcInfo(excInfo);
    const isCaught = excInfo !== undefined && excInfo !== null;
    if (this.#isOver) application.breaks('start', 'startResponse was called after the answer was over.');
    if (this.#head !== null && !isCaught) {
      application.breaks('start', 'startResponse was called a second time without excInfo.');
    }
    const write = this.#pass(() => startResponse(...(args as Parameters<StartResponse>)), isCaught);
    this.#head = head;
    return (...given: readonly unknown[]) => this.#write(write, given);
  }

  #pass(start: () => unknown, isCaught: boolean): Write {
    let write: unknown;
    try {
      write = start();
    } catch (error) {
      this.#isRefused = isCaught && this.#isSent;
      throw error;
    }
    if (isCaught && this.#isSent) {
      server.breaks('errors', 'startResponse must throw excInfo when the head has been sent already.');
    }
    if (typeof write !== 'function')
      server.breaks('start', `startResponse must give write(), not ${kindOf(write)}.`);
    return write as Write;
  }

  #write(write: Write, args: readonly unknown[]): Promise<void> {
    if (args.length !== 1) application.breaks('write', `write() takes one argument, not ${args.length}.`);
    if (this.#isOver) application.breaks('write', 'write() was called after the answer was over.');
    if (this.#isAsked) application.breaks('write', 'write() may not be called from within the iterable.');
    const chunk = this.part(args[0], 'write');
    const done: Promise<void> = write(chunk);
    if (!isPromise(done)) server.breaks('write', `write() must give a promise, not ${kindOf(done)}.`);
    return done;
  }

  /** The server asks for a part: `ask` gives it, or a promise of it. */
  asked<T>(ask: () => T): T {
    this.#isAsked = true;
    try {
      const step = ask();
      if (isPromise(step))
        void step.then(
          () => this.#answered(),
          () => this.#answered(),
        );
      else this.#answered();
      return step;
    } catch (error) {
      this.#answered();
      throw error;
    }
  }

  #answered(): void {
    this.#isAsked = false;
  }

  /** A part of the body passes. */
  part(chunk: unknown, way: Way): Chunk {
    if (typeof chunk !== 'string' && !(chunk instanceof Uint8Array)) {
      application.breaks(
        way === 'write' ? 'write' : 'details',
        `A part of the body must be a Uint8Array or a string, not ${kindOf(chunk)}.`,
      );
    }
    if (this.#isRefused) {
      application.breaks(
        'errors',
        'startResponse threw excInfo, and the application went on: it must let that pass.',
      );
    }
    this.#count(chunk);
    // write() sends the head whatever it is given.
    if (chunk.length > 0 || way === 'write') this.#isSent = true;
    return chunk;
  }

  #count(chunk: Chunk): void {
    const { length } = this.#started();
    this.#bytes += Buffer.byteLength(chunk);
    if (this.#bytes > length) {
      application.breaks('length', `The body is longer than its Content-Length of ${length} bytes.`);
    }
  }

  #started(): Head {
    return (
      this.#head ??
      application.breaks('start', 'startResponse was not called before the first part of the body.')
    );
  }

  /** The last part has passed. */
  end(): void {
    const { code, length } = this.#started();
    const isBodyless = this.#isHeadRequest || code === 204 || code === 304;
    if (length !== Number.POSITIVE_INFINITY && this.#bytes < length && !isBodyless) {
      application.breaks(
        'length',
        `The body has ${this.#bytes} bytes: less than its Content-Length of ${length}.`,
      );
    }
  }

  /** The server is through with the body. */
  close(): void {
    this.#isOver = true;
  }
}

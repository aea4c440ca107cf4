/** What holds for every middleware: it changes no body, however that is given, and hides no end. */
import { describe, expect, test } from 'vitest';
import { accessLog } from '../../src/wsgi/access-log.ts';
import { compose } from '../../src/wsgi/compose.ts';
import { mount } from '../../src/wsgi/mount.ts';
import { requestId } from '../../src/wsgi/request-id.ts';
import type { Application, Chunk, Middleware } from '../../src/wsgi/types.ts';
import { validator } from '../../src/wsgi/validator.ts';
import { BODY_KINDS } from './body-kinds.ts';
import { FakeExchange } from './fake-exchange.ts';
import { runApp } from './run-app.ts';

const MIDDLEWARE: Record<string, Middleware> = {
  requestId: requestId({ make: () => 'the-id' }),
  accessLog: accessLog({ write: () => undefined }),
  mount: (app) => mount({ '/': app }),
  validator,
  'all of them': compose(accessLog({ write: () => undefined }), requestId({ make: () => 'the-id' }), (app) =>
    mount({ '/path': app }),
  ),
};

const withoutId = (calls: readonly string[]) => calls.map((call) => call.replace(' X-Request-ID=the-id', ''));

/** The client leaves as the first part is sent. */
class Leaving extends FakeExchange {
  override respond(...given: Parameters<FakeExchange['respond']>): boolean {
    const goOn = super.respond(...given);
    if (!given[1].last) this.leave();
    return goOn;
  }
}

/** A source as `events.on` is one: to end it does not wait for the next part. */
class Endless implements AsyncIterator<Chunk> {
  readonly #notes: string[];
  readonly #asked: () => void;

  constructor(notes: string[], asked: () => void) {
    this.#notes = notes;
    this.#asked = asked;
  }

  [Symbol.asyncIterator](): AsyncIterator<Chunk> {
    return this;
  }

  next(): Promise<never> {
    setImmediate(this.#asked);
    return new Promise(() => undefined);
  }

  async return(): Promise<IteratorReturnResult<undefined>> {
    this.#notes.push('return');
    return { done: true, value: undefined };
  }

  close(): void {
    this.#notes.push('close');
  }
}

describe.each(Object.entries(MIDDLEWARE))('%s', (_, middleware) => {
  test.each(Object.entries(BODY_KINDS))('%s passes as it is', async (_kind, makeApp) => {
    const notes: [string[], string[]] = [[], []];
    const bare = await runApp(makeApp(notes[0]));
    const wrapped = await runApp(middleware(makeApp(notes[1])));
    expect(bare.errors + wrapped.errors).toBe('');
    expect(withoutId(wrapped.calls)).toEqual(bare.calls);
    expect(notes[1]).toEqual(notes[0]);
  });

  test.each(Object.entries(BODY_KINDS))('%s is ended when the client leaves', async (_kind, makeApp) => {
    const notes: [string[], string[]] = [[], []];
    const bare = await runApp(makeApp(notes[0]), new Leaving());
    const wrapped = await runApp(middleware(makeApp(notes[1])), new Leaving());
    expect(withoutId(wrapped.calls)).toEqual(bare.calls);
    expect(notes[1]).toEqual(notes[0]);
  });

  test('return arrives while a part is awaited that never comes', async () => {
    const exchange = new FakeExchange();
    const notes: string[] = [];
    const app: Application = (_environ, startResponse) => {
      startResponse('200 OK', [['Content-Type', 'text/plain']]);
      return new Endless(notes, () => exchange.leave());
    };
    await runApp(middleware(app), exchange);
    expect(notes).toEqual(['return', 'close']);
  });

  test('what the application throws arrives', async () => {
    const thrown = [
      () => {
        throw new Error('at once');
      },
      () => Promise.reject(new Error('later')),
      // biome-ignore lint/correctness/useYield: it fails before
      function* () {
        throw new Error('as it is iterated');
      },
    ];
    const errors = await Promise.all(thrown.map(async (app) => (await runApp(middleware(app))).errors));
    expect(errors).toEqual([
      expect.stringContaining('Error: at once'),
      expect.stringContaining('Error: later'),
      expect.stringContaining('Error: as it is iterated'),
    ]);
  });

  test('excInfo arrives, and what close throws', async () => {
    const failure = new Error('too late');
    const result = await runApp(
      middleware((_environ, startResponse) => {
        const type = [['Content-Type', 'text/plain']] as const;
        startResponse('200 OK', type);
        startResponse('500 Oops', type, new Error('caught'));
        void startResponse('500 Oops', type, new Error('caught again'))('a');
        expect(() => startResponse('500 Oops', type, failure)).toThrow(failure);
        const close = () => Promise.reject(new Error('not tidy'));
        return Object.assign([], { close });
      }),
    );
    const calls = ['respond 500 Oops Content-Type=text/plain [a]', 'write [] last', 'release'];
    expect(withoutId(result.calls)).toEqual(calls);
    expect(result.errors).toContain('not tidy');
  });
});

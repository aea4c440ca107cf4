import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { HttpError } from '../../src/errors.ts';
import { HOP_BY_HOP } from '../../src/http/grammar.ts';
import { callOf } from '../../src/wsgi/call.ts';
import { runApplication } from '../../src/wsgi/run.ts';
import type { Application, Body, Environ, Write } from '../../src/wsgi/types.ts';
import { FakeExchange } from './fake-exchange.ts';

async function run(app: Application, exchange = new FakeExchange()) {
  let errors = '';
  const options = { errors: (text: string) => (errors += text), serverSoftware: 'tunicorn/test' };
  await runApplication(app, callOf(exchange), options);
  return { calls: exchange.calls, errors };
}

const ok =
  (body: Body): Application =>
  (_, startResponse) => {
    startResponse('200 OK', [['X-A', '1']]);
    return body;
  };

describe('what goes beyond the PEP', () => {
  test('early hints leave ahead of the head, and are nothing after it', async () => {
    const app: Application = function* (environ, startResponse) {
      environ['wsgi.early_hints']?.([['Link', '</a.css>; rel=preload']]);
      startResponse('200 OK', []);
      yield 'a';
      environ['wsgi.early_hints']?.([['Link', '</b.css>; rel=preload']]);
    };
    expect((await run(app)).calls).toEqual([
      'hint Link </a.css>; rel=preload',
      'respond 200 OK [a]',
      'write [] last',
      'release',
    ]);
  });

  test('early hints that no header can be are refused', async () => {
    const app: Application = (environ, startResponse) => {
      environ['wsgi.early_hints']?.([['Link', 'a\r\nX-Evil: 1']]);
      startResponse('200 OK', []);
      return [];
    };
    expect((await run(app)).calls).toEqual(['fail 500', 'release']);
  });

  test('the signal is aborted when the client leaves', async () => {
    const exchange = new FakeExchange();
    let signal: AbortSignal | undefined;
    const app: Application = async function* (environ, startResponse) {
      signal = environ['tunicorn.signal']?.();
      startResponse('200 OK', []);
      yield 'a';
      await new Promise((resolve) => signal?.addEventListener('abort', resolve));
    };
    const running = run(app, exchange);
    await expect.poll(() => exchange.calls.length).toBe(1);
    expect(signal?.aborted).toBe(false);
    exchange.leave();
    await running;
    expect(signal?.aborted).toBe(true);
  });

  test('gone says the same as the signal, without one', async () => {
    const exchange = new FakeExchange();
    const seen: unknown[] = [];
    const app: Application = function* (environ, startResponse) {
      startResponse('200 OK', []);
      seen.push(environ['tunicorn.gone']?.());
      yield 'a';
      exchange.leave();
      seen.push(environ['tunicorn.gone']?.());
    };
    await run(app, exchange);
    expect(seen).toEqual([false, true]);
  });

  test('an application that failed has not lost its client', async () => {
    const seen: unknown[] = [];
    await run((environ) =>
      Object.assign(['no head'], { close: () => seen.push(environ['tunicorn.gone']?.()) }),
    );
    expect(seen).toEqual([false]);
  });

  test('a signal that is asked for after that is aborted at once; one of a whole answer is not', async () => {
    const left = new FakeExchange();
    left.gone = true;
    const signals: (AbortSignal | undefined)[] = [];
    const app: Application = (environ, startResponse) => {
      startResponse('200 OK', []);
      signals.push(environ['tunicorn.signal']?.());
      const close = () => signals.push(environ['tunicorn.signal']?.());
      return Object.assign(['a'], { close });
    };
    await run(app, left);
    await run(app);
    expect(signals.map((signal) => signal?.aborted)).toEqual([true, true, false, false]);
  });
});

describe('the body', () => {
  test('an array of one part is sent whole, so that its length is known', async () => {
    expect((await run(ok(['hé']))).calls).toEqual(['respond 200 OK X-A=1 [hé] last', 'release']);
  });

  test('and so is an array of several', async () => {
    const expected = ['respond 200 OK X-A=1 [ab] last', 'release'];
    expect((await run(ok(['a', '', 'b']))).calls).toEqual(expected);
    expect((await run(ok([new Uint8Array([97]), Buffer.from('b')]))).calls).toEqual(expected);
  });

  test('other parts are sent one by one', async () => {
    const expected = ['respond 200 OK X-A=1 [a]', 'write [b]', 'write [] last', 'release'];
    expect((await run(ok(new Set(['a', '', 'b'])))).calls).toEqual(expected);
  });

  test('no part at all', async () => {
    expect((await run(ok([]))).calls).toEqual(['respond 200 OK X-A=1 [] last', 'release']);
    expect((await run(ok(['', '']))).calls).toEqual(['respond 200 OK X-A=1 [] last', 'release']);
  });

  const expected = ['respond 200 OK [a]', 'write [b]', 'write [] last', 'release'];
  test.each<[string, Application]>([
    [
      'a generator function',
      function* (_, startResponse) {
        startResponse('200 OK', []);
        yield 'a';
        yield 'b';
      },
    ],
    [
      'an async generator function',
      async function* (_, startResponse) {
        await Promise.resolve();
        startResponse('200 OK', []);
        yield 'a';
        await Promise.resolve();
        yield 'b';
      },
    ],
    [
      'a promise of a set',
      async (_, startResponse) => {
        await Promise.resolve();
        startResponse('200 OK', []);
        return new Set(['a', 'b']);
      },
    ],
  ])('from %s', async (_, app) => {
    expect((await run(app)).calls).toEqual(expected);
  });

  test('the head waits for the first part that is not empty', async () => {
    const exchange = new FakeExchange();
    const seen: string[][] = [];
    const app: Application = function* (_, startResponse) {
      startResponse('200 OK', []);
      yield '';
      seen.push([...exchange.calls]);
      yield 'a';
      seen.push([...exchange.calls]);
    };
    await run(app, exchange);
    expect(seen).toEqual([[], ['respond 200 OK [a]']]);
  });

  test.each([['text'], [new Uint8Array([1])], [null], [undefined], [7]])('%s is no body', async (body) => {
    const result = await run(ok(body as unknown as Body));
    expect(result.calls).toEqual(['fail 500', 'release']);
    expect(result.errors).toMatch(/TypeError: The application gave/);
  });

  test('a part of the wrong type', async () => {
    const result = await run(ok([1, 2] as unknown as Body));
    expect(result.calls).toEqual(['fail 500', 'release']);
    expect(result.errors).toContain('must be a Uint8Array or a string, not a number');
  });
});

describe('startResponse', () => {
  test('is needed', async () => {
    const result = await run(() => ['a']);
    expect(result.calls).toEqual(['fail 500', 'release']);
    expect(result.errors).toContain('startResponse was not called');
  });

  test('a second time is an error without excInfo', async () => {
    const app: Application = (_, startResponse) => {
      startResponse('200 OK', []);
      startResponse('200 OK', []);
      return ['a'];
    };
    expect((await run(app)).errors).toContain('a second time');
  });

  test('a second time is one also after the head is sent, and null is no excInfo', async () => {
    const app: Application = function* (_, startResponse) {
      startResponse('200 OK', []);
      yield 'a';
      startResponse('200 OK', [], null);
    };
    const result = await run(app);
    expect(result.calls).toEqual(['respond 200 OK [a]', 'fail 500', 'release']);
    expect(result.errors).toContain('a second time');
  });

  test('that was refused may be called again: the head is still to be said', async () => {
    const app: Application = (_, startResponse) => {
      expect(() => startResponse('200 OK', [['a b', '1']])).toThrow(TypeError);
      startResponse('200 OK', []);
      return ['a'];
    };
    expect((await run(app)).calls).toEqual(['respond 200 OK [a] last', 'release']);
  });

  test('the length of a head that is replaced holds no more', async () => {
    const app: Application = (_, startResponse) => {
      startResponse('200 OK', [['Content-Length', '1']]);
      startResponse('500 Oops', [], new Error('told by the application'));
      return ['sorry'];
    };
    expect(await run(app)).toEqual({ calls: ['respond 500 Oops [sorry] last', 'release'], errors: '' });
  });

  test('write takes parts of a body only', async () => {
    const app: Application = (_, startResponse) => {
      startResponse('200 OK', [])(Promise.resolve('a') as never);
      return [];
    };
    expect((await run(app)).errors).toContain('not a promise (await it)');
  });

  test.each([...HOP_BY_HOP])('refuses the hop-by-hop header %s', async (name) => {
    const app: Application = (_, startResponse) => {
      startResponse('200 OK', [[name, 'x']]);
      return [];
    };
    const result = await run(app);
    expect(result.calls).toEqual(['fail 500', 'release']);
    expect(result.errors).toContain(`The header ${name} is the server's own`);
  });

  test('with excInfo it replaces a head that is not sent', async () => {
    const app: Application = (_, startResponse) => {
      startResponse('200 OK', []);
      startResponse('500 Oops', [['X-B', '2']], new Error('told by the application'));
      return ['sorry'];
    };
    const result = await run(app);
    expect(result.calls).toEqual(['respond 500 Oops X-B=2 [sorry] last', 'release']);
    expect(result.errors).toBe('');
  });

  test('with excInfo it throws that again once the head is sent', async () => {
    const failure = new Error('too late');
    const app: Application = function* (_, startResponse) {
      startResponse('200 OK', []);
      yield 'a';
      startResponse('500 Oops', [], failure);
      yield 'never';
    };
    const result = await run(app);
    expect(result.calls).toEqual(['respond 200 OK [a]', 'fail 500', 'release']);
    expect(result.errors).toContain('Error: too late');
  });

  test('gives write, which sends the head at once', async () => {
    const app: Application = (_, startResponse) => {
      const write = startResponse('200 OK', []);
      write('');
      write('a');
      return ['b'];
    };
    expect((await run(app)).calls).toEqual(['respond 200 OK []', 'write [a]', 'write [b] last', 'release']);
  });

  test.each<[string, unknown, unknown]>([
    ['status without a code', 'OK', []],
    ['status without a space', '200OK', []],
    ['status that is no end', '100 Continue', []],
    ['Content-Length that is none', '200 OK', [['Content-Length', '-1']]],
    ['status of the wrong type', 200, []],
    ['line end in the status', '200 OK\r\nX: y', []],
    ['more than latin-1 in the status', '200 \u20ac', []],
    ['headers of the wrong type', '200 OK', { a: 'b' }],
    ['header of the wrong length', '200 OK', [['a']]],
    ['number as a value', '200 OK', [['a', 1]]],
    ['name with a space', '200 OK', [['a b', '1']]],
    ['empty name', '200 OK', [['', '1']]],
    ['line end in a value', '200 OK', [['a', 'b\r\nc: d']]],
    ['line feed at the end of a value', '200 OK', [['a', 'b\n']]],
    ['NUL in a value', '200 OK', [['a', 'b\0']]],
    ['more than latin-1 in a value', '200 OK', [['a', '\u20ac']]],
    ['hop-by-hop', '200 OK', [['Connection', 'close']]],
    ['hop-by-hop in capitals', '200 OK', [['TRANSFER-ENCODING', 'chunked']]],
  ])('refuses: %s', async (_, status, headers) => {
    const app: Application = (_environ, startResponse) => {
      startResponse(status as string, headers as [string, string][]);
      return ['a'];
    };
    const result = await run(app);
    expect(result.calls).toEqual(['fail 500', 'release']);
    expect(result.errors).toContain('TypeError');
  });
});

describe('Content-Length', () => {
  const long = (parts: Iterable<string>): Application =>
    function* (_, startResponse) {
      startResponse('200 OK', [['content-length', '3']]);
      yield* parts;
    };

  test('its last byte completes the answer, and a later error does not break it', async () => {
    const app: Application = function* (_, startResponse) {
      startResponse('200', [['content-length', '3']]);
      yield 'ab';
      yield 'c';
      throw new Error('late');
    };
    const result = await run(app);
    expect(result.calls.slice(0, 2)).toEqual(['respond 200  content-length=3 [ab]', 'write [c] last']);
    expect(result.errors).toContain('late');
  });

  test('nothing is sent after it, and that is told', async () => {
    const result = await run(long(['abc', 'd', 'e']));
    expect(result.calls).toEqual(['respond 200 OK content-length=3 [abc] last', 'release']);
    expect(result.errors).toBe(
      'The application gave more than its Content-Length: the rest is dropped: GET /path?a=1\n',
    );
  });

  test('too few: the end is the end', async () => {
    const expected = ['respond 200 OK content-length=3 [ab]', 'write [] last', 'release'];
    expect((await run(long(['ab']))).calls).toEqual(expected);
  });
});

describe('errors', () => {
  test('before the head: a 500 and the stack', async () => {
    const app: Application = () => {
      throw new RangeError('oops', { cause: new Error('deep') });
    };
    const result = await run(app);
    expect(result.calls).toEqual(['fail 500', 'release']);
    expect(result.errors).toMatch(/^Error in the application for GET \/path\?a=1:\nRangeError: oops\n +at /);
    expect(result.errors).toContain('Error: deep');
  });

  test('of a promise', async () => {
    const result = await run(() => Promise.reject(new Error('oops')));
    expect(result.calls).toEqual(['fail 500', 'release']);
  });

  test('after the head', async () => {
    const app: Application = async function* (_, startResponse) {
      startResponse('200 OK', []);
      yield 'a';
      throw new Error('oops');
    };
    const result = await run(app);
    expect(result.calls).toEqual(['respond 200 OK [a]', 'fail 500', 'release']);
  });

  test('a head that the connection refuses', async () => {
    const exchange = new FakeExchange();
    exchange.refusal = new HttpError('application-error', 'No.');
    const result = await run(ok(['a']), exchange);
    expect(result.calls).toEqual(['fail 500', 'release']);
    expect(result.errors).toContain('No.');
  });
});

describe('the end of the iterable', () => {
  /** Notes what is called on it. */
  class Parts {
    readonly #notes: string[];
    readonly #parts: unknown[];
    constructor(notes: string[], parts: unknown[]) {
      this.#notes = notes;
      this.#parts = parts;
    }
    [Symbol.iterator]() {
      return this;
    }
    next() {
      const value = this.#parts.shift() as string;
      return { done: value === undefined, value };
    }
    return() {
      this.#notes.push('return');
      return { done: true, value: '' };
    }
    close() {
      this.#notes.push('close');
    }
  }

  test('close is called after the last part', async () => {
    const notes: string[] = [];
    await run(ok(new Parts(notes, ['a', 'b']) as unknown as Body));
    expect(notes).toEqual(['close']);
  });

  test('return and close are called when a part cannot be sent', async () => {
    const notes: string[] = [];
    const result = await run(ok(new Parts(notes, ['a', 7]) as unknown as Body));
    expect(notes).toEqual(['return', 'close']);
    expect(result.calls).toEqual(['respond 200 OK X-A=1 [a]', 'fail 500', 'release']);
  });

  test('close is called on an array of one, and when the application never started a response', async () => {
    for (const app of [ok, (body: Body) => () => body]) {
      const notes: string[] = [];
      const body = Object.assign(['a'], { close: () => notes.push('close') });
      await run(app(body));
      expect(notes).toEqual(['close']);
    }
  });

  test('what close throws is told, and the answer stands', async () => {
    const close = () => Promise.reject(new Error('not tidy'));
    const result = await run(ok(Object.assign(['a'], { close })));
    expect(result.calls).toEqual(['respond 200 OK X-A=1 [a] last', 'release']);
    expect(result.errors).toContain('not tidy');
  });

  test.each(['sync', 'async'])('return and close are called when the client leaves: %s', async (kind) => {
    const exchange = new FakeExchange();
    const notes: string[] = [];
    const parts = new Parts(notes, ['a', 'b', 'c']);
    const next = () => {
      const step = parts.next();
      if (step.value === 'b') exchange.leave();
      return step;
    };
    const iterator = { next, return: () => parts.return() };
    const asynchronous = { next: async () => next(), return: async () => parts.return() };
    const body =
      kind === 'sync'
        ? { [Symbol.iterator]: () => iterator, close: () => parts.close() }
        : { [Symbol.asyncIterator]: () => asynchronous, close: () => parts.close() };
    await run(ok(body as unknown as Body), exchange);
    expect(notes).toEqual(['return', 'close']);
  });

  test('close is called when the client leaves before the first part, and after an error of the iterable', async () => {
    const notes: string[] = [];
    const gone = new FakeExchange();
    gone.leave();
    await run(ok(new Parts(notes, ['a']) as unknown as Body), gone);
    expect(notes).toEqual(['return', 'close']);
    const failing = {
      *[Symbol.iterator]() {
        yield 'a';
        throw new Error('oops');
      },
      close: () => notes.push('close again'),
    };
    const result = await run(ok(failing));
    expect(notes.at(-1)).toBe('close again');
    expect(result.errors).toContain('oops');
  });

  test('a generator is ended when the client leaves', async () => {
    const exchange = new FakeExchange();
    const notes: string[] = [];
    const app: Application = function* (_, startResponse) {
      startResponse('200 OK', []);
      try {
        yield 'a';
        exchange.leave();
        yield 'b';
        notes.push('never');
      } finally {
        notes.push('tidy');
      }
    };
    await run(app, exchange);
    expect(notes).toEqual(['tidy']);
    expect(exchange.calls).toEqual(['respond 200 OK [a]', 'write [b]', 'release']);
  });

  test('nobody waits for an async part when the client has left', async () => {
    const exchange = new FakeExchange();
    const body = {
      [Symbol.asyncIterator]: () => ({
        next: () => {
          setImmediate(() => exchange.leave());
          return new Promise<never>(() => undefined);
        },
      }),
    };
    expect((await run(ok(body), exchange)).calls).toEqual(['release']);
  });

  test('a body that comes after the client has left is closed, and what rejects is told once', async () => {
    const exchange = new FakeExchange();
    const notes: string[] = [];
    const late = (end: () => Body): Application => {
      return async () => {
        await new Promise<void>((resolve) => {
          setImmediate(() => {
            exchange.leave();
            setImmediate(resolve);
          });
        });
        return end();
      };
    };
    await run(
      late(() => Object.assign(['a'], { close: () => notes.push('close') })),
      exchange,
    );
    await expect.poll(() => notes).toEqual(['close']);
    let errors = '';
    const options = { errors: (text: string) => (errors += text), serverSoftware: '' };
    const fail = late(() => {
      throw new Error('late');
    });
    exchange.gone = false;
    await runApplication(fail, callOf(exchange), options);
    await expect.poll(() => errors).toContain('Error: late');
    await new Promise(setImmediate);
    expect(errors.match(/Error: late/g)).toHaveLength(1);
  });

  test.each<[string, (signal: AbortSignal) => Promise<unknown>]>([
    [
      'rejects with its reason',
      (signal) => new Promise((_, no) => signal.addEventListener('abort', () => no(signal.reason))),
    ],
    ['wraps that, as those of Node do', (signal) => sleep(3_600_000, undefined, { signal })],
  ])('what gives up at the signal is no error, when it %s', async (_, wait) => {
    const exchange = new FakeExchange();
    const app: Application = async (environ) => {
      const signal = environ['tunicorn.signal']?.() as AbortSignal;
      setImmediate(() => exchange.leave());
      await wait(signal);
      return [];
    };
    const { errors } = await run(app, exchange);
    await new Promise(setImmediate);
    expect(errors).toBe('');
  });

  test('an error after the client has left is told all the same', async () => {
    const exchange = new FakeExchange();
    const body = {
      async *[Symbol.asyncIterator]() {
        await new Promise<void>((resolve) => {
          setImmediate(() => {
            exchange.leave();
            resolve();
          });
        });
        yield Promise.reject(new Error('late'));
      },
    };
    expect((await run(ok(body), exchange)).errors).toContain('late');
  });
});

describe('a slow client', () => {
  test('the next part is not asked for before it has drained', async () => {
    const exchange = new FakeExchange();
    exchange.goOn = false;
    let asked = 0;
    const app: Application = function* (_, startResponse) {
      startResponse('200 OK', []);
      for (const part of ['a', 'b']) {
        asked += 1;
        yield part;
      }
    };
    const running = run(app, exchange);
    await new Promise(setImmediate);
    expect(asked).toBe(1);
    exchange.drain();
    await running;
    expect(exchange.calls).toEqual(['respond 200 OK [a]', 'write [b]', 'write [] last', 'release']);
  });

  test('the wait ends when it leaves', async () => {
    const exchange = new FakeExchange();
    exchange.goOn = false;
    const running = run(ok(new Set(['a', 'b'])), exchange);
    await new Promise(setImmediate);
    exchange.leave();
    await running;
    expect(exchange.calls).toEqual(['respond 200 OK X-A=1 [a]', 'release']);
  });

  test('write gives a promise to wait for', async () => {
    const exchange = new FakeExchange();
    exchange.goOn = false;
    const order: string[] = [];
    const app: Application = async (_, startResponse) => {
      const write: Write = startResponse('200 OK', []);
      await write('a');
      order.push('drained');
      return [];
    };
    const running = run(app, exchange);
    await new Promise(setImmediate);
    expect(order).toEqual([]);
    exchange.drain();
    await running;
    expect(order).toEqual(['drained']);
  });
});

describe('environ', () => {
  async function environOf(exchange: FakeExchange): Promise<Environ> {
    let seen: Environ | undefined;
    await run((environ, startResponse) => {
      seen = environ;
      return ok(['a'])(environ, startResponse);
    }, exchange);
    if (seen === undefined) throw new Error('not called');
    return seen;
  }

  test('holds the request and the keys of PEP 3333', async () => {
    const environ = await environOf(new FakeExchange());
    expect(environ).toMatchObject({
      REQUEST_METHOD: 'GET',
      PATH_INFO: '/path',
      SERVER_SOFTWARE: 'tunicorn/test',
      'wsgi.version': [1, 0],
      'wsgi.url_scheme': 'http',
      'wsgi.input_terminated': true,
      'wsgi.multithread': true,
      'wsgi.multiprocess': false,
      'wsgi.run_once': false,
    });
  });

  test('is made anew for each request, so that an application may change it', async () => {
    const exchanges = [new FakeExchange(), new FakeExchange()];
    const [first, second] = await Promise.all(exchanges.map(environOf));
    expect(first).not.toBe(second);
    expect(Object.getPrototypeOf(first)).toBe(Object.prototype);
    expect(first?.['wsgi.version']).not.toBe(second?.['wsgi.version']);
  });

  test('wsgi.errors goes to the sink', async () => {
    const result = await run((environ, startResponse) => {
      environ['wsgi.errors'].write('one\n');
      environ['wsgi.errors'].writelines(['two\n', 'three\n']);
      environ['wsgi.errors'].flush();
      return ok(['a'])(environ, startResponse);
    });
    expect(result.errors).toBe('one\ntwo\nthree\n');
  });

  test('wsgi.input knows the Content-Type for a form', async () => {
    const exchange = new FakeExchange({
      head: { fields: ['content-type', 'application/x-www-form-urlencoded'] },
      body: 'a=1',
    });
    let form: FormData | undefined;
    await run(async (environ, startResponse) => {
      form = await environ['wsgi.input'].formData();
      return ok(['a'])(environ, startResponse);
    }, exchange);
    expect(form?.get('a')).toBe('1');
  });

  test('wsgi.input gives the body, and ends with the request', async () => {
    const exchange = new FakeExchange({ body: 'hello' });
    let text = '';
    let input: Environ['wsgi.input'] | undefined;
    await run((environ, startResponse) => {
      input = environ['wsgi.input'];
      text = input.read().toString();
      return ok(['a'])(environ, startResponse);
    }, exchange);
    expect(text).toBe('hello');
    expect(() => input?.read()).toThrow('after the request was over');
  });
});

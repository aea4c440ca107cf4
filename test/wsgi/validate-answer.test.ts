import { expect, test } from 'vitest';
import type { Application, Header, StartResponse, Write } from '../../src/wsgi/types.ts';
import { validator } from '../../src/wsgi/validator.ts';
import { runApp } from './run-app.ts';
import { type Check, hello, serve, started, TEXT, testChecks, using } from './validation.ts';

const wsgiref: readonly Check[] = [
  [
    'startResponse with one argument',
    'application',
    'start',
    'takes two or three arguments, not 1',
    using((_, start) => (start as (...args: unknown[]) => unknown)('200 OK')),
  ],
  [
    'startResponse with four',
    'application',
    'start',
    'takes two or three arguments, not 4',
    using((_, start) => (start as (...args: unknown[]) => unknown)('200 OK', TEXT, undefined, 4)),
  ],
  [
    'write() of what is no bytes',
    'application',
    'write',
    'a Uint8Array or a string, not a number',
    using((_, start) => void start('200 OK', TEXT)(7 as never)),
  ],
];

const beyond: readonly Check[] = [
  [
    'a second startResponse',
    'application',
    'start',
    'a second time without excInfo',
    using((_, start) => start('200 OK', TEXT)),
  ],
  [
    'startResponse after the end',
    'application',
    'start',
    'startResponse was called after the answer was over',
    async () => {
      let late: StartResponse = started;
      await serve((environ, startResponse) => {
        late = startResponse;
        return hello(environ, startResponse);
      });
      late('500 Oops', TEXT, new Error('late'));
    },
  ],
  [
    'excInfo that is not thrown again',
    'server',
    'errors',
    'must throw excInfo when the head has been sent',
    () =>
      serve(function* (_, startResponse) {
        startResponse('200 OK', TEXT);
        yield 'a';
        startResponse('500 Oops', TEXT, new Error('caught'));
      }),
  ],
  [
    'an application that holds excInfo up',
    'application',
    'errors',
    'must let that pass',
    () => {
      const server = (_status: string, _headers: unknown, excInfo?: unknown) => {
        if (excInfo !== undefined) throw excInfo;
        return () => Promise.resolve();
      };
      return serve(
        function* (_, startResponse) {
          startResponse('200 OK', TEXT);
          yield 'a';
          try {
            startResponse('500 Oops', TEXT, new Error('caught'));
          } catch {}
          yield 'b';
        },
        { startResponse: server },
      );
    },
  ],
  [
    'startResponse that gives no write',
    'server',
    'start',
    'startResponse must give write(), not undefined',
    () => serve(hello, { startResponse: () => undefined }),
  ],
  [
    'write() that gives no promise',
    'server',
    'write',
    'write() must give a promise, not undefined',
    () =>
      serve(
        (_, startResponse) => {
          void startResponse('200 OK', TEXT)('a');
          return [];
        },
        { startResponse: () => () => undefined },
      ),
  ],
  [
    'write() of two',
    'application',
    'write',
    'write() takes one argument, not 2',
    using((_, start) => void (start('200 OK', TEXT) as (...args: string[]) => unknown)('a', 'b')),
  ],
  [
    'write() of a promise',
    'application',
    'write',
    'not a promise (await it)',
    using((_, start) => void start('200 OK', TEXT)(Promise.resolve('a') as never)),
  ],
  [
    'write() within the iterable',
    'application',
    'write',
    'may not be called from within the iterable',
    () =>
      serve(function* (_, startResponse) {
        const write = startResponse('200 OK', TEXT);
        void write('a');
        yield 'b';
      }),
  ],
  [
    'write() within an async iterable',
    'application',
    'write',
    'may not be called from within the iterable',
    () =>
      serve(async function* (_, startResponse) {
        const write = startResponse('200 OK', TEXT);
        await Promise.resolve();
        void write('a');
        yield 'b';
      }),
  ],
  [
    'write() after the end',
    'application',
    'write',
    'write() was called after the answer was over',
    async () => {
      let late: Write | undefined;
      await serve((_, startResponse) => {
        late = startResponse('200 OK', TEXT);
        return [];
      });
      void late?.('a');
    },
  ],
  [
    'more than Content-Length',
    'application',
    'length',
    'longer than its Content-Length of 3 bytes',
    () =>
      serve((_, startResponse) => {
        startResponse('200 OK', [...TEXT, ['Content-Length', '3']]);
        return new Set(['ab', 'é']);
      }),
  ],
  [
    'more than Content-Length by write()',
    'application',
    'length',
    'longer than its Content-Length of 3 bytes',
    () =>
      serve((_, startResponse) => {
        void startResponse('200 OK', [...TEXT, ['Content-Length', '3']])('abc');
        return ['d'];
      }),
  ],
  [
    'less than Content-Length',
    'application',
    'length',
    'has 5 bytes: less than its Content-Length of 9',
    () =>
      serve((_, startResponse) => {
        startResponse('200 OK', [...TEXT, ['Content-Length', '9']]);
        return ['hello'];
      }),
  ],
];

testChecks({ wsgiref, beyond });

test.each(['GET', 'HEAD'])('a body may be missing where there is none to send: %s', async (method) => {
  const status = method === 'HEAD' ? '200 OK' : '304 Not Modified';
  const headers: Header[] = [['Content-Length', '5'], ...(method === 'HEAD' ? TEXT : [])];
  const app: Application = (_, startResponse) => {
    startResponse(status, headers);
    return [];
  };
  expect(await serve(app, { environ: { REQUEST_METHOD: method } })).toEqual([]);
});

test('a head may be replaced while it is not sent, and what startResponse throws passes', async () => {
  const app: Application = function* (_, startResponse) {
    startResponse('200 OK', TEXT);
    startResponse('500 Oops', TEXT, new Error('caught'));
    yield 'a';
    startResponse('500 Oops', TEXT, new Error('too late'));
  };
  const result = await runApp(validator(app));
  expect(result.calls).toEqual(['respond 500 Oops Content-Type=text/plain [a]', 'fail 500', 'release']);
  expect(result.errors).toContain('Error: too late');
});

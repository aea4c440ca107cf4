import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import type { Body, Chunk } from '../../src/wsgi/types.ts';
import { validator } from '../../src/wsgi/validator.ts';
import { BODY_KINDS } from './body-kinds.ts';
import { type Check, hello, serve, started, TEXT, testChecks, whole } from './validation.ts';

/** The application gives this as its body. */
const body = (given: unknown) => () =>
  serve((_, startResponse) => {
    startResponse('200 OK', TEXT);
    return given as Body;
  });

const wsgiref: readonly Check[] = [
  [
    'no iterable at all',
    'application',
    'application',
    'if only an empty array, not undefined',
    body(undefined),
  ],
  ['false', 'application', 'application', 'if only an empty array, not a boolean', body(false)],
  [
    'a part read after close()',
    'server',
    'details',
    'asked for a part after its close()',
    async () => {
      const given = (await validator(BODY_KINDS['a generator']?.([]) ?? hello, { warn: () => undefined })(
        { ...whole },
        started,
      )) as Iterable<Chunk> & { close(): void };
      given.close();
      given[Symbol.iterator]().next();
    },
  ],
  [
    'a part that is no bytes',
    'application',
    'details',
    'a Uint8Array or a string, not a number',
    body(new Set([7])),
  ],
  [
    'a part before startResponse',
    'application',
    'start',
    'startResponse was not called before',
    () => serve(() => new Set(['a'])),
  ],
  [
    'a string as the body',
    'application',
    'streaming',
    'gave a string: give an array that holds it',
    body('hello'),
  ],
  [
    'bytes as the body',
    'application',
    'streaming',
    'gave a Buffer: give an array that holds it',
    body(Buffer.from('hello')),
  ],
];

const beyond: readonly Check[] = [
  [
    'a body of fetch',
    'application',
    'application',
    'an iterable or async iterable of parts, not a Response',
    body(new Response('a')),
  ],
  ['a number as the body', 'application', 'application', 'of parts, not a number', body(7)],
  ['null as the body', 'application', 'application', 'if only an empty array, not null', body(null)],
  [
    'a promise of no body',
    'application',
    'application',
    'if only an empty array, not undefined',
    () => serve(async (_, startResponse) => void startResponse('200 OK', TEXT) as never),
  ],
  [
    'close that is no function',
    'application',
    'details',
    'close of the iterable must be a function, not a boolean',
    body(Object.assign(new Set(['a']), { close: true })),
  ],
  ['a promise as a part', 'application', 'details', 'not a promise (await it)', body([Promise.resolve('a')])],
  ['an ArrayBuffer as a part', 'application', 'details', 'not an ArrayBuffer', body([new ArrayBuffer(1)])],
  ['null as a part of a generator', 'application', 'details', 'not null', body(new Set([null]))],
  [
    'next() that gives a promise',
    'application',
    'application',
    'it must be an async iterable then',
    async () => {
      const given = { [Symbol.iterator]: () => ({ next: async () => ({ done: true }) }) };
      const answer = await validator(() => given as never, { warn: () => undefined })({ ...whole }, started);
      (answer as Iterable<Chunk>)[Symbol.iterator]().next();
    },
  ],
  [
    'next() that gives nothing',
    'application',
    'application',
    'next() must give { done, value }, not undefined',
    body({ [Symbol.asyncIterator]: () => ({ next: async () => undefined }) }),
  ],
  [
    'a body that is iterated twice',
    'server',
    'details',
    'iterated a second time',
    async () => {
      const given = (await validator(BODY_KINDS['a generator']?.([]) ?? hello, { warn: () => undefined })(
        { ...whole },
        started,
      )) as Iterable<Chunk>;
      for (let i = 0; i < 2; i += 1) given[Symbol.iterator]();
    },
  ],
  [
    'an empty body before startResponse',
    'application',
    'start',
    'startResponse was not called before',
    () => serve(() => []),
  ],
  [
    'an iterable that ends before startResponse',
    'application',
    'start',
    'startResponse was not called before',
    () => serve(() => new Set<string>()),
  ],
  [
    'an empty part before startResponse',
    'application',
    'start',
    'startResponse was not called before',
    () => serve(() => new Set([''])),
  ],
];

testChecks({ wsgiref, beyond });

test('a body that is never closed is told when it is collected', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const warnings: string[] = [];
  const warn = (message: string) => warnings.push(message);
  const closed = await validator(hello, { warn })({ ...whole, PATH_INFO: '/closed' }, started);
  closed.close?.();
  await validator(hello, { warn })({ ...whole, PATH_INFO: '/left' }, started);
  await expect
    .poll(() => {
      collect();
      return warnings;
    })
    .toEqual([
      'The server never called close() of the body for GET /left (PEP 3333, "Specification Details").',
    ]);
});

import { expect, test } from 'vitest';
import type { Application } from '../../src/wsgi/types.ts';
import { validator } from '../../src/wsgi/validator.ts';
import { BODY_KINDS } from './body-kinds.ts';
import { runApp } from './run-app.ts';
import { type Check, hello, type Played, serve, started, TEXT, testChecks, whole } from './validation.ts';

const wsgiref: readonly Check[] = [
  [
    'one argument',
    'server',
    'application',
    'with two arguments',
    () => (validator(hello) as (...args: unknown[]) => unknown)(whole),
  ],
  [
    'three arguments',
    'server',
    'application',
    'with two arguments',
    () => (validator(hello) as (...args: unknown[]) => unknown)({ ...whole }, started, 3),
  ],
];

const beyond: readonly Check[] = [
  [
    'an application that is no function',
    'application',
    'application',
    'An application is a function, not an object',
    () => validator({ fetch: () => 1 } as never),
  ],
  [
    'startResponse that is no function',
    'server',
    'application',
    'startResponse must be a function, not an object',
    () => serve(hello, { startResponse: {} }),
  ],
];

testChecks({ wsgiref, beyond });

const bare: Application = (_, startResponse) => {
  startResponse('200', TEXT);
  return [];
};

test.each<[string, Application, Played, string]>([
  ['no QUERY_STRING', hello, { without: ['QUERY_STRING'] }, 'environ has no QUERY_STRING'],
  [
    'an unknown method',
    hello,
    { environ: { REQUEST_METHOD: 'BREW' } },
    'REQUEST_METHOD is not known: "BREW"',
  ],
  ['a status without a reason', bare, {}, 'three digits, a space and a reason: "200"'],
])('a warning, and no violation: %s', async (_, app, played, message) => {
  const warnings: string[] = [];
  await serve(app, { ...played, warn: (warning) => warnings.push(warning) });
  expect(warnings).toEqual([expect.stringContaining(message)]);
});

test('by default a warning is one of the process', async () => {
  const warned = new Promise<Error>((resolve) => process.once('warning', resolve));
  const body = await validator(hello)({ ...whole, REQUEST_METHOD: 'BREW' }, started);
  body.close?.();
  expect(await warned).toMatchObject({
    name: 'WsgiWarning',
    message: 'REQUEST_METHOD is not known: "BREW".',
  });
});

test('within each other both find nothing', async () => {
  for (const makeApp of Object.values(BODY_KINDS)) {
    const result = await runApp(validator(validator(makeApp([]))));
    expect(result.errors).toBe('');
    expect(result.calls.at(-1)).toBe('release');
  }
});

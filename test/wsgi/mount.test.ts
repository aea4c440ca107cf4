import { expect, test } from 'vitest';
import { UserError } from '../../src/errors.ts';
import { mount } from '../../src/wsgi/mount.ts';
import type { Application } from '../../src/wsgi/types.ts';
import { FakeExchange } from './fake-exchange.ts';
import { runApp } from './run-app.ts';

/** Says its name, and where it believes to be. */
const named =
  (name: string): Application =>
  (environ, startResponse) => {
    startResponse('200 OK', []);
    return [`${name} ${environ.SCRIPT_NAME}|${environ.PATH_INFO}`];
  };

const latin1 = (text: string) => Buffer.from(text).toString('latin1');

async function ask(app: Application, path: string): Promise<string | undefined> {
  const exchange = new FakeExchange({ head: { path, target: path } });
  return (await runApp(app, exchange)).calls[0]?.replace(/^respond (.*) \[(.*)\] last$/s, '$1: $2');
}

test.each([
  ['/', '200 OK: site |/'],
  ['/other', '200 OK: site |/other'],
  ['/api', '200 OK: api /api|'],
  ['/api/', '200 OK: api /api|/'],
  ['/api/users', '200 OK: api /api|/users'],
  ['/api/v2/users', '200 OK: v2 /api/v2|/users'],
  ['/api/v2', '200 OK: v2 /api/v2|'],
  ['/api/v20', '200 OK: api /api|/v20'],
  ['/apiary', '200 OK: site |/apiary'],
  ['/API/x', '200 OK: site |/API/x'],
  ['//api/x', '200 OK: site |//api/x'],
  ['/api//x', '200 OK: api /api|//x'],
  ['/%61pi/x%2Fy', '200 OK: api /api|/x/y'],
  ['*', '200 OK: site |'],
])('%s', async (path, expected) => {
  const app = mount({
    '/': named('site'),
    '/api': named('api'),
    '/api/v2/': named('v2'),
  });
  expect(await ask(app, path)).toBe(expected);
});

test('404 where nothing fits', async () => {
  const app = mount({ '/api': named('api') });
  const { calls } = await runApp(app, new FakeExchange({ head: { path: '/apiary' } }));
  expect(calls).toEqual([
    'respond 404 Not Found Content-Type=text/plain; charset=utf-8 [404 Not Found\n] last',
    'release',
  ]);
  expect(await ask(mount({}), '/')).toMatch(/^404/);
});

test('one within another: the prefixes add up', async () => {
  const inner = mount({ '/b': named('inner') });
  expect(await ask(mount({ '/a': inner }), '/a/b/c')).toBe('200 OK: inner /a/b|/c');
});

test('slashes at the end of a prefix are none of it: SCRIPT_NAME may not end in one', async () => {
  const app = mount({ '//': named('site'), '/api//': named('api') });
  expect(await ask(app, '/x')).toBe('200 OK: site |/x');
  expect(await ask(app, '/api//x')).toBe('200 OK: api /api|//x');
});

test('prefixes beyond ASCII are those of the URL in UTF-8', async () => {
  const app = mount({ '/café': named('café') });
  expect(await ask(app, '/caf%C3%A9/x')).toBe(`200 OK: café ${latin1('/café')}|/x`);
});

test('prefixes that cannot be', () => {
  expect(() => mount({ api: named('api') })).toThrow(
    new UserError('mount: the prefix "api" must begin with a slash, like "/api" or "/".'),
  );
  expect(() => mount({ '': named('api') })).toThrow(UserError);
  expect(() => mount({ '/é': named('a'), '/b': named('b'), '/é/': named('c') })).toThrow(
    new UserError('mount: "/é" and "/é/" are the same prefix. Leave one of them out.'),
  );
});

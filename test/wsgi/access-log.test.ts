import { expect, test } from 'vitest';
import { accessLog } from '../../src/wsgi/access-log.ts';
import { compose } from '../../src/wsgi/compose.ts';
import { mount } from '../../src/wsgi/mount.ts';
import { requestId } from '../../src/wsgi/request-id.ts';
import type { Application, Body, Header } from '../../src/wsgi/types.ts';
import { BODY_KINDS } from './body-kinds.ts';
import { FakeExchange } from './fake-exchange.ts';
import { runApp } from './run-app.ts';

async function linesOf(
  app: Application,
  {
    format = '%(s)s %(b)s',
    exchange = new FakeExchange(),
  }: { format?: string; exchange?: FakeExchange } = {},
): Promise<string[]> {
  const lines: string[] = [];
  await runApp(accessLog({ format, write: (line) => lines.push(line) })(app), exchange);
  return lines;
}

const answer =
  (body: Body, { status = '200 OK', headers = [] as readonly Header[] } = {}): Application =>
  (_, startResponse) => {
    startResponse(status, headers);
    return body;
  };

test('by default a line is as that of the command', async () => {
  const exchange = new FakeExchange({
    head: {
      fields: [
        'host',
        'a',
        'user-agent',
        'curl/8 "x"',
        'referer',
        'http://b/',
        'authorization',
        'Basic YW5uOg==',
      ],
    },
  });
  const lines: string[] = [];
  await runApp(accessLog({ write: (line) => lines.push(line) })(answer(['hé'])), exchange);
  expect(lines).toEqual([
    expect.stringMatching(
      /^127\.0\.0\.1 - ann \[\d\d\/\w{3}\/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "GET \/path\?a=1 HTTP\/1\.1" 200 3 "http:\/\/b\/" "curl\/8 \\"x\\""$/,
    ),
  ]);
});

test.each(Object.entries(BODY_KINDS))('%s: one line, with its bytes', async (_, makeApp) => {
  expect(await linesOf(makeApp([]))).toEqual(['200 6']);
});

test('every atom', async () => {
  const app: Application = (environ, startResponse) => {
    environ.REMOTE_USER = 'ann';
    environ['my.count'] = 3;
    startResponse('404 Not Found', [['X-Out', 'out']]);
    return [];
  };
  const exchange = new FakeExchange({
    head: {
      path: '/a%2520b',
      target: '/a%2520b?q=1',
      query: 'q=1',
      fields: ['x-in', 'in', 'content-type', 'text/x'],
    },
  });
  const format =
    '%(m)s|%(U)s|%(q)s|%(H)s|%({x-in}i)s|%({content-type}i)s|%({x-out}o)s|%({REMOTE_USER}e)s|%({my.count}e)s|%({none}e)s|%(p)s';
  expect(await linesOf(app, { format, exchange })).toEqual([
    `GET|/a%20b|q=1|HTTP/1.1|in|text/x|out|ann|3|-|<${process.pid}>`,
  ]);
});

test('the path is that of the request, wherever the application is mounted', async () => {
  const app = mount({ '/path': answer([]) });
  expect(await linesOf(app, { format: '%(U)s %(r)s' })).toEqual(['/path GET /path?a=1 HTTP/1.1']);
});

test('without RAW_URI the request line is put together', async () => {
  const lines: string[] = [];
  const log = accessLog({ format: '%(r)s', write: (line) => lines.push(line) });
  const blind: Application = (environ, startResponse) => {
    const { RAW_URI, ...rest } = environ;
    return log(answer([]))({ ...rest, PATH_INFO: '/a%', SERVER_PROTOCOL: 'HTTP/1.0' }, startResponse);
  };
  await runApp(blind);
  expect(lines).toEqual(['GET /a%25?a=1 HTTP/1.0']);
});

test('the id of the request, which is made further inside', async () => {
  const app = compose(requestId({ make: () => 'the-id' }))(answer([]));
  expect(await linesOf(app, { format: '%({tunicorn.request_id}e)s %({x-request-id}o)s' })).toEqual([
    'the-id the-id',
  ]);
});

test('the line comes after the end of the body, and the time is until then', async () => {
  const lines: string[] = [];
  const seen: number[] = [];
  const app: Application = async function* (_, startResponse) {
    startResponse('200 OK', []);
    yield 'a';
    // 5 ms of this clock, which is the one that is used.
    for (const from = performance.now(); performance.now() - from < 5; ) await new Promise(setImmediate);
    seen.push(lines.length);
    yield 'b';
  };
  await runApp(accessLog({ format: '%(D)s', write: (line) => lines.push(line) })(app));
  expect(seen).toEqual([0]);
  expect(Number(lines[0])).toBeGreaterThanOrEqual(5000);
});

test.each<[string, { method?: string; status?: string; length?: string }, string]>([
  ['none for HEAD', { method: 'HEAD' }, '200 0'],
  ['none with 204', { status: '204 No Content' }, '204 0'],
  ['none with 304', { status: '304 Not Modified' }, '304 0'],
  ['not more than Content-Length', { length: '2' }, '200 2'],
  ['not more than there are', { length: '9' }, '200 5'],
])('bytes: %s', async (_, { method = 'GET', status = '200 OK', length }, expected) => {
  const headers: Header[] = length === undefined ? [] : [['Content-Length', length]];
  const exchange = new FakeExchange({ head: { method } });
  expect(await linesOf(answer(['hello'], { status, headers }), { exchange })).toEqual([expected]);
});

test.each<[string, Application, string]>([
  [
    'at once',
    () => {
      throw new Error('oops');
    },
    '500 0',
  ],
  ['later', () => Promise.reject(new Error('oops')), '500 0'],
  [
    'after startResponse',
    (_, startResponse) => {
      startResponse('200 OK', []);
      throw new Error('oops');
    },
    '500 0',
  ],
  [
    'before the first part',
    // biome-ignore lint/correctness/useYield: it fails before
    function* (_, startResponse) {
      startResponse('200 OK', []);
      throw new Error('oops');
    },
    '500 0',
  ],
  [
    'after the first part',
    async function* (_, startResponse) {
      startResponse('200 OK', []);
      yield 'abc';
      throw new Error('oops');
    },
    '200 3',
  ],
  ['without a head', () => ['a'], '500 0'],
  ['without a head, in parts', () => new Set<string>(), '500 0'],
  [
    'with a head that is refused',
    (_, startResponse) => {
      startResponse('200 OK', [['a b', '']]);
      return [];
    },
    '500 0',
  ],
  ['with a part that is none', answer([7] as unknown as Body), '500 0'],
  ['with a body that is none', answer(7 as unknown as Body), '500 0'],
])('an application that fails: %s', async (_, app, expected) => {
  expect(await linesOf(app)).toEqual([expected]);
});

test('a client that leaves: before anything came', async () => {
  const exchange = () => {
    const gone = new FakeExchange();
    gone.leave();
    return gone;
  };
  expect(await linesOf(answer(['a']), { exchange: exchange() })).toEqual(['499 0']);
  expect(await linesOf(answer(new Set(['a'])), { exchange: exchange() })).toEqual(['499 0']);
});

test('a client that leaves: while a part is awaited that never comes', async () => {
  const exchange = new FakeExchange();
  const app: Application = async function* (_, startResponse) {
    startResponse('200 OK', []);
    yield 'abc';
    setImmediate(() => exchange.leave());
    await new Promise(() => undefined);
  };
  expect(await linesOf(app, { exchange })).toEqual(['200 3']);
});

test('a log that fails does not break the answer', async () => {
  const write = () => {
    throw new Error('disk full');
  };
  const result = await runApp(accessLog({ write })(answer(['a'])));
  expect(result.calls).toEqual(['respond 200 OK [a] last', 'release']);
  expect(result.errors).toContain('accessLog: a line could not be written: Error: disk full');
});

test('the array that the application gives is not changed', async () => {
  const body = ['a'];
  await linesOf(answer(body));
  expect('close' in body).toBe(false);
});

import { Hono } from 'hono';
import { expect, test, vi } from 'vitest';
import { fromFetch } from '../../src/wsgi/from-fetch.ts';
import { toFetch } from '../../src/wsgi/to-fetch.ts';
import type { Application, StartResponse } from '../../src/wsgi/types.ts';
import { Signal } from './adapters.ts';

const URL = 'http://site.test:8000/a%20b?c=%20';
const text = (startResponse: StartResponse, status = '200 OK') =>
  startResponse(status, [['Content-Type', 'text/plain']]);

/** Asks, and gives what was logged, too. */
async function ask(app: Application, init: RequestInit = {}, url = URL) {
  let errors = '';
  const response = await toFetch(app, { errors: (told) => (errors += told) })(new Request(url, init));
  return { response, errors: () => errors };
}

test('the environ is that of the request', async () => {
  let seen: Record<string, unknown> = {};
  const app: Application = (environ, startResponse) => {
    seen = { ...environ, body: environ['wsgi.input'].read().toString() };
    text(startResponse);
    return [];
  };
  const headers = { 'X-A': '1', 'Content-Type': 'text/css', Proxy: 'evil', X_A: '2', Cookie: 'a=b' };
  await ask(app, { method: 'POST', body: 'hello', headers });
  expect(seen).toMatchObject({
    REQUEST_METHOD: 'POST',
    SCRIPT_NAME: '',
    PATH_INFO: '/a b',
    QUERY_STRING: 'c=%20',
    RAW_URI: '/a%20b?c=%20',
    SERVER_NAME: 'site.test',
    SERVER_PORT: '8000',
    CONTENT_LENGTH: '5',
    CONTENT_TYPE: 'text/css',
    HTTP_X_A: '1',
    HTTP_COOKIE: 'a=b',
    HTTP_HOST: 'site.test:8000',
    'wsgi.url_scheme': 'http',
    body: 'hello',
  });
  expect(Object.keys(seen)).not.toContain('HTTP_PROXY');
});

test('status, reason, fields and body of the answer; each cookie by itself', async () => {
  const app: Application = (_, startResponse) => {
    startResponse('404 Nowhere', [
      ['Set-Cookie', 'a=1'],
      ['Set-Cookie', 'b=2'],
      ['X-A', 'é'],
    ]);
    return ['no', 'thing'];
  };
  const { response } = await ask(app);
  expect([response.status, response.statusText, response.headers.get('x-a')]).toEqual([404, 'Nowhere', 'é']);
  expect(response.headers.getSetCookie()).toEqual(['a=1', 'b=2']);
  expect(await response.text()).toBe('nothing');
});

test.each([
  ['HEAD', '200 OK'],
  ['GET', '204 No Content'],
  ['GET', '304 Not Modified'],
])(
  '%s answered with %s has no body, whatever the application gives, and is run to its end',
  async (method, status) => {
    const closed = new Signal();
    const app: Application = function* (_, startResponse) {
      try {
        text(startResponse, status);
        yield 'one';
        yield 'two';
      } finally {
        closed.tell();
      }
    };
    const { response } = await ask(app, { method });
    expect([response.status, response.body]).toEqual([Number(status.slice(0, 3)), null]);
    await closed.heard;
  },
);

test('an answer arrives part by part; write() goes ahead', async () => {
  const next = new Signal();
  const app: Application = async function* (_, startResponse) {
    await text(startResponse)('zero');
    yield 'one';
    await next.heard;
    yield 'two';
  };
  const { response } = await ask(app);
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  expect([(await reader?.read())?.value, (await reader?.read())?.value]).toEqual(['zero', 'one']);
  next.tell();
  expect([(await reader?.read())?.value, (await reader?.read())?.done]).toEqual(['two', true]);
});

test('a reader that takes its time holds the application up', async () => {
  let made = 0;
  const app: Application = async function* (_, startResponse) {
    text(startResponse);
    for (; made < 1000; made++) yield 'x'.repeat(1000);
  };
  const { response } = await ask(app);
  await new Promise(setImmediate);
  expect(made).toBeLessThan(10);
  expect((await response.text()).length).toBe(1_000_000);
});

test('a reader that cancels is a client that leaves', async () => {
  const [aborted, closed] = [new Signal(), new Signal()];
  const app: Application = (environ, startResponse) => {
    text(startResponse);
    environ['tunicorn.signal']?.().addEventListener('abort', () => aborted.tell());
    async function* body() {
      try {
        for (;;) yield 'again';
      } finally {
        closed.tell();
      }
    }
    return body();
  };
  const { response, errors } = await ask(app);
  await response.body?.cancel();
  await Promise.all([aborted.heard, closed.heard]);
  expect(errors()).toBe('');
});

test('who gives up before the answer is refused, as by fetch, and the application hears of it', async () => {
  const [asked, aborted] = [new Signal(), new Signal()];
  const app: Application = async (environ) => {
    environ['tunicorn.signal']?.().addEventListener('abort', () => aborted.tell());
    asked.tell();
    return new Promise(() => {});
  };
  const leaving = new AbortController();
  const answer = toFetch(app)(new Request(URL, { signal: leaving.signal }));
  await asked.heard;
  leaving.abort(new Error('enough'));
  await expect(answer).rejects.toThrow('enough');
  await aborted.heard;
});

test('who has given up already is refused, and no application is called', async () => {
  const app = vi.fn<Application>();
  const request = new Request(URL, { signal: AbortSignal.abort() });
  await expect(toFetch(app)(request)).rejects.toThrow(/abort/i);
  expect(app).not.toHaveBeenCalled();
});

test('who gives up in the middle of the answer gets no more of it', async () => {
  const app: Application = async function* (_, startResponse) {
    text(startResponse);
    yield 'one';
    await new Promise(() => {});
  };
  const leaving = new AbortController();
  const { response } = await ask(app, { signal: leaving.signal });
  const reader = response.body?.getReader();
  await reader?.read();
  leaving.abort(new Error('enough'));
  await expect(reader?.read()).rejects.toThrow('enough');
});

test('no listener stays with a signal that outlives the request', async () => {
  const { signal } = new AbortController();
  const request = new Request(URL, { signal });
  const added = vi.spyOn(request.signal, 'addEventListener');
  const removed = vi.spyOn(request.signal, 'removeEventListener');
  const app: Application = (_, startResponse) => {
    text(startResponse);
    return ['hello'];
  };
  await (await toFetch(app)(request)).text();
  expect(added).toHaveBeenCalledTimes(1);
  expect(removed).toHaveBeenCalledWith(...(added.mock.calls[0] ?? []).slice(0, 2));
});

test.each<[string, Application]>([
  [
    'before the head',
    () => {
      throw new Error('broken');
    },
  ],
  [
    'before the first part',
    async function* (_, startResponse) {
      text(startResponse);
      yield '';
      throw new Error('broken');
    },
  ],
])('an application that fails %s is a 500, and is told', async (_, app) => {
  const { response, errors } = await ask(app);
  expect([response.status, response.statusText]).toEqual([500, 'Internal Server Error']);
  expect(await response.text()).toContain('500');
  expect(errors()).toContain('Error: broken');
});

test('one that fails in the middle breaks the body off', async () => {
  const app: Application = async function* (_, startResponse) {
    text(startResponse);
    yield 'one';
    throw new Error('broken');
  };
  const { response, errors } = await ask(app);
  await expect(response.text()).rejects.toThrow();
  expect(errors()).toContain('Error: broken');
});

test('a status that no Response can have is an error of the application', async () => {
  const app: Application = (_, startResponse) => {
    text(startResponse, '600 Beyond');
    return [];
  };
  const { response, errors } = await ask(app);
  expect(response.status).toBe(500);
  expect(errors()).toContain('RangeError');
});

test('%00 in the path is refused as by the server', async () => {
  const app = vi.fn<Application>();
  const { response } = await ask(app, {}, 'http://site.test/a%00b');
  expect(response.status).toBe(400);
  expect(app).not.toHaveBeenCalled();
});

test('there and back: Hono through WSGI answers as Hono does', async () => {
  const hono = new Hono().post('/echo', async (c) => c.json({ got: await c.req.json() }, 201));
  const request = () => new Request('http://site.test/echo', { method: 'POST', body: '{"a":1}' });
  const [direct, through] = [await hono.fetch(request()), await toFetch(fromFetch(hono))(request())];
  expect(through.status).toBe(direct.status);
  expect(await through.json()).toEqual(await direct.json());
});

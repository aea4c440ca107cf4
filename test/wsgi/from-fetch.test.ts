import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { H3 } from 'h3';
import { Hono } from 'hono';
import { setCookie } from 'hono/cookie';
import { streamSSE } from 'hono/streaming';
import { expect, test } from 'vitest';
import { compose } from '../../src/wsgi/compose.ts';
import { type FetchHandler, fromFetch } from '../../src/wsgi/from-fetch.ts';
import type { Middleware } from '../../src/wsgi/types.ts';
import { arrivals, ask, multipart, open, Signal, serve } from './adapters.ts';

test('Hono: a page, JSON, a form, cookies, a redirect, what is not there', async () => {
  const app = new Hono()
    .get('/', (c) => c.text(`hello ${c.req.query('name')}`))
    .post('/json', async (c) => c.json({ got: await c.req.json() }, 201))
    .post('/form', async (c) => c.text(String((await c.req.formData()).get('a'))))
    .get('/cookies', (c) => {
      setCookie(c, 'a', '1');
      setCookie(c, 'b', '2');
      return c.body(null, 204);
    })
    .get('/away', (c) => c.redirect('/'));
  await using server = await serve(fromFetch(app));
  const page = await ask(server, '/?name=J%C3%BCrgen%20%26');
  expect([page.status, page.text, page.body]).toEqual([200, 'OK', 'hello Jürgen &']);
  expect(page.headers['content-length']).toBe(String(Buffer.byteLength(page.body)));
  const json = await ask(server, '/json', { method: 'POST', body: '{"a":[1,2]}' });
  expect([json.status, json.body, json.headers['content-type']]).toEqual([
    201,
    '{"got":{"a":[1,2]}}',
    'application/json',
  ]);
  const type = { 'Content-Type': 'application/x-www-form-urlencoded' };
  expect((await ask(server, '/form', { method: 'POST', headers: type, body: 'a=%C3%BC+1' })).body).toBe(
    'ü 1',
  );
  const cookies = await ask(server, '/cookies');
  expect([cookies.status, cookies.headers['set-cookie']]).toEqual([204, ['a=1; Path=/', 'b=2; Path=/']]);
  const away = await ask(server, '/away');
  expect([away.status, away.headers.location]).toEqual([302, '/']);
  expect((await ask(server, '/nowhere')).status).toBe(404);
  expect(server.errors()).toBe('');
});

test('h3: a page and a body', async () => {
  const app = new H3();
  app.get('/hello/:name', (event) => `hello ${event.context.params?.name}`);
  app.post('/body', async (event) => (await event.req.text()).length);
  await using server = await serve(fromFetch(app));
  expect((await ask(server, '/hello/you')).body).toBe('hello you');
  expect((await ask(server, '/body', { method: 'POST', body: 'x'.repeat(1000) })).body).toBe('1000');
});

test('server-sent events arrive one by one, and their end is heard of when the client leaves', async () => {
  const next = [new Signal(), new Signal()] as const;
  const left = new Signal();
  const app = new Hono().get('/events', (c) =>
    streamSSE(c, async (stream) => {
      stream.onAbort(() => left.tell());
      await stream.writeSSE({ data: 'one' });
      await next[0].heard;
      await stream.writeSSE({ data: 'two' });
      await next[1].heard;
    }),
  );
  await using server = await serve(fromFetch(app));
  const answer = await open(server, '/events');
  const parts = arrivals(answer);
  await expect.poll(() => parts.join('')).toBe('data: one\n\n');
  next[0].tell();
  await expect.poll(() => parts.join('')).toBe('data: one\n\ndata: two\n\n');
  answer.socket.resetAndDestroy();
  await left.heard;
  next[1].tell();
});

test('an upload of some megabytes, spooled, arrives as it is', async () => {
  const content = randomBytes(5_000_000);
  const app = new Hono().post('/', async (c) => {
    const file = (await c.req.parseBody()).file as File;
    const same = Buffer.from(await file.arrayBuffer()).equals(content);
    return c.text(`${file.name} ${file.size} ${same}`);
  });
  await using server = await serve(fromFetch(app));
  expect((await ask(server, '/', multipart(content))).body).toBe('a.bin 5000000 true');
});

test('the body of a request is read as it is asked for', async () => {
  const handler: FetchHandler = async (request) => {
    const reader = request.body?.getReader();
    const first = await reader?.read();
    await reader?.cancel();
    return new Response(String((first?.value?.length ?? 0) < 200_000));
  };
  await using server = await serve(fromFetch(handler));
  expect((await ask(server, '/', { method: 'POST', body: Buffer.alloc(3_000_000) })).body).toBe('true');
});

test('a client that leaves aborts the signal of its request, and cancels the body', async () => {
  const [aborted, cancelled, begun] = [new Signal(), new Signal(), new Signal()];
  const handler: FetchHandler = ({ signal }) => {
    signal.addEventListener('abort', () => aborted.tell());
    const body = new ReadableStream({
      start: (controller) => controller.enqueue(Buffer.from('a')),
      pull: () => begun.tell(),
      cancel: () => cancelled.tell(),
    });
    return new Response(body);
  };
  await using server = await serve(fromFetch(handler));
  const answer = await open(server, '/');
  await once(answer, 'readable');
  answer.socket.resetAndDestroy();
  await Promise.all([aborted.heard, cancelled.heard, begun.heard]);
});

test('a large answer to a client that does not read is not drawn into memory', async () => {
  let drawn = 0;
  const piece = Buffer.alloc(1_000_000);
  const handler: FetchHandler = () =>
    new Response(
      new ReadableStream({
        pull: (controller) => {
          drawn++;
          if (drawn > 2000) controller.close();
          else controller.enqueue(new Uint8Array(piece));
        },
      }),
    );
  await using server = await serve(fromFetch(handler), { spoolLimit: 20_000_000, memoryLimit: 10_000_000 });
  const answer = await open(server, '/');
  answer.pause();
  let before = -1;
  await expect
    .poll(
      () => {
        const isSame = drawn === before && drawn > 1;
        before = drawn;
        return isSame;
      },
      { interval: 200, timeout: 20_000 },
    )
    .toBe(true);
  expect(drawn).toBeLessThan(500);
  answer.destroy();
});

test.each<[string, FetchHandler, number, RegExp]>([
  [
    'one that throws',
    () => {
      throw new Error('broken');
    },
    500,
    /Error in the application for GET \/:\nError: broken/,
  ],
  [
    'one that gives nothing',
    () => undefined as unknown as Response,
    500,
    /gave undefined instead of a Response/,
  ],
  ['one that gives a text', () => 'hello' as unknown as Response, 500, /gave 'hello' instead of a Response/],
  ['Response.error()', () => Response.error(), 500, /The status must be like "200 OK"/],
])('%s is an error of the application', async (_, handler, status, told) => {
  await using server = await serve(fromFetch(handler));
  expect((await ask(server, '/')).status).toBe(status);
  expect(server.errors()).toMatch(told);
});

test('a stream that fails in the middle cuts the answer', async () => {
  const handler: FetchHandler = () => {
    let count = 0;
    return new Response(
      new ReadableStream({
        async pull(controller) {
          await new Promise(setImmediate);
          if (count++ < 3) controller.enqueue(Buffer.from('part'));
          else controller.error(new Error('no more'));
        },
      }),
    );
  };
  await using server = await serve(fromFetch(handler));
  await expect(ask(server, '/')).rejects.toThrow();
  expect(server.errors()).toContain('no more');
});

test('the URL, the method and the fields are the client’s; what belongs to the connection is ours', async () => {
  const handler: FetchHandler = (request) => {
    const { method, url, headers } = request;
    return Response.json(
      { method, url, a: headers.get('x-a'), host: headers.get('host') },
      {
        statusText: 'Well Done',
        headers: { Connection: 'keep-alive', 'Transfer-Encoding': 'chunked', 'X-B': 'b' },
      },
    );
  };
  await using server = await serve(fromFetch({ fetch: handler }));
  const answer = await ask(server, '/a%2Fb/../c?d=e%20f', {
    method: 'DELETE',
    headers: { 'X-A': '1', Host: 'site.test' },
  });
  expect([answer.status, answer.text, answer.headers['x-b']]).toEqual([200, 'Well Done', 'b']);
  expect(answer.headers['transfer-encoding']).toBe(undefined);
  expect(JSON.parse(answer.body)).toEqual({
    method: 'DELETE',
    url: 'http://site.test/a%2Fb/c?d=e%20f'.replace('a%2Fb/c', 'c'),
    a: '1',
    host: 'site.test',
  });
});

test('behind a mount the URL is that within the application', async () => {
  const mount: Middleware = (app) => (environ, startResponse) =>
    app(
      { ...environ, SCRIPT_NAME: '/api v1', PATH_INFO: environ.PATH_INFO.slice('/api v1'.length) },
      startResponse,
    );
  await using server = await serve(
    compose(mount)(fromFetch(({ url }) => new Response(new URL(url).pathname))),
  );
  expect((await ask(server, '/api%20v1/x%2Fy')).body).toBe('/x%2Fy');
  expect((await ask(server, '/api%20v1')).body).toBe('/');
});

test('HEAD is answered with the length of the body', async () => {
  await using server = await serve(fromFetch(() => new Response('hello')));
  const answer = await ask(server, '/', { method: 'HEAD' });
  expect([answer.status, answer.body, answer.headers['content-length']]).toEqual([200, '', '5']);
});

test('the head of a stream goes out before its first part', async () => {
  const first = new Signal();
  const handler: FetchHandler = () =>
    new Response(
      new ReadableStream({
        async start(controller) {
          await first.heard;
          controller.enqueue(Buffer.from('late'));
          controller.close();
        },
      }),
      { headers: { 'Content-Type': 'text/event-stream' } },
    );
  await using server = await serve(fromFetch(handler));
  const answer = await open(server, '/');
  expect([answer.statusCode, answer.headers['content-type']]).toEqual([200, 'text/event-stream']);
  const parts = arrivals(answer);
  first.tell();
  await once(answer, 'end');
  expect(parts.join('')).toBe('late');
});

test('a Response that comes when the client has left is cancelled', async () => {
  const [asked, left, cancelled] = [new Signal(), new Signal(), new Signal()];
  const handler: FetchHandler = async ({ signal }) => {
    signal.addEventListener('abort', () => left.tell());
    asked.tell();
    await left.heard;
    return new Response(new ReadableStream({ cancel: () => cancelled.tell() }));
  };
  await using server = await serve(fromFetch(handler));
  const socket = connect(server.port, '127.0.0.1');
  socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  await asked.heard;
  socket.resetAndDestroy();
  await cancelled.heard;
  expect(server.errors()).toBe('');
});

test.each([
  ['a method that no Request can have', 'TRACE / HTTP/1.1\r\nHost: a\r\n', 501],
  ['a host that no URL can have', 'GET / HTTP/1.1\r\nHost: 1.2.3.999\r\n', 400],
])('%s is refused, and never comes to the handler', async (_, head, status) => {
  let calls = 0;
  const handler: FetchHandler = () => {
    calls++;
    return new Response('hello');
  };
  await using server = await serve(fromFetch(handler));
  const socket = connect(server.port, '127.0.0.1');
  socket.end(`${head}Connection: close\r\n\r\n`);
  expect(await text(socket)).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
  expect([calls, server.errors()]).toEqual([0, '']);
});

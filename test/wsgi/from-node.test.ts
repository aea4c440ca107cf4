import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import express from 'express';
import fastify from 'fastify';
import Koa from 'koa';
import { describe, expect, test } from 'vitest';
import { compose } from '../../src/wsgi/compose.ts';
import { fromNode, type NodeApplication, type NodeListener } from '../../src/wsgi/from-node.ts';
import type { Middleware } from '../../src/wsgi/types.ts';
import { arrivals, ask, open, Signal, serve } from './adapters.ts';

function makeExpress() {
  const app = express();
  app.get('/', (req, res) => void res.send(`hello ${req.query.name}`));
  app.post('/json', express.json(), (req, res) => void res.status(201).json({ got: req.body }));
  app.post('/form', express.urlencoded(), (req, res) => void res.send(req.body.a));
  app.get('/cookies', (_, res) => void res.cookie('a', '1').cookie('b', '2').status(204).end());
  app.get('/away', (_, res) => res.redirect('/'));
  app.get('/broken', () => {
    throw new Error('broken');
  });
  return app;
}

async function body(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return Buffer.concat(parts).toString();
}

function makeKoa() {
  const app = new Koa({ env: 'test' });
  app.silent = true;
  app.use(async (ctx) => {
    if (ctx.path === '/') ctx.body = `hello ${ctx.query.name}`;
    if (ctx.path === '/json') {
      ctx.status = 201;
      ctx.body = { got: JSON.parse(await body(ctx.req)) };
    }
    if (ctx.path === '/form') ctx.body = new URLSearchParams(await body(ctx.req)).get('a');
    if (ctx.path === '/away') ctx.redirect('/');
    if (ctx.path === '/broken') throw new Error('broken');
    if (ctx.path === '/cookies') {
      ctx.cookies.set('a', '1', { httpOnly: false });
      ctx.cookies.set('b', '2', { httpOnly: false });
      ctx.status = 204;
    }
  });
  return app;
}

function makeFastify() {
  const app = fastify();
  app.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, (_, text, done) =>
    done(null, Object.fromEntries(new URLSearchParams(String(text)))),
  );
  app.get<{ Querystring: { name: string } }>('/', (request) => `hello ${request.query.name}`);
  app.post('/json', (request, reply) => reply.status(201).send({ got: request.body }));
  app.post<{ Body: { a: string } }>('/form', (request) => request.body.a);
  app.get('/cookies', (_, reply) =>
    reply.header('Set-Cookie', ['a=1; Path=/', 'b=2; Path=/']).status(204).send(),
  );
  app.get('/away', (_, reply) => reply.redirect('/'));
  app.get('/broken', () => {
    throw new Error('broken');
  });
  return app;
}

describe.each<[string, () => NodeApplication]>([
  ['Express', makeExpress as () => NodeApplication],
  ['Koa', makeKoa as () => NodeApplication],
  ['Fastify', makeFastify as unknown as () => NodeApplication],
])('%s', (_, make) => {
  test('a page, JSON, a form, cookies, a redirect, an error, what is not there', async () => {
    await using server = await serve(fromNode(make()));
    const page = await ask(server, '/?name=J%C3%BCrgen%20%26');
    expect([page.status, page.text, page.body]).toEqual([200, 'OK', 'hello Jürgen &']);
    expect(page.headers['content-length']).toBe(String(Buffer.byteLength(page.body)));
    const json = await ask(server, '/json', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: '{"a":[1,2]}',
    });
    expect([json.status, json.body]).toEqual([201, '{"got":{"a":[1,2]}}']);
    const type = { 'Content-Type': 'application/x-www-form-urlencoded' };
    expect((await ask(server, '/form', { method: 'POST', headers: type, body: 'a=%C3%BC+1' })).body).toBe(
      'ü 1',
    );
    const cookies = await ask(server, '/cookies');
    const set = cookies.headers['set-cookie']?.map((each) => each.toLowerCase());
    expect([cookies.status, set]).toEqual([204, ['a=1; path=/', 'b=2; path=/']]);
    const away = await ask(server, '/away');
    expect([away.status, away.headers.location]).toEqual([302, '/']);
    expect((await ask(server, '/nowhere')).status).toBe(404);
    expect((await ask(server, '/broken')).status).toBe(500);
    expect((await ask(server, '/?name=again')).body).toBe('hello again');
    const head = await ask(server, '/?name=you', { method: 'HEAD' });
    expect([head.status, head.body, head.headers['content-length']]).toEqual([200, '', '9']);
  });
});

test('a server that does not listen', async () => {
  await using server = await serve(fromNode(createServer((_, response) => response.end('from a server'))));
  expect((await ask(server, '/')).body).toBe('from a server');
});

test('what is no listener is refused, and what listens already', async () => {
  const listening = createServer(() => {}).listen(0, '127.0.0.1');
  await once(listening, 'listening');
  expect(() => fromNode(listening)).toThrow('listens already');
  listening.close();
  expect(() => fromNode(createServer())).toThrow('no listener for requests');
  expect(() => fromNode({} as NodeApplication)).toThrow('This is no Node listener: {}');
});

/** What the listener sees of the events of its request and response, in order. */
function watch(names: string[], request: IncomingMessage, response: ServerResponse): void {
  for (const name of ['aborted', 'close', 'end', 'error'])
    request.on(name, () => names.push(`request ${name}`));
  for (const name of ['finish', 'close', 'error']) response.on(name, () => names.push(`response ${name}`));
}

test('the events of a request that is answered', async () => {
  const names: string[] = [];
  const listener: NodeListener = async (request, response) => {
    watch(names, request, response);
    response.end(`got ${await body(request)}`, () => names.push('callback'));
  };
  await using server = await serve(fromNode(listener));
  expect((await ask(server, '/', { method: 'POST', body: 'hello' })).body).toBe('got hello');
  await expect.poll(() => names).toContain('response close');
  // Node 24 calls back ahead of `finish`, the others behind it.
  const told = names.filter((name) => name !== 'request close' && name !== 'callback');
  expect(told).toEqual(['request end', 'response finish', 'response close']);
  expect(names).toContain('callback');
  expect(server.errors()).toBe('');
});

test('parts arrive as they are written, and a client that leaves is told as on a socket', async () => {
  const names: string[] = [];
  const next = new Signal();
  const left = new Signal();
  const listener: NodeListener = async (request, response) => {
    watch(names, request, response);
    response.on('close', () => left.tell());
    response.writeHead(200, { 'Content-Type': 'text/event-stream' });
    response.flushHeaders();
    response.write('data: one\n\n');
    await next.heard;
    response.write('data: two\n\n');
  };
  await using server = await serve(fromNode(listener));
  const answer = await open(server, '/');
  const parts = arrivals(answer);
  await expect.poll(() => parts.join('')).toBe('data: one\n\n');
  next.tell();
  await expect.poll(() => parts.join('')).toBe('data: one\n\ndata: two\n\n');
  answer.socket.resetAndDestroy();
  await left.heard;
  expect(names).toContain('response close');
  expect(names).not.toContain('response finish');
});

test('a head alone is seen before anything of the body', async () => {
  const next = new Signal();
  const listener: NodeListener = async (_, response) => {
    response.setHeader('X-A', 'a');
    response.write('');
    response.flushHeaders();
    await next.heard;
    response.end('body');
  };
  await using server = await serve(fromNode(listener));
  const asked = ask(server, '/');
  next.tell();
  const answer = await asked;
  expect([answer.headers['x-a'], answer.body]).toEqual(['a', 'body']);
});

test('who pipes into the response is held to the pace of the client', async () => {
  let drawn = 0;
  const piece = Buffer.alloc(500_000);
  const listener: NodeListener = async (_, response) => {
    const source = Readable.from(
      (function* () {
        for (; drawn < 4000; drawn++) yield piece;
      })(),
    );
    await pipeline(source, response).catch(() => {});
  };
  await using server = await serve(fromNode(listener), { spoolLimit: 20_000_000, memoryLimit: 10_000_000 });
  const answer = await open(server, '/');
  answer.pause();
  let before = -1;
  const stands = () => {
    const isSame = drawn === before && drawn > 1;
    before = drawn;
    return isSame;
  };
  await expect.poll(stands, { interval: 200, timeout: 20_000 }).toBe(true);
  expect(drawn).toBeLessThan(500);
  let length = 0;
  answer.on('data', (chunk: Buffer) => (length += chunk.length));
  answer.resume();
  await expect.poll(() => drawn, { timeout: 30_000 }).toBeGreaterThan(700);
  await expect.poll(() => length, { timeout: 30_000 }).toBeGreaterThan(100_000_000);
  answer.socket.resetAndDestroy();
});

test('a large upload, spooled, is read piece by piece', async () => {
  const content = randomBytes(5_000_000);
  const listener: NodeListener = async (request, response) => {
    const sizes: number[] = [];
    const parts: Buffer[] = [];
    for await (const part of request) {
      sizes.push((part as Buffer).length);
      parts.push(part as Buffer);
    }
    response.end(`${Buffer.concat(parts).equals(content)} ${Math.max(...sizes) < 1_000_000}`);
  };
  await using server = await serve(fromNode(listener));
  expect((await ask(server, '/', { method: 'POST', body: content })).body).toBe('true true');
});

test('what the request says of itself', async () => {
  const listener: NodeListener = (request, response) => {
    const { method, url, headers, rawHeaders, httpVersion, socket } = request;
    const { originalUrl, baseUrl } = request as IncomingMessage & { originalUrl: string; baseUrl: string };
    const at = rawHeaders.indexOf('x-a');
    response.setHeader('Connection', 'close, upgrade');
    response.setHeader('Keep-Alive', 'timeout=5');
    response.writeHead(200, 'Well Done', { 'X-B': ['1', '2'] });
    response.end(
      JSON.stringify({
        told: [method, url, originalUrl, baseUrl, headers['x-a'], rawHeaders[at + 1], httpVersion],
        address: socket.remoteAddress,
        secure: 'encrypted' in socket && socket.encrypted,
      }),
    );
  };
  const mount: Middleware = (app) => (environ, startResponse) =>
    app({ ...environ, SCRIPT_NAME: '/api', PATH_INFO: environ.PATH_INFO.slice(4) }, startResponse);
  await using server = await serve(compose(mount)(fromNode(listener)));
  const answer = await ask(server, '/api/x%2Fy?z=1', { method: 'PUT', headers: { 'X-A': 'a' } });
  expect([answer.text, answer.headers['x-b'], answer.headers['keep-alive']]).toEqual([
    'Well Done',
    '1, 2',
    undefined,
  ]);
  expect(JSON.parse(answer.body)).toEqual({
    told: ['PUT', '/x%2Fy?z=1', '/api/x%2Fy?z=1', '/api', 'a', 'a', '1.1'],
    address: '127.0.0.1',
    secure: false,
  });
});

test('early hints leave ahead of the answer', async () => {
  const listener: NodeListener = (_, response) => {
    response.writeEarlyHints({ link: '</a.css>; rel=preload' }, () => response.end('hinted'));
  };
  await using server = await serve(fromNode(listener));
  expect((await ask(server, '/')).body).toBe('hinted');
});

test.each<[string, NodeListener, number | 'cut', RegExp]>([
  [
    'one that throws',
    () => {
      throw new Error('broken');
    },
    500,
    /Error: broken/,
  ],
  [
    'one whose promise is rejected',
    () => Promise.reject(new Error('broken later')),
    500,
    /Error: broken later/,
  ],
  ['one that destroys the response', (_, response) => response.destroy(), 500, /closed the response before/],
  [
    'one that fails in the middle',
    async (_, response) => {
      response.write('half');
      await new Promise(setImmediate);
      throw new Error('in the middle');
    },
    'cut',
    /in the middle/,
  ],
  [
    'one that destroys the response in the middle',
    async (_, response) => {
      response.write('half');
      await new Promise(setImmediate);
      response.destroy();
    },
    'cut',
    /closed the response before/,
  ],
  [
    'a header that cannot be sent',
    (_, response) => {
      response.setHeader('X-A', 'a\r\nb');
    },
    500,
    /Invalid character in header/,
  ],
])('%s is an error of the application', async (_, listener, status, told) => {
  await using server = await serve(fromNode(listener));
  if (status === 'cut') await expect(ask(server, '/')).rejects.toThrow();
  else expect((await ask(server, '/')).status).toBe(status);
  await expect.poll(() => server.errors()).toMatch(told);
});

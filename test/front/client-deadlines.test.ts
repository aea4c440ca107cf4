/** The deadlines of a client connection, in real time with short delays: order and outcome, not milliseconds. */
import { expect, test } from 'vitest';
import type { Exchange } from '../../src/http/exchange.ts';
import { field, Incomplete } from '../support/client.ts';
import { openStage, pattern, reply, until } from './harness.ts';

const GET = 'GET / HTTP/1.1\r\nHost: t\r\n\r\n';
const POST = 'POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\n';
const fine = (exchange: Exchange) => reply(exchange, 'fine');

test('a head that stalls gets 408, with or without a request before', async () => {
  await using stage = await openStage(fine, { clientHeaderTimeout: 0.2 });
  for (const before of ['', GET]) {
    const client = await stage.connect();
    await client.send(before);
    if (before !== '') await client.read();
    await client.send('GET / HTTP/1.1\r\nHo');
    const answer = await client.read();
    expect([answer.status, field(answer, 'Connection')]).toEqual([408, 'close']);
    await client.ended();
  }
  expect(stage.outcomes[0]).toMatchObject({ status: 408, requestLine: 'GET / HTTP/1.1', head: null });
});

test('a head that trickles in has no more time than one that stalls', async () => {
  await using stage = await openStage(fine, { clientHeaderTimeout: 0.3 });
  const client = await stage.connect();
  const timer = setInterval(() => client.socket.write('X'), 20);
  await client.send('GET / HTTP/1.1\r\nX-');
  expect((await client.read()).status).toBe(408);
  clearInterval(timer);
});

test('a connection on which nothing comes is closed without a word', async () => {
  await using stage = await openStage(fine, { clientHeaderTimeout: 0.2 });
  const client = await stage.connect();
  expect((await client.ended()).rest.length).toBe(0);
  await stage.empty();
  expect(stage.clients.count).toBe(0);
});

test('a body without a byte gets 408, one that keeps coming does not', async () => {
  await using stage = await openStage(fine, { clientBodyTimeout: 0.4 });
  const stalled = await stage.connect();
  await stalled.send(`${POST}12345`);
  const slow = await stage.connect();
  await slow.send(POST);
  const started = performance.now();
  for (const byte of '0123456789') {
    await new Promise((resolve) => setTimeout(resolve, 80));
    await slow.send(byte);
  }
  expect(performance.now() - started).toBeGreaterThan(400);
  expect((await slow.read()).status).toBe(200);
  expect((await stalled.read()).status).toBe(408);
  expect((await stalled.ended()).how).toBe('cut');
});

test('chunk sizes without data are no progress', async () => {
  await using stage = await openStage(fine, { clientBodyTimeout: 0.3 });
  const client = await stage.connect();
  await client.send('POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n1;');
  const timer = setInterval(() => client.socket.write('x'), 20);
  expect((await client.read()).status).toBe(408);
  clearInterval(timer);
});

test('an idle connection is closed when its keep-alive time is over, a busy one is not', async () => {
  const waiting: Exchange[] = [];
  await using stage = await openStage(
    (exchange) => {
      if (exchange.head.target === '/slow') waiting.push(exchange);
      else fine(exchange);
    },
    { keepAlive: 0.3, clientHeaderTimeout: 0.2 },
  );
  const [idle, busy] = [await stage.connect(), await stage.connect()];
  for (const client of [idle, busy]) {
    // The head's time is over by then: it must not count for the next request.
    await client.send(GET);
    expect((await client.read()).status).toBe(200);
  }
  await busy.send('GET /slow HTTP/1.1\r\nHost: t\r\n\r\n');
  expect((await idle.ended()).rest.length).toBe(0);
  await new Promise((resolve) => setTimeout(resolve, 400));
  for (const exchange of waiting) fine(exchange);
  expect((await busy.read()).status).toBe(200);
  await busy.ended();
  expect(stage.statuses).toEqual([200, 200, 200]);
});

test('a reader that takes nothing is cut, and told in the log', async () => {
  await using stage = await openStage((exchange) => reply(exchange, pattern(20_000_000)), {
    sendTimeout: 0.3,
  });
  const client = await stage.connect();
  client.socket.pause();
  await client.send(GET);
  await until(() => expect(stage.clients.clients.size).toBe(0));
  expect(stage.warnings).toEqual([expect.stringMatching(/127\.0\.0\.1 stopped reading its answer/)]);
  client.socket.resume();
  await expect(client.read()).rejects.toThrow(Incomplete);
  await stage.empty();
});

test('a slow reader is not cut: not while it reads, nor when it has read everything', async () => {
  // More than the kernel takes on both sides of a loopback connection.
  const body = pattern(14_000_000);
  await using stage = await openStage((exchange) => reply(exchange, body), {
    sendTimeout: 0.5,
    keepAlive: 0.5,
  });
  const client = await stage.connect();
  client.socket.pause();
  await client.send(GET);
  await until(() => expect(stage.spoolFiles()).toBe(1));
  const timer = setInterval(() => {
    client.socket.resume();
    setTimeout(() => client.socket.pause(), 3);
  }, 10);
  expect((await client.read()).body.equals(body)).toBe(true);
  clearInterval(timer);
  client.socket.resume();
  // All of it is out: what closes the connection now is its keep-alive time.
  expect((await client.ended()).how).toBe('cut');
  expect(stage.warnings).toEqual([]);
});

test('who takes longer for an answer than the keep-alive time, and is silent then, is not kept for ever', async () => {
  const body = pattern(14_000_000);
  await using stage = await openStage((exchange) => reply(exchange, body), {
    sendTimeout: 5,
    keepAlive: 0.3,
  });
  const client = await stage.connect();
  client.socket.pause();
  await client.send(GET);
  await until(() => expect(stage.clients.count).toBe(1));
  // The keep-alive time begins with the end of the answer, of which most is still here.
  await new Promise((resolve) => setTimeout(resolve, 800));
  client.socket.resume();
  expect((await client.read()).body.equals(body)).toBe(true);
  expect((await client.ended()).how).toBe('cut');
});

test('the last answer is not cut by the lingering close', async () => {
  const body = pattern(6_000_000);
  await using stage = await openStage((exchange) => reply(exchange, body), { keepAlive: 0 });
  const client = await stage.connect();
  client.socket.pause();
  await client.send(GET);
  await until(() => expect(stage.clients.count).toBe(1));
  // Longer than the 2 s of lingering.
  await new Promise((resolve) => setTimeout(resolve, 2500));
  client.socket.resume();
  expect((await client.read()).body.equals(body)).toBe(true);
  expect((await client.ended()).how).toBe('cut');
});

test('no deadline runs at 0', async () => {
  const off = { keepAlive: 1000, clientHeaderTimeout: 0, clientBodyTimeout: 0, sendTimeout: 0 };
  await using stage = await openStage(fine, off);
  const client = await stage.connect();
  await client.send('GET / HT');
  await new Promise((resolve) => setTimeout(resolve, 100));
  await client.send('TP/1.1\r\nHost: t\r\n\r\n');
  expect((await client.read()).status).toBe(200);
});

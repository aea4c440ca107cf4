import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { Client, get, parseHead } from '../../bench/load/client.mjs';
import { closedLoop, slowestShare } from '../../bench/load/closed.mjs';
import { openIdle, openSlow } from '../../bench/load/crowd.mjs';
import { arrivals, openLoop } from '../../bench/load/open.mjs';
import { check, checkBytes } from '../../bench/load/wrk.mjs';
import { quantile } from '../../bench/loads.mjs';
import { mulberry32 } from '../support/random.mjs';

const servers: Server[] = [];
const QUESTION = { bytes: get('/'), expected: Buffer.from('hello') };

afterEach(() => {
  for (const server of servers.splice(0)) server.close().closeAllConnections();
});

async function serve(listener: RequestListener): Promise<number> {
  const server = createServer(listener);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

function hello(): Promise<number> {
  return serve((_, response) => response.setHeader('Content-Length', 5).end('hello'));
}

test.each([
  ['HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n', true],
  ['HTTP/1.1 200 OK\r\ncontent-length:3\r\nConnection: close\r\n\r\n', false],
  ['HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\n', false],
  ['HTTP/1.0 200 OK\r\nContent-Length: 3\r\nConnection: Keep-Alive\r\n\r\n', true],
])('a head: %j', (text, keep) => {
  expect(parseHead(Buffer.from(`${text}abc`))).toEqual({ bodyAt: text.length, end: text.length + 3, keep });
  expect(parseHead(Buffer.from(text.slice(0, -1)))).toBeNull();
});

test('a client keeps its connection, and comes again when the server closes it', async () => {
  const sockets = new Set<unknown>();
  let answers = 0;
  const port = await serve((request, response) => {
    sockets.add(request.socket);
    if (++answers === 2) response.setHeader('Connection', 'close');
    response.setHeader('Content-Length', 5).end('hello');
  });
  const client = new Client(port);
  for (let i = 0; i < 4; i++) await client.request(QUESTION.bytes, QUESTION.expected);
  client.end();
  expect(sockets.size).toBe(2);
});

test.each<[string, string, RequestListener]>([
  [
    'wrong bytes',
    'answered wrong bytes',
    (_, response) => response.setHeader('Content-Length', 5).end('hallo'),
  ],
  [
    'another status',
    'answered 503',
    (_, response) => response.writeHead(503, { 'Content-Length': 5 }).end('hello'),
  ],
  [
    'a cut connection',
    'connection cut',
    (request) => request.socket.end('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel'),
  ],
])('a load with %s is no result', async (_, reason, listener) => {
  const port = await serve(listener);
  const load = { port, seconds: 5, random: mulberry32(1), ratePerSecond: 100 };
  await expect(closedLoop({ ...load, clients: 2, next: () => QUESTION })).rejects.toThrow(reason);
  await expect(
    openLoop({ ...load, seconds: 0.2, next: () => ({ ...QUESTION, isSlow: false }) }),
  ).rejects.toThrow(reason);
});

test('the closed loop counts for each client', async () => {
  const port = await hello();
  const { counts, rate } = await closedLoop({ port, clients: 4, seconds: 0.3, next: () => QUESTION });
  expect(counts).toHaveLength(4);
  expect(rate).toBeGreaterThan(0);
  expect(slowestShare(counts)).toBeGreaterThan(0);
  expect([slowestShare([3, 1, 2]), slowestShare([5, 0]), slowestShare([0, 0])]).toEqual([0.5, 0, 0]);
});

test('the open loop sends what is due and times the fast ones only', async () => {
  const port = await hello();
  const random = mulberry32(7);
  let nth = 0;
  const next = () => ({ ...QUESTION, isSlow: nth++ % 10 === 0 });
  const { fastMs, requests } = await openLoop({ port, ratePerSecond: 500, seconds: 0.4, random, next });
  expect(requests).toBe(arrivals({ ratePerSecond: 500, seconds: 0.4, random: mulberry32(7) }).length);
  expect(fastMs).toHaveLength(requests - Math.ceil(requests / 10));
});

test('arrivals have the wanted rate and rise', () => {
  const due = arrivals({ ratePerSecond: 1000, seconds: 10, random: mulberry32(3) });
  expect(Math.abs(due.length - 10_000)).toBeLessThan(400);
  expect(due).toEqual(due.toSorted((a, b) => a - b));
});

test('a crowd of idle connections stays open, or says why it does not', async () => {
  const port = await hello();
  const crowd = await openIdle({ port, count: 120, ...QUESTION });
  expect(crowd.countOpen()).toBe(120);
  crowd.end();
  expect(crowd.countOpen()).toBe(0);
  await expect(openIdle({ port, count: 3, ...QUESTION, expected: Buffer.from('x') })).rejects.toThrow(
    'only 0 of 3 connections were answered (answered wrong bytes)',
  );
});

test('slow clients come, and never finish', async () => {
  let heads = 0;
  const port = await serve(() => heads++);
  const counted = () =>
    new Promise<number>((resolve) => servers[0]?.getConnections((_, count) => resolve(count)));
  const crowd = openSlow({ port, count: 10 });
  await expect.poll(counted).toBe(10);
  // The heads of the POSTs are complete, those of the GETs never are.
  await expect.poll(() => heads).toBe(5);
  crowd.end();
  await expect.poll(counted).toBe(0);
});

test('what wrk counted: errors and wrong lengths are no result', () => {
  const errors = { connect: 0, read: 0, write: 0, status: 0, timeout: 0 };
  const counts = { requests: 100, bytes: 15_000, us: 1e6, p50Us: 1, p99Us: 2, wrong: 0, errors };
  expect(check(counts)).toBe(counts);
  expect(() => check({ ...counts, requests: 0 })).toThrow('not one request was answered');
  expect(() => check({ ...counts, errors: { ...errors, read: 2, status: 1 } })).toThrow(
    '2 connections cut, 1 answers other than 2xx',
  );
  const expected = { answerBytes: 150, connections: 2 };
  checkBytes(counts, expected);
  checkBytes({ ...counts, bytes: 15_300 }, expected);
  expect(() => checkBytes({ ...counts, bytes: 14_000 }, expected)).toThrow(
    '14000 bytes for 100 answers of 150',
  );
  expect(() => checkBytes({ ...counts, bytes: 17_000 }, expected)).toThrow();
});

test('quantiles', () => {
  const values = Array.from({ length: 100 }, (_, i) => 100 - i);
  expect([quantile(values, 0.5), quantile(values, 0.99), quantile([], 0.5)]).toEqual([51, 100, Number.NaN]);
});

import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import type { Exchange } from '../../src/http/exchange.ts';
import { connect, field } from '../support/client.ts';
import { openStage, reply, until } from './harness.ts';

const GET = 'GET / HTTP/1.1\r\nHost: t\r\n\r\n';

test('stop: what is under way is answered and closed, what is idle closed within 1 s, and then it is over', async () => {
  const waiting: Exchange[] = [];
  await using stage = await openStage((exchange) => {
    if (exchange.head.target === '/slow') waiting.push(exchange);
    else reply(exchange, 'fine');
  });
  const [idle, fresh, busy, late, sending] = await Promise.all(
    Array.from({ length: 5 }, () => stage.connect()),
  );
  await until(() => expect(stage.clients.clients.size).toBe(5));
  for (const client of [idle, late]) expect((await client?.request('GET', '/'))?.status).toBe(200);
  await busy?.send('GET /slow HTTP/1.1\r\nHost: t\r\n\r\n');
  await sending?.send('POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\n\r\nab');
  await until(() => expect(waiting.length).toBe(1));

  const started = performance.now();
  let over = false;
  const stopped = stage.clients.stop().then(() => {
    over = true;
  });
  // A request that was on its way to an idle connection is still answered, and told that it was the last.
  const answer = await late?.request('GET', '/');
  expect([answer?.status, answer && field(answer, 'Connection')]).toEqual([200, 'close']);
  await Promise.all([idle?.ended(), fresh?.ended()]);
  expect(performance.now() - started).toBeGreaterThan(900);
  expect(over).toBe(false);
  await sending?.send('cd');
  const last = await sending?.read();
  expect([last?.status, last && field(last, 'Connection')]).toEqual([200, 'close']);
  for (const exchange of waiting) reply(exchange, 'at last');
  const slow = await busy?.read();
  expect([String(slow?.body), slow && field(slow, 'Connection')]).toEqual(['at last', 'close']);
  await stopped;
  expect(stage.clients.clients.size).toBe(0);
});

test.each(['the server stops', 'its keep-alive time ends'])(
  'a request that came while the event loop stood still is answered, though %s meanwhile',
  async (why) => {
    const stops = why === 'the server stops';
    await using stage = await openStage((exchange) => reply(exchange, 'fine'), {
      keepAlive: stops ? 60 : 0.3,
    });
    const client = await stage.connect();
    await client.request('GET', '/');
    const stopped = stops ? stage.clients.stop(100) : null;
    // It is with the kernel at once; nobody reads it before all timers are due.
    client.socket.write(GET);
    const until = performance.now() + 500;
    while (performance.now() < until);
    expect(String((await client.read()).body)).toBe('fine');
    await stopped;
  },
);

test('stop: with nobody there it is over at once', async () => {
  await using stage = await openStage(() => {});
  const started = performance.now();
  await stage.clients.stop();
  expect(performance.now() - started).toBeLessThan(500);
});

test('stop: an answer that has begun goes on to its end, and the connection with it', async () => {
  let finish = () => {};
  await using stage = await openStage((exchange) => {
    exchange.respond({ status: '200 OK', fields: [] }, { body: Buffer.from('a'), last: false });
    finish = () => {
      exchange.write(Buffer.from('b'), true);
      exchange.release();
    };
  });
  const client = await stage.connect();
  await client.send(GET);
  await until(() => expect(client.pending().length).toBeGreaterThan(0));
  const stopped = stage.clients.stop();
  await sleep(1100);
  finish();
  expect(String((await client.read()).body)).toBe('ab');
  await stopped;
});

test('destroy cuts everybody', async () => {
  await using stage = await openStage(() => {});
  const clients = await Promise.all(Array.from({ length: 5 }, () => stage.connect()));
  for (const client of clients) await client.send(GET);
  await until(() => expect(stage.clients.clients.size).toBe(5));
  stage.clients.destroy();
  await Promise.all(clients.map((client) => client.ended()));
  await stage.empty();
});

test('an idle keep-alive connection takes at most 12 KiB', async () => {
  await using stage = await openStage((exchange) => reply(exchange, 'fine'));
  const fields = { 'User-Agent': 'x'.repeat(120), Accept: '*/*', Cookie: 'y'.repeat(300) };
  const { port } = stage.target as { port: number };
  const load = async (count: number) => {
    const clients = [];
    for (let i = 0; i < count; i++) {
      const client = await connect({ port });
      await client.request('GET', '/', { fields });
      clients.push(client);
    }
    return clients;
  };
  const gc = collector();
  await load(50);
  const count = 1000;
  // The clients live in another process, or their memory would be counted, too.
  const child = spawn(process.execPath, ['-e', CLIENTS], {
    env: { PORT: String(port), COUNT: String(count), FIELDS: JSON.stringify(fields) },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  gc();
  const before = process.memoryUsage();
  child.stdin.write('go\n');
  await new Promise((resolve) => child.stdout.once('data', resolve));
  await until(() =>
    expect([...stage.clients.clients].filter((client) => client.idle).length).toBe(count + 50),
  );
  gc();
  const after = process.memoryUsage();
  child.kill();
  const used = after.heapUsed + after.external - before.heapUsed - before.external;
  console.info(`An idle keep-alive connection takes ${(used / count / 1024).toFixed(1)} KiB.`);
  expect(used / count).toBeLessThan(12 * 1024);
  stage.clients.destroy();
});

/** Opens COUNT connections when told to, and says so when each has had an answer. */
const CLIENTS = `
const net = require('node:net');
const { PORT, COUNT, FIELDS } = process.env;
const head = 'GET / HTTP/1.1\\r\\nHost: t\\r\\n' +
  Object.entries(JSON.parse(FIELDS)).map(([name, value]) => name + ': ' + value + '\\r\\n').join('') + '\\r\\n';
let left = Number(COUNT);
const open = () => {
  const socket = net.connect(Number(PORT));
  socket.write(head);
  socket.once('data', () => (--left === 0 ? process.stdout.write('done') : left >= 20 && open()));
  socket.on('error', () => {});
};
process.stdin.once('data', () => { for (let i = 0; i < 20; i++) open(); });
`;

/** Collects garbage, all of it. */
function collector(): () => void {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as () => void;
}

/** The load must not be kinder than it says: a server that goes wrong in each way shows in the fates. */
import net from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { judge, type Load, monotonicMs, type Strike, startLoad } from './load.ts';

type Answer = (socket: net.Socket, nonce: string, count: number) => void;

const servers: net.Server[] = [];

afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

const ok = (nonce: string, more = '') =>
  `HTTP/1.1 200 OK\r\nContent-Length: ${nonce.length}\r\nX-Worker: 7\r\n${more}\r\n${nonce}`;

/** A server that answers each request head by `answer`. */
async function serve(answer: Answer): Promise<{ port: number; connections: () => number }> {
  let connections = 0;
  const server = net.createServer((socket) => {
    connections++;
    let count = 0;
    let text = '';
    socket.on('error', () => {});
    socket.on('data', (data) => {
      text += data.toString('latin1');
      for (let end = text.indexOf('\r\n\r\n'); end >= 0; end = text.indexOf('\r\n\r\n')) {
        const head = text.slice(0, end);
        const length = Number(/Content-Length: (\d+)/.exec(head)?.[1] ?? 0);
        if (text.length < end + 4 + length) return;
        text = text.slice(end + 4 + length);
        answer(socket, /nonce=(\S+)/.exec(head)?.[1] ?? '', count++);
      }
    });
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { port: (server.address() as net.AddressInfo).port, connections: () => connections };
}

async function fateOf(answer: Answer): Promise<string> {
  const { port } = await serve(answer);
  await using load = startLoad({ port, patienceMs: 1000 });
  const { fate, status } = await load.once('/');
  return `${fate} ${status}`;
}

describe('the fate of one request', () => {
  test.each<[string, Answer]>([
    ['ok 200', (socket, nonce) => socket.end(ok(nonce))],
    [
      'ok 200',
      (socket, nonce) =>
        socket.end(
          `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${nonce.length.toString(16)}\r\n${nonce}\r\n0\r\n\r\n`,
        ),
    ],
    ['status 502', (socket) => socket.end('HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n')],
    ['reset 0', (socket) => socket.resetAndDestroy()],
    ['cut 0', (socket) => socket.end()],
    ['cut 0', (socket, nonce) => socket.end(ok(nonce).slice(0, -1))],
    ['wrong 0', (socket, nonce) => socket.end(`${ok(nonce)}HTTP`)],
    ['wrong 0', (socket, nonce) => socket.end(ok(nonce.replace(/.$/, 'x')))],
    ['wrong 0', (socket, nonce) => socket.end(`HTTP/1.1 200 OK\r\n\r\n${nonce}`)],
    ['silent 0', () => {}],
  ])('%s', async (fate, answer) => {
    expect(await fateOf(answer)).toBe(fate);
  });

  test('refused', async () => {
    const { port } = await serve(() => {});
    const [server] = servers.splice(0);
    await new Promise((resolve) => server?.close(resolve));
    await using load = startLoad({ port });
    expect(await load.once('/')).toMatchObject({ fate: 'refused', why: 'ECONNREFUSED' });
  });
});

describe('a load', () => {
  const answered = async (load: Load, count: number) => {
    await load.answered(count);
    return load.stop();
  };

  test('over connections kept alive and new ones: each request once, its figures add up', async () => {
    const seen: string[] = [];
    const { port, connections } = await serve((socket, nonce) => {
      seen.push(nonce);
      socket.write(ok(nonce));
    });
    await using load = startLoad({ port, rate: null, connections: 4 });
    const report = await answered(load, 500);
    expect(report.fates()).toEqual({ ok: seen.length });
    expect(new Set(seen).size).toBe(seen.length);
    expect(report.byWorker()).toEqual(new Map([[7, seen.length]]));
    expect(report.fresh).toBeGreaterThan(seen.length * 0.15);
    expect(report.fresh).toBeLessThan(seen.length * 0.45);
    expect(connections()).toBe(report.connections.opened);
    expect(report.connections.opened).toBeGreaterThanOrEqual(report.fresh);
    expect(report.posted.length).toBeGreaterThan(seen.length * 0.1);
    expect(report.quantileMs(0.99)).toBeGreaterThanOrEqual(report.quantileMs(0.5));
  });

  test('at a rate: it does not wait for answers', async () => {
    const held: (() => void)[] = [];
    const { port } = await serve((socket, nonce) => held.push(() => socket.write(ok(nonce))));
    await using load = startLoad({ port, rate: 200, connections: 2 });
    await expect.poll(() => held.length, { timeout: 10_000 }).toBeGreaterThan(100);
    const stopped = load.stop();
    const release = setInterval(() => {
      for (const answer of held.splice(0)) answer();
    }, 10);
    const report = await stopped;
    clearInterval(release);
    expect(report.fates()).toEqual({ ok: report.ok });
  });

  test('what a late load sent late counts from when it was due; what is slow on purpose is told apart', async () => {
    const { port } = await serve((socket, nonce) => setTimeout(() => socket.write(ok(nonce)), 10));
    await using load = startLoad({ port, rate: 200, fresh: 0, slow: { path: '/slow', every: 10 } });
    await load.answered(100);
    load.freeze(400);
    const report = await answered(load, 200);
    expect(report.fastMs(0.5)).toBeLessThan(100);
    expect(report.fastMs(1)).toBeGreaterThan(300);
    expect(report.timerMs(1)).toBeGreaterThan(300);
    // One of each ten, wherever the load began and ended.
    expect(Math.abs(report.slow - report.ok / 10)).toBeLessThan(2);
  });

  test('what the server closes while it is idle, or said that it would close, is no failure', async () => {
    const { port } = await serve((socket, nonce, count) => {
      if (count === 2) socket.end(ok(nonce, 'Connection: close\r\n'));
      else socket.write(ok(nonce));
    });
    await using load = startLoad({ port, rate: null, connections: 2, fresh: 0 });
    const report = await answered(load, 100);
    expect(report.fates()).toEqual({ ok: report.ok });
    expect(report.connections.closed).toBeGreaterThan(10);
  });

  test('a close just as a request is sent: the race only when the connection was idle for long enough', async () => {
    const closing: Answer = (socket, nonce, count) => {
      if (count === 0) socket.write(ok(nonce));
      else socket.end();
    };
    const fates = async (keepAliveMs: number) => {
      const { port } = await serve(closing);
      await using load = startLoad({ port, rate: null, connections: 1, fresh: 0, posts: 0, keepAliveMs });
      return Object.keys((await answered(load, 20)).fates()).sort();
    };
    expect(await fates(75_000)).toEqual(['cut', 'ok']);
    expect(await fates(0)).toEqual(['ok', 'raced']);
  });

  test('a server that answers twice', async () => {
    const { port } = await serve((socket, nonce) => {
      socket.write(ok(nonce));
      setImmediate(() => socket.write('HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n'));
    });
    await using load = startLoad({ port, rate: 20, connections: 1, fresh: 0 });
    const report = await answered(load, 20);
    expect(report.connections.stray + report.count('wrong')).toBeGreaterThan(10);
  });
});

describe('strikes', () => {
  const strikes = (count: number): Strike[] =>
    Array.from({ length: count }, (_, value) => ({ fromMs: value, toMs: value + 1, value }));

  test('the median of those during which no timer of the harness ran late', () => {
    // Late by 3 ms while the first four struck: more than a fifth of 10.
    const report = { lateMs: (from: number) => (from < 4 ? 3 : 2) };
    expect(judge('test', strikes(24), { boundMs: 10, report })).toBe(14);
  });

  test('too few, or too many of them left out, fail', () => {
    const fine = { lateMs: () => 0 };
    const busy = { lateMs: (from: number) => (from < 13 ? 3 : 0) };
    expect(() => judge('test', strikes(19), { boundMs: 10, report: fine })).toThrow('only 19 strikes');
    expect(() => judge('test', strikes(24), { boundMs: 10, report: busy })).toThrow('too busy');
  });

  test('a stopped load is late', async () => {
    const { port } = await serve((socket, nonce) => socket.write(ok(nonce)));
    await using load = startLoad({ port, rate: 50 });
    await load.answered(5);
    const fromMs = monotonicMs();
    load.freeze(200);
    await load.answered(5);
    const report = await load.stop();
    expect(report.lateMs(fromMs, monotonicMs())).toBeGreaterThan(100);
  });
});

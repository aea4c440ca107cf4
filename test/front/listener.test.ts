import type { Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { type Bound, bindAll } from '../../src/arbiter/sockets.ts';
import { type Accepting, closeWhenQuiet, listen } from '../../src/front/listener.ts';
import { connect } from '../support/client.ts';

const sockets: Bound[] = [];
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.close();
});

/** Listens on a socket that was bound as the arbiter does it. */
async function open(onConnection: (socket: Socket) => void): Promise<Accepting & { port: number }> {
  const address = { kind: 'tcp', host: '127.0.0.1', port: 0 } as const;
  const bound = await bindAll([address], { umask: 0, rights: null });
  sockets.push(...bound);
  const [listener] = bound as [Bound];
  const accepting = await listen(listener, { backlog: 100, onConnection, warn: () => {} });
  return Object.assign(accepting, { port: listener.port });
}

test('connections are accepted, may half-close, and know their listener', async () => {
  const listeners: number[] = [];
  const accepting = await open((socket) => {
    listeners.push(socket.localPort ?? 0);
    socket.on('end', () => socket.end('heard to the end'));
    socket.resume();
  });
  using client = await connect({ port: accepting.port });
  client.socket.end('x');
  expect(String((await client.ended()).rest)).toBe('heard to the end');
  expect(listeners).toEqual([accepting.port]);
  accepting.server.close();
});

test('what waits in the backlog is taken before it closes', async () => {
  let answered = 0;
  const accepting = await open((socket) => {
    socket.on('error', () => {});
    socket.end('hello', () => answered++);
  });
  const clients = await Promise.all(Array.from({ length: 50 }, () => connect({ port: accepting.port })));
  await closeWhenQuiet([accepting]);
  for (const client of clients) expect(String((await client.ended()).rest)).toBe('hello');
  expect([accepting.accepted, answered, accepting.server.listening]).toEqual([50, 50, false]);
  for (const client of clients) client.close();
});

test('also when each turn of the event loop takes its time', async () => {
  const accepting = await open((socket) => {
    socket.on('error', () => {});
    const until = performance.now() + 20;
    while (performance.now() < until);
    socket.end('hello');
  });
  const clients = await Promise.all(Array.from({ length: 60 }, () => connect({ port: accepting.port })));
  await closeWhenQuiet([accepting]);
  for (const client of clients) expect(String((await client.ended()).rest)).toBe('hello');
  for (const client of clients) client.close();
});

test('connections that never cease do not keep it open', async () => {
  const accepting = await open((socket) => {
    socket.on('error', () => {});
    socket.destroy();
  });
  let on = true;
  const flood = async () => {
    while (on) {
      const client = await connect({ port: accepting.port }).catch(() => null);
      client?.close();
    }
  };
  const floods = Array.from({ length: 8 }, flood);
  const started = performance.now();
  await closeWhenQuiet([accepting]);
  expect(performance.now() - started).toBeLessThan(5000);
  on = false;
  for (const socket of sockets.splice(0)) socket.close();
  await Promise.all(floods);
});

test('a descriptor that is no socket is told to the caller', async () => {
  const options = { backlog: 1, onConnection: () => {}, warn: () => {} };
  await expect(listen({ fd: 9999, host: '', port: 0, unix: false }, options)).rejects.toThrow();
});

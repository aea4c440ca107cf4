/** Hostile clients, hostile applications and unlucky operators, against the real command. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { connect, fetchOnce } from '../support/client.ts';
import { APPS, KINDS, type Kind } from '../support/kinds.ts';
import { cleanEnvironment, PYTHON, ROOT, type Server, startTunicorn } from '../support/tunicorn.ts';

function start(app: string, args: readonly string[] = [], kind: Kind = 'python'): Promise<Server> {
  return startTunicorn({ cwd: APPS, args: [...args, nameOf(app, kind)] });
}

const nameOf = (app: string, kind: Kind) => `${kind === 'python' ? 'hostile' : 'hostile.ts'}:${app}`;

const get = (server: Server, path = '/') => fetchOnce({ port: server.port }, path);

describe('a client that resets its connection', () => {
  /** Sends a whole request and a reset right behind it. */
  async function hitAndRun(server: Server): Promise<void> {
    const socket = net.connect(server.port, '127.0.0.1');
    await once(socket, 'connect');
    socket.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n');
    socket.resetAndDestroy();
    await once(socket, 'close');
  }

  test('never has its request run without an address', async () => {
    await using server = await start('addresses', ['--access-logfile', '-']);
    for (let round = 0; round < 50; round++) {
      await Promise.all(Array.from({ length: 40 }, () => hitAndRun(server)));
    }
    expect(`${(await get(server)).body}`).toMatch(/^\[('127\.0\.0\.1')?\]$/);
    await server.stop();
    expect(server.log()).not.toMatch(/^- .*"POST /m);
  });
});

test('heads without end take no more memory than --memory-limit', async () => {
  await using server = await start('late', ['--memory-limit', '1M']);
  const head = `GET / HTTP/1.1\r\nHost: x\r\n${`X-Long: ${'x'.repeat(8000)}\r\n`.repeat(20)}`;
  const open = async () => {
    const connection = await connect({ port: server.port });
    await connection.send(head);
    return connection;
  };
  const clients = [];
  for (let n = 0; n < 20; n++) clients.push(await open());
  // Six of them fit; whoever came later is told.
  expect((await clients.at(-1)?.read())?.status).toBe(503);
  expect((await get(server)).status).toBe(200);
  for (const client of clients) client.close();
  // What they held is given back, again and again.
  for (let n = 0; n < 20; n++) {
    using client = await open();
    await client.send('\r\n');
    expect((await client.read()).status).toBe(200);
  }
});

test.each(KINDS)('%s worker: a write() kept from an earlier answer changes no other', async (kind) => {
  await using server = await start('late', [], kind);
  for (let n = 0; n < 3; n++) expect(`${(await get(server)).body}`).toBe('answer');
  expect(server.log()).toMatch(
    /gave more than its (answer, which was complete; the rest is cut|Content-Length: the rest is dropped): GET \//,
  );
});

describe('standard streams', () => {
  test.each(KINDS)('that nobody reads stop nothing (%s worker)', async (kind) => {
    const folder = mkdtempSync(join(tmpdir(), 'hostile-'));
    const pipe = openPipe(join(folder, 'pipe'));
    const args = ['-b', '127.0.0.1:0', '--access-logfile', '-', '--python', PYTHON, nameOf('chatty', kind)];
    const stdio = ['ignore' as const, pipe.write, pipe.write];
    const child = spawn(`${ROOT}bin/tunicorn`, args, { cwd: APPS, env: cleanEnvironment(), stdio });
    try {
      const port = await readUntilReady(pipe.read);
      for (let n = 0; n < 3; n++) expect((await fetchOnce({ port }, '/')).status).toBe(200);
      child.kill('SIGTERM');
      expect(await once(child, 'exit')).toEqual([0, null]);
    } finally {
      child.kill('SIGKILL');
      for (const fd of Object.values(pipe)) closeSync(fd);
      rmSync(folder, { recursive: true });
    }
  });

  /** A real pipe, as a shell makes it: what Node calls one is a socket. */
  function openPipe(path: string): { read: number; write: number } {
    execFileSync('mkfifo', [path]);
    return {
      read: openSync(path, constants.O_RDONLY | constants.O_NONBLOCK),
      write: openSync(path, constants.O_WRONLY),
    };
  }

  /** Reads the log no further than it must. @returns the port. */
  async function readUntilReady(fd: number): Promise<number> {
    const deadline = performance.now() + 30_000;
    const bytes = Buffer.alloc(4096);
    let log = '';
    while (!log.includes('Ready: ') && performance.now() < deadline) {
      try {
        log += bytes.toString('utf8', 0, readSync(fd, bytes));
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    }
    return Number(/Listening at http:\S+:(\d+)/.exec(log)?.[1]);
  }
});

import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { describe, expect, test, vi } from 'vitest';
import { pattern } from '../front/harness.ts';
import { type Connection, connect, fetchOnce, formatRequest, Incomplete } from '../support/client.ts';
import { appArgs, KINDS } from '../support/kinds.ts';
import { type Server, startTunicorn } from '../support/tunicorn.ts';

const MIB = 1024 * 1024;

function memoryOf(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024;
}

/** Spool files that the process holds open. */
function spoolFiles(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).filter((fd) => {
    try {
      return /\/tunicorn-\d+-.*\(deleted\)$/.test(readlinkSync(`/proc/${pid}/fd/${fd}`));
    } catch {
      return false;
    }
  }).length;
}

const until = (check: () => void) => vi.waitFor(check, { timeout: 20_000, interval: 20 });

/** Asks for `target` and reads nothing of the answer. */
async function askAndWait(server: Server, target: string): Promise<Connection> {
  const client = await connect({ port: server.port });
  client.socket.pause();
  await client.send(formatRequest('GET', target));
  return client;
}

describe.each(KINDS)('%s worker', (kind) => {
  const start = (args: readonly string[] = []) =>
    startTunicorn({ args: [...args, ...appArgs(kind, 'traffic')] });

  // Whether its length is told matters to the front alone, whatever workers it has.
  test.each(kind === 'python' ? ['&length=1', ''] : [''])(
    'slow readers take disk, not the worker and not memory (answer with %j)',
    async (length) => {
      await using server = await start();
      const [front = 0] = await server.fronts();
      const size = 30_000_000;
      const before = memoryOf(front);
      const slow = [];
      for (let i = 0; i < 5; i++) slow.push(await askAndWait(server, `/produce?size=${size}${length}`));
      await until(() => expect(spoolFiles(front)).toBe(5));
      // The only worker serves others, while nobody has read a byte of those.
      for (let i = 0; i < 50; i++) {
        const answer = await fetchOnce({ port: server.port }, `/echo/${i}`);
        expect(String(answer.body)).toBe(`GET /echo/${i}?\n`);
      }
      expect(memoryOf(front) - before).toBeLessThan(100 * MIB);
      const whole = pattern(size);
      for (const client of slow) {
        client.socket.resume();
        const answer = await client.read();
        expect([answer.status, answer.framing, answer.body.equals(whole)]).toEqual([
          200,
          length === '' ? 'chunked' : 'length',
          true,
        ]);
        client.close();
      }
      await until(() => expect(spoolFiles(front)).toBe(0));
      expect((await server.stop()).code).toBe(0);
      expect(server.log()).not.toMatch(/\[(WARNING|ERROR)\]/);
    },
  );

  test('with the spool full the worker waits for the reader, whose time does not count; every byte arrives', async () => {
    await using server = await start(['--spool-limit', '1M', '--timeout', '1', '--threads', '2']);
    const size = 20_000_000;
    const slow = await askAndWait(server, `/produce?size=${size}`);
    await server.waitForLog('No room in the spool folder');
    // Longer than the timeout; and the other thread serves.
    for (let i = 0; i < 10; i++) {
      expect((await fetchOnce({ port: server.port }, '/sleep?s=0.2')).status).toBe(200);
    }
    slow.socket.resume();
    expect((await slow.read()).body.equals(pattern(size))).toBe(true);
    slow.close();
    expect(server.log()).not.toMatch(/Timeout/);
  });

  test('clients that leave in the middle of large answers leave nothing behind', async () => {
    await using server = await start();
    const [front = 0] = await server.fronts();
    for (let i = 0; i < 20; i++) {
      const client = await askAndWait(server, '/produce?size=10000000');
      await new Promise((resolve) => setTimeout(resolve, (i * 7) % 30));
      if (i % 2 === 0) client.socket.resetAndDestroy();
      else client.close();
    }
    await until(() => expect(spoolFiles(front)).toBe(0));
    expect((await fetchOnce({ port: server.port }, '/echo/x')).status).toBe(200);
    expect((await server.stop()).code).toBe(0);
    expect(server.log()).not.toMatch(/\[ERROR\]|Traceback/);
  });

  // The front alone decides these.
  if (kind === 'python') {
    test('a reader that takes nothing is cut after --send-timeout, and the log says so', async () => {
      await using server = await start(['--send-timeout', '1']);
      const [front = 0] = await server.fronts();
      const slow = await askAndWait(server, '/produce?size=20000000');
      await server.waitForLog('A client at 127.0.0.1 stopped reading its answer');
      slow.socket.resume();
      await expect(slow.read()).rejects.toThrow(Incomplete);
      await until(() => expect(spoolFiles(front)).toBe(0));
    });

    test('a client that types byte by byte is understood', async () => {
      await using server = await start();
      using client = await connect({ port: server.port });
      const request = formatRequest('POST', '/echo/slow', { body: 'slowly' });
      for (const byte of Buffer.concat([request, request])) await client.send(Buffer.from([byte]));
      for (let i = 0; i < 2; i++) expect(String((await client.read()).body)).toBe('POST /echo/slow?\nslowly');
    });
  }
});

import { once } from 'node:events';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { type Connection, connect, formatRequest, Incomplete } from '../support/client.ts';
import { ROOT, type Server, startTunicorn } from '../support/tunicorn.ts';

const LENGTH = 64 * 1024 * 1024;
const MIDDLE = 1_000_001;

describe.skipIf(process.platform !== 'linux')('static files over real connections', () => {
  let folder = '';
  let server: Server;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tunicorn-static-'));
    await writeFile(join(folder, 'big.bin'), '');
    await truncate(join(folder, 'big.bin'), LENGTH);
    await writeFile(join(folder, 'middle.bin'), Buffer.alloc(MIDDLE));
    await writeFile(join(folder, 'small.txt'), 'Heyo');
    const args = ['--static', `/files/=${folder}`, '--pythonpath', join(ROOT, 'test/apps'), 'environ_json'];
    server = await startTunicorn({ args });
  });
  afterAll(async () => {
    await server?.[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  async function frontPid(): Promise<number> {
    return (await server.fronts())[0] ?? 0;
  }

  /** Files that the front has open: those of the folder, and spool files. */
  async function open(): Promise<string[]> {
    const fds = `/proc/${await frontPid()}/fd`;
    const links = readdirSync(fds).map((fd) => {
      try {
        return readlinkSync(join(fds, fd));
      } catch {
        return '';
      }
    });
    return links.filter((link) => link.startsWith(folder) || link.includes('(deleted)'));
  }

  /** What a client has got is closed right after it, not before. */
  async function isOpen(names: readonly string[]): Promise<void> {
    const paths = names.map((name) => join(folder, name));
    await vi.waitFor(async () => expect(await open()).toEqual(paths), { timeout: 20_000 });
  }

  async function residentKb(): Promise<number> {
    return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${await frontPid()}/status`, 'utf8'))?.[1]);
  }

  /** Asks for the big file and reads no more than what comes before the client is paused. */
  async function askAndStall(): Promise<Connection> {
    const connection = await connect({ port: server.port });
    await connection.send(formatRequest('GET', '/files/big.bin'));
    await once(connection.socket, 'data');
    connection.socket.pause();
    return connection;
  }

  test('many slow readers hold neither memory nor spool files, and leave nothing open', async () => {
    const before = await residentKb();
    const slow = await Promise.all(Array.from({ length: 50 }, askAndStall));
    await isOpen(Array.from({ length: 50 }, () => 'big.bin'));
    // Somebody else is served meanwhile.
    using other = await connect({ port: server.port });
    expect((await other.request('GET', '/files/small.txt')).body.toString()).toBe('Heyo');
    await isOpen(Array.from({ length: 50 }, () => 'big.bin'));
    // 64 KiB at the socket and 64 KiB behind it, each; with room for the collector to be late.
    expect((await residentKb()) - before).toBeLessThan(80 * 1024);
    for (const connection of slow) connection.close();
    await isOpen([]);
  });

  test('a reader that comes back gets every byte, and the connection goes on', async () => {
    using connection = await askAndStall();
    await new Promise((resolve) => setTimeout(resolve, 300));
    let length = connection.pending().length;
    const headEnd = connection.pending().indexOf('\r\n\r\n') + 4;
    connection.socket.removeAllListeners('data').on('data', (data) => {
      length += data.length;
    });
    connection.socket.resume();
    await vi.waitFor(() => expect(length).toBe(headEnd + LENGTH), { timeout: 60_000, interval: 50 });
    let next = '';
    connection.socket.on('data', (data) => {
      next += data.toString('latin1');
    });
    await connection.send(formatRequest('GET', '/files/small.txt'));
    await vi.waitFor(() => expect(next).toMatch(/^HTTP\/1\.1 200 OK\r\n.*\r\n\r\nHeyo$/s), {
      timeout: 20_000,
    });
  });

  test('pipelined requests are answered in order', async () => {
    using connection = await connect({ port: server.port });
    const paths = ['/files/small.txt', '/app', '/files/none', '/files/middle.bin', '/files/small.txt'];
    await connection.send(Buffer.concat(paths.map((path) => formatRequest('GET', path))));
    const answers = [];
    for (const _ of paths) answers.push(await connection.read());
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 404, 200, 200]);
    expect(answers[1]?.body.toString()).toContain('"PATH_INFO": "/app"');
    expect(answers[3]?.body.length).toBe(MIDDLE);
  });

  test.each([
    '/files/../environ_json.py',
    '/files/..%2f..%2fetc/passwd',
    '/files/%2e%2e/%2e%2e/etc/passwd',
    '/files//etc/passwd',
    '/files/..%5c..%5cetc/passwd',
  ])('%s is not found, as the bytes stand', async (path) => {
    using connection = await connect({ port: server.port });
    expect((await connection.request('GET', path)).status).toBe(404);
  });

  test('a file that shrinks while it is sent cuts the connection', async () => {
    const name = join(folder, 'shrinking.bin');
    await writeFile(name, '');
    await truncate(name, LENGTH);
    using connection = await connect({ port: server.port });
    await connection.send(formatRequest('GET', '/files/shrinking.bin'));
    await once(connection.socket, 'data');
    connection.socket.pause();
    await truncate(name, 1000);
    connection.socket.resume();
    await expect(connection.read()).rejects.toBeInstanceOf(Incomplete);
  });

  test('a request body is taken and dropped, and the connection goes on', async () => {
    using connection = await connect({ port: server.port });
    const answer = await connection.request('POST', '/files/small.txt', { body: Buffer.alloc(300_000) });
    expect(answer.status).toBe(405);
    expect((await connection.request('HEAD', '/files/small.txt')).status).toBe(200);
    await isOpen([]);
  });
});

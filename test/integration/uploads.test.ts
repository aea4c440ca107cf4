import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { crc32 } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { pattern } from '../front/harness.ts';
import { type Answer, type Connection, connect, fetchOnce, field } from '../support/client.ts';
import { appArgs, KINDS, type Kind } from '../support/kinds.ts';
import { type Server, startTunicorn } from '../support/tunicorn.ts';

const MIB = 1024 * 1024;

function start(args: readonly string[], kind: Kind = 'python'): Promise<Server> {
  return startTunicorn({ args: ['--access-logfile', '/dev/null', ...args, ...appArgs(kind, 'traffic')] });
}

/** Resident memory in bytes. */
function memoryOf(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024;
}

function openFiles(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

describe('3,000 slow uploads of 1 MiB at once', () => {
  const COUNT = 3000;
  const STEPS = 8;
  // Each upload begins at another place of it, so that mixed up bodies show.
  const source = pattern(MIB + 64);
  const bodies = Array.from({ length: 64 }, (_, i) => source.subarray(i, i + MIB));
  const sums = bodies.map((body) => `${body.length} ${crc32(body)}`);

  /** Sends the body in steps, and stops when it is answered before its end. */
  async function upload(client: Connection, index: number, pause: () => Promise<void>): Promise<Answer> {
    const body = bodies[index % bodies.length] as Buffer;
    const head = `POST /checksum HTTP/1.1\r\nHost: t\r\nContent-Length: ${body.length}\r\n\r\n`;
    await client.send(head);
    for (let step = 0; step < STEPS && client.pending().length === 0; step++) {
      await pause();
      void client.send(body.subarray((step * MIB) / STEPS, ((step + 1) * MIB) / STEPS));
    }
    return client.read({ timeoutMs: 60_000 });
  }

  test('each is answered right, or 503 at the limit; none is refused a connection; the memory is bounded', async () => {
    await using server = await start([
      '-w',
      '2',
      '--spool-limit',
      '2G',
      '--memory-limit',
      '64M',
      '--backlog',
      '4096',
    ]);
    const [front = 0] = await server.fronts();
    const files = openFiles(front);
    let peak = 0;
    const watch = setInterval(() => {
      peak = Math.max(peak, memoryOf(front));
    }, 50);
    const clients: Connection[] = [];
    while (clients.length < COUNT) {
      clients.push(...(await Promise.all(Array.from({ length: 100 }, () => connect({ port: server.port })))));
    }
    const tally = { right: 0, refused: 0, wrong: [] as string[] };
    await Promise.all(
      clients.map(async (client, index) => {
        // All of them are open and half sent at the same time.
        const answer = await upload(client, index, () => sleep(300 + ((index * 37) % 300)));
        if (answer.status === 503 && field(answer, 'Retry-After') === '1') tally.refused++;
        else if (answer.status === 200 && String(answer.body) === sums[index % sums.length]) tally.right++;
        else tally.wrong.push(`${answer.status} ${answer.body}`);
        client.close();
      }),
    );
    clearInterval(watch);
    console.info(
      `3,000 uploads: ${JSON.stringify(tally)}, at most ${Math.round(peak / MIB)} MiB in the front.`,
    );
    expect(tally.wrong).toEqual([]);
    expect(tally.right + tally.refused).toBe(COUNT);
    expect([tally.right > 1000, tally.refused > 0]).toEqual([true, true]);
    // --memory-limit, and for each connection the 64 KiB last read from it; twice that with what awaits collection.
    expect(peak).toBeLessThan(700 * MIB);
    expect(server.log().match(/No room in the spool folder/g)?.length).toBe(1);
    // Nothing is left of them.
    const after = await fetchOnce({ port: server.port }, '/checksum', {
      method: 'POST',
      body: bodies[0] as Buffer,
    });
    expect(String(after.body)).toBe(sums[0]);
    for (let i = 0; i < 200 && openFiles(front) > files; i++) await sleep(50);
    expect(openFiles(front)).toBeLessThanOrEqual(files);
    const { code } = await server.stop();
    expect(code).toBe(0);
  }, 60_000);
});

const isRoot = process.getuid?.() === 0;

describe.skipIf(!isRoot)('a spool folder of 10 MB (a tmpfs, which takes root)', () => {
  test('the upload that does not fit gets 503 and a line in the log, others are fine', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'tunicorn-tmpfs-'));
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=10m', 'tmpfs', folder]);
    try {
      await using server = await start(['--spool-dir', folder]);
      const post = (body: Buffer) => fetchOnce({ port: server.port }, '/checksum', { method: 'POST', body });
      const [large, fits, small] = [pattern(14_000_000), pattern(4_000_000), pattern(1000)];
      for (let i = 0; i < 20; i++) {
        expect((await post(large)).status).toBe(503);
        for (const body of [fits, small])
          expect(String((await post(body)).body)).toBe(`${body.length} ${crc32(body)}`);
      }
      expect(server.log().match(/No room in the spool folder .*: ENOSPC.*/g)?.length).toBe(1);
      expect((await server.stop()).code).toBe(0);
    } finally {
      execFileSync('umount', ['-l', folder]);
      rmSync(folder, { recursive: true });
    }
  });
});

test.each(KINDS)('%s worker: bodies around every limit, by length and in chunks', async (kind) => {
  await using server = await start(['--limit-request-body', '1M', '--body-memory', '8K'], kind);
  using client = await connect({ port: server.port });
  for (const size of [0, 1, 8191, 8192, 8193, 65_536, 200_000, MIB]) {
    const body = pattern(size);
    const byLength = await client.request('POST', '/checksum', {
      body,
      fields: { 'Content-Length': String(size) },
    });
    expect(String(byLength.body)).toBe(`${size} ${crc32(body)}`);
    await client.send('PUT /checksum HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n');
    if (size > 0)
      await client.send(Buffer.concat([Buffer.from(`${size.toString(16)}\r\n`), body, Buffer.from('\r\n')]));
    await client.send('0\r\n\r\n');
    expect(String((await client.read()).body)).toBe(`${size} ${crc32(body)}`);
  }
  const tooLarge = await client.request('POST', '/checksum', { body: pattern(MIB + 1) });
  expect(tooLarge.status).toBe(413);
});

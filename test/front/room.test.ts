/** What holds when bodies and answers are more than memory and disk together may take. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { Room } from '../../src/front/room.ts';
import type { Exchange } from '../../src/http/exchange.ts';
import { type Connection, field, formatRequest } from '../support/client.ts';
import { bodyOf, openStage, pattern, reply, type Stage, until } from './harness.ts';

const MIB = 1024 * 1024;

/** Sends the body back. */
async function echo(exchange: Exchange): Promise<void> {
  const body = await bodyOf(exchange);
  reply(exchange, body);
}

async function upload(
  stage: Stage,
  body: Buffer,
): Promise<{ status: number; same: boolean; client: Connection }> {
  const client = await stage.connect();
  const answer = await client.request('POST', '/', { body });
  return { status: answer.status, same: answer.body.equals(body), client };
}

test('memory is counted, and refused above the limit', () => {
  const room = new Room({ memoryLimit: 100, spoolDir: '/nowhere', spoolLimit: 100, warn: () => {} });
  expect([room.takeMemory(60), room.takeMemory(41), room.takeMemory(40), room.isTight]).toEqual([
    true,
    false,
    true,
    false,
  ]);
  room.addMemory(1);
  expect([room.used.memory, room.isTight]).toEqual([101, true]);
  room.giveMemory(101);
  expect(room.used).toEqual({ memory: 0, spooled: 0 });
});

test.each([
  ['a small body is held in memory', 60_000, 256 * MIB, false],
  ['a large one in a file', 70_000, 256 * MIB, true],
  ['a small one too when memory is used up', 60_000, 1000, true],
])('%s', async (_what, size, memoryLimit, spooled) => {
  let found: boolean | null = null;
  await using stage = await openStage(
    (exchange) => {
      found = exchange.body.file !== null;
      expect(stage.room.used).toEqual(spooled ? { memory: 0, spooled: size } : { memory: size, spooled: 0 });
      void echo(exchange);
    },
    { memoryLimit },
  );
  const { status, same } = await upload(stage, pattern(size));
  expect([status, same, found]).toEqual([200, true, spooled]);
});

test('bodies of every size around the limits come out as they went in', async () => {
  await using stage = await openStage(echo, { bodyMemory: 400_000 });
  // Above 256 KiB a spilled body is more than the disk is given at once.
  for (const size of [1, 65_535, 65_536, 262_144, 399_999, 400_000, 400_001, 1_000_000, 5_000_000]) {
    expect(await upload(stage, pattern(size))).toMatchObject({ status: 200, same: true });
  }
});

test('a full spool refuses that upload alone, tells it once, and takes the next one when there is room', async () => {
  await using stage = await openStage(echo, { spoolLimit: MIB });
  const holding = await stage.connect();
  const large = formatRequest('POST', '/', { body: pattern(900_000) });
  await holding.send(large.subarray(0, 850_000));
  await until(() => expect(stage.room.used.spooled).toBeGreaterThan(700_000));
  for (let i = 0; i < 3; i++) {
    const client = await stage.connect();
    await client.send(formatRequest('POST', '/', { body: pattern(500_000) }));
    const answer = await client.read();
    expect([answer.status, field(answer, 'Retry-After'), field(answer, 'Connection')]).toEqual([
      503,
      '1',
      'close',
    ]);
    client.close();
    expect(await upload(stage, pattern(1000))).toMatchObject({ status: 200, same: true });
  }
  await holding.send(large.subarray(850_000));
  expect((await holding.read()).status).toBe(200);
  holding.close();
  expect(await upload(stage, pattern(500_000))).toMatchObject({ status: 200, same: true });
  expect(stage.warnings).toEqual([expect.stringMatching(/spool-limit \(1048576 bytes\) is reached/)]);
});

test('a folder that takes no file refuses what does not fit into memory', async () => {
  await using stage = await openStage(echo, { spoolDir: '/proc/nowhere' });
  expect((await upload(stage, pattern(1000))).status).toBe(200);
  expect((await upload(stage, pattern(100_000))).status).toBe(503);
  expect(stage.warnings).toEqual([expect.stringMatching(/spool folder \/proc\/nowhere: ENOENT/)]);
});

describe('answers', () => {
  /** Sends `size` bytes in steps, as fast as it may. */
  function send(exchange: Exchange, size: number, log: { waited: number; sent: number }): void {
    exchange.respond({ status: '200 OK', fields: [] }, { body: Buffer.alloc(0), last: false });
    const go = () => {
      while (log.sent < size) {
        const length = Math.min(60_000, size - log.sent);
        const flowing = exchange.write(pattern(length, log.sent), false);
        log.sent += length;
        if (flowing) continue;
        log.waited++;
        exchange.onDrain = () => setImmediate(go);
        return;
      }
      exchange.write(Buffer.alloc(0), true);
      exchange.release();
    };
    go();
  }

  test('a slow reader holds disk, not memory and not the sender', async () => {
    const size = 20_000_000;
    const log = { waited: 0, sent: 0 };
    await using stage = await openStage((exchange) => send(exchange, size, log));
    const client = await stage.connect();
    client.socket.pause();
    await client.send('GET / HTTP/1.1\r\nHost: t\r\n\r\n');
    // The sender is done although nothing has been read.
    await until(() => expect(stage.clients.count).toBe(1));
    await until(() => expect(stage.room.used.memory).toBeLessThan(300 * 1024));
    expect([stage.spoolFiles(), log.sent]).toEqual([1, size]);
    expect(stage.room.used.spooled).toBeGreaterThan(10_000_000);
    client.socket.resume();
    expect((await client.read()).body.equals(pattern(size))).toBe(true);
    await until(() => expect(stage.spoolFiles()).toBe(0));
    expect(stage.room.used).toEqual({ memory: 0, spooled: 0 });
  });

  test.each([
    ['the spool is full', { spoolLimit: MIB }],
    ['there is no spool', { spoolDir: '/proc/nowhere' }],
  ])('where %s the sender waits, and every byte arrives', async (_what, options) => {
    const size = 12_000_000;
    const log = { waited: 0, sent: 0 };
    await using stage = await openStage((exchange) => send(exchange, size, log), options);
    const client = await stage.connect();
    client.socket.pause();
    await client.send('GET / HTTP/1.1\r\nHost: t\r\n\r\n');
    await until(() => expect(log.waited).toBeGreaterThan(0));
    const before = log.sent;
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect([log.sent, stage.room.used.memory < 500_000]).toEqual([before, true]);
    client.socket.resume();
    expect((await client.read()).body.equals(pattern(size))).toBe(true);
    expect(stage.warnings.length).toBe(1);
  });

  test('many slow readers at once share the room', async () => {
    const size = 8_000_000;
    await using stage = await openStage((exchange) => send(exchange, size, { waited: 0, sent: 0 }), {
      memoryLimit: MIB,
      spoolLimit: 16 * MIB,
    });
    const clients = await Promise.all(Array.from({ length: 12 }, () => stage.connect()));
    for (const client of clients) {
      client.socket.pause();
      await client.send('GET / HTTP/1.1\r\nHost: t\r\n\r\n');
    }
    await until(() => expect(stage.room.used.spooled).toBeGreaterThan(10 * MIB));
    // What each had produced before it was told to wait.
    expect(stage.room.used.memory).toBeLessThan(MIB + 12 * 150_000);
    const inSockets = [...stage.clients.clients].reduce((sum, { socket }) => sum + socket.writableLength, 0);
    expect(inSockets).toBeGreaterThan(0);
    expect(stage.room.used.memory).toBeGreaterThanOrEqual(inSockets);
    for (const client of clients) client.socket.resume();
    const whole = pattern(size);
    for (const client of clients) expect((await client.read()).body.equals(whole)).toBe(true);
  });
});

const root = process.getuid?.() === 0;

describe.skipIf(!root)('a disk of 10 MB (a tmpfs, which takes root)', () => {
  async function onTmpfs(run: (folder: string) => Promise<void>): Promise<void> {
    const folder = mkdtempSync(join(tmpdir(), 'tunicorn-tmpfs-'));
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=10m', 'tmpfs', folder]);
    try {
      await run(folder);
    } finally {
      execFileSync('umount', ['-l', folder]);
      rmSync(folder, { recursive: true });
    }
  }

  test('when it is full, that upload gets 503, once in the log; others are fine', () =>
    onTmpfs(async (spoolDir) => {
      await using stage = await openStage(echo, { spoolDir });
      for (let i = 0; i < 2; i++) {
        expect((await upload(stage, pattern(14_000_000))).status).toBe(503);
        expect(await upload(stage, pattern(3_000_000))).toMatchObject({ status: 200, same: true });
        expect(await upload(stage, pattern(1000))).toMatchObject({ status: 200, same: true });
      }
      expect(stage.warnings).toEqual([expect.stringMatching(/ENOSPC/)]);
    }));

  test('when it is full, an answer waits for its reader, and every byte arrives', () =>
    onTmpfs(async (spoolDir) => {
      const size = 30_000_000;
      let waited = 0;
      await using stage = await openStage(
        (exchange) => {
          let sent = 0;
          exchange.respond({ status: '200 OK', fields: [] }, { body: Buffer.alloc(0), last: false });
          const go = () => {
            while (sent < size) {
              const flowing = exchange.write(pattern(60_000, sent), false);
              sent += 60_000;
              if (!flowing) {
                waited++;
                exchange.onDrain = () => setImmediate(go);
                return;
              }
            }
            exchange.write(Buffer.alloc(0), true);
            exchange.release();
          };
          go();
        },
        { spoolDir },
      );
      const client = await stage.connect();
      client.socket.pause();
      await client.send('GET / HTTP/1.1\r\nHost: t\r\n\r\n');
      await until(() => expect(stage.warnings.length).toBe(1));
      client.socket.resume();
      expect((await client.read()).body.equals(pattern(size))).toBe(true);
      expect([waited > 0, stage.warnings]).toEqual([true, [expect.stringMatching(/ENOSPC/)]]);
    }));
});

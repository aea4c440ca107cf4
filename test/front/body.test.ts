import { openSync, readSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { expect, test } from 'vitest';
import { HttpError } from '../../src/errors.ts';
import { BodyCollector } from '../../src/front/body.ts';
import { Room } from '../../src/front/room.ts';
import { SpoolFile } from '../../src/front/spool.ts';
import type { RequestBody } from '../../src/http/exchange.ts';
import { pattern, seeded, until } from './harness.ts';

function makeRoom(options: { memoryLimit?: number; spoolLimit?: number; spoolDir?: string } = {}): Room {
  return new Room({ memoryLimit: 1e9, spoolLimit: 1e9, spoolDir: tmpdir(), warn: () => {}, ...options });
}

/** Adds all of it, waiting where asked to; gives the first error. */
async function fill(body: BodyCollector, chunks: Iterable<Buffer>): Promise<HttpError | null> {
  for (const chunk of chunks) {
    if (body.add(chunk)) continue;
    if (body.error !== null) return body.error;
    await new Promise<void>((resolve) => {
      body.onReady = resolve;
    });
    if (body.error !== null) return body.error;
  }
  return null;
}

function finish(body: BodyCollector): Promise<RequestBody | HttpError> {
  return new Promise((resolve) => body.finish(resolve));
}

function bytesOf(body: RequestBody): Buffer {
  if (body.file === null) return body.memory;
  const bytes = Buffer.alloc(body.length);
  for (let at = 0; at < bytes.length; ) at += readSync(body.file.fd, bytes, at, bytes.length - at, at);
  return bytes;
}

test.each([0, 1000, 65_536, 1_000_000])(
  'chunks of any size, held in memory up to %d bytes',
  async (limit) => {
    const random = seeded(limit);
    for (let round = 0; round < 15; round++) {
      const room = makeRoom(round % 3 === 2 ? { memoryLimit: 20_000 } : {});
      const whole = pattern(1 + random([500, 70_000, 2_000_000][round % 3] ?? 1));
      const body = new BodyCollector(room, limit);
      const chunks: Buffer[] = [];
      for (let at = 0; at < whole.length; at += chunks.at(-1)?.length ?? 1) {
        chunks.push(whole.subarray(at, at + 1 + random(random(2) ? 100 : 65_536)));
      }
      expect(await fill(body, chunks)).toBe(null);
      const done = await finish(body);
      if (done instanceof HttpError) throw done;
      expect([done.length, bytesOf(done).equals(whole)]).toEqual([whole.length, true]);
      if (whole.length > limit) expect(done.file).not.toBe(null);
      body.release();
      body.release();
      await until(() => expect(room.used).toEqual({ memory: 0, spooled: 0 }));
    }
  },
);

test('the error of a full room comes at once, and again at the end', async () => {
  const room = makeRoom({ spoolLimit: 100_000 });
  const body = new BodyCollector(room, 1000);
  const chunks = Array.from({ length: 10 }, () => pattern(20_000));
  expect(await fill(body, chunks)).toMatchObject({ code: 'spool-full' });
  expect(body.add(pattern(1))).toBe(false);
  expect(await finish(body)).toMatchObject({ code: 'spool-full' });
  body.release();
  await until(() => expect(room.used).toEqual({ memory: 0, spooled: 0 }));
});

test('a disk that is full only when it is written to is told at the end', async () => {
  const room = makeRoom();
  room.openSpool = () => new SpoolFile(openSync('/dev/full', 'r+'), { room, limit: 1e9 });
  const body = new BodyCollector(room, 10);
  expect(body.add(pattern(20))).toBe(true);
  expect(await finish(body)).toMatchObject({ code: 'spool-full', detail: expect.stringContaining('ENOSPC') });
  const other = new BodyCollector(room, 10);
  expect(
    await fill(
      other,
      Array.from({ length: 50 }, () => pattern(65_536)),
    ),
  ).toMatchObject({ code: 'spool-full' });
  body.release();
  other.release();
  await until(() => expect(room.used).toEqual({ memory: 0, spooled: 0 }));
});

test('released while the disk is busy, it calls nobody', async () => {
  const room = makeRoom();
  let called = 0;
  for (let i = 0; i < 50; i++) {
    const body = new BodyCollector(room, 10);
    while (body.add(pattern(65_536)));
    body.onReady = () => called++;
    if (i % 2) body.finish(() => called++);
    body.release();
  }
  await until(() => expect(room.used).toEqual({ memory: 0, spooled: 0 }));
  expect(called).toBe(0);
});

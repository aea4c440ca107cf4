import { closeSync, mkdtempSync, openSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { Room } from '../../src/front/room.ts';
import { SpoolFile } from '../../src/front/spool.ts';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tunicorn-spool-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

function room({ spoolLimit = 1e9, memoryLimit = 1e9, spoolDir = folder } = {}) {
  const warnings: string[] = [];
  return {
    room: new Room({ memoryLimit, spoolDir, spoolLimit, warn: (text) => warnings.push(text) }),
    warnings,
  };
}

function read(file: SpoolFile, limit: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    file.read(limit, (error, chunk) => (error === null ? resolve(chunk) : reject(error)));
  });
}

function settled(file: SpoolFile): Promise<void> {
  return new Promise((resolve) => file.settled(resolve));
}

/** Deleted files that this process still holds open. */
function openFiles(): number {
  return readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith(`${folder}/`);
    } catch {
      return false;
    }
  }).length;
}

async function allClosed(): Promise<void> {
  await vi.waitFor(() => expect(openFiles()).toBe(0), { timeout: 10_000, interval: 1 });
}

/** Each byte tells its place. */
function bytes(from: number, length: number): Buffer {
  const chunk = Buffer.alloc(length);
  for (let i = 0; i < length; i++) chunk[i] = ((from + i) * 31 + ((from + i) >> 8)) & 255;
  return chunk;
}

test('gives back what was appended, in order, whatever happens at once', async () => {
  const append = fc.record({
    append: fc.oneof(fc.integer({ min: 1, max: 200 }), fc.integer({ min: 1, max: 90_000 })),
  });
  const step = fc.oneof(
    append,
    fc.record({ read: fc.integer({ min: 1, max: 120_000 }) }),
    // Reads all of it, so that the file is rewound; then appends while the truncation is under way.
    fc.record({ drain: fc.integer({ min: 1, max: 5000 }) }),
    fc.constant('wait' as const),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
      const { room: shared } = room();
      const file = shared.openSpool();
      let appended = 0;
      let taken = 0;
      const put = (length: number) => {
        expect(file.append(bytes(appended, length))).toBe(true);
        appended += length;
      };
      const take = async (limit: number) => {
        const any = appended > taken;
        const chunk = await read(file, limit);
        expect(chunk.length).toBeLessThanOrEqual(limit);
        expect(chunk.length > 0).toBe(any);
        expect(chunk.equals(bytes(taken, chunk.length))).toBe(true);
        taken += chunk.length;
      };
      for (const given of steps) {
        if (given === 'wait') await settled(file);
        else if ('append' in given) put(given.append);
        else if ('read' in given) {
          const reading = take(given.read);
          put(3);
          await reading;
        } else {
          while (taken < appended) await take(65_536);
          put(given.drain);
          put(given.drain);
        }
        expect(file.length).toBe(appended - taken);
      }
      while (taken < appended) await take(50_000);
      expect(file.error).toBe(null);
      file.close();
      await allClosed();
      expect(shared.used).toEqual({ memory: 0, spooled: 0 });
    }),
    { seed: 7, numRuns: 150, endOnFailure: true },
  );
});

test('an emptied file gives its room back and can be used again', async () => {
  const { room: shared } = room();
  const file = shared.openSpool();
  for (let round = 0; round < 50; round++) {
    file.append(bytes(round, 10_000));
    expect(shared.used.spooled).toBe(10_000);
    expect((await read(file, 20_000)).equals(bytes(round, 10_000))).toBe(true);
    expect([file.length, shared.used.spooled]).toEqual([0, 0]);
  }
  file.close();
  await allClosed();
});

test('a reader waits for the disk, and no longer than for the first bytes', async () => {
  const { room: shared } = room();
  const file = shared.openSpool();
  for (let i = 0; i < 50; i++) file.append(bytes(i * 1000, 1000));
  expect((await read(file, 600)).equals(bytes(0, 600))).toBe(true);
  expect(file.unwritten).toBeGreaterThanOrEqual(0);
  file.close();
  await allClosed();
});

test('every waiting callback is called', async () => {
  const { room: shared } = room();
  const file = shared.openSpool();
  file.append(bytes(0, 100_000));
  await Promise.all([settled(file), settled(file), read(file, 10), settled(file)]);
  expect([file.unwritten, shared.used.memory]).toEqual([0, 0]);
  file.close();
  await allClosed();
});

test('its own limit and that of the room hold, the latter told once', async () => {
  const { room: shared, warnings } = room({ spoolLimit: 1000 });
  const file = shared.openSpool(600);
  expect([file.append(bytes(0, 600)), file.append(bytes(0, 1))]).toEqual([true, false]);
  expect(warnings).toEqual([]);
  const other = shared.openSpool();
  expect([other.append(bytes(0, 400)), other.append(bytes(0, 1)), other.append(bytes(0, 1))]).toEqual([
    true,
    false,
    false,
  ]);
  expect(warnings).toEqual([expect.stringMatching(/spool-limit \(1000 bytes\) is reached/)]);
  // What has been read still lies in the file until all of it has been.
  await read(file, 300);
  expect(file.append(bytes(0, 1))).toBe(false);
  for (const each of [file, other]) each.close();
  await allClosed();
  expect(shared.used).toEqual({ memory: 0, spooled: 0 });
});

test('closed in the middle of reads and writes, it gives everything back once and calls nobody', async () => {
  const { room: shared } = room();
  let called = 0;
  for (let i = 0; i < 200; i++) {
    const file = shared.openSpool();
    file.append(bytes(0, 70_000));
    if (i % 2 === 0) await settled(file);
    file.read(30_000, () => called++);
    file.append(bytes(0, 1000));
    file.settled(() => called++);
    file.close();
    file.close();
    expect([file.append(bytes(0, 1)), shared.used.memory >= 0]).toEqual([false, true]);
  }
  await allClosed();
  expect([called, shared.used]).toEqual([0, { memory: 0, spooled: 0 }]);
});

test('what the disk did not take can still be read, and nothing is appended any more', async () => {
  const { room: shared } = room();
  // Every write to it fails with ENOSPC.
  const fd = openSync('/dev/full', 'r+');
  const file = new SpoolFile(fd, { room: shared, limit: 1e9 });
  file.append(bytes(0, 50_000));
  file.append(bytes(50_000, 30_000));
  await settled(file);
  expect(file.error).toMatchObject({ code: 'ENOSPC' });
  expect([file.append(bytes(0, 1)), file.length, shared.used.memory]).toEqual([false, 80_000, 80_000]);
  const parts: Buffer[] = [];
  while (file.length > 0) parts.push(await read(file, 32_768));
  expect(Buffer.concat(parts).equals(bytes(0, 80_000))).toBe(true);
  file.close();
  expect(shared.used).toEqual({ memory: 0, spooled: 0 });
});

test('a file that cannot be read says so', async () => {
  const { room: shared } = room();
  const fd = openSync('/dev/null', 'w');
  const file = new SpoolFile(fd, { room: shared, limit: 1e9 });
  file.append(bytes(0, 10));
  await settled(file);
  await expect(read(file, 10)).rejects.toMatchObject({ code: 'EBADF' });
  file.close();
});

test('the file has no name, and another process can open it', async () => {
  const { room: shared } = room();
  const file = shared.openSpool();
  file.append(Buffer.from('hello'));
  await settled(file);
  expect(readdirSync(folder)).toEqual([]);
  const fd = openSync(file.path, 'r');
  closeSync(fd);
  file.close();
  await allClosed();
});

test('a folder that takes no file', () => {
  const { room: shared } = room({ spoolDir: join(folder, 'missing') });
  expect(() => shared.openSpool()).toThrow(/ENOENT/);
});

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { pattern, seeded, until } from './harness.ts';
import { openPair, received } from './pair.ts';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tunicorn-outgoing-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const open = (options: Parameters<typeof openPair>[0] = {}) => openPair({ spoolDir: folder, ...options });

test.each([
  ['a room for all', {}],
  ['little memory', { memoryLimit: 50_000 }],
  ['little spool', { memoryLimit: 50_000, spoolLimit: 300_000 }],
  ['no spool', { memoryLimit: 50_000, spoolDir: '/proc/nowhere' }],
])('parts of any size to a reader that stops and goes: in order, whole, with %s', async (_what, options) => {
  for (let seed = 1; seed <= 4; seed++) {
    await using pair = await open(options);
    const random = seeded(seed);
    const stopAndGo = setInterval(() => (random(2) ? pair.reader.pause() : pair.reader.resume()), 3);
    const total = 12_000_000;
    const whole = pattern(total);
    let at = 0;
    while (at < total) {
      const parts: Buffer[] = [];
      for (let i = random(4); i >= 0 && at < total; i--) {
        const length = [1, 1 + random(500), 1 + random(9000), 1 + random(400_000)][random(4)] ?? 1;
        parts.push(whole.subarray(at, at + length));
        at = Math.min(total, at + length);
      }
      const [first = Buffer.alloc(0), ...others] = parts;
      const flowing = random(3)
        ? pair.outgoing.write(parts)
        : pair.outgoing.writeHead(first.toString('latin1'), others);
      if (!flowing) {
        await new Promise<void>((resolve) => {
          pair.outgoing.onDrain = resolve;
        });
      } else if (random(20) === 0) await new Promise(setImmediate);
      expect(pair.room.used.memory).toBeLessThan(3_000_000);
    }
    clearInterval(stopAndGo);
    pair.reader.resume();
    expect((await received(pair, total)).equals(whole)).toBe(true);
    expect([pair.outgoing.empty, pair.room.used]).toEqual([true, { memory: 0, spooled: 0 }]);
  }
});

test('tells once it is empty, and when there is room again', async () => {
  await using pair = await open({ spoolLimit: 500_000 });
  let emptied = 0;
  pair.outgoing.onEmpty = () => emptied++;
  pair.reader.pause();
  let sent = 0;
  while (pair.outgoing.write([pattern(60_000, sent)])) sent += 60_000;
  sent += 60_000;
  expect([pair.outgoing.empty, pair.outgoing.blocked, emptied]).toEqual([false, true, 0]);
  let drained = 0;
  pair.outgoing.onDrain = () => drained++;
  pair.reader.resume();
  expect((await received(pair, sent)).equals(pattern(sent))).toBe(true);
  await until(() => expect([pair.outgoing.empty, drained, emptied > 0]).toEqual([true, 1, true]));
});

test('what is held leaves only when it is let go, or never', async () => {
  await using pair = await open();
  const body = pattern(1_000_000);
  pair.outgoing.hold();
  pair.outgoing.writeHead('lost ', [body]);
  expect(pair.outgoing.held).toBe(true);
  pair.outgoing.discard();
  expect([pair.outgoing.held, pair.outgoing.empty]).toEqual([false, true]);
  pair.outgoing.hold();
  pair.outgoing.writeHead('head ', [body.subarray(0, 500_000)]);
  pair.outgoing.write([body.subarray(500_000)]);
  pair.outgoing.pump();
  await new Promise((resolve) => setTimeout(resolve, 30));
  expect([pair.received.length, pair.outgoing.overfull]).toEqual([0, false]);
  pair.outgoing.release();
  const got = await received(pair, 1_000_005);
  expect(got.equals(Buffer.concat([Buffer.from('head '), body]))).toBe(true);
});

test('after close it takes everything and keeps nothing', async () => {
  await using pair = await open();
  pair.reader.pause();
  for (let i = 0; i < 100; i++) pair.outgoing.write([pattern(100_000)]);
  pair.outgoing.close();
  expect(pair.outgoing.write([pattern(100_000)])).toBe(true);
  expect(pair.outgoing.writeHead('x', [])).toBe(true);
  expect(pair.outgoing.empty).toBe(true);
});

test('patient, it lets the sender wait as soon as the reader lags, and spools nothing', async () => {
  await using pair = await open();
  pair.outgoing.patient = true;
  pair.reader.pause();
  let sent = 0;
  while (pair.outgoing.write([pattern(32_768, sent)])) sent += 32_768;
  sent += 32_768;
  // What the socket holds, and what was too much for it.
  expect([pair.room.used.spooled, pair.room.used.memory <= 65_536 + 32_768]).toEqual([0, true]);
  let drained = false;
  pair.outgoing.onDrain = () => {
    drained = true;
  };
  pair.reader.resume();
  expect((await received(pair, sent)).equals(pattern(sent))).toBe(true);
  await until(() => expect(drained).toBe(true));
});

test('what the socket holds is counted until the reader has taken it, however little it is', async () => {
  await using pair = await open();
  pair.reader.pause();
  while (pair.socket.writableLength === 0) pair.outgoing.writeHead('x'.repeat(5000), []);
  expect(pair.room.used).toEqual({ memory: pair.socket.writableLength, spooled: 0 });
  pair.reader.resume();
  await until(() => expect([pair.socket.writableLength, pair.room.used.memory]).toEqual([0, 0]));
});

test('while memory is tight the socket is given hardly more than the kernel takes, and every byte arrives', async () => {
  await using pair = await open({ memoryLimit: 1000 });
  pair.room.addMemory(1001);
  pair.reader.pause();
  const whole = pattern(12_000_000);
  for (let at = 0; at < whole.length; at += 100_000) {
    if (pair.outgoing.write([whole.subarray(at, at + 100_000)])) continue;
    await new Promise<void>((resolve) => {
      pair.outgoing.onDrain = resolve;
    });
  }
  expect([pair.socket.writableLength <= 8192, pair.outgoing.blocked]).toEqual([true, true]);
  pair.reader.resume();
  expect((await received(pair, whole.length)).equals(whole)).toBe(true);
  await until(() => expect(pair.room.used).toEqual({ memory: 1001, spooled: 0 }));
  pair.room.giveMemory(1001);
});

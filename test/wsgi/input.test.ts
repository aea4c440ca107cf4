import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { BodyInput } from '../../src/wsgi/input.ts';

const BYTES = Buffer.from(`one\ntwo\n\n${'x'.repeat(200_000)}\nend`);
let folder = '';
let fd = -1;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tunicorn-input-'));
  writeFileSync(join(folder, 'body'), BYTES);
  fd = openSync(join(folder, 'body'), 'r');
});

afterAll(() => {
  closeSync(fd);
  rmSync(folder, { recursive: true });
});

const open = {
  memory: (bytes = BYTES) => new BodyInput({ length: bytes.length, memory: bytes, file: null }),
  file: (bytes = BYTES) =>
    new BodyInput({
      length: bytes.length,
      memory: Buffer.alloc(0),
      file: { fd, path: join(folder, 'body') },
    }),
};

describe.each(['memory', 'file'] as const)('from %s', (kind) => {
  const input = () => open[kind]();
  const LONG = 200_001;

  test('read without a size, or a negative one, gives all that is left, then nothing', () => {
    const all = input();
    expect(all.read(4).toString()).toBe('one\n');
    expect(all.read().equals(BYTES.subarray(4))).toBe(true);
    expect(all.read()).toHaveLength(0);
    expect(input().read(-1).equals(BYTES)).toBe(true);
  });

  test('read gives what was asked for, fewer at the end', () => {
    const all = input();
    expect(all.read(0)).toHaveLength(0);
    expect(all.read(BYTES.length - 1)).toHaveLength(BYTES.length - 1);
    expect(all.read(10).toString()).toBe('d');
  });

  test('readline', () => {
    const all = input();
    expect(all.readline().toString()).toBe('one\n');
    expect(all.readline(2).toString()).toBe('tw');
    expect(all.readline(100).toString()).toBe('o\n');
    expect(all.readline(0)).toHaveLength(0);
    expect(all.readline(-1).toString()).toBe('\n');
    expect(all.readline(100_000)).toHaveLength(100_000);
    expect(all.readline()).toHaveLength(LONG - 100_000);
    expect(all.readline().toString()).toBe('end');
    expect(all.readline()).toHaveLength(0);
  });

  test('readlines, with and without a hint', () => {
    expect(
      input()
        .readlines()
        .map((line) => line.length),
    ).toEqual([4, 4, 1, LONG, 3]);
    expect(
      input()
        .readlines(5)
        .map((line) => line.length),
    ).toEqual([4, 4]);
    expect(input().readlines(0)).toHaveLength(5);
  });

  test('lines by iteration, after a read', () => {
    const all = input();
    all.read(2);
    expect([...all].map((line) => line.length)).toEqual([2, 4, 1, LONG, 3]);
  });

  test('nothing after the end of the request', () => {
    const all = input();
    all.end();
    expect(() => all.read()).toThrow('after the request was over');
    expect(() => all.readline()).toThrow('after the request was over');
  });
});

test('a spool file that is shorter than it should be is told', () => {
  const input = new BodyInput({
    length: BYTES.length + 1,
    memory: Buffer.alloc(0),
    file: { fd, path: join(folder, 'body') },
  });
  expect(() => input.read()).toThrow(`ends at ${BYTES.length} of ${BYTES.length + 1} bytes`);
});

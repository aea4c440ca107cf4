import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { PidFile } from '../../src/arbiter/pidfile.ts';

let root = '';
let path = '';

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'pidfile-'));
  path = join(root, 'site.pid');
});

afterEach(() => rmSync(root, { recursive: true }));

async function deadPid(): Promise<number> {
  const child = spawn('true', { stdio: 'ignore' });
  await once(child, 'exit');
  return child.pid ?? 0;
}

test('holds the number and is readable for all; removed at the end', () => {
  const file = PidFile.create(path);
  expect(readFileSync(path, 'utf8')).toBe(`${process.pid}\n`);
  expect(statSync(path).mode & 0o777).toBe(0o644);
  file.remove();
  expect(existsSync(path)).toBe(false);
});

test('a live process keeps its file', () => {
  writeFileSync(path, `${process.ppid}\n`);
  expect(() => PidFile.create(path)).toThrow(`belongs to process ${process.ppid}, which is running`);
  expect(readFileSync(path, 'utf8')).toBe(`${process.ppid}\n`);
});

test.each(['', 'nonsense', '-1', '0'])('a file that holds %j is replaced', (text) => {
  writeFileSync(path, text);
  PidFile.create(path).remove();
  expect(existsSync(path)).toBe(false);
});

test('that of a dead process is replaced', async () => {
  writeFileSync(path, `${await deadPid()}\n`);
  PidFile.create(path);
  expect(readFileSync(path, 'utf8')).toBe(`${process.pid}\n`);
});

test('our own, left in a container that was started again, is replaced', () => {
  writeFileSync(path, `${process.pid}\n`);
  expect(() => PidFile.create(path)).not.toThrow();
});

test('one that belongs to another by now is not removed', () => {
  const file = PidFile.create(path);
  writeFileSync(path, '1\n');
  file.remove();
  expect(existsSync(path)).toBe(true);
});

test('a folder that is not there', () => {
  expect(() => PidFile.create(join(root, 'no/site.pid'))).toThrow('its folder does not exist');
});

describe('in an upgrade', () => {
  const PREDECESSOR = process.ppid;
  const read = (name: string) => (existsSync(name) ? readFileSync(name, 'utf8') : null);
  const both = () => [read(path), read(`${path}.2`)];
  const ours = `${process.pid}\n`;
  const theirs = `${PREDECESSOR}\n`;

  beforeEach(() => writeFileSync(path, theirs));

  test('the successor has PATH.2 until the predecessor has gone', () => {
    const file = PidFile.create(path, process.pid, PREDECESSOR);
    expect(both()).toEqual([theirs, ours]);
    file.promote();
    expect(both()).toEqual([ours, null]);
    file.promote();
    file.remove();
    expect(both()).toEqual([null, null]);
  });

  test('a successor that ends early leaves the file of its predecessor', () => {
    PidFile.create(path, process.pid, PREDECESSOR).remove();
    expect(both()).toEqual([theirs, null]);
  });

  test('PATH.2 that belongs to another by now is not promoted', () => {
    const file = PidFile.create(path, process.pid, PREDECESSOR);
    writeFileSync(`${path}.2`, '1\n');
    file.promote();
    expect(both()).toEqual([theirs, '1\n']);
  });

  test.each([
    ['that has died goes', 4711, null],
    ['of another stays', 4712, '4711\n'],
  ])('the predecessor forgets: the file of a successor %s', (_what, pid, left) => {
    writeFileSync(path, ours);
    const file = PidFile.create(path);
    writeFileSync(`${path}.2`, '4711\n');
    file.forgetSuccessor(pid);
    expect(both()).toEqual([ours, left]);
  });
});

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { dumpStacks } from '../src/stack-file.ts';
import { startHanging } from './support/hanging.ts';

test('the stack of a process that a C call holds', async () => {
  await using hanging = await startHanging();
  const text = await dumpStacks(hanging.pid, hanging.stackFile);
  expect(text).toMatch(/most recent call first/);
  expect(text).toContain('in hang_in_regex');
});

test('only what was written for this question, each time', async () => {
  await using hanging = await startHanging('of an earlier question\n');
  const first = await dumpStacks(hanging.pid, hanging.stackFile);
  const second = await dumpStacks(hanging.pid, hanging.stackFile);
  for (const text of [first, second]) {
    expect(text.match(/in hang_in_regex/g)).toHaveLength(1);
    expect(text).not.toContain('earlier');
  }
  expect(readFileSync(hanging.stackFile, 'utf8').match(/in hang_in_regex/g)).toHaveLength(2);
});

test('nothing of one that is stopped, and it is not waited for', async () => {
  await using hanging = await startHanging();
  process.kill(hanging.pid, 'SIGSTOP');
  expect(await dumpStacks(hanging.pid, hanging.stackFile)).toBe('');
});

test('nothing of one that has ended', async () => {
  await using hanging = await startHanging('what it wrote before\n');
  await hanging.kill();
  expect(await dumpStacks(hanging.pid, hanging.stackFile)).toBe('');
});

test('one that does not wait for the signal goes on', async () => {
  const child = spawn('cat', { stdio: ['pipe', 'ignore', 'ignore'] });
  try {
    expect(await dumpStacks(child.pid ?? 0, '/nowhere/stack-1')).toBe('');
    expect(child.exitCode ?? child.signalCode).toBeNull();
  } finally {
    const ended = once(child, 'exit');
    child.stdin.end();
    await ended;
  }
  expect(child.exitCode).toBe(0);
});

test('neither a link, nor a pipe, nor a folder is read', async () => {
  await using hanging = await startHanging();
  const link = join(hanging.folder, 'link');
  const pipe = join(hanging.folder, 'pipe');
  const folder = join(hanging.folder, 'folder');
  symlinkSync(hanging.stackFile, link);
  mkdirSync(folder);
  await once(spawn('mkfifo', [pipe]), 'exit');
  for (const path of [link, pipe, folder]) {
    expect(existsSync(path)).toBe(true);
    expect(await dumpStacks(hanging.pid, path)).toBe('');
  }
  // The process did answer: it is the path that was not followed.
  expect(readFileSync(hanging.stackFile, 'utf8').match(/in hang_in_regex/g)).toHaveLength(3);
  rmSync(pipe);
});

import { closeSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Setup } from '../../src/arbiter/fleet.ts';
import { GoneHook } from '../../src/arbiter/gone-hook.ts';
import { defaultSettings } from '../../src/config/load.ts';
import { createLogger, openLogFile } from '../../src/observe/log.ts';
import { python } from '../support/python.ts';
import { pythonRuntime } from './stand-ins.ts';

const NOTES = `
import os
def worker_gone(pid, worker_id):
    with open("notes", "a") as file:
        file.write("%d %d %d\\n" % (worker_id, pid, os.getpid()))
`;

let folder = '';
let fd = -1;
let hook: GoneHook;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'gone-hook-'));
  fd = openLogFile(join(folder, 'error.log'));
  hook = new GoneHook({ log: createLogger({ fd, level: 'info' }), rights: null });
});

afterEach(() => {
  closeSync(fd);
  rmSync(folder, { recursive: true, force: true });
});

/** The hook as a generation has it that was loaded with this module. */
function learn(generation: number, source: string, hooks: readonly string[] = ['worker_gone']): void {
  writeFileSync(join(folder, `turns${generation}.py`), source);
  const settings = { ...defaultSettings(folder), hooks: `turns${generation}` };
  const setup: Setup = { prefix: '/', settings, runtime: pythonRuntime(python().path), env: process.env };
  hook.learn(generation, { setup, hooks });
}

const read = (name: string) => readFileSync(join(folder, name), 'utf8');

describe('the hook worker_gone', () => {
  test('is called for each worker, in one process for all that end meanwhile', async () => {
    learn(1, NOTES);
    for (const id of [1, 2, 3, 4]) hook.call(1, { id, pid: 1000 + id });
    await hook.finish();
    const notes = read('notes').trimEnd().split('\n');
    expect(notes.map((line) => line.replace(/ \d+$/, ''))).toEqual(['1 1001', '2 1002', '3 1003', '4 1004']);
    expect(new Set(notes.map((line) => line.split(' ')[2])).size).toBe(2);
    expect(read('error.log')).toBe('');
  });

  test('is not called for a generation without it, nor for a worker that never was', async () => {
    learn(1, NOTES, ['post_fork']);
    learn(2, NOTES);
    hook.call(1, { id: 1, pid: 1001 });
    hook.call(2, { id: 2, pid: 0 });
    hook.call(3, { id: 3, pid: 1003 });
    hook.call(2, { id: 4, pid: 1004 });
    await hook.finish();
    expect(read('notes')).toMatch(/^4 1004 \d+\n$/);
  });

  test('that fails for one worker is called for the others', async () => {
    learn(1, `${NOTES}    if worker_id == 2: raise ValueError("no such file")\n`);
    for (const id of [1, 2, 3]) hook.call(1, { id, pid: 1000 + id });
    await hook.finish();
    expect(read('notes').trimEnd().split('\n')).toHaveLength(3);
    expect(read('error.log')).toMatch(
      /^Hook worker_gone of turns1 failed for worker 2 \(pid 1002\):\nTraceback .*\n {2}File ".*turns1.py"/,
    );
    expect(read('error.log')).toContain('ValueError: no such file');
  });

  test('whose process dies is told', async () => {
    learn(1, 'import os\ndef worker_gone(pid, worker_id): os.kill(os.getpid(), 11)\n');
    hook.call(1, { id: 1, pid: 1001 });
    await hook.finish();
    expect(read('error.log')).toContain('The process of the hook worker_gone was ended by SIGSEGV');
  });

  test('that hangs holds up a stop for 5 s, and no more', async () => {
    learn(1, 'import time\ndef worker_gone(pid, worker_id): time.sleep(60)\n');
    hook.call(1, { id: 1, pid: 1001 });
    const began = performance.now();
    await hook.finish();
    expect(performance.now() - began).toBeGreaterThan(4900);
    expect(performance.now() - began).toBeLessThan(7500);
    expect(read('error.log')).toContain('The hook worker_gone was not done after 5 s: it is killed');
  });
});

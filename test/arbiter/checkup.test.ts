import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { examine, Watch } from '../../src/arbiter/checkup.ts';

let folder = '';
let child: ChildProcess | null = null;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'checkup-'));
});

afterEach(async () => {
  if (child !== null && child.exitCode === null && child.signalCode === null) {
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }
  child = null;
  rmSync(folder, { recursive: true });
});

/** A process that runs a script of this name and waits. */
async function start(name: string): Promise<number> {
  const file = join(folder, name);
  writeFileSync(file, '#!/bin/sh\necho up\nread line\n');
  chmodSync(file, 0o755);
  child = spawn(file, { stdio: ['pipe', 'pipe', 'inherit'] });
  if (child.stdout !== null) await once(child.stdout, 'data');
  return child.pid ?? 0;
}

const until = (check: () => void) => vi.waitFor(check, { timeout: 20_000, interval: 10 });

describe.skipIf(!existsSync('/proc/self/stat'))('where there is /proc', () => {
  test('memory and CPU time are those that the process knows of itself', () => {
    // The kernel counts CPU time in ticks of 10 ms, so there must be some.
    const { user, system } = process.cpuUsage();
    const vitals = examine(process.pid);
    const after = process.cpuUsage();
    expect(vitals?.stopped).toBe(false);
    expect(vitals?.rss).toBeGreaterThan(process.memoryUsage.rss() * 0.7);
    expect(vitals?.rss).toBeLessThan(process.memoryUsage.rss() * 1.4);
    expect(vitals?.cpu).toBeGreaterThan((user + system) / 1e6 - 0.1);
    expect(vitals?.cpu).toBeLessThan((after.user + after.system) / 1e6 + 0.1);
  });

  test('one that SIGSTOP holds, until SIGCONT', async () => {
    const pid = await start('worker');
    expect(examine(pid)).toMatchObject({ stopped: false });
    process.kill(pid, 'SIGSTOP');
    await until(() => expect(examine(pid)?.stopped).toBe(true));
    process.kill(pid, 'SIGCONT');
    await until(() => expect(examine(pid)?.stopped).toBe(false));
  });

  test('what is watched is that process, also when it has ended', async () => {
    const pid = await start('worker');
    const watch = new Watch(pid);
    expect(watch.look()).toMatchObject({ stopped: false });
    process.kill(pid, 'SIGSTOP');
    await until(() => expect(watch.look()?.stopped).toBe(true));
    process.kill(pid, 'SIGKILL');
    await until(() => expect(watch.look()).toBe(null));
    watch.close();
    watch.close();
    expect(watch.look()).toBe(null);
  });

  test('a name may look like the fields that follow it', async () => {
    const pid = await start(') T 1 (x) T 9');
    expect(examine(pid)).toEqual({ stopped: false, rss: expect.any(Number), cpu: expect.any(Number) });
    expect(examine(pid)?.rss).toBeGreaterThan(100_000);
    expect(examine(pid)?.cpu).toBeLessThan(10);
  });
});

test('nothing is known of a process that has ended, or was never started', async () => {
  const pid = await start('worker');
  const ended = once(child as ChildProcess, 'exit');
  child?.stdin?.end();
  await ended;
  expect(examine(pid)).toBeNull();
  expect(examine(0)).toBeNull();
  expect(examine(-1)).toBeNull();
});

import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Notifier } from '../../src/arbiter/notify.ts';
import { keepLog } from './stand-ins.ts';

let folder = '';
let python = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'notify-'));
  python = join(folder, 'python');
  // In place of the helper: what it is to send goes to the file that NOTIFY_SOCKET names.
  writeFileSync(python, '#!/bin/sh\nexec cat >> "$5"\n', { mode: 0o755 });
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true });
});

const log = keepLog();
const open = (env: NodeJS.ProcessEnv = {}) =>
  Notifier.create({ env: { NOTIFY_SOCKET: join(folder, 'out'), ...env }, python, log });

/** What has been said, once there are so many messages. */
async function said(count: number): Promise<string[]> {
  const lines = () => {
    const path = join(folder, 'out');
    const text = existsSync(path) ? readFileSync(path, 'utf8') : '';
    return text.split('\n').slice(0, -1);
  };
  await expect.poll(() => lines().length, { timeout: 10_000 }).toBeGreaterThanOrEqual(count);
  return lines().map((line) => JSON.parse(line) as string);
}

const READY = (status: string) => `READY=1\nMAINPID=${process.pid}\nSTATUS=${status}`;

test.each([undefined, '', 'relative', 'unix:/run/x'])('nobody listens at %j', (path) => {
  expect(open({ NOTIFY_SOCKET: path })).toBe(null);
});

test.each(['/run/systemd/notify', '@abstract'])('somebody listens at %j', (path) => {
  expect(open({ NOTIFY_SOCKET: path })).toBeInstanceOf(Notifier);
});

test('the words of each turn, and a status only when it has changed', async () => {
  const notifier = open();
  notifier?.ready('1 of 2 workers');
  notifier?.status('1 of 2 workers');
  notifier?.status('2 workers');
  notifier?.status('2 workers');
  notifier?.reloading();
  notifier?.reloaded('2 workers');
  notifier?.stopping();
  notifier?.close();
  expect(await said(5)).toEqual([
    READY('1 of 2 workers'),
    'STATUS=2 workers',
    expect.stringMatching(/^RELOADING=1\nMONOTONIC_USEC=\d+$/),
    READY('2 workers'),
    'STOPPING=1',
  ]);
});

test('nothing while another process speaks', async () => {
  const notifier = open();
  notifier?.silence(true);
  notifier?.ready('new');
  notifier?.stopping();
  notifier?.silence(false);
  notifier?.ready('old again');
  notifier?.close();
  expect(await said(1)).toEqual([READY('old again')]);
});

describe('the watchdog', () => {
  test.each([
    ['at half the time less a second', { WATCHDOG_USEC: '10000000' }, 4000],
    ['for this process by its pid', { WATCHDOG_USEC: '10000000', WATCHDOG_PID: String(process.pid) }, 4000],
    ['as often as the loop turns, when it is short', { WATCHDOG_USEC: '1000000' }, 1],
    ['not for another process', { WATCHDOG_USEC: '10000000', WATCHDOG_PID: '1' }, 0],
    ['not without a time', {}, 0],
    ['not for nonsense', { WATCHDOG_USEC: 'soon' }, 0],
  ])('barks %s', async (_what, env, everyMs) => {
    let now = 1000;
    vi.spyOn(performance, 'now').mockImplementation(() => now);
    const notifier = open(env);
    notifier?.watchdog();
    now += everyMs - 1;
    if (everyMs > 1) notifier?.watchdog();
    now += 1;
    notifier?.watchdog();
    notifier?.stopping();
    notifier?.close();
    vi.restoreAllMocks();
    const barks = everyMs === 0 ? [] : ['WATCHDOG=1', 'WATCHDOG=1'];
    expect(await said(barks.length + 1)).toEqual([...barks, 'STOPPING=1']);
  });
});

test('a helper that cannot be started is told, and nothing else happens', async () => {
  rmSync(python);
  open()?.stopping();
  await expect
    .poll(() => log.lines, { timeout: 10_000 })
    .toContainEqual(expect.stringMatching(/systemd cannot be notified: .*ENOENT/));
});

test('a reload that fails before anything was ready does not say that it is', async () => {
  const notifier = open();
  notifier?.reloading();
  notifier?.reloaded('0 of 2 workers');
  notifier?.ready('1 of 2 workers');
  notifier?.close();
  expect(await said(1)).toEqual([READY('1 of 2 workers')]);
});

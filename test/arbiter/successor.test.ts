import {
  chmodSync,
  closeSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type Call, ownCall, Successor } from '../../src/arbiter/successor.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'successor-'));
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

/** Tells what it was started with, says that it is ready, and ends with status 7. */
const PROGRAM = `#!/usr/bin/env node
const { readFileSync, writeFileSync, writeSync } = require('node:fs');
const { argv, env, pid } = process;
const socket = readFileSync(4, 'utf8');
const told = { argv: argv.slice(2), cwd: process.cwd(), pid, socket, legacy: env.TUNICORN_UPGRADE, watchdog: env.WATCHDOG_PID };
writeFileSync(env.TOLD, JSON.stringify(told));
if (argv[2] === 'ready') writeSync(3, 'ready');
process.exitCode = 7;
`;

async function run(argv: readonly string[], mode: number) {
  const script = join(folder, 'program.cjs');
  const told = join(folder, 'told');
  writeFileSync(script, PROGRAM);
  chmodSync(script, mode);
  writeFileSync(join(folder, 'socket'), 'a socket');
  const fd = openSync(join(folder, 'socket'), 'r');
  const env = { PATH: process.env.PATH, TOLD: told, WATCHDOG_PID: '1' };
  const call: Call = { script, argv, cwd: folder, env };
  const events: string[] = [];
  await new Promise<void>((resolve) => {
    const onEnd = (end: string) => {
      events.push(end);
      resolve();
    };
    const sockets = [{ fd, unit: 'web', address: ':80' }];
    new Successor({ sockets, call, onReady: () => events.push('ready'), onEnd });
  });
  closeSync(fd);
  return { events, ...JSON.parse(readFileSync(told, 'utf8')) };
}

test.each([
  ['by its first line', 0o755],
  ['by this Node where it cannot be executed', 0o644],
])('is started %s, with the sockets from descriptor 4 on', async (_how, mode) => {
  const { events, legacy, ...told } = await run(['ready', '-w', '2'], mode);
  expect(events).toContain('ended with status 7');
  // What it said may be read after its end was told.
  await expect.poll(() => events).toContain('ready');
  expect(told).toEqual({
    argv: ['ready', '-w', '2'],
    cwd: folder,
    pid: expect.any(Number),
    socket: 'a socket',
  });
  expect(JSON.parse(legacy)).toEqual({ pid: process.pid, sockets: [{ fd: 4, unit: 'web', address: ':80' }] });
});

test('that says nothing was never ready', async () => {
  expect((await run(['broken'], 0o755)).events).toEqual(['ended with status 7']);
});

test('that cannot be started ends once', async () => {
  const call = { script: join(folder, 'nothing'), argv: [], cwd: join(folder, 'nowhere'), env: {} };
  const ends: string[] = [];
  await new Promise<void>((resolve) => {
    const onEnd = (end: string) => {
      ends.push(end);
      resolve();
    };
    new Successor({ sockets: [], call, onReady: () => {}, onEnd });
  });
  expect(ends).toEqual([expect.stringMatching(/^could not be started: .*ENOENT/)]);
});

test('the folder of a call keeps its name where that is a link to it, and only there', () => {
  const link = join(folder, 'current');
  symlinkSync(process.cwd(), link);
  for (const [pwd, cwd] of [
    [link, link],
    [folder, process.cwd()],
    [join(folder, 'gone'), process.cwd()],
  ]) {
    vi.stubEnv('PWD', pwd);
    expect(ownCall().cwd).toBe(cwd);
  }
});

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { RuntimeDir, removeLeftovers } from '../../src/arbiter/runtime-dir.ts';

const before = process.env.XDG_RUNTIME_DIR;
let root = '';

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'runtime-'));
  process.env.XDG_RUNTIME_DIR = root;
});

afterEach(() => {
  if (before === undefined) delete process.env.XDG_RUNTIME_DIR;
  else process.env.XDG_RUNTIME_DIR = before;
  rmSync(root, { recursive: true });
});

async function deadPid(): Promise<number> {
  const child = spawn('true', { stdio: 'ignore' });
  await once(child, 'exit');
  return child.pid ?? 0;
}

test('only its owner may enter, its sockets have short paths, and it is removed', () => {
  const folder = RuntimeDir.create(null);
  expect(folder.path.startsWith(root)).toBe(true);
  expect(statSync(folder.path).mode & 0o777).toBe(0o700);
  expect(folder.gateway(99, 99).length).toBeLessThan(100);
  writeFileSync(folder.gateway(0, 0), '');
  folder.remove();
  expect(existsSync(folder.path)).toBe(false);
});

test('a runtime folder with too long a name is not used', () => {
  process.env.XDG_RUNTIME_DIR = join(root, 'x'.repeat(100));
  mkdirSync(process.env.XDG_RUNTIME_DIR);
  const folder = RuntimeDir.create(null);
  expect(folder.gateway(99, 99).length).toBeLessThan(100);
  folder.remove();
});

test('what a killed arbiter left is removed, and nothing else', async () => {
  const dead = await deadPid();
  const left = join(root, `tunicorn-${dead}-abc123`);
  const inUse = join(root, `tunicorn-${dead}-def456`);
  const alive = join(root, `tunicorn-${process.pid}-abc123`);
  const foreign = join(root, `tunicorn-${dead}-notes`);
  for (const folder of [left, inUse, alive, foreign]) mkdirSync(join(folder, 'gateway'), { recursive: true });
  for (const name of ['control', 'gateway/front-1-1', 'gateway/stack-7']) writeFileSync(join(left, name), '');
  const server = createServer().listen(join(inUse, 'gateway', 'front-1-1'));
  await once(server, 'listening');
  await removeLeftovers(null);
  expect([left, inUse, alive, foreign].map((folder) => existsSync(folder))).toEqual([
    false,
    true,
    true,
    true,
  ]);
  server.close();
});

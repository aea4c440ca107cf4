/**
 * What every thread is doing, also when no worker can say it any more. Python only, for its many threads: those of Node
 * workers are in node-status.test.ts.
 */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Answer } from '../../src/arbiter/control-server.ts';
import { findServerOf } from '../../src/arbiter/runtime-dir.ts';
import { fetchOnce } from '../support/client.ts';
import { type Server, startTunicorn } from '../support/tunicorn.ts';

const APP = `
import ctypes, os, re, time

def in_loop():
    while True:
        pass

def in_sleep():
    time.sleep(600)

def in_regex():
    re.match(r"(a+)+$", "a" * 40 + "b")

def in_c():
    mutex = ctypes.create_string_buffer(64)
    for _ in range(2):
        # PyDLL does not let go of the interpreter for the call, which no signal ends.
        ctypes.PyDLL(None).pthread_mutex_lock(mutex)

def application(environ, start_response):
    name = environ["PATH_INFO"][1:]
    open(os.path.join(os.environ["SITE"], name), "x").close()
    globals()[name]()
`;

let site = '';
beforeEach(() => {
  site = mkdtempSync(join(tmpdir(), 'stacks-'));
  writeFileSync(join(site, 'app.py'), APP);
});
afterEach(() => rmSync(site, { recursive: true }));

/** Asks as the command does, and measures without the start of a Node process. */
async function stacks(server: Server, worker: number | null = null) {
  const began = performance.now();
  const socket = connect(findServerOf(server.pid)?.control ?? '');
  socket.write(`${JSON.stringify({ command: 'stacks', worker })}\n`);
  const answer = JSON.parse(await text(socket)) as Answer;
  return { ...answer, ms: performance.now() - began };
}

/** Sends a request that never ends, and waits until the application has it. */
async function stick(server: Server, name: string, onEnd: () => void): Promise<void> {
  fetchOnce({ port: server.port }, `/${name}`, { method: 'POST', timeoutMs: 300_000 }).then(onEnd, onEnd);
  await expect.poll(() => existsSync(join(site, name)), { timeout: 20_000 }).toBe(true);
}

/** What is promised is a second; what is asserted leaves room for a machine that does other things, too. */
const GENEROUS_MS = 5000;

test('of every worker while all are stuck, each in another way', async () => {
  const names = ['in_loop', 'in_sleep', 'in_regex', 'in_c'];
  const ended: string[] = [];
  const args = ['-w', String(names.length), '--timeout', '0', 'app'];
  await using server = await startTunicorn({ cwd: site, args, env: { SITE: site } });
  for (const name of names) await stick(server, name, () => ended.push(name));
  const { ok, text: said, ms } = await stacks(server);
  expect({ ok, ended }).toEqual({ ok: true, ended: [] });
  expect(ms).toBeLessThan(GENEROUS_MS);
  const each = said.split(/^(?=Worker \d+ \(pid \d+\)\n)/m);
  expect(each).toHaveLength(names.length);
  for (const name of names) {
    expect(each.filter((one) => new RegExp(`\\bin ${name}\\b`).test(one))).toHaveLength(1);
  }
  // One alone, too.
  const stuckInC = each.findIndex((one) => /\bin in_c\b/.test(one));
  const one = await stacks(server, Number(/Worker (\d+)/.exec(each[stuckInC] ?? '')?.[1]));
  expect(one.text).toMatch(/\bin in_c\b/);
  expect(one.ms).toBeLessThan(GENEROUS_MS);
});

test('of every thread of a worker, while one of them holds the interpreter', async () => {
  const ended: string[] = [];
  const args = ['--threads', '2', '--timeout', '0', 'app'];
  await using server = await startTunicorn({ cwd: site, args, env: { SITE: site } });
  for (const name of ['in_sleep', 'in_regex']) await stick(server, name, () => ended.push(name));
  const { text: said, ms } = await stacks(server);
  expect(said).toMatch(/\bin in_sleep\b/);
  expect(said).toMatch(/\bin in_regex\b/);
  expect(said.match(/^(Current t|T)hread /gm)?.length).toBeGreaterThanOrEqual(3);
  expect(ms).toBeLessThan(GENEROUS_MS);
  expect(ended).toEqual([]);
});

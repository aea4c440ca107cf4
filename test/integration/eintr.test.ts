/**
 * Signals in the application's C code, in the whole server: who sees one, and when. Python only: a Node worker hears its
 * orders in another thread, by no signal.
 */
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  constants,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { connect as dial } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { findServerOf } from '../../src/arbiter/runtime-dir.ts';
import { type Connection, connect, field, formatRequest } from '../support/client.ts';
import { buildExtension } from '../support/extension.ts';
import { PYTHON, ROOT, type Server, startTunicorn } from '../support/tunicorn.ts';

const PYTHON_TESTS = join(ROOT, 'test/python');
const extension = buildExtension(PYTHON, join(PYTHON_TESTS, 'fragile.c'));
const WAIT = { timeout: 30_000, interval: 2 };

let site = '';
beforeEach(() => {
  site = mkdtempSync(join(tmpdir(), 'eintr-'));
});
afterEach(() => rmSync(site, { recursive: true }));

function start(...args: string[]): Promise<Server> {
  const path = ['--pythonpath', `${PYTHON_TESTS},${extension.folder}`];
  return startTunicorn({ cwd: site, args: [...path, ...args, 'eintr'] });
}

/** An order of the control command. */
async function order(server: Server, command: object): Promise<string> {
  const socket = dial(findServerOf(server.pid)?.control ?? '');
  socket.write(`${JSON.stringify(command)}\n`);
  return text(socket);
}

/** Many connections, each used for one request after another. */
async function clients(server: Server, count: number) {
  return Promise.all(Array.from({ length: count }, () => connect({ port: server.port })));
}

async function read(client: Connection): Promise<string> {
  const { status, body } = await client.read({ timeoutMs: 60_000 });
  return `${status} ${body}`;
}

/** All of them at once, so that they reach the front in the same turn of its event loop. */
async function askAll(all: readonly Connection[], paths: readonly string[]): Promise<string[]> {
  for (const [i, path] of paths.entries()) void all[i]?.send(formatRequest('GET', path));
  return Promise.all(all.slice(0, paths.length).map(read));
}

/** Opened for both, which waits for no reader: the application may have gone on already. */
function fill(pipe: string): void {
  const descriptor = openSync(pipe, constants.O_RDWR);
  writeSync(descriptor, 'word\n');
  closeSync(descriptor);
}

/** A request whose application waits for a pipe: `release` writes into it. */
async function wait(server: Server, { path, method = 'POST' }: { path: string; method?: string }) {
  const pipe = mkdtempSync(join(site, 'pipe-'));
  execFileSync('mkfifo', [join(pipe, 'fifo')]);
  const client = await connect({ port: server.port });
  await client.send(formatRequest(method, path, { fields: { 'X-Pipe': join(pipe, 'fifo') } }));
  await expect.poll(() => existsSync(join(pipe, 'fifo.begun')), WAIT).toBe(true);
  return { client, fifo: join(pipe, 'fifo'), release: () => fill(join(pipe, 'fifo')) };
}

const QUICK = Array.from({ length: 24 }, () => '/quick');
const INSTANT = QUICK.map(() => '/instant');

/** Quick requests, until some have waited in a lane behind others. */
async function warmUp(all: readonly Connection[], paths = QUICK): Promise<string[]> {
  const answers: string[] = [];
  for (let round = 0; round < 200; round++) {
    const batch = await askAll(all, paths);
    answers.push(...batch);
    if (round >= 5 && batch.some((answer) => !answer.endsWith(' 0'))) return answers;
  }
  throw new Error('No two requests came to lie in one lane.');
}

/** How often the reads of these were interrupted. */
function interrupted(answers: readonly string[]): number {
  return answers.reduce((sum, answer) => sum + Number(answer.split(' ')[1]), 0);
}

describe.skipIf(extension.folder === null)('a C library that bears no signal', () => {
  test('sees none while its request runs alone, whatever happens around it', async () => {
    await using server = await start('-w', '2', '--metrics', '127.0.0.1:0');
    const one = await wait(server, { path: '/read' });
    const two = await wait(server, { path: '/read', method: 'GET' });
    // These wait in the queue: nothing lines up behind a slow request.
    const queued = (await clients(server, 8)).map(async (client) => {
      await client.send(formatRequest('GET', '/quick'));
      return read(client);
    });
    for (let i = 0; i < 5; i++) await order(server, { command: 'status' });
    // Replacements start, and both are to leave when they have answered.
    const reloaded = order(server, { command: 'reload' });
    await server.waitForLog(/Worker 3 \(pid \d+\) is ready/);
    one.release();
    two.release();
    expect([await read(one.client), await read(two.client)]).toEqual(['200 read', '200 read']);
    expect(interrupted(await Promise.all(queued))).toBe(0);
    expect(await reloaded).toContain('"ok":true');
  });

  test('sees none when a client leaves that it has not begun to answer', async () => {
    await using server = await start('--access-logfile', '-');
    const { client, fifo, release } = await wait(server, { path: '/noted' });
    client.socket.resetAndDestroy();
    await server.waitForLog('"POST /noted HTTP/1.1" 499');
    using other = await connect({ port: server.port });
    await other.send(formatRequest('POST', '/quick'));
    release();
    expect(await read(other)).toBe('200 0 0');
    expect(readFileSync(`${fifo}.noted`, 'utf8')).toBe('read');
  });

  test('sees none in an ordinary batch of quick requests', async () => {
    await using server = await start();
    const all = await clients(server, QUICK.length);
    // A machine that is busy may make a quick request a slow one, but not each time.
    await expect.poll(async () => interrupted(await warmUp(all)), WAIT).toBe(0);
  });

  test('may see one, and never two, when others stand behind it in its lane', async () => {
    await using server = await start('-w', '2');
    const all = await clients(server, QUICK.length);
    const seen = new Set<number>();
    for (let round = 0; round < 50 && !seen.has(1); round++) {
      await warmUp(all);
      const answers = await askAll(all, ['/slow', '/slow', '/slow', ...QUICK.slice(3)]);
      for (const answer of answers) {
        expect(answer).toMatch(/^200 [01]\b/);
        seen.add(Number(answer.split(' ')[1]));
      }
    }
    expect(seen.has(1)).toBe(true);
  });

  test('sees none with --control thread, where no two share a lane', async () => {
    await using server = await start('--control', 'thread');
    const all = await clients(server, QUICK.length);
    for (let round = 0; round < 5; round++) {
      const answers = await askAll(all, ['/slow', ...QUICK.slice(1)]);
      expect(answers.filter((answer) => !/^200 0( 0)?$/.test(answer))).toEqual([]);
    }
    const one = await wait(server, { path: '/read' });
    for (let i = 0; i < 3; i++)
      expect(await order(server, { command: 'stacks', worker: null })).toContain('in read');
    one.release();
    expect(await read(one.client)).toBe('200 read');
  });
});

describe.skipIf(extension.folder === null)('C code that keeps the interpreter', () => {
  /** Sends the one that holds, and then the others, so that most of them line up behind it. */
  async function holdBefore(all: readonly Connection[], { ms, others }: { ms: number; others: number }) {
    const [first, ...rest] = all as [Connection, ...Connection[]];
    await first.send(formatRequest('GET', `/hold?${ms}`));
    const behind = rest.slice(0, others);
    for (const client of behind) void client.send(formatRequest('GET', '/instant'));
    const [held, ...answers] = await Promise.all(
      [first, ...behind].map((client) => client.read({ timeoutMs: 60_000 })),
    );
    return { held, answers };
  }

  test('those behind it wait for it, and from then on its lane takes one at a time', async () => {
    await using server = await start();
    const all = await clients(server, QUICK.length);
    const [pid = 0] = await server.workers();
    const shared = async () => {
      await warmUp(all, INSTANT);
      const { held, answers } = await holdBefore(all, { ms: 300, others: 6 });
      expect(`${held?.body}`).toBe('held');
      for (const answer of answers) expect([answer.status, field(answer, 'X-Pid')]).toEqual([200, `${pid}`]);
      const after: string[] = [];
      for (let round = 0; round < 20; round++) after.push(...(await askAll(all, INSTANT)));
      return after.some((answer) => !answer.endsWith(' 0'));
    };
    // They may have come too late to line up behind it.
    for (let round = 0; await shared(); round++) expect(round).toBeLessThan(20);
    expect(await server.workers()).toEqual([pid]);
  });

  test('at its deadline it gets 504, its worker is killed, and those behind it run elsewhere', {
    timeout: 120_000,
  }, async () => {
    await using server = await start('--timeout', '1', '--keep-alive', '60');
    const all = await clients(server, QUICK.length);
    const moved = async () => {
      await warmUp(all, INSTANT);
      const [pid = 0] = await server.workers();
      const { held, answers } = await holdBefore(all, { ms: 600_000, others: 6 });
      expect([held, ...answers].map((answer) => answer?.status)).toEqual([504, ...answers.map(() => 200)]);
      expect(answers.map((answer) => field(answer, 'X-Pid'))).not.toContain(`${pid}`);
      await expect.poll(() => server.workers(), WAIT).not.toContain(pid);
      return answers.some((answer) => field(answer, 'X-Attempt') === '2');
    };
    for (let round = 0; !(await moved()); round++) expect(round).toBeLessThan(20);
    expect(server.log()).toMatch(/Timeout: GET \/hold\?600000 had no answer for 1 s/);
  });
});

/** What is peculiar to a Node worker: many requests in one thread, and a thread beside it that takes orders. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { connect, fetchOnce, field, formatRequest } from '../support/client.ts';
import { APPS } from '../support/kinds.ts';
import { isAlive, type Server, startTunicorn } from '../support/tunicorn.ts';

const MIB = 1024 * 1024;
const SOON = { timeout: 20_000 };

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'node-worker-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function start(...args: readonly string[]): Promise<Server> {
  const env = { JOURNAL: join(folder, 'journal'), XDG_RUNTIME_DIR: folder };
  return startTunicorn({ cwd: folder, env, python: null, args: [...args, join(APPS, 'node-worker.ts')] });
}

/** The lines that the application has said. */
function said(): string[] {
  const path = join(folder, 'journal');
  return existsSync(path) ? readFileSync(path, 'utf8').trim().split('\n') : [];
}

const heard = (line: string) => expect.poll(said, SOON).toContain(line);
const post = { method: 'POST', timeoutMs: 60_000 };

function memoryOf(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024;
}

test('a request that kills two workers takes none of those with it that ran beside it', async () => {
  await using server = await start('-w', '2');
  const ask = (path: string) => fetchOnce({ port: server.port }, path, { timeoutMs: 60_000 });
  const beside = Array.from({ length: 30 }, (_, id) => ask(`/slow?ms=300&id=${id}`));
  const deadly = await ask('/thrown');
  const answers = await Promise.all(beside);
  expect([deadly.status, ...answers.map(({ status }) => status)]).toEqual([502, ...answers.map(() => 200)]);
  await server.waitForLog('GET /thrown has killed two workers');
  expect(server.log().match(/has killed two workers/g)).toHaveLength(1);
});

test('what a worker has not begun when it begins to compute is run by another one, once', async () => {
  const COUNT = 40;
  await using server = await start('-w', '2');
  const clients = await Promise.all(Array.from({ length: COUNT }, () => connect({ port: server.port })));
  const ended: string[] = [];
  const blocked = fetchOnce({ port: server.port }, '/block?ms=2000').then((answer) => {
    ended.push('block');
    return Number(field(answer, 'X-Worker'));
  });
  await expect.poll(() => said().some((line) => line.startsWith('block')), SOON).toBe(true);
  // Half of them go to the one that cannot read them; POST as well: that they have not begun is certain.
  const answers = clients.map(async (client, id) => {
    const answer = await client.request(id % 2 === 0 ? 'GET' : 'POST', `/run?${id}`);
    ended.push('run');
    expect([answer.status, String(answer.body)]).toEqual([200, String(id)]);
    return Number(field(answer, 'X-Worker'));
  });
  const victim = await blocked;
  const workers = new Set(await Promise.all(answers));
  expect(ended.at(-1)).toBe('block');
  expect(workers.size).toBe(1);
  expect(workers).not.toContain(victim);
  for (const client of clients) client.close();
  // It passes over them when it comes to read them: they are not run a second time.
  await fetchOnce({ port: server.port }, '/run?last');
  const runs = said().filter((line) => /^run \d+$/.test(line));
  expect(runs.toSorted()).toEqual(Array.from({ length: COUNT }, (_, id) => `run ${id}`).toSorted());
});

test('a client that leaves: the signal is aborted, and a generator runs to the end of its finally', async () => {
  await using server = await start();
  using stream = await connect({ port: server.port });
  await stream.send(formatRequest('GET', '/endless'));
  await expect.poll(() => String(stream.pending()), SOON).toContain('tick');
  stream.close();
  await heard('endless aborted');
  await heard('endless through');
  using silent = await connect({ port: server.port });
  await silent.send(formatRequest('GET', '/patient'));
  await heard('patient begun');
  silent.socket.resetAndDestroy();
  await heard('patient through');
  expect((await fetchOnce({ port: server.port }, '/run?after')).status).toBe(200);
});

test('a reader that stands still holds neither the other answers of its worker nor memory', async () => {
  await using server = await start('--spool-limit', '1M', '--send-timeout', '60');
  const [worker = 0] = await server.workers();
  using slow = await connect({ port: server.port });
  slow.socket.pause();
  await slow.send(formatRequest('GET', '/produce?mib=200'));
  await server.waitForLog('No room in the spool folder');
  const before = memoryOf(worker);
  for (const mib of [20, 30]) {
    const { body } = await fetchOnce({ port: server.port }, `/produce?mib=${mib}`);
    expect(body.length).toBe(mib * MIB);
    await heard(`produced mib=${mib}`);
  }
  // 200 MiB wait to be asked for; what was read meanwhile is garbage.
  expect(memoryOf(worker) - before).toBeLessThan(80 * MIB);
  expect(said()).not.toContain('produced mib=200');
  slow.socket.resume();
  expect((await slow.read({ timeoutMs: 60_000 })).body.length).toBe(200 * MIB);
  await heard('produced mib=200');
});

test('the access log tells what the application put into environ', async () => {
  const format = '%(m)s %(U)s %({app.user}e)s %({SERVER_PROTOCOL}e)s';
  await using server = await start('--access-logfile', '-', '--access-logformat', format);
  for (const path of ['/user', '/run']) await fetchOnce({ port: server.port }, path);
  await server.waitForLog(/^GET \/user zoe .*u20ac.* HTTP\/1\.1$/m);
  await server.waitForLog(/^GET \/run - HTTP\/1\.1$/m);
});

describe('an error that nobody catches', () => {
  test.each([
    ['/thrown', /\[ERROR\] Worker 1: Uncaught: Error: thrown where nobody catches it/],
    [
      '/rejected',
      /\[ERROR\] Worker 1: A promise was rejected and nobody caught it: Error: rejected where nobody catches it/,
    ],
  ])('%s: 502, its stack in the log, and another worker', async (path, told) => {
    await using server = await start();
    expect((await fetchOnce({ port: server.port }, path, post)).status).toBe(502);
    await server.waitForLog(told);
    await server.waitForLog(/^ +at .*node-worker\.ts:\d+:\d+/m);
    await server.waitForLog(/Worker 2 \(pid \d+\) is ready/);
    expect((await fetchOnce({ port: server.port }, '/run?after')).status).toBe(200);
  });
});

test('fifty that wait for what never comes: 504 each, told where they are, and the worker goes on', async () => {
  await using server = await start('--timeout', '1');
  const [worker] = await server.workers();
  const asked = Array.from({ length: 50 }, (_, id) => fetchOnce({ port: server.port }, `/patient?${id}`));
  expect((await Promise.all(asked)).map(({ status }) => status)).toEqual(asked.map(() => 504));
  const told = () =>
    server.log().match(/^\[.*Timeout: GET \/patient\?\d+ had no answer for 1 s\..*\n.*no code ran/gm);
  await expect.poll(() => told()?.length, SOON).toBe(50);
  // What it awaited was given up.
  await expect.poll(() => said().filter((line) => line === 'patient through').length, SOON).toBe(50);
  expect((await fetchOnce({ port: server.port }, '/run?after')).status).toBe(200);
  expect(await server.workers()).toEqual([worker]);
  expect(server.log()).not.toMatch(/is replaced/);
});

describe('an endless loop', () => {
  test('504 at the deadline, its stack in the log, another worker; who ran beside it is served there', async () => {
    await using server = await start('--timeout', '1');
    const patient = fetchOnce({ port: server.port }, '/patient', post);
    await heard('patient begun');
    const answer = await fetchOnce({ port: server.port }, '/loop');
    expect(answer.status).toBe(504);
    await server.waitForLog(
      /Timeout: GET \/loop had no answer for 1 s[\s\S]*at inEndlessLoop .*node-worker\.ts/,
    );
    await server.waitForLog(/Worker 2 \(pid \d+\) is ready/);
    expect((await fetchOnce({ port: server.port }, '/run?after')).status).toBe(200);
    expect([502, 504]).toContain((await patient).status);
  });

  test('does not outlive the arbiter', async () => {
    await using server = await start('--timeout', '0');
    fetchOnce({ port: server.port }, '/loop', post).catch(() => {});
    await heard('loop');
    const tree = server.tree();
    process.kill(server.pid, 'SIGKILL');
    await expect.poll(() => tree.filter(isAlive), { timeout: 10_000 }).toEqual([]);
  });
});

test('a worker that is stopped is replaced before a request finds it', async () => {
  await using server = await start('-w', '2', '--timeout', '2');
  const [victim = 0] = await server.workers();
  process.kill(victim, 'SIGSTOP');
  await server.waitForLog(/Worker 3 \(pid \d+\) is ready/);
  await expect.poll(() => isAlive(victim), SOON).toBe(false);
  for (let id = 0; id < 10; id++) {
    expect((await fetchOnce({ port: server.port }, `/run?${id}`)).status).toBe(200);
  }
});

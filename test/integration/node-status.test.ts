/** What the command tells of a server with Node workers, against what the test knows. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Status } from '../../src/status.ts';
import { fetchOnce } from '../support/client.ts';
import { APPS } from '../support/kinds.ts';
import { cleanEnvironment, ROOT, startTunicorn } from '../support/tunicorn.ts';

const SOON = { timeout: 20_000, interval: 200 };
const FINISHED = 7;
const RUNNING = ['/patient?1', '/patient?2', '/patient?3'];

test('status, metrics and stacks: workers, every request under way, what is finished, and where code runs', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'node-status-'));
  try {
    const env = { XDG_RUNTIME_DIR: folder, JOURNAL: join(folder, 'journal') };
    const args = ['-w', '2', '--timeout', '0', join(APPS, 'node-worker.ts')];
    await using server = await startTunicorn({ cwd: folder, env, python: null, args });
    const command = (...words: readonly string[]): Promise<string> =>
      new Promise((resolve, reject) => {
        const all = [...words, '--pid', String(server.pid)];
        const options = { env: cleanEnvironment(env), cwd: folder };
        execFile(`${ROOT}bin/tunicorn`, all, options, (error, out) => (error ? reject(error) : resolve(out)));
      });
    const ask = (path: string) => fetchOnce({ port: server.port }, path, { timeoutMs: 60_000 });
    for (let id = 0; id < FINISHED; id++) await ask(`/run?${id}`);
    for (const path of RUNNING) ask(path).catch(() => {});

    const status = async () => JSON.parse(await command('status', '--json')) as Status;
    const underWay = ({ workers }: Status) =>
      workers.flatMap(({ lanes }) => lanes.map(({ request }) => request)).filter((request) => request !== '');
    await expect
      .poll(async () => underWay(await status()).sort(), SOON)
      .toEqual(RUNNING.map((path) => `GET ${path}`));
    const told = await status();
    expect(told.app).toBe(join(APPS, 'node-worker.ts'));
    expect(told.workers.map(({ pid }) => pid).sort()).toEqual((await server.workers()).sort());
    expect(told.workers.map(({ state }) => state)).toEqual(['ready', 'ready']);
    expect(told.workers.reduce((sum, { requests }) => sum + requests, 0)).toBe(FINISHED);
    for (const { rss } of told.workers) expect(rss).toBeGreaterThan(20 * 1024 * 1024);
    expect(await command('status')).toMatch(/GET \/patient\?1 for \d/);
    expect(await command('status', '--prometheus')).toMatch(
      /^tunicorn_workers\{state="ready",mount="\/"\} 2$/m,
    );
    expect(await command('status', '--prometheus')).toMatch(
      /^tunicorn_requests_total\{status="200",mount="\/"\} 7$/m,
    );

    expect(await command('stacks')).toMatch(/no code ran: it waits for a promise/);
    ask('/loop').catch(() => {});
    await expect
      .poll(() => command('stacks'), SOON)
      .toMatch(/at inEndlessLoop \(.*node-worker\.ts:\d+:\d+\)/);
    const one = (await status()).workers.find(({ lanes }) =>
      lanes.some(({ request }) => request === 'GET /loop'),
    );
    expect(await command('stacks', String(one?.id))).toMatch(
      /^Worker \d+ \(pid \d+\)\n[^W]*at inEndlessLoop/,
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}, 90_000);

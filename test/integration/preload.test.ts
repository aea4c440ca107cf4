/**
 * `--preload` with the real command: the application is imported once, workers are forked, and everything may die. Python
 * only: a Node process cannot be forked.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { fetchOnce } from '../support/client.ts';
import {
  hasModule,
  isAlive,
  ROOT,
  type Server,
  type StartOptions,
  startTunicorn,
} from '../support/tunicorn.ts';

const APPS = join(ROOT, 'test/apps');
let folder = '';

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'preload-'));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** The runtime folder lies in the test's own, so that the test sees what is left of it. */
function start(args: readonly string[], options: Partial<StartOptions> = {}): Promise<Server> {
  const env = { XDG_RUNTIME_DIR: folder, BROKEN_BY: join(folder, 'broken'), ...options.env };
  return startTunicorn({ cwd: APPS, ...options, env, args: ['--preload', ...args, 'process_tree'] });
}

const get = (server: Server, path: string) => fetchOnce({ port: server.port }, path);
const pidOf = async (server: Server) => Number((await get(server, '/pid')).body.toString());

function parentOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
}

/** Python processes: those whose parent is the arbiter import the application, the others are forked. */
async function family(server: Server): Promise<{ zygotes: number[]; workers: number[] }> {
  const all = await server.workers();
  const isZygote = (pid: number) => parentOf(pid) === server.pid;
  return { zygotes: all.filter(isZygote), workers: all.filter((pid) => !isZygote(pid)) };
}

async function only(server: Server): Promise<number> {
  const { zygotes } = await family(server);
  expect(zygotes).toHaveLength(1);
  return zygotes[0] ?? 0;
}

const TIMEOUT = { timeout: 20_000, interval: 10 };

describe('--preload', () => {
  test('imports once, forks, serves, and stops', async () => {
    await using server = await start(['-w', '3']);
    const { zygotes, workers } = await family(server);
    expect(workers.map(parentOf)).toEqual(Array(3).fill(zygotes[0]));
    expect(workers).toContain(await pidOf(server));
    expect(server.log()).toMatch(/Application process_tree:application\n.*Ready: 3 workers in \d+ ms\n$/);
    const tree = server.tree();
    const answer = get(server, '/sleep/0.5');
    await server.waitForLog('begun 0.5');
    for (const pid of tree) process.kill(pid, 'SIGTERM');
    expect((await answer).status).toBe(200);
    expect(await server.exited).toEqual({ code: 0, signal: null });
    expect(server.log()).not.toMatch(/WARNING|ERROR|Traceback/);
    expect(tree.filter(isAlive)).toEqual([]);
    expect(readdirSync(folder)).toEqual([]);
  });

  test('a reload imports the new code first, and the old process ends with its last worker', async () => {
    await using server = await start(['-w', '2']);
    const before = await family(server);
    let over = false;
    const failed: string[] = [];
    const asking = (async () => {
      while (!over) {
        const { status } = await get(server, '/');
        if (status !== 200) failed.push(String(status));
      }
    })();
    server.signal('SIGHUP');
    await server.waitForLog(/Reloaded: 2 workers of generation 2/);
    await expect.poll(() => before.zygotes.concat(before.workers).filter(isAlive), TIMEOUT).toEqual([]);
    over = true;
    await asking;
    expect(failed).toEqual([]);
    expect((await family(server)).workers).toHaveLength(2);
    expect(await only(server)).not.toBe(before.zygotes[0]);
    expect((await server.stop()).code).toBe(0);
  });

  test('code that is broken at a reload: the old goes on, and forks', async () => {
    await using server = await start(['-w', '2']);
    const zygote = await only(server);
    writeFileSync(join(folder, 'broken'), '');
    server.signal('SIGHUP');
    await server.waitForLog(/This deployment is broken/);
    await expect.poll(async () => (await family(server)).zygotes, TIMEOUT).toEqual([zygote]);
    const victim = await pidOf(server);
    process.kill(victim, 'SIGKILL');
    await server.waitForLog(/Worker 3 \(pid \d+\) is ready/);
    expect((await get(server, '/')).status).toBe(200);
    expect((await family(server)).workers).toHaveLength(2);
  });

  test('code that is broken at the start: told once, exit 3', async () => {
    writeFileSync(join(folder, 'broken'), '');
    await using server = await start(['-w', '2']);
    expect(await server.exited).toEqual({ code: 3, signal: null });
    expect(server.log().match(/Traceback/g)).toHaveLength(1);
    expect(readdirSync(folder)).toEqual(['broken']);
  });

  test('kill -9 of a worker: told as it was, and replaced at once', async () => {
    await using server = await start(['-w', '2']);
    const zygote = await only(server);
    process.kill(await pidOf(server), 'SIGKILL');
    await server.waitForLog(/Worker [12] \(pid \d+\) was killed by SIGKILL .* Another one starts/);
    await server.waitForLog(/Worker 3 \(pid \d+\) is ready/);
    expect((await get(server, '/exit/9')).status).toBe(502);
    await server.waitForLog(/Worker \d \(pid \d+\) ended with status 9\. /);
    expect((await get(server, '/')).status).toBe(200);
    expect(await only(server)).toBe(zygote);
  });

  test('kill -9 of the process that they are forked from: they go with it, and everything comes back', async () => {
    await using server = await start(['-w', '2']);
    const { zygotes, workers } = await family(server);
    process.kill(zygotes[0] ?? 0, 'SIGKILL');
    await server.waitForLog(
      /The process that workers are forked from was killed by SIGKILL .* Another one starts/,
    );
    await server.waitForLog(/Worker 4 \(pid \d+\) is ready/);
    expect(workers.filter(isAlive)).toEqual([]);
    expect((await get(server, '/')).status).toBe(200);
    expect((await family(server)).workers).toHaveLength(2);
    expect((await server.stop()).code).toBe(0);
  });

  test('kill -9 of the arbiter: nothing is left after 2 s', async () => {
    await using server = await start(['-w', '2']);
    const tree = server.tree();
    expect(tree).toHaveLength(5);
    const busy = get(server, '/sleep/60').catch((error: Error) => error);
    await server.waitForLog('begun 60');
    const began = performance.now();
    process.kill(server.pid, 'SIGKILL');
    await expect.poll(() => tree.filter(isAlive), { timeout: 10_000, interval: 10 }).toEqual([]);
    expect(performance.now() - began).toBeLessThan(2000);
    await busy;
  });

  test('a stop does not wait for an import', async () => {
    writeFileSync(join(folder, 'slow.py'), 'import time\nprint("importing", flush=True)\ntime.sleep(60)\n');
    const args = ['--preload', 'slow'];
    await using server = await startTunicorn({ args, cwd: folder, ready: 'importing' });
    const began = performance.now();
    expect((await server.stop()).code).toBe(0);
    expect(performance.now() - began).toBeLessThan(5000);
  });
});

const FORK_HOOKS = `
import os

IMPORTED = os.getpid()
SEEN = []
os.register_at_fork(before=lambda: SEEN.append("before"))
os.register_at_fork(
    after_in_child=lambda: SEEN.append("child" if os.getpid() != IMPORTED else "wrong"),
    after_in_parent=lambda: SEEN.append("parent"),
)

def application(environ, start_response):
    start_response("200 OK", [])
    return [("%d %d %s" % (IMPORTED, os.getpid(), " ".join(SEEN))).encode()]
`;

test("the application's own os.register_at_fork hooks run at every fork of a worker", async () => {
  writeFileSync(join(folder, 'app.py'), FORK_HOOKS);
  await using server = await startTunicorn({ args: ['--preload', 'app'], cwd: folder });
  for (const parents of [[], ['before', 'parent']]) {
    const { zygotes, workers } = await family(server);
    expect(workers).toHaveLength(1);
    const [imported, pid, ...seen] = (await get(server, '/')).body.toString().split(' ');
    expect([imported, pid].map(Number)).toEqual([zygotes[0], workers[0]]);
    // What the parent has seen before is copied.
    expect(seen).toEqual([...parents, 'before', 'child']);
    process.kill(Number(pid), 'SIGKILL');
    await server.waitForLog(parents.length === 0 ? /Worker 2 .* is ready/ : /Worker 3 .* is ready/);
  }
});

const PLAIN = `
import os
def application(environ, start_response):
    start_response("200 OK", [])
    return [str(os.getpid()).encode()]
`;

test('a reload takes up --preload, and lets go of it; with broken code nothing has changed', async () => {
  const settle = (preload: boolean, code = PLAIN) => {
    writeFileSync(join(folder, 'tunicorn.toml'), `app = "app"\nworkers = 2\npreload = ${preload}\n`);
    writeFileSync(join(folder, 'app.py'), code);
  };
  settle(false);
  await using server = await startTunicorn({ args: [], cwd: folder });
  const zygotes = async () => (await family(server)).zygotes.length;
  const forked = async () => (await family(server)).workers.length;
  // Workers that were started alone are children of the arbiter, too.
  expect([await zygotes(), await forked()]).toEqual([2, 0]);
  let replacements = 0;
  for (const [preload, code, expected, how] of [
    [true, '1 / 0', [2, 0], 'The reload failed'],
    [true, PLAIN, [1, 2], 'Reloaded: 2 workers of generation'],
    [false, '1 / 0', [1, 2], 'The reload failed'],
    [false, PLAIN, [2, 0], 'Reloaded: 2 workers of generation'],
  ] as const) {
    settle(preload, code);
    const before = server.log().length;
    server.signal('SIGHUP');
    await expect.poll(() => server.log().slice(before), TIMEOUT).toContain(how);
    expect(server.log().slice(before)).not.toContain('until a restart');
    await expect.poll(async () => [await zygotes(), await forked()], TIMEOUT).toEqual(expected);
    // One that dies is replaced by one of the same kind.
    settle(preload);
    const victim = await pidOf(server);
    process.kill(victim, 'SIGKILL');
    replacements++;
    const killed = () => server.log().match(/was killed by SIGKILL/g)?.length;
    await expect.poll(killed, TIMEOUT).toBe(replacements);
    await expect.poll(async () => [await zygotes(), await forked()], TIMEOUT).toEqual(expected);
    expect(await pidOf(server)).not.toBe(victim);
  }
});

const METRICS = `
import os
import prometheus_client

HITS = prometheus_client.Counter("hits", "Requests")
BUSY = prometheus_client.Gauge("busy", "Live", multiprocess_mode="livesum")

def application(environ, start_response):
    HITS.inc()
    BUSY.set(1)
    if environ["PATH_INFO"] == "/metrics":
        registry = prometheus_client.CollectorRegistry()
        prometheus_client.multiprocess.MultiProcessCollector(registry)
        body = prometheus_client.generate_latest(registry)
    else:
        body = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body]
`;
const HOOKS = `
from prometheus_client import multiprocess

def worker_gone(pid, worker_id):
    multiprocess.mark_process_dead(pid)
    print("gone", worker_id, flush=True)
`;

describe.skipIf(!hasModule('prometheus_client'))('worker_gone', () => {
  test.each([[[]], [['--preload']]])('takes the live gauges of dead workers away, with %j', async (more) => {
    const metrics = join(folder, 'metrics');
    mkdirSync(metrics);
    writeFileSync(join(folder, 'metered.py'), METRICS);
    writeFileSync(join(folder, 'metered_hooks.py'), HOOKS);
    const args = [...more, '-w', '2', '--hooks', 'metered_hooks', '--on-exit', 'echo the end', 'metered'];
    const env = { PROMETHEUS_MULTIPROC_DIR: metrics };
    await using server = await startTunicorn({ args, cwd: folder, env });
    const victim = await pidOf(server);
    const live = () => readdirSync(metrics).filter((name) => name.startsWith('gauge_live'));
    expect(live()).toContain(`gauge_livesum_${victim}.db`);
    process.kill(victim, 'SIGKILL');
    const [, worker = ''] = await server.waitForLog(/Worker (\d) \(pid \d+\) was killed/);
    await server.waitForLog(`gone ${worker}`);
    expect(live()).not.toContain(`gauge_livesum_${victim}.db`);
    expect(readdirSync(metrics)).toContain(`counter_${victim}.db`);
    const text = (await get(server, '/metrics')).body.toString();
    expect(text).toContain('hits_total 2.0');
    expect(text).toContain('busy 1.0');
    await server.waitForLog(/Worker 3 \(pid \d+\) is ready/);
    expect((await server.stop()).code).toBe(0);
    // A stop waits for it, and runs what --on-exit says afterwards.
    const zygote = more.length === 0 ? [] : ['gone 0'];
    const gone = server.log().match(/^gone \d$/gm) ?? [];
    expect(gone.sort()).toEqual([...zygote, 'gone 1', 'gone 2', 'gone 3']);
    expect(server.log().trimEnd().endsWith('the end')).toBe(true);
    expect(live()).toEqual([]);
  });

  test('that fails is told with its traceback, and nothing else changes', async () => {
    writeFileSync(
      join(folder, 'failing.py'),
      'def worker_gone(pid, worker_id): raise ValueError("no database")\n',
    );
    await using server = await start(['-w', '1', '--pythonpath', folder, '--hooks', 'failing']);
    process.kill(await pidOf(server), 'SIGKILL');
    await server.waitForLog(/Hook worker_gone of failing failed for worker 1 \(pid \d+\):\nTraceback/);
    await server.waitForLog('ValueError: no database');
    await server.waitForLog(/Worker 2 \(pid \d+\) is ready/);
    expect((await get(server, '/')).status).toBe(200);
  });
});

/** The process that workers are forked from: what they are like, what it tells of them, and every way to end. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { KIND } from '../../src/gateway/frames.ts';
import { pythons } from '../support/python.ts';
import { isAlive } from '../support/tunicorn.ts';
import { Harness, type Options, requestFrame, within } from './harness.ts';

const app = readFileSync(join(import.meta.dirname, 'zygote.py'), 'utf8');
const TIMEOUT = { timeout: 20_000, interval: 5 };
const isGone = (pid: number): Promise<void> => expect.poll(() => isAlive(pid), TIMEOUT).toBe(false);

let open: Harness[] = [];
afterEach(async () => {
  for (const harness of open.splice(0)) await harness.close();
});

describe.each(pythons())('Python $version', ({ path }) => {
  async function zygote(options: Options = {}): Promise<Harness> {
    const given = typeof options.start === 'object' ? options.start : {};
    const start = { mode: 'zygote' as const, worker: 0, ...given };
    const harness = await Harness.open({ app, python: path, ...options, start });
    open = [...open, harness];
    await harness.said.first((said) => said.event === 'loaded', 'loaded');
    return harness;
  }

  async function ask(harness: Harness, worker: number, what: string, lane = 0) {
    return JSON.parse(String((await harness.ask({ path: `/${what}` }, lane, worker)).body));
  }

  test('workers are forked from what was imported once, and are as if they had been started alone', async () => {
    const harness = await zygote();
    const pids = [await harness.fork(1), await harness.fork(2), await harness.fork(3, { threads: 2 })];
    const found = await Promise.all([1, 2, 3].map((worker) => ask(harness, worker, 'process')));
    expect(found.map((each) => each.pid)).toEqual(pids);
    expect(new Set(found.map((each) => each.random)).size).toBe(3);
    for (const each of found) {
      expect(each).toMatchObject({ importedBy: harness.pid, session: true, collects: true, frozen: true });
      expect(each).toMatchObject({ sigchld: true, unmoved: true, wakeup: -1 });
    }
    // The zygote said it once.
    expect(harness.said.all.map((said) => said.event)).toEqual(['loaded', 'forked', 'forked', 'forked']);
    // Channel, control, and a lane each: nothing of the workers before it.
    expect(await ask(harness, 2, 'connections')).toBe(3);
    expect(await ask(harness, 3, 'connections', 1)).toBe(4);
    expect(harness.errorLog).toBe('');
  });

  test('workers may start processes, which are free of them', async () => {
    const harness = await zygote();
    await harness.fork(1);
    const pool = { pool: [2, 4, 6], terminated: -15, open: '[]' };
    expect(await ask(harness, 1, 'children')).toEqual(pool);
    const child = await ask(harness, 1, 'leaves-child');
    try {
      process.kill((await harness.told('forked', 1)).pid, 'SIGKILL');
      await (await harness.control(1)).ended();
      await (await harness.lane(0, 1)).ended();
      expect(await harness.told('exited', 1)).toMatchObject({ code: null, signal: 9 });
      expect(isAlive(child)).toBe(true);
    } finally {
      process.kill(child, 'SIGKILL');
    }
  });

  test('the end of each worker is told; the zygote leaves when the last one has', async () => {
    const harness = await zygote();
    for (const worker of [1, 2, 3]) await harness.fork(worker);
    (await harness.lane(0, 1)).write(requestFrame(1, { path: '/exits' }));
    expect(await harness.told('exited', 1)).toMatchObject({ code: 7, signal: null });
    harness.arbiter.write('{"leave":true}\n');
    // Signals that reach it directly change nothing.
    for (const name of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.kill(harness.pid, name);
    process.kill((await harness.told('forked', 2)).pid, 'SIGTERM');
    await harness.order(KIND.DRAIN, 0, 2);
    expect(await harness.told('exited', 2)).toMatchObject({ code: 0, signal: null });
    expect((await ask(harness, 3, 'process')).pid).toBe((await harness.told('forked', 3)).pid);
    await harness.order(KIND.DRAIN, 0, 3);
    expect(await within(harness.exit, 'the exit')).toEqual({ code: 0, signal: null });
    expect(harness.said.all.at(-1)).toEqual({ event: 'exited', worker: 3, code: 0, signal: null });
    expect(harness.stderr).toBe('');
  });

  test.each(['the zygote is killed', 'the arbiter ends'])('nothing is left when %s', async (what) => {
    const harness = await zygote();
    const pids = [await harness.fork(1), await harness.fork(2, { threads: 2 }), await harness.fork(3)];
    for (const worker of [1, 2, 3]) await harness.control(worker);
    (await harness.lane(0, 3)).write(requestFrame(1, { path: '/hangs' }));
    await expect.poll(() => harness.stderr, TIMEOUT).toBe('hangs\n');
    if (what === 'the arbiter ends') harness.arbiter.destroy();
    else process.kill(harness.pid, 'SIGKILL');
    for (const pid of [harness.pid, ...pids]) await isGone(pid);
  });

  test('an order to leave that came while it loads is kept', async () => {
    const start = { mode: 'zygote' as const, worker: 0 };
    const harness = await Harness.open({
      app: 'import time; time.sleep(0.3)\ndef app(e, s): pass',
      python: path,
      start: { ...start, app: 'app' },
    });
    open = [...open, harness];
    harness.arbiter.write('{"leave":true}\n');
    expect(await within(harness.exit, 'the exit')).toEqual({ code: 0, signal: null });
    expect(harness.said.all.map((said) => said.event)).toEqual(['loaded']);
  });

  test('an application that cannot be loaded', async () => {
    const start = { mode: 'zygote' as const, worker: 0 };
    const harness = await Harness.open({ app: 'raise ValueError("no")', python: path, start });
    open = [...open, harness];
    expect(await within(harness.exit, 'the exit')).toMatchObject({ code: 3 });
    const failed = await harness.said.first((said) => said.event === 'failed', 'failed');
    expect(failed).toMatchObject({ code: 'application-failed' });
  });

  test('hooks run in the workers; one that fails ends its worker, not the zygote', async () => {
    const turns = [
      'import os',
      'imported_by = os.getpid()',
      'def post_fork(worker): print("post_fork", worker.id, worker.pid == os.getpid() != imported_by, flush=True)',
      'def worker_ready(worker):',
      '    if worker.id == 1: raise ValueError("no cache")',
      '    print("worker_ready", worker.id, flush=True)',
    ];
    const harness = await zygote({ files: { 'turns.py': turns.join('\n') }, start: { hooks: 'turns' } });
    let out = '';
    harness.child.stdout?.on('data', (data: Buffer) => {
      out += data.toString();
    });
    await harness.fork(1);
    expect(await harness.told('exited', 1)).toMatchObject({ code: 3 });
    const { said } = await harness.told('said', 1);
    expect(JSON.stringify(said)).toContain('Cannot load turns:worker_ready: ValueError: no cache.');
    await harness.fork(2);
    expect((await ask(harness, 2, 'process')).importedBy).toBe(harness.pid);
    await expect.poll(() => out, TIMEOUT).toBe('post_fork 1 True\npost_fork 2 True\nworker_ready 2\n');
  });

  test('threads and sockets that the import leaves are named, once', async () => {
    const traps = [
      'import _thread, socket, threading, time',
      'threading.Thread(target=time.sleep, args=(60,), name="metrics", daemon=True).start()',
      '_thread.start_new_thread(time.sleep, (60,))',
      'listening = socket.create_server(("127.0.0.1", 0))',
      'client = socket.create_connection(listening.getsockname())',
      'datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); datagrams.connect(("127.0.0.1", 9))',
      'PORT = listening.getsockname()[1]',
      'def port(environ): return PORT',
    ];
    const env = { PYTHONWARNINGS: 'error' };
    const harness = await zygote({ app: `${app}\n${traps.join('\n')}`, env });
    for (const worker of [1, 2]) await harness.fork(worker);
    const port = await ask(harness, 2, 'port');
    const lines = harness.errorLog.trimEnd().split('\n');
    expect(lines).toHaveLength(2);
    expect(lines[0]).toMatch(
      /\[WARNING\] --preload: threads run in .*: metrics, 1 that Python does not know .* Start them in post_fork/,
    );
    const sockets = `which all workers now share: one that listens at 127.0.0.1:${port}, a connection to 127.0.0.1:${port}. One`;
    expect(lines[1]).toContain(sockets);
    expect(harness.stderr).toBe('');
  });

  test('an application that has taken SIGIO keeps it', async () => {
    const taken = 'taken = lambda *_: None\nsignal.signal(signal.SIGIO, taken)';
    const keeps = 'def keeps(environ): return signal.getsignal(signal.SIGIO) is taken';
    const harness = await zygote({ app: `${app}\n${taken}\n${keeps}\n` });
    await harness.fork(1);
    expect(await ask(harness, 1, 'keeps')).toBe(true);
    expect(harness.errorLog).toContain('The application uses SIGIO');
    await harness.order(KIND.DRAIN, 0, 1);
    expect(await harness.told('exited', 1)).toMatchObject({ code: 0 });
  });

  test('an application that collects its garbage itself still does', async () => {
    const harness = await zygote({ app: `${app}\ngc.disable()\n` });
    await harness.fork(1);
    expect((await ask(harness, 1, 'process')).collects).toBe(false);
  });
});

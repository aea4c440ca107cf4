/** The life of a worker process: connections, orders, signals, children, and every way to end. */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { KIND } from '../../src/gateway/frames.ts';
import { python, pythons } from '../support/python.ts';
import { Harness, type Options, requestFrame, within } from './harness.ts';

const app = readFileSync(join(import.meta.dirname, 'life.py'), 'utf8');
const byAge = [...pythons()].sort((a, b) => a.version.localeCompare(b.version, 'en', { numeric: true }));
const chosen = [...new Set([byAge[0], byAge.at(-1)])].filter((each) => each !== undefined);
const UNMOVED = ['SIGTERM', 'SIGINT', 'SIGQUIT', 'SIGHUP', 'SIGUSR1', 'SIGUSR2'] as const;
const TIMEOUT = { timeout: 20_000, interval: 5 };

let open: Harness[] = [];
afterEach(async () => {
  for (const harness of open.splice(0)) await harness.close();
});

async function ready(options: Options = {}): Promise<Harness> {
  const harness = await Harness.open({ app, ...options });
  open = [...open, harness];
  await harness.control();
  return harness;
}

let ids = 10_000;

/** Sends a request and waits until the application is in it. */
async function begin(harness: Harness, path: string, lane = 0) {
  const id = ids++;
  const gate = join(harness.folder, `gate-${id}`);
  const connection = await harness.lane(lane);
  connection.write(requestFrame(id, { path: `/${path}`, environ: { HTTP_X_GATE: gate } }));
  await expect.poll(() => existsSync(`${gate}.begun`), TIMEOUT).toBe(true);
  return { id, gate, connection, open: () => writeFileSync(gate, ''), answer: () => connection.answer(id) };
}

async function ask(harness: Harness, path: string, lane = 0): Promise<string> {
  return `${(await harness.ask({ path: `/${path}`, environ: { HTTP_X_GATE: join(harness.folder, 'note') } }, lane)).body}`;
}

const note = (harness: Harness): string => {
  const path = join(harness.folder, 'note');
  return existsSync(path) ? readFileSync(path, 'utf8') : '';
};

/** Whether the process runs; a zombie, which nobody has waited for, does not. */
function runs(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

/** The signals that wait for a process, SIGHUP as the lowest bit. */
const pending = (pid: number): bigint =>
  BigInt(`0x${/^ShdPnd:\s+(\w+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]}`);

const isGone = (pid: number): Promise<void> => expect.poll(() => runs(pid), TIMEOUT).toBe(false);

describe.each(chosen)('Python $version', ({ path }) => {
  const start = (options: Options = {}): Promise<Harness> => ready({ ...options, python: path });
  const threads = (count: number): Options => ({ start: { threads: count } });

  describe('connections', () => {
    test('say who they are', async () => {
      const harness = await start({ start: { worker: 7, threads: 2, multiprocess: true } });
      const control = await harness.control();
      expect(Object.fromEntries(control.hello)).toEqual({
        role: 'control',
        worker: '7',
        pid: `${harness.pid}`,
        lanes: '2',
      });
      for (const lane of [0, 1]) {
        expect(Object.fromEntries((await harness.lane(lane)).hello)).toEqual({
          role: 'lane',
          worker: '7',
          lane: `${lane}`,
          capacity: '1',
          order: 'fifo',
          batch: '1',
        });
      }
      expect(harness.said.all).toMatchObject([{ event: 'loaded', app: 'app:application' }]);
      expect(await ask(harness, 'peers')).toBe('True True');
    });

    test('wait for a front that is not there yet', async () => {
      const harness = await Harness.open({ app, python: path });
      open = [...open, harness];
      await harness.killFront();
      await harness.said.first((each) => each.event === 'loaded', 'loaded');
      await harness.listen();
      expect(await ask(harness, 'hello')).toBe('hello');
    });

    test.each([1, 2])('%d lane(s): a front that is replaced finds the worker again', async (count) => {
      const harness = await start(threads(count));
      for (let round = 0; round < 3; round++) {
        await harness.killFront();
        await harness.listen();
        await harness.control();
        for (let lane = 0; lane < count; lane++) expect(await ask(harness, 'hello', lane)).toBe('hello');
      }
      expect(harness.errorLog).toBe('');
    });

    test.each([1, 2])('%d lane(s): a running request is finished, its answer dropped', async (count) => {
      const harness = await start(threads(count));
      const request = await begin(harness, 'gate');
      await harness.killFront();
      await harness.listen();
      request.open();
      await harness.control();
      expect(await ask(harness, 'hello')).toBe('hello');
      expect((await harness.lane()).frames.all.filter((frame) => frame.id === request.id)).toEqual([]);
      expect(harness.errorLog).toBe('');
    });

    test('a stream to a front that died is closed', async () => {
      const harness = await start();
      const request = await begin(harness, 'stream');
      await harness.killFront();
      await harness.listen();
      await harness.control();
      expect(existsSync(`${request.gate}.closed`)).toBe(true);
    });

    test.each([
      [1, 'control'],
      [1, 'lane'],
      [2, 'control'],
      [2, 'lane'],
    ])('%d lane(s): the end of %s alone renews them all', async (count, role) => {
      const harness = await start(threads(count));
      const before = harness.connections.all.splice(0);
      before.find((connection) => connection.role === role)?.socket.destroy();
      await harness.control();
      for (let lane = 0; lane < count; lane++) expect(await ask(harness, 'hello', lane)).toBe('hello');
      for (const connection of before) await connection.ended();
    });

    test('bytes that are no frame are logged and end the session', async () => {
      const harness = await start();
      const [lane] = harness.connections.all.splice(0);
      lane?.write(Buffer.from('GET / HTTP/1.1\r\n\r\n'));
      await harness.control();
      expect(await ask(harness, 'hello')).toBe('hello');
      expect(harness.errorLog).toMatch(/\[ERROR\] The front sent what is no frame: Not a frame: 474554/);
    });

    test('work beyond the descriptors that select(2) can take', async () => {
      const harness = await start(threads(2));
      expect(await ask(harness, 'opens-many')).toBe('True');
      await harness.killFront();
      await harness.listen();
      await harness.control();
      expect(await ask(harness, 'hello', 1)).toBe('hello');
    });
  });

  describe('lanes', () => {
    test('one lane is the main thread', async () => {
      expect(await ask(await start(), 'thread-name')).toBe('MainThread multithread=False');
    });

    test('several lanes are threads that run at once', async () => {
      const harness = await start(threads(3));
      expect(await ask(harness, 'thread-name', 2)).toBe('lane-2 multithread=True');
      const requests = await Promise.all([0, 1, 2].map((lane) => begin(harness, 'gate', lane)));
      for (const request of requests) request.open();
      for (const request of requests) expect(`${(await request.answer()).body}`).toBe('opened');
    });

    test.each([1, 2])('%d lane(s): ABANDON ends a stream', async (count) => {
      const harness = await start(threads(count));
      const request = await begin(harness, 'stream', count - 1);
      await harness.order(KIND.ABANDON, request.id);
      expect((await request.answer()).failed).toBeNull();
      await expect.poll(() => existsSync(`${request.gate}.closed`), TIMEOUT).toBe(true);
      expect(await ask(harness, 'hello', count - 1)).toBe('hello');
    });
  });

  describe('DRAIN', () => {
    test.each([1, 2])('%d lane(s): the worker leaves with 0, after its atexit handlers', async (count) => {
      const harness = await start(threads(count));
      await ask(harness, 'registers');
      await harness.order(KIND.DRAIN);
      expect(await harness.exit).toEqual({ code: 0, signal: null });
      expect(note(harness)).toBe('atexit\n');
      expect(harness.errorLog + harness.stderr).toBe('');
    });

    test.each([1, 2])('%d lane(s): that comes early lets the running request finish', async (count) => {
      const harness = await start(threads(count));
      const request = await begin(harness, 'gate', count - 1);
      await harness.order(KIND.DRAIN);
      request.open();
      expect(`${(await request.answer()).body}`).toBe('opened');
      expect(await harness.exit).toEqual({ code: 0, signal: null });
    });

    test('does not wait for ever for a thread', async () => {
      const harness = await start();
      await ask(harness, 'registers');
      await ask(harness, 'starts-thread');
      await harness.order(KIND.DRAIN);
      expect(await within(harness.exit, 'the exit')).toEqual({ code: 0, signal: null });
      expect(note(harness)).toBe('atexit\n');
    });

    test('does not wait for the idle threads of a pool', async () => {
      const harness = await start();
      expect(await ask(harness, 'uses-pool')).toBe('[2, 4]');
      const began = performance.now();
      await harness.order(KIND.DRAIN);
      expect(await harness.exit).toEqual({ code: 0, signal: null });
      expect(performance.now() - began).toBeLessThan(4500);
    });
  });

  describe('signals', () => {
    test.each([1, 2])('%d lane(s): change nothing, idle or busy', async (count) => {
      const harness = await start(threads(count));
      for (const signal of UNMOVED) {
        process.kill(harness.pid, signal);
        expect(await ask(harness, 'hello')).toBe('hello');
        const request = await begin(harness, 'sleep', count - 1);
        process.kill(harness.pid, signal);
        expect(`${(await request.answer()).body}`).toBe('1');
      }
      await harness.order(KIND.DRAIN);
      expect(await harness.exit).toEqual({ code: 0, signal: null });
    });

    test.each([1, 2])('%d lane(s): one that comes together with DRAIN does not hide it', async (count) => {
      const harness = await start(threads(count));
      expect(await ask(harness, 'hello')).toBe('hello');
      // Both are pending when it goes on, as when systemd signals a cgroup on a busy machine.
      process.kill(harness.pid, 'SIGSTOP');
      await expect
        .poll(() => readFileSync(`/proc/${harness.pid}/status`, 'utf8'), TIMEOUT)
        .toMatch(/^State:\s+T/m);
      process.kill(harness.pid, 'SIGTERM');
      await harness.order(KIND.DRAIN);
      const both = count === 1 ? (1n << 14n) | (1n << 28n) : 1n << 14n;
      await expect.poll(() => pending(harness.pid) & both, TIMEOUT).toBe(both);
      process.kill(harness.pid, 'SIGCONT');
      expect(await within(harness.exit, 'the exit')).toEqual({ code: 0, signal: null });
    });

    test.each(UNMOVED)('%s changes nothing while the application is imported', async (signal) => {
      const slow = `import os, time\nopen('begun', 'w')\nwhile not os.path.exists('go'): time.sleep(0.002)\n${app}`;
      const harness = await Harness.open({ app: slow, python: path });
      open = [...open, harness];
      const site = join(harness.folder, 'site');
      await expect.poll(() => existsSync(join(site, 'begun')), TIMEOUT).toBe(true);
      process.kill(harness.pid, signal);
      writeFileSync(join(site, 'go'), '');
      expect(await ask(harness, 'hello')).toBe('hello');
    });

    test('are as usual for the programs that the application starts', async () => {
      const handlers = (await ask(await start(), 'process-handlers')).trim();
      expect(handlers).toBe("[0, 'default_int_handler', 0, 0, 0, 0]");
    });

    test.each(['takes-sigio', 'blocks-sigio'])(
      'an application that %s is noticed, and a thread takes over',
      async (how) => {
        const harness = await start();
        await ask(harness, how);
        await ask(harness, 'hello');
        expect(harness.errorLog.match(/\[WARNING\] The application uses SIGIO/g)?.length).toBe(1);
        const request = await begin(harness, 'stream');
        await harness.order(KIND.ABANDON, request.id);
        await request.answer();
        await harness.killFront();
        await harness.listen();
        await harness.control();
        const again = await begin(harness, 'stream');
        await harness.order(KIND.ABANDON, again.id);
        await again.answer();
        await harness.order(KIND.DRAIN);
        expect(await harness.exit).toEqual({ code: 0, signal: null });
      },
    );

    test('SIGIO taken while the application is imported', async () => {
      const taken = `import signal\nsignal.signal(signal.SIGIO, signal.SIG_IGN)\n${app}`;
      const harness = await start({ app: taken });
      expect(harness.errorLog).toMatch(/\[WARNING\] The application uses SIGIO/);
      const request = await begin(harness, 'stream');
      await harness.order(KIND.ABANDON, request.id);
      await request.answer();
      const busy = await begin(harness, 'busy');
      expect(busy.id).toBeGreaterThan(0);
      harness.arbiter.destroy();
      await isGone(harness.pid);
    });
  });

  describe('children of the application', () => {
    test('fork, pool and terminate() work', async () => {
      const harness = await start();
      expect(await ask(harness, 'terminates')).toBe('-15');
      expect(await ask(harness, 'pools')).toBe('[2, 4, 6]');
      expect(await ask(harness, 'spawns')).toBe('[1, 2]');
      expect(await ask(harness, 'hello')).toBe('hello');
      expect(harness.errorLog + harness.stderr).toBe('');
    });

    test('work in threads as well', async () => {
      const harness = await start(threads(2));
      expect(await ask(harness, 'terminates', 1)).toBe('-15');
      expect(await ask(harness, 'pools', 1)).toBe('[2, 4, 6]');
      expect(await ask(harness, 'hello', 0)).toBe('hello');
    });

    test('may have children, whose files stay open', async () => {
      // The lowest free number is 3, where the arbiter's socket was.
      expect(await ask(await start(), 'grandchild')).toBe('3 open');
    });

    test('have none of our descriptors', async () => {
      expect(await ask(await start(), 'process-descriptors')).toBe('[]\n');
    });

    test.each([1, 2])(
      '%d lane(s): a forked child keeps no connection of a dead worker open',
      async (count) => {
        const harness = await start(threads(count));
        const child = Number(await ask(harness, 'forks'));
        try {
          harness.child.kill('SIGKILL');
          for (const connection of harness.connections.all) await connection.ended();
          await expect.poll(() => harness.arbiter.closed, TIMEOUT).toBe(true);
          expect(runs(child)).toBe(true);
        } finally {
          process.kill(child, 'SIGKILL');
        }
      },
    );

    test.each([1, 2])(
      '%d lane(s): a child that returns into the server ends without a word',
      async (count) => {
        const harness = await start(threads(count));
        const child = Number(await ask(harness, 'forks-and-returns'));
        expect(child).toBeGreaterThan(0);
        await isGone(child);
        expect(await ask(harness, 'pid')).toBe(`${harness.pid}`);
        expect(harness.connections.all.length).toBe(count + 1);
        expect(harness.errorLog).toBe('');
      },
    );
  });

  describe('the end of the arbiter', () => {
    test.each([
      ['idle', 1],
      ['idle', 2],
      ['busy', 1],
      ['busy', 2],
      ['sleep', 1],
      ['gate', 1],
      ['gate', 2],
    ])('ends the worker at once: %s, %d lane(s)', async (state, count) => {
      const harness = await start(threads(count));
      if (state !== 'idle') await begin(harness, state);
      const began = performance.now();
      harness.arbiter.destroy();
      await within(harness.exit, 'the end of the worker');
      expect(performance.now() - began).toBeLessThan(2000);
    });

    test('ends it while the application is imported', async () => {
      const harness = await Harness.open({ app: "open('begun', 'w')\nwhile True: pass", python: path });
      open = [...open, harness];
      await expect.poll(() => existsSync(join(harness.folder, 'site/begun')), TIMEOUT).toBe(true);
      harness.arbiter.destroy();
      await within(harness.exit, 'the end of the worker');
    });

    test('ends it while it looks for a front', async () => {
      const harness = await start();
      await harness.killFront();
      harness.arbiter.destroy();
      await within(harness.exit, 'the end of the worker');
    });
  });
});

test('SIGKILL of the arbiter ends a worker inside a C call that lets nobody in', async () => {
  // A process between us and the worker is the arbiter here; descriptor 3 stays open, so only prctl can tell.
  const between =
    'import subprocess,sys,time; p=subprocess.Popen(sys.argv[1:],close_fds=False); print(p.pid,flush=True); time.sleep(600)';
  const harness = await Harness.open({ app, wrap: [python().path, '-c', between] });
  open = [...open, harness];
  const control = await harness.control();
  const worker = Number(control.hello.get('pid'));
  await begin(harness, 'regex');
  expect(runs(worker)).toBe(true);
  const began = performance.now();
  harness.child.kill('SIGKILL');
  await isGone(worker);
  expect(performance.now() - began).toBeLessThan(2000);
});

test('a worker that no front takes in for 10 s leaves with 1 and says so', { timeout: 40_000 }, async () => {
  const harness = await ready();
  await harness.killFront();
  expect(await within(harness.exit, 'the exit')).toEqual({ code: 1, signal: null });
  expect(harness.errorLog).toMatch(/\[ERROR\] Worker 1 found no front to serve: \[Errno/);
});

test('SCRIPT_NAME in the environment moves the prefix out of PATH_INFO', async () => {
  const harness = await ready({ env: { SCRIPT_NAME: '/below/h\u00fctte/' } });
  const prefix = Buffer.from('/below/hütte').toString('latin1');
  expect(JSON.parse(await ask(harness, `${prefix.slice(1)}/env-path`))).toEqual([prefix, '/env-path']);
  for (const path of ['/other', '/', `${prefix}-not/env-path`]) {
    const answer = await harness.ask({ path });
    expect(answer.status).toBe('404 Not Found');
    expect(`${answer.body}`).toBe(
      'This application answers under /below/hütte (environment variable SCRIPT_NAME).\n',
    );
    expect(answer.fields).toContainEqual(['Content-Length', `${answer.body.length}`]);
  }
});

test.each([1, 2])("%d lane(s): Python's development mode finds nothing left open", async (threads) => {
  const harness = await ready({ start: { threads }, env: { PYTHONDEVMODE: '1' } });
  const spool = join(harness.folder, 'spool');
  writeFileSync(spool, 'body');
  expect((await harness.ask({ path: '/hello', spool })).status).toBe('200 OK');
  await harness.killFront();
  await harness.listen();
  await harness.control();
  // From 3.12 on Python warns of any fork beside a thread.
  if (threads === 1) expect(await ask(harness, 'terminates')).toBe('-15');
  await harness.order(KIND.DRAIN);
  expect(await harness.exit).toEqual({ code: 0, signal: null });
  expect(harness.errorLog + harness.stderr).toBe('');
});

test('keys of environ that the access log names come back with the head', async () => {
  const harness = await ready({ start: { logEnviron: ['REMOTE_USER', 'wsgi.url_scheme', 'nowhere'] } });
  const answer = await harness.ask({ path: '/hello', environ: { REMOTE_USER: 'vim\xe9' } });
  expect(answer.fields).toEqual([
    ['Content-Type', 'text/plain'],
    [':environ.REMOTE_USER', 'vim\xe9'],
    [':environ.wsgi.url_scheme', 'http'],
  ]);
});

test.each([
  ['critical', false],
  ['error', true],
])('log level %s', async (logLevel, isLogged) => {
  const harness = await ready({ start: { logLevel } });
  expect((await harness.ask({ path: '/no-such-case' })).failed?.error).toBe('KeyError');
  expect(harness.errorLog.includes('KeyError')).toBe(isLogged);
});

test('umask and working folder are as told', async () => {
  const probe = `
import os
def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    mask = os.umask(0); os.umask(mask)
    return [('%o %s' % (mask, os.getcwd())).encode()]
`;
  const harness = await ready({ app: probe, start: { umask: 0o027 } });
  expect(await ask(harness, '')).toBe(`27 ${join(harness.folder, 'site')}`);
});

test("an application's own handler for a signal is its own business", async () => {
  const harness = await ready();
  await ask(harness, 'own-sigterm');
  process.kill(harness.pid, 'SIGTERM');
  await expect.poll(() => note(harness), TIMEOUT).toBe('TERM\n');
});

describe('a Python that is too old', () => {
  const folder = join(process.env.PYENV_ROOT ?? join(homedir(), '.pyenv'), 'versions');
  const old = existsSync(folder) ? readdirSync(folder).filter((name) => /^(2\.7|3\.[4-7])\./.test(name)) : [];
  test.skipIf(old.length === 0).each(old.length === 0 ? ['none here'] : old)(
    '%s: says so in one sentence',
    (version) => {
      const script = join(import.meta.dirname, '../../python/tunicorn-worker.py');
      const path = join(folder, version, 'bin/python');
      const { status, stderr } = run(path, [script, 'name', 'app']);
      expect(status).toBe(1);
      expect(stderr).toBe(
        `Tunicorn's worker needs Python 3.8 or newer, but ${path} is Python ${version}: name a newer one with --python.\n`,
      );
    },
  );
});

function run(path: string, args: readonly string[]): { status: number; stderr: string } {
  try {
    execFileSync(path, args, { stdio: 'pipe' });
    return { status: 0, stderr: '' };
  } catch (error) {
    const { status, stderr } = error as { status: number; stderr: Buffer };
    return { status, stderr: `${stderr}` };
  }
}

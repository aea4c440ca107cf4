/** Arbiter, fronts and workers as real processes: started, killed, signalled and stopped. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { connect, fetchOnce } from '../support/client.ts';
import { APPS, KINDS } from '../support/kinds.ts';
import { isAlive, ROOT, type Server, type StartOptions, startTunicorn } from '../support/tunicorn.ts';

const NOISE = /Traceback|^\s+at /m;

const APP = {
  python: {
    file: 'process_tree',
    name: 'process_tree:application',
    runtime: /^\d+ Python 3\.\d+\.\d+, \/.+ \(from --python\)$/,
    stack: /Traceback/g,
  },
  node: {
    file: 'process-tree.ts',
    name: 'process-tree.ts:application (WSGI)',
    runtime: /^\d+ Node \d+\.\d+\.\d+, \/.+$/,
    stack: /^ +at file:.*process-tree\.ts/gm,
  },
} as const;

let folder = '';

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'process-tree-'));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

const get = (server: Server, path: string) => fetchOnce({ port: server.port }, path);
const pidOf = async (server: Server) => Number((await get(server, '/pid')).body.toString());

/** Waits for what the log cannot tell. */
async function until(
  what: string,
  look: () => boolean | Promise<boolean>,
  timeoutMs = 20_000,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await look())) {
    if (performance.now() > deadline) throw new Error(`Not within ${timeoutMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Asks without a pause until told to stop. @returns the fate of each request that was no 200. */
async function load(server: Server, ended: () => boolean): Promise<string[]> {
  const failed: string[] = [];
  while (!ended()) {
    const fate = await get(server, '/').then(
      (answer) => String(answer.status),
      (error: Error) => error.message,
    );
    if (fate !== '200') failed.push(fate);
  }
  return failed;
}

describe.each(KINDS)('%s workers', (kind) => {
  /** The runtime folder lies in a folder of the test's own, so that the test sees what is left of it. */
  function start(args: readonly string[], options: Partial<StartOptions> = {}): Promise<Server> {
    const env = { XDG_RUNTIME_DIR: folder, ...options.env };
    return startTunicorn({ cwd: APPS, ...options, env, args: [...args, APP[kind].file] });
  }

  describe('start and stop', () => {
    test('tells version, interpreter, addresses, application and workers, in this order', async () => {
      const pid = join(folder, 'site.pid');
      await using server = await start([
        '-w',
        '2',
        '-b',
        '127.0.0.1:0',
        '-b',
        `unix:${folder}/site.sock`,
        '-p',
        pid,
      ]);
      const lines = server
        .log()
        .split('\n')
        .map((line) => line.replace(/^\[[^\]]+\] \[(\d+)\] \[INFO\] /, '$1 '));
      expect(lines).toEqual([
        expect.stringMatching(/^\d+ Tunicorn \d+\.\d+\.\d+ starting, pid \d+$/),
        expect.stringMatching(APP[kind].runtime),
        expect.stringMatching(/^\d+ Listening at http:\/\/127\.0\.0\.1:\d+$/),
        `${server.pid} Listening at unix:${folder}/site.sock`,
        `${server.pid} Application ${APP[kind].name}`,
        expect.stringMatching(/^\d+ Ready: 2 workers in \d+ ms$/),
        '',
      ]);
      expect(readFileSync(pid, 'utf8')).toBe(`${server.pid}\n`);
      expect((await get(server, '/')).status).toBe(200);
      expect((await fetchOnce({ path: `${folder}/site.sock` }, '/')).body.toString()).toBe('done');
      const tree = server.tree();
      expect(tree).toHaveLength(4);
      expect(await server.stop()).toEqual({ code: 0, signal: null });
      expect(server.log()).toContain('Stopped: 2 requests finished');
      expect(tree.filter(isAlive)).toEqual([]);
      expect(readdirSync(folder)).toEqual([]);
    });

    test('TERM to every process at once: requests in flight are finished', async () => {
      await using server = await start(['-w', '2', '--threads', '3']);
      const answers = ['0.7', '1.0', '1.3', '1.1'].map((seconds) => get(server, `/sleep/${seconds}`));
      for (const seconds of ['0.7', '1.0', '1.3', '1.1']) await server.waitForLog(`begun ${seconds}`);
      const tree = server.tree();
      for (const pid of tree) process.kill(pid, 'SIGTERM');
      expect((await Promise.all(answers)).map((answer) => answer.status)).toEqual([200, 200, 200, 200]);
      expect(await server.exited).toEqual({ code: 0, signal: null });
      expect(server.log()).toContain('Stopped: 4 requests finished');
      expect(server.log()).not.toMatch(NOISE);
      expect(tree.filter(isAlive)).toEqual([]);
    });

    test('what does not finish within the graceful timeout is answered 503, and its worker killed', async () => {
      await using server = await start(['--graceful-timeout', '1']);
      const answer = get(server, '/sleep/60');
      await server.waitForLog('begun 60');
      const began = performance.now();
      server.signal('SIGTERM');
      expect(await server.exited).toEqual({ code: 0, signal: null });
      expect(performance.now() - began).toBeGreaterThan(900);
      expect(performance.now() - began).toBeLessThan(10_000);
      expect((await answer).status).toBe(503);
      expect(server.log()).toContain('1 request was not finished in time');
      expect(server.log()).not.toContain('kill -9');
      expect(server.log()).toContain('Stopped: 0 requests finished');
    });
  });

  describe('kill -9', () => {
    test('of the worker in the middle of a request: 502 for that one, all others succeed', async () => {
      await using server = await start(['-w', '2', '--threads', '1']);
      const lost = fetchOnce({ port: server.port }, '/sleep/60', { method: 'POST' });
      await server.waitForLog('begun 60');
      const workers = await server.workers();
      let over = false;
      const others = [load(server, () => over), load(server, () => over)];
      // The other worker answers: it is not the one that sleeps.
      const awake = await pidOf(server);
      const victim = workers.find((pid) => pid !== awake) ?? 0;
      const began = performance.now();
      process.kill(victim, 'SIGKILL');
      expect((await lost).status).toBe(502);
      expect(performance.now() - began).toBeLessThan(2000);
      await server.waitForLog(/Worker 3 \(pid \d+\) is ready/);
      over = true;
      expect((await Promise.all(others)).flat()).toEqual([]);
      expect(await server.workers()).toHaveLength(2);
      expect(server.log()).toMatch(
        /Worker [12] \(pid \d+\) was killed by SIGKILL \(.*\)\. Another one starts/,
      );
    });

    test('of the front: the listening socket never refuses, and serves again', async () => {
      await using server = await start(['-w', '2']);
      const workers = await server.workers();
      const times: number[] = [];
      for (let strike = 0; strike < 5; strike++) {
        await until('a front', async () => (await server.fronts()).length === 1);
        const began = performance.now();
        process.kill((await server.fronts())[0] ?? 0, 'SIGKILL');
        // Connecting must work at any moment; what the dying front had accepted already may be cut.
        const connection = await connect({ port: server.port });
        connection.close();
        await until('an answer', () =>
          get(server, '/').then(
            ({ status }) => status === 200,
            () => false,
          ),
        );
        times.push(performance.now() - began);
      }
      times.sort((a, b) => a - b);
      expect(times[2]).toBeLessThan(1000);
      // The workers found the new front each time: none was replaced.
      expect(await server.workers()).toEqual(workers);
    });

    test('of the front while the worker is busy: requests are served at once', async () => {
      await using server = await start([]);
      const lost = get(server, '/sleep/4').catch((error: Error) => error);
      await server.waitForLog('begun 4');
      const [busy = 0] = await server.workers();
      process.kill((await server.fronts())[0] ?? 0, 'SIGKILL');
      expect(await lost).toBeInstanceOf(Error);
      const pid = await pidOf(server);
      // Its event loop is free: it comes back with the request still running, which nobody waits for any more.
      if (kind === 'node') return expect(pid).toBe(busy);
      expect(pid).not.toBe(busy);
      expect(isAlive(busy)).toBe(true);
      await server.waitForLog(/Worker 1 \(pid \d+\) ended with status 0/);
      expect(await server.workers()).toEqual([pid]);
    });

    test('of the arbiter: nothing is left after 2 s, and the next one cleans up', async () => {
      await using server = await start([
        '-w',
        '2',
        '-b',
        `unix:${folder}/site.sock`,
        '-p',
        join(folder, 'pid'),
      ]);
      const busy = fetchOnce({ path: `${folder}/site.sock` }, '/sleep/60').catch((error: Error) => error);
      await server.waitForLog('begun 60');
      const tree = server.tree();
      const began = performance.now();
      process.kill(server.pid, 'SIGKILL');
      await until('every process has ended', () => !tree.some(isAlive), 10_000);
      expect(performance.now() - began).toBeLessThan(2000);
      await busy;
      expect(readdirSync(folder).filter((name) => name.startsWith('tunicorn-'))).toHaveLength(1);
      await using next = await start(['-b', `unix:${folder}/site.sock`, '-p', join(folder, 'pid')]);
      expect((await fetchOnce({ path: `${folder}/site.sock` }, '/')).status).toBe(200);
      await next.stop();
      expect(readdirSync(folder)).toEqual([]);
    });
  });

  describe('signals', () => {
    test('that reach fronts and workers directly change nothing', async () => {
      await using server = await start(['-w', '2']);
      const tree = server.tree();
      for (const pid of tree.filter((one) => one !== server.pid)) {
        for (const name of ['SIGTERM', 'SIGINT', 'SIGQUIT', 'SIGHUP', 'SIGUSR1', 'SIGUSR2'] as const)
          process.kill(pid, name);
      }
      for (let i = 0; i < 20; i++) expect((await get(server, '/')).status).toBe(200);
      expect(server.tree()).toEqual(tree);
    });
  });

  describe('an application that fails', () => {
    test('at the first start: told once, exit 3, nothing is left', async () => {
      const broken = join(folder, 'broken');
      writeFileSync(broken, '');
      await using server = await start(['-w', '3'], { env: { BROKEN_BY: broken } });
      expect(await server.exited).toEqual({ code: 3, signal: null });
      expect(server.log()).toContain('This deployment is broken.');
      expect(server.log().match(APP[kind].stack)).toHaveLength(1);
      expect(readdirSync(folder)).toEqual(['broken']);
    });

    test('a crash while it serves is a 502, and replaced', async () => {
      await using server = await start([]);
      expect((await get(server, '/exit/9')).status).toBe(502);
      await server.waitForLog(/Worker 1 \(pid \d+\) ended with status 9\. /);
      expect((await get(server, '/')).status).toBe(200);
    });
  });

  describe('--check-config', () => {
    test('loads the application, says what it found, and ends', async () => {
      await using server = await start(['--check-config']);
      expect(await server.exited).toEqual({ code: 0, signal: null });
      const [runtime, application, rest] = server.log().split('\n');
      expect(`0 ${runtime}`).toMatch(APP[kind].runtime);
      expect([application, rest]).toEqual([`Application ${APP[kind].name}`, '']);
    });

    test('an application that cannot be loaded: its traceback, exit 3', async () => {
      await using server = await start(['--check-config'], { env: { BROKEN_BY: folder } });
      expect(await server.exited).toEqual({ code: 3, signal: null });
      expect(server.log()).toMatch(/^tunicorn: [\s\S]*This deployment is broken\./);
    });
  });

  describe.skipIf(process.geteuid?.() !== 0 || !existsSync('/usr/bin/python3'))('as root', () => {
    test('--user: fronts and workers are the user, and so are sockets and logs', async () => {
      const [log, socket] = [join(folder, 'access.log'), join(folder, 'site.sock')];
      const binds = ['-b', '127.0.0.1:0', '-b', `unix:${socket}`];
      const args = ['--user', 'nobody', '--group', '4711', '-m', '007', '--access-logfile', log, ...binds];
      await using server = await start(args, { python: '/usr/bin/python3' });
      const { uid } = statSync(socket);
      expect(statSync(socket)).toMatchObject({ gid: 4711 });
      expect(uid).toBeGreaterThan(0);
      expect(statSync(log)).toMatchObject({ uid, gid: 4711 });
      const [front = 0] = await server.fronts();
      const [worker = 0] = await server.workers();
      for (const pid of [front, worker]) expect(statSync(`/proc/${pid}`)).toMatchObject({ uid, gid: 4711 });
      expect((await get(server, '/who')).body.toString()).toContain(
        `(${uid}, ${uid}, ${uid}) (4711, 4711, 4711)`,
      );
      expect((await server.stop()).code).toBe(0);
      expect(existsSync(socket)).toBe(false);
    });
  });

  // The arbiter alone decides these, whatever workers it has; and a thread that an exception was raised in, or an interpreter, only Python has.
  if (kind === 'python') {
    describe('signals to the arbiter', () => {
      test('INT to every process at once, twice in an instant: requests in flight are finished', async () => {
        await using server = await start([]);
        const answer = get(server, '/sleep/0.8');
        await server.waitForLog('begun 0.8');
        for (const pid of [...server.tree(), ...server.tree()]) process.kill(pid, 'SIGINT');
        expect((await answer).status).toBe(200);
        expect(await server.exited).toEqual({ code: 0, signal: null });
      });

      test('Ctrl-C in a terminal: exit 0, and nothing that looks like an error', async () => {
        await using server = await start(['-w', '2'], { terminal: true });
        const answer = get(server, '/sleep/0.5');
        await server.waitForLog('begun 0.5');
        server.type('\x03');
        expect((await answer).status).toBe(200);
        expect(await server.exited).toEqual({ code: 0, signal: null });
        expect(server.log()).toContain('Stopped: 1 request finished');
        expect(server.log()).not.toMatch(NOISE);
      });

      test('a terminal that is closed stops the server gracefully', async () => {
        await using server = await start([], { terminal: true });
        const tree = server.tree().filter((pid) => pid !== server.pid);
        const answer = get(server, '/sleep/0.5');
        await server.waitForLog('begun 0.5');
        // With the terminal's program dies its end of the terminal.
        server.signal('SIGKILL');
        expect((await answer).status).toBe(200);
        await until('every process has ended', () => !tree.some(isAlive));
        expect(readdirSync(folder)).toEqual([]);
      });

      test('INT at once after TERM shortens the stop', async () => {
        await using server = await start([]);
        const answer = get(server, '/sleep/60');
        await server.waitForLog('begun 60');
        server.signal('SIGTERM');
        await server.waitForLog('Stopping (SIGTERM)');
        server.signal('SIGINT');
        await server.waitForLog('Stopping (SIGINT)');
        expect(await server.exited).toEqual({ code: 0, signal: null });
        expect((await answer).status).toBe(503);
      });

      test('a second INT, when the first has been taken in, kills at once', async () => {
        await using server = await start([]);
        const answer = get(server, '/sleep/60').catch((error: Error) => error);
        await server.waitForLog('begun 60');
        server.signal('SIGTERM');
        await server.waitForLog('Stopping (SIGTERM)');
        // What comes within a second counts as the same signal, passed on by npm or a shell.
        await until('it is stopped', () => {
          server.signal('SIGINT');
          return !isAlive(server.pid);
        });
        expect(await server.exited).toEqual({ code: 0, signal: null });
        await answer;
      });

      test('TTIN and TTOU: one more, one fewer, never none', async () => {
        await using server = await start(['-w', '1']);
        server.signal('SIGTTIN');
        await server.waitForLog('SIGTTIN: 2 workers from now on');
        await server.waitForLog(/Worker 2 \(pid \d+\) is ready/);
        server.signal('SIGTTOU');
        await server.waitForLog(/Worker 1 \(pid \d+\) ended with status 0/);
        server.signal('SIGTTOU');
        await server.waitForLog(/(?:SIGTTOU: 1 worker [\s\S]*){2}/);
        expect(await server.workers()).toHaveLength(1);
        expect((await get(server, '/')).status).toBe(200);
      });
    });

    describe('an application that fails', () => {
      test('later: told once, tried again with longer and longer pauses, and serves when it is mended', async () => {
        const broken = join(folder, 'broken');
        await using server = await start(['-w', '2'], { env: { BROKEN_BY: broken } });
        const [first] = await server.workers();
        writeFileSync(broken, '');
        process.kill(first ?? 0, 'SIGKILL');
        await server.waitForLog('The next one starts in 0.4 s');
        expect((await get(server, '/')).status).toBe(200);
        expect(server.log().match(/Traceback/g)).toHaveLength(1);
        expect(server.log().match(/could not load the application/g)?.length).toBeGreaterThanOrEqual(2);
        rmSync(broken);
        await server.waitForLog(/Worker \d+ \(pid \d+\) is ready/);
        expect(await server.workers()).toHaveLength(2);
      });
    });

    test('a worker over its timeout is replaced, and the kill is ours in the log', async () => {
      await using server = await start(['--timeout', '1']);
      const answer = await get(server, '/sleep/60');
      expect(answer.status).toBe(504);
      await server.waitForLog(/Worker 2 \(pid \d+\) is ready/);
      expect((await get(server, '/')).status).toBe(200);
      expect(server.log()).toMatch(/Timeout: GET \/sleep\/60 had no answer for 1 s/);
      expect(server.log()).not.toMatch(/kill -9|out of memory/);
    });

    describe('addresses', () => {
      test('a busy port is one clear message and exit 1', async () => {
        const busy = createServer().listen(0, '127.0.0.1');
        await new Promise((resolve) => busy.once('listening', resolve));
        const { port } = busy.address() as { port: number };
        await using server = await start(['-b', `127.0.0.1:${port}`]);
        expect(await server.exited).toEqual({ code: 1, signal: null });
        expect(server.log()).toContain(`Cannot listen on 127.0.0.1:${port}: the port is in use by`);
        expect(server.log()).not.toMatch(NOISE);
        busy.close();
      });

      test('what only the front can find out, when it listens, is told alike', async () => {
        const free = createServer().listen(0, '127.0.0.1');
        await new Promise((resolve) => free.once('listening', resolve));
        const { port } = free.address() as { port: number };
        await new Promise((resolve) => free.close(resolve));
        // Both can be bound (SO_REUSEADDR), but only one can listen.
        await using server = await start(['-b', `127.0.0.1:${port}`, '-b', `localhost:${port}`]);
        expect(await server.exited).toEqual({ code: 1, signal: null });
        expect(server.log()).toContain(`Cannot listen on localhost:${port}: the port is in use`);
        expect(server.log()).not.toContain('Listening at');
      });

      test('fd://3: a socket that another program opened', async () => {
        const opener = [
          'import os, socket, sys',
          's = socket.socket()',
          's.bind(("127.0.0.1", 0))',
          's.listen()',
          'os.dup2(s.fileno(), 3)',
          'os.set_inheritable(3, True)',
          'os.execv(sys.argv[1], sys.argv[1:])',
        ].join('\n');
        const command = ['python3', '-c', opener, `${ROOT}bin/tunicorn`];
        await using server = await start(['-b', 'fd://3'], { command });
        expect(server.log()).toMatch(/Listening at http:\/\/127\.0\.0\.1:\d+ \(fd:\/\/3\)/);
        expect((await get(server, '/')).status).toBe(200);
        expect((await server.stop()).code).toBe(0);
      });

      test('fd://3 that nobody passed on', async () => {
        await using server = await start(['-b', 'fd://3']);
        expect(await server.exited).toEqual({ code: 1, signal: null });
        expect(server.log()).toContain('Cannot listen on fd://3: no socket was passed on as descriptor 3.');
      });

      test('two fronts share the sockets and the workers', async () => {
        await using server = await start(['--fronts', '2', '-w', '4']);
        expect(await server.fronts()).toHaveLength(2);
        const pids = await Promise.all(Array.from({ length: 40 }, () => pidOf(server)));
        expect(pids.every((pid) => pid > 0)).toBe(true);
        process.kill((await server.fronts())[0] ?? 0, 'SIGKILL');
        await until('two fronts again', async () => (await server.fronts()).length === 2);
        expect((await server.stop()).code).toBe(0);
      });
    });

    describe.skipIf(process.geteuid?.() !== 0 || !existsSync('/usr/bin/python3'))('as root', () => {
      test('--user: an interpreter that the user cannot run is one clear message', async () => {
        const own = join(folder, 'python');
        writeFileSync(own, '#!/bin/sh\nexec /usr/bin/python3 "$@"\n', { mode: 0o700 });
        await using server = await start(['--user', 'nobody'], { python: own });
        expect(await server.exited).toEqual({ code: 1, signal: null });
        expect(server.log()).toMatch(/The Python at .* does not work\..*\n.*Permission denied/);
      });
    });
  }
});

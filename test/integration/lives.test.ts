/** The lives of workers, and what is run beside them, with real processes. Under load they are proved in proof/. */
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { fetchOnce } from '../support/client.ts';
import { KINDS, writeApp } from '../support/kinds.ts';
import { isAlive, type Server, startTunicorn } from '../support/tunicorn.ts';

const PYTHON_APP = `
import os, time
HERE = os.path.dirname(os.path.abspath(__file__))
def told(name):
    try:
        with open(os.path.join(HERE, name)) as file:
            return file.read().strip()
    except FileNotFoundError:
        return ""
def wait_for_somebody():
    while told("stuck"):
        time.sleep(0.05)
wait_for_somebody()
if told("broken"):
    raise RuntimeError("This deployment is broken")
TEXT = told("text")
def application(environ, start_response):
    environ["wsgi.errors"].write("asked %s\\n" % environ["PATH_INFO"])
    print("said %s" % environ["PATH_INFO"], flush=True)
    start_response("200 OK", [])
    return [("%d %s" % (os.getpid(), TEXT)).encode()]
`;

const NODE_APP = `
import { existsSync, readFileSync } from 'node:fs';
import type { Application } from 'tunicorn';
function told(name: string): string {
  const path = new URL(name, import.meta.url);
  return existsSync(path) ? readFileSync(path, 'utf8').trim() : '';
}
function waitForSomebody(): void {
  const lock = new Int32Array(new SharedArrayBuffer(4));
  while (told('stuck') !== '') Atomics.wait(lock, 0, 0, 50);
}
waitForSomebody();
if (told('broken')) throw new Error('This deployment is broken');
const TEXT = told('text');
const app: Application = (environ, startResponse) => {
  environ['wsgi.errors'].write(\`asked \${environ.PATH_INFO}\\n\`);
  console.log(\`said \${environ.PATH_INFO}\`);
  startResponse('200 OK', []);
  return [\`\${process.pid} \${TEXT}\`];
};
export default app;
`;

describe.each(KINDS)('%s workers', (kind) => {
  let site = '';
  let app = '';
  beforeEach(() => {
    site = mkdtempSync(join(tmpdir(), 'lives-'));
    app = writeApp(site, { kind, sources: { python: PYTHON_APP, node: NODE_APP } });
  });
  afterEach(() => rmSync(site, { recursive: true }));

  const tell = (name: string, text: string) => writeFileSync(join(site, name), text);
  const read = (name: string) => readFileSync(join(site, name), 'utf8');

  function start(args: readonly string[], more: { ready?: string | RegExp } = {}): Promise<Server> {
    return startTunicorn({ cwd: site, args: [...args, app], ...more });
  }

  async function get(server: Server, path = '/'): Promise<string> {
    const answer = await fetchOnce({ port: server.port }, path);
    return `${answer.status} ${answer.body}`;
  }

  const pidOf = async (server: Server) => Number((await get(server)).split(' ')[1]);

  describe('a worker that is stuck in its import', () => {
    // Node takes longer to start, on a busy machine, without being stuck.
    const bootTimeout = kind === 'python' ? '0.7' : '2';
    const WHERE =
      /was not ready after (0\.7|2) s \(--boot-timeout\): it is killed\. It was here:[\s\S]*(in wait_for_s|at waitForS)omebody/;

    test('at the first start: its stack, and exit 3', async () => {
      tell('stuck', 'yes');
      await using server = await start(['--boot-timeout', bootTimeout], { ready: WHERE });
      expect((await server.exited).code).toBe(3);
    });

    test('at a reload: refused with its stack, and the old one serves on', async () => {
      tell('text', 'old');
      await using server = await start(['--boot-timeout', bootTimeout]);
      tell('stuck', 'yes');
      tell('text', 'new');
      server.signal('SIGHUP');
      await server.waitForLog('The reload failed');
      expect(server.log()).toMatch(WHERE);
      expect(await get(server)).toMatch(/^200 \d+ old$/);
      rmSync(join(site, 'stuck'));
      server.signal('SIGHUP');
      await server.waitForLog('Reloaded: 1 worker of generation 3');
      expect(await get(server)).toMatch(/new$/);
    });

    test('later: told, and tried again until it is mended', async () => {
      await using server = await start(['--boot-timeout', bootTimeout]);
      const pid = await pidOf(server);
      tell('stuck', 'yes');
      process.kill(pid, 'SIGKILL');
      await server.waitForLog(WHERE);
      rmSync(join(site, 'stuck'));
      expect(await get(server)).toMatch(/^200/);
    });
  });

  describe('recycling', () => {
    test('--max-age', async () => {
      await using server = await start(['--max-age', '1.5']);
      const first = await pidOf(server);
      await server.waitForLog(/Worker 2 \(pid \d+\) is ready/);
      await server.waitForLog(/Worker 1 \(pid \d+\) ended with status 0/);
      expect(await pidOf(server)).not.toBe(first);
    });
  });

  describe('the number of workers', () => {
    test('0..2: the first request starts the first worker, and idleness ends it', async () => {
      await using server = await start(['-w', '0..2', '--scale-idle', '2']);
      expect(server.log()).toContain('Ready: 0 workers');
      expect(await server.workers()).toHaveLength(0);
      expect(await get(server)).toMatch(/^200/);
      expect(server.log()).toContain('1 worker from now on: a request waits');
      await server.waitForLog('0 workers from now on: one is spare');
      await server.waitForLog(/Worker 1 \(pid \d+\) ended with status 0/);
      expect(await get(server)).toMatch(/^200/);
    });
  });

  test('a reload that fails with a new number of workers keeps the old one, and what TTIN made of it meanwhile', async () => {
    tell('tunicorn.toml', 'workers = 1\n');
    await using server = await start([]);
    tell('tunicorn.toml', 'workers = 5\n');
    tell('stuck', 'yes');
    server.signal('SIGHUP');
    await expect.poll(async () => (await server.workers()).length, { timeout: 10_000 }).toBe(2);
    server.signal('SIGTTIN');
    await server.waitForLog('2 workers from now on');
    tell('broken', 'yes');
    rmSync(join(site, 'stuck'));
    await server.waitForLog('The reload failed');
    rmSync(join(site, 'broken'));
    server.signal('SIGTTIN');
    await server.waitForLog('3 workers from now on');
    await expect.poll(async () => (await server.workers()).length, { timeout: 10_000 }).toBe(3);
    server.signal('SIGHUP');
    await server.waitForLog('Reloaded: 5 workers of generation 3');
  });

  // The arbiter alone decides these, whatever workers it has.
  if (kind === 'python') {
    test('what TTIN made of it survives a reload, and a new configuration does not', async () => {
      tell('tunicorn.toml', 'workers = 1\n');
      await using server = await start([]);
      server.signal('SIGTTIN');
      await server.waitForLog(/Worker 2 \(pid \d+\) is ready/);
      server.signal('SIGHUP');
      await server.waitForLog('Reloaded: 2 workers of generation 2');
      tell('tunicorn.toml', 'workers = 3\n');
      server.signal('SIGHUP');
      await server.waitForLog('Reloaded: 3 workers of generation 3');
      await expect.poll(async () => (await server.workers()).length, { timeout: 10_000 }).toBe(3);
    });

    describe('a reload of the configuration', () => {
      test('takes up what it can, names what needs a restart, and refuses what is wrong', async () => {
        tell('tunicorn.toml', 'queue-size = 5\nname = "one"\nenv = { A = "1" }\n');
        await using server = await start([]);
        tell('tunicorn.toml', 'queue-size = 6\nname = "two"\n');
        server.signal('SIGHUP');
        await server.waitForLog('Reloaded: 1 worker of generation 2');
        expect(server.log()).toContain('--name has changed, and stays as it was until a restart.');
        tell('tunicorn.toml', 'queue-size = "many"\ntimeout_ = 3\n');
        server.signal('SIGHUP');
        await server.waitForLog('The reload was refused, and nothing has changed.');
        expect(server.log()).toMatch(/tunicorn\.toml:1[\s\S]*tunicorn\.toml:2/);
        expect(await get(server)).toMatch(/^200/);
      });
    });

    describe('commands', () => {
      test('--on-start comes before the first worker, --on-reload before the new ones, --on-exit at the end', async () => {
        const note = (word: string, more = 'true') => `echo ${word} >> order; ${more}`;
        await using server = await start([
          ...[
            '--on-start',
            note('start', 'echo prepared > text'),
            '--on-reload',
            note('reload', 'test ! -e forbidden'),
          ],
          ...['--on-exit', note('exit')],
        ]);
        expect(await get(server)).toMatch(/prepared$/);
        server.signal('SIGHUP');
        await server.waitForLog('Reloaded: ');
        tell('forbidden', '');
        server.signal('SIGHUP');
        await server.waitForLog(/The reload was refused.* The command of --on-reload ended with status 1/);
        server.signal('SIGTERM');
        expect((await server.exited).code).toBe(0);
        expect(read('order').trim().split('\n')).toEqual(['start', 'reload', 'reload', 'exit']);
      });

      test('when --on-start fails nothing starts; TERM ends it', async () => {
        await using failing = await start(['--on-start', 'echo no >&2; exit 7'], {
          ready: /The command of --on-start/,
        });
        expect((await failing.exited).code).toBe(1);
        expect(failing.log()).toMatch(/^no$/m);
        await using waiting = await start(['--on-start', 'echo begun >&2; sleep 60'], { ready: 'begun' });
        waiting.signal('SIGTERM');
        expect((await waiting.exited).code).toBe(0);
      });
    });
  }

  describe('signals', () => {
    test('WINCH lets fronts and workers end and keeps the socket; HUP brings them back', async () => {
      await using server = await start(['-w', '2']);
      const workers = await server.workers();
      server.signal('SIGWINCH');
      await server.waitForLog('fronts and workers finish and end');
      await expect.poll(() => workers.some(isAlive), { timeout: 10_000 }).toBe(false);
      await expect.poll(async () => (await server.fronts()).length, { timeout: 10_000 }).toBe(0);
      // The kernel takes it, and it waits.
      const waiting = get(server);
      server.signal('SIGHUP');
      expect(await waiting).toMatch(/^200/);
    });

    test('USR1: arbiter, front and worker write to the new files, and not a line is lost', async () => {
      await using server = await start(
        ['--error-logfile', 'error.log', '--access-logfile', 'access.log', '--capture-output'],
        { ready: /^$/ },
      );
      await expect
        .poll(() => existsSync(join(site, 'error.log')) && read('error.log'), { timeout: 20_000 })
        .toContain('Ready: ');
      const port = Number(/Listening at http:\/\/127\.0\.0\.1:(\d+)/.exec(read('error.log'))?.[1]);
      const ask = (path: string) => fetchOnce({ port }, path);
      await ask('/before');
      await expect.poll(() => read('access.log')).toContain('/before');
      for (const name of ['error.log', 'access.log']) renameSync(join(site, name), join(site, `${name}.1`));
      server.signal('SIGUSR1');
      await expect
        .poll(() => existsSync(join(site, 'error.log')) && read('error.log'), { timeout: 10_000 })
        .toContain('opened anew');
      let asked = 0;
      // The worker hears of it a moment later.
      await expect
        .poll(
          async () => {
            await ask(`/after/${asked++}`);
            return read('error.log');
          },
          { timeout: 10_000 },
        )
        .toContain('asked /after/');
      const lines = () => `${read('access.log.1')}${read('access.log')}`.match(/"GET /g)?.length;
      await expect.poll(lines).toBe(1 + asked);
      expect(read('access.log')).toContain(`/after/${asked - 1}`);
      const both = `${read('error.log.1')}${read('error.log')}`;
      for (const own of [/^asked /gm, /^said /gm]) expect(both.match(own)).toHaveLength(1 + asked);
      expect(read('error.log')).toContain(`said /after/${asked - 1}`);
    });
  });
});

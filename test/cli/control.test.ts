/** The control command against a real server, and against what may be there instead. */
import { execFile } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fetchOnce } from '../support/client.ts';
import {
  cleanEnvironment,
  hasModule,
  hasProgram,
  PYTHON,
  ROOT,
  type Server,
  startTunicorn,
} from '../support/tunicorn.ts';

const APP = `
import threading
lock = threading.Lock()
lock.acquire()
def wait_here():
    lock.acquire()
def application(environ, start_response):
    if environ["PATH_INFO"] == "/stuck":
        wait_here()
    start_response("200 OK", [])
    return [b"fine"]
`;

let site = '';
/** Where its private folder is made: no server of somebody else is seen. */
let runtime = '';
let server: Server;

interface Said {
  readonly code: number;
  readonly out: string;
  readonly error: string;
}

function tunicorn(
  args: readonly string[],
  more: { cwd?: string; env?: Record<string, string>; command?: string[] } = {},
): Promise<Said> {
  const { cwd = site, env = {}, command = [] } = more;
  const [program = '', ...words] = [...command, join(ROOT, 'bin/tunicorn'), ...args];
  const options = {
    cwd,
    env: cleanEnvironment({ XDG_RUNTIME_DIR: runtime, TMPDIR: runtime, ...env }),
    timeout: 50_000,
  };
  return new Promise((resolve) => {
    execFile(program, words, options, (error, out, said) => {
      resolve({ code: error === null ? 0 : Number(error.code), out, error: said });
    });
  });
}

const begin = (args: readonly string[] = []) =>
  startTunicorn({ cwd: site, args: [...args, 'app'], env: { XDG_RUNTIME_DIR: runtime, TMPDIR: runtime } });

beforeAll(async () => {
  site = mkdtempSync(join(tmpdir(), 'control-'));
  runtime = mkdtempSync('/tmp/run-');
  writeFileSync(join(site, 'app.py'), APP);
  server = await begin(['-w', '2', '--metrics', '127.0.0.1:0', '--pid', 'pid']);
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
  for (const folder of [site, runtime]) rmSync(folder, { recursive: true });
});

const status = async () => JSON.parse((await tunicorn(['status', '--json'])).out);

test('status: a page for people', async () => {
  await fetchOnce({ port: server.port }, '/');
  const { code, out } = await tunicorn(['status']);
  expect(code).toBe(0);
  expect(out).toMatch(
    /^app:application: serving for \d+ m?s, generation 1, 2 workers\nTunicorn [\d.]+, pid \d+, listening at http/,
  );
  expect(out).toMatch(/\n +1 +\d+ +1 +ready +.*MiB.*\n/);
  expect(out).toMatch(/queue: 0 waiting\nrequests: \d+ \(2xx \d+\)\n/);
});

test('status --json: figures for programs', async () => {
  expect(await status()).toMatchObject({
    pid: server.pid,
    app: 'app:application',
    folder: site,
    state: 'serving',
    target: 2,
    mounts: [{ prefix: '/', app: 'app:application', state: 'serving', target: 2 }],
    workers: [
      { state: 'ready', mount: '/', rss: expect.any(Number), lanes: [{ request: '' }] },
      { state: 'ready' },
    ],
    fronts: [{ state: 'listening', report: { mounts: [{ prefix: '/', waiting: 0 }] } }],
  });
});

test.skipIf(!hasModule('prometheus_client'))(
  'metrics: what Prometheus’ own parser reads, by command and over HTTP',
  async () => {
    await fetchOnce({ port: server.port }, '/');
    const url = /Metrics at http:\/\/127\.0\.0\.1:(\d+)\/metrics/.exec(server.log());
    const answer = await fetchOnce({ port: Number(url?.[1]) }, '/metrics');
    expect(answer.status).toBe(200);
    for (const text of [(await tunicorn(['status', '--prometheus'])).out, String(answer.body)]) {
      const parsed = JSON.parse(await parseMetrics(text)) as Record<
        string,
        [Record<string, string>, number][]
      >;
      expect(parsed.tunicorn_workers).toContainEqual([{ state: 'ready', mount: '/' }, 2]);
      expect(parsed.tunicorn_requests_total?.map(([labels]) => labels)).toContainEqual({
        status: '200',
        mount: '/',
      });
      const buckets = parsed.tunicorn_service_seconds_bucket ?? [];
      expect(buckets.at(-1)?.[0]).toEqual({ le: '+Inf', mount: '/' });
      expect(buckets.at(-1)?.[1]).toBe(parsed.tunicorn_service_seconds_count?.[0]?.[1]);
      expect(buckets.map(([, count]) => count)).toEqual(
        buckets.map(([, count]) => count).sort((a, b) => a - b),
      );
    }
    expect((await fetchOnce({ port: Number(url?.[1]) }, '/')).status).toBe(404);
    expect((await fetchOnce({ port: Number(url?.[1]) }, '/metrics', { method: 'POST' })).status).toBe(405);
  },
);

function parseMetrics(text: string): Promise<string> {
  const program = `
import json, sys
from prometheus_client.parser import text_string_to_metric_families
found = {}
for family in text_string_to_metric_families(sys.stdin.read()):
    for sample in family.samples:
        found.setdefault(sample.name, []).append([sample.labels, sample.value])
print(json.dumps(found))
`;
  return new Promise((resolve, reject) => {
    const child = execFile(PYTHON, ['-c', program], (error, out) =>
      error === null ? resolve(out) : reject(error),
    );
    child.stdin?.end(text);
  });
}

test('stacks: what is stuck where, and status: for how long; recycle gets rid of it', async () => {
  const stuck = fetchOnce({ port: server.port }, '/stuck', { method: 'POST', timeoutMs: 50_000 }).catch(
    () => null,
  );
  await expect
    .poll(async () => (await tunicorn(['stacks'])).out, { timeout: 20_000 })
    .toContain('in wait_here');
  const { out } = await tunicorn(['stacks']);
  expect(out).toMatch(/Worker \d+ \(pid \d+\)\nThread MainThread \(POST \/stuck\):\n[\s\S]*in wait_here/);
  expect((await tunicorn(['status'])).out).toMatch(/POST \/stuck for \d/);
  const busy = (await status()).workers.find(
    (worker: { lanes: { request: string }[] }) => worker.lanes[0]?.request,
  );
  const one = await tunicorn(['stacks', String(busy.id)]);
  expect(one.out.match(/^Worker /gm)).toHaveLength(1);
  process.kill(busy.pid, 'SIGKILL');
  await stuck;
});

test('scale, reload and recycle say what they did', async () => {
  expect(await tunicorn(['scale', '+1'])).toMatchObject({ code: 0, out: '3 workers from now on\n' });
  expect(await tunicorn(['scale', '-1'])).toMatchObject({ code: 0, out: '2 workers from now on\n' });
  expect(await tunicorn(['scale', '2..4'])).toMatchObject({ code: 0, out: '2 to 4 workers from now on\n' });
  expect(await tunicorn(['scale', '2'])).toMatchObject({ code: 0 });
  expect((await tunicorn(['reload'])).out).toMatch(/^Reloaded: 2 workers of generation 2 after [\d.]+ s\n$/);
  const [worker] = (await status()).workers.filter((each: { state: string }) => each.state === 'ready');
  expect((await tunicorn(['recycle', String(worker.id)])).out).toMatch(/has been replaced\.\n$/);
});

test('a reload that fails: status 1, and the traceback', async () => {
  writeFileSync(join(site, 'app.py'), `${APP}\nraise ValueError("a bug in the deployment")\n`);
  const { code, error } = await tunicorn(['reload']);
  writeFileSync(join(site, 'app.py'), APP);
  expect(code).toBe(1);
  expect(error).toMatch(
    /The reload failed: the new code cannot be loaded[\s\S]*ValueError: a bug in the deployment/,
  );
  expect((await fetchOnce({ port: server.port }, '/')).status).toBe(200);
});

describe('mistakes', () => {
  test.each([
    [['scale'], /This is not how it is called\.\n[\s\S]*tunicorn scale \+1/],
    [['scale', 'many'], /"many" is no number of workers\. Good ones are a whole number/],
    [['scale', '0'], /"0" is no number of workers/],
    [['recycle', 'one'], /"one" is no number of a worker/],
    [['recycle', '4711'], /There is no worker 4711: there are \d/],
    [['stacks', '4711'], /There is no worker 4711/],
    [['status', '--pid', '0999999'], /Process 999999 .*does not run/],
    [['status', '--pid', 'nowhere.pid'], /There is no pid file .*nowhere\.pid/],
    [['status', '--pid', 'app.py'], /app\.py is no pid file/],
    [['status', '--chdir', '/'], /No Tunicorn runs in \/\. Elsewhere there are:\n +--pid \d+ /],
  ])('%j', async (args, why) => {
    const { code, error, out } = await tunicorn(args);
    expect([code, out]).toEqual([1, '']);
    expect(error).toMatch(why);
    expect(error).not.toMatch(/^ +at /m);
  });

  test('nothing runs', async () => {
    const empty = mkdtempSync('/tmp/none-');
    const { code, error } = await tunicorn(['status'], {
      env: { XDG_RUNTIME_DIR: empty, TMPDIR: empty },
      cwd: empty,
    });
    rmSync(empty, { recursive: true });
    // Another test’s server may be seen in /tmp: then it is named.
    expect(code === 1 ? error : 'served').toMatch(/No Tunicorn runs here|Which server|served/);
  });
});

describe('the socket', () => {
  const control = async () => {
    const { folder } = await status();
    expect(folder).toBe(site);
    const { findServers } = await import('../../src/arbiter/runtime-dir.ts');
    process.env.XDG_RUNTIME_DIR = runtime;
    return findServers().find(({ pid }) => pid === server.pid)?.control ?? '';
  };

  test('is for its owner alone', async () => {
    expect(statSync(await control()).mode & 0o777).toBe(0o600);
  });

  test.each([
    ['no JSON', 'status\n'],
    ['an unknown order', '{"command":"explode"}\n'],
    ['a wrong type', '{"command":"recycle","worker":"7"}\n'],
    ['a list', '[]\n'],
    ['more than any order', `${'x'.repeat(5000)}`],
  ])('refuses %s, and goes on', async (_what, bytes) => {
    const socket = connect(await control());
    let text = '';
    socket.on('data', (data) => {
      text += data;
    });
    socket.write(bytes);
    await new Promise((resolve) => socket.once('close', resolve));
    expect(JSON.parse(text)).toEqual({ ok: false, text: 'This is no order that Tunicorn knows.' });
    expect((await tunicorn(['status'])).code).toBe(0);
  });
});

test('a pid file, or a number, names a server from anywhere', async () => {
  for (const pid of [join(site, 'pid'), String(server.pid)]) {
    expect((await tunicorn(['status', '--pid', pid], { cwd: '/' })).code).toBe(0);
  }
});

test('--pid finds a server that was started with other variables', async () => {
  const empty = mkdtempSync('/tmp/none-');
  const env = { XDG_RUNTIME_DIR: empty, TMPDIR: empty };
  const { code, out } = await tunicorn(['status', '--pid', join(site, 'pid')], { env, cwd: '/' });
  rmSync(empty, { recursive: true });
  expect([code, out]).toEqual([0, expect.stringContaining(`pid ${server.pid}`)]);
});

test.skipIf(process.geteuid?.() !== 0 || !hasProgram('setpriv'))(
  'a server of another user is named with its owner, and what to do',
  async () => {
    chmodSync(runtime, 0o755);
    const command = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'];
    const other = (args: readonly string[]) => tunicorn(args, { cwd: '/', command });
    expect(await other(['status'])).toMatchObject({
      code: 1,
      error: expect.stringMatching(
        new RegExp(
          `No Tunicorn of yours runs here\\.\n.*may not give orders.*sudo[\\s\\S]*--pid ${server.pid}    of root`,
        ),
      ),
    });
    expect((await other(['stop', '--pid', String(server.pid)])).error).toContain(
      `You may not give orders to process ${server.pid}: it is root’s; use sudo.`,
    );
    expect((await other(['status', '--pid', String(process.pid)])).error).toContain(
      'it is root’s; use sudo.',
    );
  },
);

test('a busy --metrics address is told like any other', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => other.once('listening', resolve));
  const { port } = other.address() as { port: number };
  const { code, error } = await tunicorn([
    '--python',
    PYTHON,
    '-b',
    '127.0.0.1:0',
    '--metrics',
    `127.0.0.1:${port}`,
    'app',
  ]);
  other.close();
  expect(code).toBe(1);
  expect(error).toMatch(new RegExp(`Cannot listen on 127\\.0\\.0\\.1:${port}: the port is in use`));
});

test('help for each command, and all of them in --help', async () => {
  const all = (await tunicorn(['--help'])).out;
  for (const name of ['status', 'reload', 'scale', 'stacks', 'recycle', 'stop', 'upgrade']) {
    expect(all).toContain(name);
    expect((await tunicorn([name, '--help'])).out).toMatch(new RegExp(`tunicorn ${name} `));
  }
});

test('stop waits for the end', async () => {
  const { code, out } = await tunicorn(['stop']);
  expect([code, out]).toEqual([0, expect.stringMatching(/^Stopped after [\d.]+ s\.\n$/)]);
  expect((await server.exited).code).toBe(0);
});

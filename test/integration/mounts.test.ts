/** Several applications in one server, with real processes: what happens to one never touches another. */
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Status } from '../../src/status.ts';
import { type Answer, fetchOnce } from '../support/client.ts';
import { startLoad } from '../support/load.ts';
import { isAlive, ROOT, type Server, startTunicorn } from '../support/tunicorn.ts';

/** Tells who it is and what it hears; `/sleep` takes its time, `/die` ends the process. */
const PYTHON_APP = `
import json, os, time
HERE = os.path.dirname(os.path.abspath(__file__))
if os.path.exists(os.path.join(HERE, "broken")):
    raise RuntimeError("This deployment is broken")
if os.path.exists(os.path.join(HERE, "dies")):
    os._exit(9)
VERSION = open(os.path.join(HERE, "version")).read()
open(os.path.join(HERE, "imported-" + VERSION[-1]), "w").close()
while os.path.exists(os.path.join(HERE, "slow")):
    time.sleep(0.02)
def application(environ, start_response):
    if environ["PATH_INFO"] == "/sleep":
        time.sleep(1.2)
    heard = {key: environ[key] for key in ("SCRIPT_NAME", "PATH_INFO", "RAW_URI")}
    heard.update(version=VERSION, pid=os.getpid(), folder=os.getcwd())
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(heard).encode()]
`;

const NODE_APP = `
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
const version = readFileSync(join(import.meta.dirname, 'version'), 'utf8');
export function application(environ: Record<string, string>, startResponse: (status: string, headers: [string, string][]) => void) {
  const heard = Object.fromEntries(['SCRIPT_NAME', 'PATH_INFO', 'RAW_URI'].map((key) => [key, environ[key]]));
  startResponse('200 OK', [['Content-Type', 'application/json']]);
  return [JSON.stringify({ ...heard, version, pid: process.pid })];
}
`;

interface Heard {
  readonly SCRIPT_NAME: string;
  readonly PATH_INFO: string;
  readonly RAW_URI: string;
  readonly version: string;
  readonly pid: number;
  readonly folder: string;
}

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'mounts-'));
  for (const name of ['site', 'api', 'faults']) mkdirSync(join(folder, name));
  for (const name of ['site', 'api']) {
    writeFileSync(join(folder, name, 'app.py'), PYTHON_APP);
    writeFileSync(join(folder, name, 'version'), `${name} 1`);
  }
  writeFileSync(join(folder, 'api', 'server.ts'), NODE_APP);
});
afterEach(() => rmSync(folder, { recursive: true }));

const tell = (name: string, text = '') => writeFileSync(join(folder, name), text);
const forget = (name: string) => rmSync(join(folder, name));

const SITE = '/=app chdir=site';
const API = '/api=app chdir=api';
const FAULTS = `/=faults chdir=${ROOT}test/apps workers=2`;

function start(mounts: readonly string[], args: readonly string[] = []): Promise<Server> {
  const all = mounts.flatMap((mount) => ['--mount', mount]);
  return startTunicorn({ cwd: folder, args: [...args, ...all], env: { FAULTS: join(folder, 'faults') } });
}

const get = (server: Server, path: string): Promise<Answer> => fetchOnce({ port: server.port }, path);

async function hear(server: Server, path: string): Promise<Heard> {
  const answer = await get(server, path);
  expect(answer.status).toBe(200);
  return JSON.parse(String(answer.body)) as Heard;
}

/** What a command says; its error when it fails. */
function command(server: Server, ...words: string[]): Promise<string> {
  return new Promise((resolve) => {
    execFile(`${ROOT}bin/tunicorn`, [...words, '--pid', String(server.pid)], (_error, out, complaint) =>
      resolve(out + complaint),
    );
  });
}

async function status(server: Server): Promise<Status> {
  return JSON.parse(await command(server, 'status', '--json')) as Status;
}

/** Pids of the workers of an application. */
async function workersOf(server: Server, mount: string): Promise<number[]> {
  const { workers } = await status(server);
  return workers.filter((worker) => worker.mount === mount && worker.state === 'ready').map(({ pid }) => pid);
}

test('each hears what lies under its prefix, and nobody what lies beside', async () => {
  await using server = await start(
    [API, '/shop/admin=app chdir=site'],
    ['--access-logfile', '-', '--access-logformat', 'ACCESS %(r)s %(s)s'],
  );
  expect(await hear(server, '/api')).toMatchObject({ SCRIPT_NAME: '/api', PATH_INFO: '', RAW_URI: '/api' });
  expect(await hear(server, '/api/x?y')).toMatchObject({
    SCRIPT_NAME: '/api',
    PATH_INFO: '/x',
    RAW_URI: '/api/x?y',
    version: 'api 1',
    folder: join(folder, 'api'),
  });
  expect(await hear(server, '/shop/admin/')).toMatchObject({ SCRIPT_NAME: '/shop/admin', version: 'site 1' });
  // An encoded slash or a `..` leads to whom PATH_INFO names.
  expect(await hear(server, '/api%2Fx')).toMatchObject({ SCRIPT_NAME: '/api', PATH_INFO: '/x' });
  expect(await hear(server, '/api/../shop/admin')).toMatchObject({ PATH_INFO: '/../shop/admin' });
  for (const path of ['/', '/apix', '/shop', '/shop/administrator', '/x/../api']) {
    const answer = await get(server, path);
    expect([path, answer.status, String(answer.body)]).toEqual([
      path,
      404,
      expect.stringContaining('There is no application under this path.'),
    ]);
  }
  await server.waitForLog('ACCESS GET /shop/administrator HTTP/1.1 404');
  const { totals, mounts } = await status(server);
  expect(totals.statuses['404']).toBe(5);
  expect(mounts.map((mount) => mount.totals.statuses)).toEqual([{ '200': 4 }, { '200': 1 }]);
});

test('each has its own workers and its own deadline', async () => {
  await using server = await start([`${API} workers=2 timeout=0.3`, SITE]);
  expect((await workersOf(server, '/api')).length).toBe(2);
  expect((await workersOf(server, '/')).length).toBe(1);
  const [quick, patient] = await Promise.all([get(server, '/api/sleep'), get(server, '/sleep')]);
  expect([quick.status, patient.status]).toEqual([504, 200]);
});

test('kill -9 of the workers of one while another is under load: not one of its requests fails', async () => {
  await using server = await start([FAULTS, `${API} workers=2`], ['--keep-alive', '75']);
  await using load = startLoad({ port: server.port, rate: 100, path: '/echo' });
  await load.answered(50);
  const before = await workersOf(server, '/');
  for (let round = 0; round < 3; round++) {
    for (const pid of await workersOf(server, '/api')) process.kill(pid, 'SIGKILL');
    await load.answered(50);
  }
  await expect.poll(() => workersOf(server, '/api'), { timeout: 20_000 }).toHaveLength(2);
  expect(await hear(server, '/api')).toMatchObject({ version: 'api 1' });
  const report = await load.stop();
  expect(report.fates()).toEqual({ ok: report.ok });
  expect(report.ok).toBeGreaterThan(200);
  expect(await workersOf(server, '/')).toEqual(before);
}, 90_000);

test('one that cannot be kept alive takes no other with it', async () => {
  await using server = await start([API, SITE]);
  tell('api/dies');
  for (const pid of await workersOf(server, '/api')) process.kill(pid, 'SIGKILL');
  await server.waitForLog('Degraded: workers of /api end before they have served');
  expect(await hear(server, '/x')).toMatchObject({ version: 'site 1' });
  const states = (await status(server)).mounts.map(({ prefix, state }) => [prefix, state]);
  expect(states).toEqual([
    ['/api', 'degraded'],
    ['/', 'serving'],
  ]);
  forget('api/dies');
  await server.waitForLog('Recovered: workers of /api serve again');
  expect(await hear(server, '/api')).toMatchObject({ version: 'api 1' });
});

describe('reload', () => {
  test('of one: the other keeps its workers', async () => {
    await using server = await start([API, SITE]);
    const [site] = await workersOf(server, '/');
    tell('api/version', 'api 2');
    tell('site/version', 'site 2');
    expect(await command(server, 'reload', '--mount', '/api')).toMatch(
      /^Reloaded: 1 worker of \/api, generation 2 after/,
    );
    expect(await hear(server, '/api')).toMatchObject({ version: 'api 2' });
    expect(await hear(server, '/')).toMatchObject({ version: 'site 1', pid: site });
    expect((await status(server)).mounts.map(({ generation }) => generation)).toEqual([2, 1]);
  });

  test('of all, where one is broken: it serves on as it was, the other is new', async () => {
    await using server = await start([API, SITE]);
    tell('api/broken');
    tell('site/version', 'site 2');
    server.signal('SIGHUP');
    await server.waitForLog('The reload of /api failed');
    await server.waitForLog('Reloaded: 1 worker of /, generation 2');
    expect(server.log()).toContain('This deployment is broken');
    expect(await hear(server, '/api')).toMatchObject({ version: 'api 1' });
    expect(await hear(server, '/')).toMatchObject({ version: 'site 2' });
  });

  test('takes up what the configuration says of one, and the server’s own', async () => {
    const file = (workers: number, keepAlive: number) => `
keep-alive = ${keepAlive}
[[mount]]
prefix = "/api"
app = "app"
chdir = "${folder}/api"
workers = ${workers}
[[mount]]
prefix = "/"
app = "app"
chdir = "${folder}/site"
`;
    tell('tunicorn.toml', file(1, 5));
    await using server = await start([]);
    tell('tunicorn.toml', file(2, 0));
    expect(await command(server, 'reload')).toMatch(/2 workers of \/api, generation 2.*1 worker of \//s);
    expect((await workersOf(server, '/api')).length).toBe(2);
    expect((await get(server, '/')).fields.join()).toMatch(/Connection,close/i);
    tell('tunicorn.toml', file(2, 0).replace('"/api"', '"/v2"'));
    expect(await command(server, 'reload')).toContain(
      '--mount has changed, and stays as it was until a restart.',
    );
    expect(await hear(server, '/api')).toMatchObject({ version: 'api 1' });
  });
});

test('at an upgrade the old one serves until each application of the new one can', async () => {
  await using server = await start([API, SITE]);
  tell('api/slow');
  for (const name of ['api', 'site']) tell(`${name}/version`, `${name} 2`);
  server.signal('SIGUSR2');
  for (const name of ['api', 'site'])
    await expect.poll(() => existsSync(join(folder, name, 'imported-2')), { timeout: 20_000 }).toBe(true);
  for (let i = 0; i < 100; i++) {
    expect(await hear(server, '/api')).toMatchObject({ version: 'api 1' });
    expect(await hear(server, '/')).toMatchObject({ version: 'site 1' });
  }
  forget('api/slow');
  const [, pid] = await server.waitForLog(/the new Tunicorn with pid (\d+) serves/);
  try {
    await server.stop();
    expect(await hear(server, '/api')).toMatchObject({ version: 'api 2' });
  } finally {
    process.kill(Number(pid), 'SIGTERM');
    await expect.poll(() => isAlive(Number(pid)), { timeout: 20_000 }).toBe(false);
  }
});

test('scale, stacks and status of one', async () => {
  await using server = await start([API, SITE]);
  expect(await command(server, 'scale', '2', '--mount', '/api')).toBe('2 workers of /api from now on\n');
  await expect.poll(() => workersOf(server, '/api'), { timeout: 20_000 }).toHaveLength(2);
  expect(await command(server, 'scale', '+1')).toContain('Which application? There are /api, /');
  expect(await command(server, 'status')).toMatch(
    /^\/api: app:application, serving, generation 1, 2 workers/m,
  );
  expect(await command(server, 'status', '--mount', '/')).not.toContain('/api');
  expect(await command(server, 'stacks', '--mount', '/')).toMatch(/^Worker \d+ of \/ \(pid/);
  expect(await command(server, 'reload', '--mount', '/nope')).toContain('Nothing is mounted at /nope.');
});

test('an application that cannot be loaded ends the start, and is named', async () => {
  tell('api/broken');
  await using server = await start([API, SITE]);
  expect((await server.exited).code).toBe(3);
  expect(server.log()).toContain('The application of /api cannot be loaded.');
  expect(server.log()).toContain('This deployment is broken');
});

test('--check-config judges each', async () => {
  tell('api/broken');
  await using server = await start([API, SITE], ['--check-config']);
  expect((await server.exited).code).toBe(3);
  expect(server.log()).toContain('The application of /api cannot be loaded.');
  expect(server.log()).toContain('Application of /: app:application');
});

test('with preload each is forked from its own', async () => {
  await using server = await start([`${API} preload workers=2`, `${SITE} preload`]);
  expect(await hear(server, '/api/x')).toMatchObject({ version: 'api 1', SCRIPT_NAME: '/api' });
  expect(await hear(server, '/x')).toMatchObject({ version: 'site 1', SCRIPT_NAME: '' });
  tell('site/version', 'site 2');
  expect(await command(server, 'reload', '--mount', '/')).toMatch(/^Reloaded: 1 worker of \/, generation 2/);
  expect(await hear(server, '/x')).toMatchObject({ version: 'site 2' });
});

test('a Python and a TypeScript application: each answers, reloads and dies for itself', async () => {
  await using server = await start([FAULTS, '/api=server.ts chdir=api workers=2'], ['--keep-alive', '75']);
  expect(await hear(server, '/api/x?y')).toMatchObject({
    SCRIPT_NAME: '/api',
    PATH_INFO: '/x',
    RAW_URI: '/api/x?y',
    version: 'api 1',
  });
  expect(await hear(server, '/api')).toMatchObject({ PATH_INFO: '' });
  await using load = startLoad({ port: server.port, rate: 100, path: '/echo' });
  await load.answered(50);
  for (const pid of await workersOf(server, '/api')) process.kill(pid, 'SIGKILL');
  await load.answered(50);
  tell('api/version', 'api 2');
  expect(await command(server, 'reload', '--mount', '/api')).toMatch(/^Reloaded: 2 workers of \/api/);
  expect(await hear(server, '/api')).toMatchObject({ version: 'api 2' });
  const report = await load.stop();
  expect(report.fates()).toEqual({ ok: report.ok });
  expect(report.ok).toBeGreaterThan(100);
  expect(readFileSync(join(folder, 'api', 'version'), 'utf8')).toBe('api 2');
}, 90_000);

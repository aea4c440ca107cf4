/** Answers that are files, by the real command: frameworks, slow clients, and processes that die. */
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { pattern, seeded } from '../front/harness.ts';
import { type Answer, connect, fetchOnce, field } from '../support/client.ts';
import { appArgs, type Kind } from '../support/kinds.ts';
import { hasModule, type Server, startTunicorn } from '../support/tunicorn.ts';

const LARGE = 100 * 1024 * 1024;
const TIMEOUT = { timeout: 20_000 };
const SIZES = [1, 10, 4096, 65_535, 65_536, 65_537, 300_000, 2_000_001];

let folder = '';
const contents = new Map<string, Buffer>();

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tunicorn-files-'));
  chmodSync(folder, 0o777);
  mkdirSync(join(folder, 'site'));
  for (const size of SIZES) contents.set(`of-${size}`, pattern(size, size));
  for (const [name, bytes] of contents) writeFileSync(join(folder, name), bytes);
  writeFileSync(join(folder, 'large'), pattern(LARGE));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const start = (...args: readonly string[]) => startKind('python', ...args);

function startKind(kind: Kind, ...args: readonly string[]): Promise<Server> {
  const files = ['--sendfile-root', folder, '--accel', `/protected/=${folder}`];
  return startTunicorn({ env: { FILES: folder }, args: [...files, ...args, ...appArgs(kind, 'files')] });
}

/** Files of the folder that a process has open. */
function openFiles(pid = 0): number {
  return readdirSync(`/proc/${pid}/fd`).filter((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`).startsWith(folder);
    } catch {
      return false;
    }
  }).length;
}

const WAYS = ['wrapped', 'temporary', 'sent', 'accel'];

/** A TypeScript application names its files: it has no `wsgi.file_wrapper`. */
const KINDS_AND_WAYS = [
  ...WAYS.map((way) => ['python', way] as const),
  ['node', 'sent'] as const,
  ['node', 'accel'] as const,
];

describe.each(KINDS_AND_WAYS)('%s worker, %s', (kind, way) => {
  test('every size comes whole, in parts, to HEAD and to HTTP/1.0', async () => {
    await using server = await startKind(kind);
    using client = await connect({ port: server.port });
    for (const [name, bytes] of contents) {
      const answer = await client.request('GET', `/${way}/${name}`);
      expect([answer.status, answer.framing, answer.body.equals(bytes)]).toEqual([200, 'length', true]);
      const head = await client.request('HEAD', `/${way}/${name}`, { head: true });
      expect(field(head, 'content-length')).toBe(String(bytes.length));
      const half = Math.floor(bytes.length / 2);
      const part = await client.request('GET', `/${way}/${name}`, { fields: { Range: `bytes=${half}-` } });
      expect([part.status, part.body.equals(bytes.subarray(half))]).toEqual([206, true]);
      await client.send(`GET /${way}/${name} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n`);
      expect((await client.read()).body.equals(bytes)).toBe(true);
    }
    // The prefix of --accel is nobody's to ask for: the application has no such path, and says so with an error.
    expect((await client.request('GET', '/protected/of-10')).status).toBe(500);
    for (const pid of [...(await server.workers()), ...(await server.fronts())]) {
      await vi.waitFor(() => expect(openFiles(pid)).toBe(0), TIMEOUT);
    }
  });
});

test.each(['wrapped', 'accel'])(
  '%s: while slow clients take 100 MB the one worker answers others',
  async (way) => {
    await using server = await start();
    const slow = await Promise.all(
      Array.from({ length: 3 }, async () => {
        const client = await connect({ port: server.port });
        await client.send(`GET /${way}/large HTTP/1.1\r\nHost: a\r\n\r\n`);
        await once(client.socket, 'data');
        client.socket.pause();
        return client;
      }),
    );
    const [worker = 0] = await server.workers();
    await vi.waitFor(() => expect(openFiles(worker)).toBe(0), TIMEOUT);
    for (let turn = 0; turn < 50; turn++) {
      expect(String((await fetchOnce({ port: server.port }, '/hello')).body)).toBe('hello');
    }
    // Not even its death matters to them.
    process.kill(worker, 'SIGKILL');
    const expected = pattern(LARGE);
    for (const client of slow) {
      client.socket.resume();
      expect((await client.read({ timeoutMs: 60_000 })).body.equals(expected)).toBe(true);
      client.close();
    }
  },
);

test('a front that is killed takes its downloads with it, and its workers hold nothing for it', async () => {
  await using server = await start();
  const client = await connect({ port: server.port });
  await client.send('GET /wrapped/large HTTP/1.1\r\nHost: a\r\n\r\n');
  await once(client.socket, 'data');
  client.socket.pause();
  const [front = 0] = await server.fronts();
  process.kill(front, 'SIGKILL');
  await vi.waitFor(async () => {
    const answer = await fetchOnce({ port: server.port }, '/wrapped/of-300000');
    expect(answer.body.equals(contents.get('of-300000') ?? Buffer.alloc(0))).toBe(true);
  }, TIMEOUT);
  for (const pid of await server.workers()) await vi.waitFor(() => expect(openFiles(pid)).toBe(0), TIMEOUT);
  client.close();
});

describe('a worker that others may not look into', () => {
  const rights = process.getuid?.() === 0 ? ['--user', 'nobody', '--python', '/usr/bin/python3'] : [];

  test('sends its files itself, each whole, and the log says why', async () => {
    await using server = await start(...rights);
    using client = await connect({ port: server.port });
    await client.request('GET', '/hide');
    for (const [name, bytes] of contents) {
      const answer = await client.request('GET', `/wrapped/${name}`);
      expect([answer.status, answer.body.equals(bytes)]).toEqual([200, true]);
      const head = await client.request('HEAD', `/wrapped/${name}`, { head: true });
      expect([head.status, head.body.length]).toEqual([200, 0]);
    }
    expect(server.log().match(/sends a file itself/g)).toHaveLength(1);
    const [worker = 0] = await server.workers();
    // Its own close() comes after the answer.
    if (process.getuid?.() === 0) await vi.waitFor(() => expect(openFiles(worker)).toBe(0), TIMEOUT);
  });

  test('many at once', async () => {
    await using server = await start(...rights);
    await fetchOnce({ port: server.port }, '/hide');
    const names = [...contents.keys()];
    const right = await Promise.all(
      Array.from({ length: 60 }, async (_, i) => {
        const name = names[i % names.length] ?? '';
        const target = i % 3 === 0 ? '/hello' : `/wrapped/${name}`;
        const { body } = await fetchOnce({ port: server.port }, target);
        return body.equals(i % 3 === 0 ? Buffer.from('hello') : (contents.get(name) ?? Buffer.alloc(0)));
      }),
    );
    expect(right).toEqual(Array.from({ length: 60 }, () => true));
  });
});

test('files among other requests while workers are killed: no byte is wrong', async () => {
  await using server = await start('-w', '3', '--queue-timeout', '60');
  const names = [...contents.keys()];
  const chance = seeded(7);
  let on = true;
  const tally = { right: 0, lost: 0, wrong: [] as string[] };
  const judge = (target: string, { status, body }: Answer, expected: Buffer) => {
    if (status === 502) tally.lost++;
    else if ((status === 200 || status === 206) && body.equals(expected)) tally.right++;
    else tally.wrong.push(`${target}: ${status}, ${body.length} bytes`);
  };
  const visit = async () => {
    using client = await connect({ port: server.port });
    while (on) {
      const name = names[chance(names.length)] ?? '';
      const bytes = contents.get(name) ?? Buffer.alloc(0);
      const kind = chance(6);
      const target = kind === 5 ? '/hello' : `/${WAYS[kind % 4]}/${name}`;
      const from = kind === 4 ? chance(bytes.length) : 0;
      const fields: Record<string, string> = kind === 4 ? { Range: `bytes=${from}-` } : {};
      const answer = await client.request('GET', target, { fields, timeoutMs: 60_000 });
      judge(target, answer, kind === 5 ? Buffer.from('hello') : bytes.subarray(from));
    }
  };
  const visitors = Array.from({ length: 12 }, visit);
  for (let kills = 0; kills < 10; kills++) {
    await sleep(300);
    const workers = await server.workers();
    const pid = workers[chance(workers.length)];
    if (pid !== undefined) process.kill(pid, 'SIGKILL');
  }
  on = false;
  await Promise.all(visitors);
  expect(tally.wrong).toEqual([]);
  expect(tally.right).toBeGreaterThan(200);
  // Each of the twelve may have been in the worker that was killed, twice.
  expect(tally.lost).toBeLessThan(20);
  for (const pid of await server.fronts()) await vi.waitFor(() => expect(openFiles(pid)).toBe(0), TIMEOUT);
});

describe.skipIf(!hasModule('django'))('Django', () => {
  const SITE = `
import os
from django.conf import settings
from django.core.files.base import File
from django.core.wsgi import get_wsgi_application
from django.http import FileResponse, HttpResponse
from django.urls import path
FILES = os.environ["FILES"]
settings.configure(SECRET_KEY="x", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, MIDDLEWARE=["django.middleware.common.CommonMiddleware"])
CLOSED = []
def download(request, name):
    return watch(FileResponse(open(os.path.join(FILES, name), "rb"), as_attachment=True))
def stored(request, name):
    return watch(FileResponse(File(open(os.path.join(FILES, name), "rb"))))
def accel(request, name):
    return HttpResponse(headers={"X-Accel-Redirect": "/protected/" + name, "Content-Type": "a/b"})
def closed(request):
    return HttpResponse(",".join(CLOSED))
def watch(response):
    close = response.close
    def closing():
        CLOSED.append("closed")
        close()
    response.close = closing
    return response
urlpatterns = [path("download/<name>", download), path("stored/<name>", stored), path("accel/<name>", accel), path("closed", closed)]
application = get_wsgi_application()
`;

  test('FileResponse and X-Accel-Redirect', async () => {
    writeFileSync(join(folder, 'site', 'djangosite.py'), SITE);
    await using server = await startTunicorn({
      cwd: join(folder, 'site'),
      env: { FILES: folder },
      args: ['--accel', `/protected/=${folder}`, 'djangosite'],
    });
    using client = await connect({ port: server.port });
    const bytes = contents.get('of-300000') ?? Buffer.alloc(0);
    for (const way of ['download', 'stored', 'accel']) {
      const whole = await client.request('GET', `/${way}/of-300000`);
      expect([whole.status, whole.framing, whole.body.equals(bytes)]).toEqual([200, 'length', true]);
      const part = await client.request('GET', `/${way}/of-300000`, { fields: { Range: 'bytes=-10' } });
      expect([part.status, part.body.equals(bytes.subarray(-10))]).toEqual([206, true]);
      const head = await client.request('HEAD', `/${way}/of-300000`, { head: true });
      expect([head.status, field(head, 'content-length')]).toEqual([200, '300000']);
      if (way === 'download')
        expect(field(whole, 'content-disposition')).toBe('attachment; filename="of-300000"');
    }
    // Three requests of each of the first two, and each response was closed, once.
    expect(String((await client.request('GET', '/closed')).body)).toBe(Array(6).fill('closed').join());
  });
});

describe.skipIf(!hasModule('flask'))('Flask', () => {
  const SITE = `
import io, os
from flask import Flask, send_file
FILES = os.environ["FILES"]
app = Flask(__name__)
@app.get("/download/<name>")
def download(name):
    return send_file(os.path.join(FILES, name), mimetype="a/b")
@app.get("/plain/<name>")
def plain(name):
    return send_file(os.path.join(FILES, name), mimetype="a/b", conditional=False, etag=False)
@app.get("/memory/<name>")
def memory(name):
    with open(os.path.join(FILES, name), "rb") as file:
        return send_file(io.BytesIO(file.read()), mimetype="a/b")
app.config["USE_X_SENDFILE"] = bool(os.environ.get("X_SENDFILE"))
`;

  test.each(['', '1'])('send_file, USE_X_SENDFILE=%s', async (sendfile) => {
    writeFileSync(join(folder, 'site', 'flasksite.py'), SITE);
    await using server = await startTunicorn({
      cwd: join(folder, 'site'),
      env: { FILES: folder, X_SENDFILE: sendfile },
      args: ['--sendfile-root', folder, 'flasksite:app'],
    });
    using client = await connect({ port: server.port });
    const bytes = contents.get('of-300000') ?? Buffer.alloc(0);
    for (const way of ['download', 'plain', 'memory']) {
      const whole = await client.request('GET', `/${way}/of-300000`);
      expect([whole.status, whole.framing, whole.body.equals(bytes)]).toEqual([200, 'length', true]);
      expect(field(whole, 'x-sendfile')).toBeUndefined();
      if (way === 'memory') continue;
      const part = await client.request('GET', `/${way}/of-300000`, { fields: { Range: 'bytes=5-9' } });
      expect([part.status, part.body.equals(bytes.subarray(5, 10))]).toEqual([206, true]);
    }
    const known = await client.request('GET', '/download/of-300000');
    const again = await client.request('GET', '/download/of-300000', {
      fields: { 'If-None-Match': field(known, 'etag') ?? '' },
    });
    expect([again.status, again.body.length]).toEqual([304, 0]);
  });
});

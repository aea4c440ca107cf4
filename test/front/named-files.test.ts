import { execFileSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { NamedFiles } from '../../src/front/named-files.ts';
import { FLAG, KIND } from '../../src/gateway/frames.ts';
import type { Fields } from '../../src/http/types.ts';
import { field } from '../support/client.ts';
import { Collector } from './collector.ts';
import { until } from './harness.ts';
import { openTheatre } from './theatre.ts';

const LONG_AGO = new Date('2024-02-29T12:00:00Z');

let base = '';
let files: NamedFiles;

beforeAll(() => {
  base = mkdtempSync(join(tmpdir(), 'tunicorn-named-'));
  for (const name of ['files/sub', 'files-not', 'more', 'top/files', 'outside']) {
    mkdirSync(join(base, name), { recursive: true });
  }
  write('secret.txt', 'secret');
  write('outside/secret.txt', 'secret');
  write('files-not/secret.txt', 'secret');
  write('files/a.pdf', 'a document');
  write('files/sub/b.txt', 'below');
  write('files/ä ö.txt', 'umlaut');
  write('files/100%25.txt', 'percent');
  write('files/what?.txt', 'question');
  write('files/.hidden', 'hidden');
  write('files/empty', '');
  write('more/c.txt', 'of the second folder');
  write('top/files/a.pdf', 'of the longer prefix');
  symlinkSync(join(base, 'secret.txt'), join(base, 'files', 'out.txt'));
  symlinkSync('../outside', join(base, 'files', 'up'));
  symlinkSync('a.pdf', join(base, 'files', 'in.pdf'));
  symlinkSync(join(base, 'more', 'c.txt'), join(base, 'files', 'other.txt'));
  symlinkSync(join(base, 'files'), join(base, 'current'));
  symlinkSync('loop', join(base, 'files', 'loop'));
  execFileSync('mkfifo', [join(base, 'files', 'fifo')]);
  files = new NamedFiles({
    sendfileRoot: [join(base, 'files'), join(base, 'more')],
    accel: [
      { prefix: '/p/', folder: join(base, 'files') },
      { prefix: '/p/', folder: join(base, 'more') },
      { prefix: '/p/top/', folder: join(base, 'top', 'files') },
      { prefix: '/current/', folder: join(base, 'current') },
    ],
  });
});
afterAll(() => rmSync(base, { recursive: true, force: true }));

function write(name: string, content: string): void {
  writeFileSync(join(base, name), content);
  utimesSync(join(base, name), LONG_AGO, LONG_AGO);
}

interface Asked {
  readonly header?: string;
  readonly method?: string;
  readonly fields?: Fields;
  readonly status?: string;
  /** Further fields of the application's. */
  readonly given?: Fields;
}

/** What becomes of an answer that names `value`. */
async function serve(value: string, asked: Asked & { readonly from?: NamedFiles } = {}) {
  const { header = 'X-Accel-Redirect', method = 'GET', fields = [], status = '200 OK', given = [] } = asked;
  const exchange = new Collector(method, { path: '/x', fields });
  const log: string[] = [];
  const { from = files } = asked;
  const named = from.find({ status, fields: [...given, header, value] });
  if (named === null) throw new Error('It names nothing.');
  from.serve(named, exchange, { title: 'GET /x', error: (message) => log.push(message) });
  await exchange.done;
  expect(openFiles()).toEqual([]);
  return { exchange, log: log.join('\n'), code: exchange.failure?.code ?? exchange.status };
}

function openFiles(): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const path = readlinkSync(`/proc/self/fd/${fd}`);
      return path.startsWith(base) ? [path] : [];
    } catch {
      return [];
    }
  });
}

/** As PEP 3333 has it: UTF-8 bytes shown as latin-1. */
const native = (text: string) => Buffer.from(text).toString('latin1');

describe('which answers name a file', () => {
  const only = (settings: { sendfile?: boolean; accel?: boolean }) =>
    NamedFiles.from({
      sendfileRoot: settings.sendfile === true ? ['/srv'] : [],
      accel: settings.accel === true ? [{ prefix: '/p/', folder: '/srv' }] : [],
    });

  test('none, where no folder is permitted', () => {
    expect(only({})).toBeNull();
  });

  test.each<[{ sendfile?: boolean; accel?: boolean }, Fields, string | undefined]>([
    [{ sendfile: true }, ['X-Sendfile', '/srv/a'], 'X-Sendfile'],
    [{ sendfile: true }, ['x-sendfile', '/srv/a'], 'X-Sendfile'],
    [{ sendfile: true }, ['X-Accel-Redirect', '/p/a'], undefined],
    [{ accel: true }, ['X-Accel-Redirect', '/p/a'], 'X-Accel-Redirect'],
    [{ accel: true }, ['X-ACCEL-REDIRECT', '/p/a'], 'X-Accel-Redirect'],
    [{ accel: true }, ['X-Sendfile', '/srv/a'], undefined],
    [{ accel: true }, ['Content-Type', 'x-accel-redirect'], undefined],
    [{ sendfile: true, accel: true }, ['X-Sendfile', '/a', 'X-Accel-Redirect', '/p/a'], 'X-Accel-Redirect'],
    [{ sendfile: true, accel: true }, ['Content-Type', 'a/b'], undefined],
  ])('%j %j: %s', (settings, fields, header) => {
    const found = only(settings)?.find({ status: '200 OK', fields });
    expect(found?.header).toBe(header);
    if (found !== null) expect(found?.response.fields).toEqual([]);
  });
});

describe('X-Accel-Redirect', () => {
  test.each([
    ['/p/a.pdf', 'a document'],
    ['/p/sub/b.txt', 'below'],
    ['/p/%61.pdf', 'a document'],
    ['/p/sub%2Fb.txt', 'below'],
    ['/p//sub///b.txt', 'below'],
    ['/p/./sub/./b.txt', 'below'],
    ['/p/%C3%A4%20%C3%B6.txt', 'umlaut'],
    [native('/p/ä ö.txt'), 'umlaut'],
    ['/p/\xe4 \xf6.txt', 'umlaut'],
    ['/p/100%2525.txt', 'percent'],
    ['/p/what%3F.txt', 'question'],
    ['/p/a.pdf?token=%2e%2e', 'a document'],
    ['/p/.hidden', 'hidden'],
    ['/p/in.pdf', 'a document'],
    ['/p/c.txt', 'of the second folder'],
    ['/p/top/a.pdf', 'of the longer prefix'],
    ['/current/a.pdf', 'a document'],
    ['/p/empty', ''],
  ])('%s', async (uri, content) => {
    const { exchange, log } = await serve(uri);
    expect([log, exchange.status, exchange.text]).toEqual(['', 200, content]);
    expect(exchange.field('content-length')).toBe(String(Buffer.byteLength(content)));
  });

  test.each([
    ['/p/none.txt', 'file-missing'],
    ['/p/', 'file-missing'],
    ['/p/sub', 'file-missing'],
    ['/p/sub/', 'file-missing'],
    ['/p/a.pdf/', 'file-missing'],
    ['/p/a.pdf/x', 'file-missing'],
    ['/p/loop', 'file-missing'],
    ['/p/fifo', 'file-missing'],
    [`/p/${'x'.repeat(300)}`, 'file-missing'],
    ['/p/out.txt', 'file-refused'],
    ['/p/up/secret.txt', 'file-refused'],
    ['/p/../secret.txt', 'file-refused'],
    ['/p/%2e%2e/secret.txt', 'file-refused'],
    ['/p/sub/..%2f..%2fsecret.txt', 'file-refused'],
    ['/p/sub/..', 'file-refused'],
    ['/p/../p/a.pdf', 'file-refused'],
    ['/p/a.pdf%00.txt', 'file-refused'],
    ['/q/a.pdf', 'file-refused'],
    ['/p', 'file-refused'],
    ['p/a.pdf', 'file-refused'],
    ['@named', 'file-refused'],
    ['http://127.0.0.1/p/a.pdf', 'file-refused'],
    ['', 'file-refused'],
  ])('%s: %s, and a line in the log that names it', async (uri, code) => {
    const { exchange, log, code: found } = await serve(uri);
    expect(found).toBe(code);
    expect(log.split('\n')).toHaveLength(1);
    expect(log).toContain(`X-Accel-Redirect: ${JSON.stringify(uri)} in the answer to GET /x is not sent: `);
    expect(exchange.text).not.toContain('secret');
  });
});

describe('X-Sendfile', () => {
  const ask = (path: string, asked: Asked = {}) =>
    serve(path.replace('BASE', base), { header: 'X-Sendfile', ...asked });

  test.each([
    ['BASE/files/a.pdf', 'a document'],
    ['BASE/files/sub/b.txt', 'below'],
    ['BASE/more/c.txt', 'of the second folder'],
    [native('BASE/files/ä ö.txt'), 'umlaut'],
    ['BASE/files/\xe4 \xf6.txt', 'umlaut'],
    ['BASE/files/100%25.txt', 'percent'],
    ['BASE/files/what?.txt', 'question'],
    ['BASE//files/./a.pdf', 'a document'],
    ['BASE/files/in.pdf', 'a document'],
    // By another name of the folder, and from one permitted folder into another.
    ['BASE/current/a.pdf', 'a document'],
    ['BASE/files/other.txt', 'of the second folder'],
  ])('%s', async (path, content) => {
    const { exchange, log } = await ask(path);
    expect([log, exchange.status, exchange.text]).toEqual(['', 200, content]);
  });

  test.each([
    ['BASE/files/none.txt', 'file-missing'],
    ['BASE/files', 'file-refused'],
    ['BASE/files/sub', 'file-missing'],
    ['BASE/files/fifo', 'file-missing'],
    ['BASE/files/loop', 'file-missing'],
    ['BASE/secret.txt', 'file-refused'],
    ['BASE/none.txt', 'file-refused'],
    ['BASE/files-not/secret.txt', 'file-refused'],
    ['BASE/files/out.txt', 'file-refused'],
    ['BASE/files/up/secret.txt', 'file-refused'],
    ['BASE/files/../secret.txt', 'file-refused'],
    ['BASE/files/sub/../a.pdf', 'file-refused'],
    ['BASE/files/%2e%2e/secret.txt', 'file-missing'],
    ['files/a.pdf', 'file-refused'],
    ['./a.pdf', 'file-refused'],
    ['/etc/passwd', 'file-refused'],
    ['/dev/zero', 'file-refused'],
    ['/proc/self/environ', 'file-refused'],
    ['', 'file-refused'],
  ])('%s: %s, and a line in the log', async (path, code) => {
    const { exchange, log, code: found } = await ask(path);
    expect(found).toBe(code);
    expect(log.split('\n')).toHaveLength(1);
    expect(log).toMatch(/ is not sent: .+ or .+\.$/);
    expect(exchange.text).not.toContain('secret');
  });

  test('a socket is no file', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(join(base, 'files', 'socket'), resolve));
    expect((await ask('BASE/files/socket')).code).toBe('file-missing');
    server.close();
  });

  test('of a folder that is turned to another version no other file is sent than the one named', async () => {
    for (const version of ['v1', 'v2']) {
      mkdirSync(join(base, version));
      write(`${version}/a.txt`, version);
    }
    const turned = join(base, 'turned');
    symlinkSync('v1', turned);
    const from = new NamedFiles({ sendfileRoot: [turned], accel: [] });
    const ask = (path: string) => serve(join(base, path), { header: 'X-Sendfile', from });
    expect((await ask('v1/a.txt')).exchange.text).toBe('v1');
    unlinkSync(turned);
    symlinkSync('v2', turned);
    expect((await ask('v1/a.txt')).exchange.text).not.toBe('v2');
    expect((await ask('turned/a.txt')).exchange.text).toBe('v2');
  });

  test('a file that is swapped for a symlink again and again never gives what that leads to', async () => {
    const path = join(base, 'files', 'swapped');
    let on = true;
    const swap = () => {
      for (let turn = 0; turn < 20; turn++) {
        symlinkSync(join(base, 'secret.txt'), `${path}.new`);
        renameSync(`${path}.new`, path);
        writeFileSync(`${path}.new`, 'good');
        renameSync(`${path}.new`, path);
      }
      if (on) setImmediate(swap);
    };
    swap();
    const texts = await Promise.all(
      Array.from({ length: 200 }, async () => {
        const exchange = new Collector('GET', { path: '/x', fields: [] });
        const named = files.find({ status: '200 OK', fields: ['X-Sendfile', path] });
        if (named !== null) files.serve(named, exchange, { title: '', error: () => {} });
        await exchange.done;
        return exchange.text;
      }),
    );
    on = false;
    expect(texts.filter((text) => text.includes('secret'))).toEqual([]);
    expect(new Set(texts).size).toBeGreaterThan(0);
    unlinkSync(path);
  });
});

describe('the head', () => {
  test("is the application's, with the file's length", async () => {
    const given = [
      ...['Content-Type', 'application/x-own', 'Content-Length', '5', 'Content-Disposition', 'attachment'],
      ...['Set-Cookie', 'a=1', 'Set-Cookie', 'b=2', 'Cache-Control', 'private', 'X-Sendfile', '/etc/passwd'],
    ];
    const { exchange } = await serve('/p/a.pdf', { given });
    expect(exchange.response.fields).toEqual([
      ...['Content-Type', 'application/x-own', 'Content-Disposition', 'attachment'],
      ...['Set-Cookie', 'a=1', 'Set-Cookie', 'b=2', 'Cache-Control', 'private'],
      ...['ETag', expect.any(String), 'Last-Modified', 'Thu, 29 Feb 2024 12:00:00 GMT'],
      ...['Content-Length', '10', 'Accept-Ranges', 'bytes'],
    ]);
  });

  test('says what the application left out', async () => {
    const { exchange } = await serve('/p/a.pdf');
    expect(exchange.field('content-type')).toBe('application/pdf');
    const own = await serve('/p/a.pdf', { given: ['etag', '"own"'] });
    expect(own.exchange.field('etag')).toBe('"own"');
    expect(own.exchange.field('last-modified')).toBe('Thu, 29 Feb 2024 12:00:00 GMT');
  });

  test('keeps its status, and then nothing is divided', async () => {
    const { exchange } = await serve('/p/a.pdf', { status: '404 Not Found', fields: ['range', 'bytes=0-1'] });
    expect([exchange.status, exchange.text]).toEqual([404, 'a document']);
  });

  test.each<[string, Fields, Fields, number, string]>([
    ['Range', [], ['range', 'bytes=2-4'], 206, 'doc'],
    ['Range beyond the end', [], ['range', 'bytes=10-'], 416, ''],
    ['Range of an encoded file', ['Content-Encoding', 'gzip'], ['range', 'bytes=2-4'], 200, 'a document'],
    [
      'Range of an encoded file, beyond its end',
      ['Content-Encoding', 'gzip'],
      ['range', 'bytes=99-'],
      200,
      'a document',
    ],
    ['If-None-Match', ['ETag', '"own"'], ['if-none-match', '"own"'], 304, ''],
    ['If-None-Match of another', ['ETag', '"own"'], ['if-none-match', '"x"'], 200, 'a document'],
    ['If-Modified-Since', [], ['if-modified-since', 'Thu, 29 Feb 2024 12:00:00 GMT'], 304, ''],
    [
      "If-Modified-Since the application's time",
      ['Last-Modified', 'Fri, 01 Mar 2024 12:00:00 GMT'],
      ['if-modified-since', 'Thu, 29 Feb 2024 12:00:00 GMT'],
      200,
      'a document',
    ],
    ['If-Match', ['ETag', '"own"'], ['if-match', '"x"'], 412, ''],
    ['If-Range', ['ETag', '"own"'], ['range', 'bytes=2-4', 'if-range', '"own"'], 206, 'doc'],
    ['If-Range of another', ['ETag', '"own"'], ['range', 'bytes=2-4', 'if-range', '"x"'], 200, 'a document'],
  ])('%s', async (_name, given, fields, status, text) => {
    const { exchange } = await serve('/p/a.pdf', { given, fields });
    expect(exchange.status).toBe(status);
    if (status < 400) expect(exchange.text).toBe(text);
  });

  test('a part that the application has worked out is worked out anew', async () => {
    const given = ['Content-Range', 'bytes 2-4/10', 'Content-Length', '3'];
    const part = await serve('/p/a.pdf', {
      status: '206 Partial Content',
      given,
      fields: ['range', 'bytes=2-4'],
    });
    expect([part.exchange.status, part.exchange.text]).toEqual([206, 'doc']);
    expect(
      part.exchange.response.fields.filter((name) => name.toLowerCase() === 'content-range'),
    ).toHaveLength(1);
    const whole = await serve('/p/a.pdf', { status: '206 Partial Content', given });
    expect([whole.exchange.status, whole.exchange.text]).toEqual([200, 'a document']);
  });

  test('304 says nothing of the body', async () => {
    const given = [
      'Content-Type',
      'a/b',
      'Content-Disposition',
      'inline',
      'ETag',
      '"own"',
      'Set-Cookie',
      'a=1',
    ];
    const { exchange } = await serve('/p/a.pdf', { given, fields: ['if-none-match', '"own"'] });
    expect(exchange.response.fields).toEqual([
      ...['ETag', '"own"', 'Set-Cookie', 'a=1', 'Last-Modified', 'Thu, 29 Feb 2024 12:00:00 GMT'],
    ]);
  });

  test.each(['POST', 'PUT'])('%s gets the whole file, whatever it asks', async (method) => {
    const { exchange } = await serve('/p/a.pdf', {
      method,
      fields: ['range', 'bytes=0-1', 'if-none-match', '*'],
    });
    expect([exchange.status, exchange.text]).toEqual([200, 'a document']);
  });

  test('HEAD gets the head', async () => {
    const { exchange } = await serve('/p/a.pdf', { method: 'HEAD' });
    expect([exchange.status, exchange.text, exchange.field('content-length')]).toEqual([200, '', '10']);
  });
});

describe('in a front', () => {
  const settings = () => ({ accel: [{ prefix: '/p/', folder: join(base, 'files') }] });

  test('the body that the application gives is dropped, and it is asked for no more of it', async () => {
    await using theatre = await openTheatre(settings());
    const worker = await theatre.worker();
    const client = await theatre.ask('/x');
    await until(() => expect(worker.lane.kinds()).toEqual([KIND.REQUEST]));
    worker.lane.send(KIND.RESPONSE, {
      id: 1,
      head: ['200 OK', 'X-Accel-Redirect', '/p/a.pdf'],
      body: 'never',
    });
    expect(String((await client.read()).body)).toBe('a document');
    await until(() => expect(worker.control.kinds()).toEqual([KIND.ABANDON]));
    // The next on the same connection waits for the lane, not for the client.
    const second = client.request('GET', '/y');
    worker.lane.send(KIND.BODY, { id: 1, body: 'never' });
    worker.lane.send(KIND.BODY, { id: 1, flags: FLAG.LAST });
    await until(() => expect(worker.lane.frames.at(-1)?.id).toBe(2));
    worker.lane.answer(2, 'second');
    expect(String((await second).body)).toBe('second');
  });

  test.each([
    [
      'the application fails in its body',
      (worker: { lane: { send(kind: number, o: object): void } }) => worker.lane.send(KIND.FAILED, { id: 1 }),
    ],
    ['its worker dies', (worker: { die(): void }) => worker.die()],
  ] as const)('%s: the file is sent all the same', async (_name, end) => {
    await using theatre = await openTheatre({ ...settings(), retry: 'safe' });
    writeFileSync(join(base, 'files', 'large'), Buffer.alloc(20_000_000, 1));
    const worker = await theatre.worker();
    const client = await theatre.stage.connect();
    client.socket.pause();
    await client.send('GET /x HTTP/1.1\r\nHost: a\r\n\r\n');
    await until(() => expect(worker.lane.kinds()).toEqual([KIND.REQUEST]));
    worker.lane.send(KIND.RESPONSE, { id: 1, head: ['200 OK', 'X-Accel-Redirect', '/p/large'] });
    // The sender waits for the client.
    await until(() => expect(theatre.stage.room.used.memory).toBeGreaterThan(0));
    await new Promise((resolve) => setTimeout(resolve, 50));
    end(worker as never);
    await until(() =>
      expect(
        theatre.dispatcher.crew
          .report()
          .flatMap(({ lanes }) => lanes.filter(({ request }) => request !== '')),
      ).toEqual([]),
    );
    client.socket.resume();
    expect((await client.read()).body.length).toBe(20_000_000);
    expect(theatre.log).toEqual([]);
    await until(() => expect(openFiles()).toEqual([]));
  });

  test('a deadline of the application has no say over the file', async () => {
    await using theatre = await openTheatre({ ...settings(), timeout: 0.2 });
    writeFileSync(join(base, 'files', 'large'), Buffer.alloc(20_000_000, 1));
    const worker = await theatre.worker();
    const client = await theatre.stage.connect();
    client.socket.pause();
    await client.send('GET /x HTTP/1.1\r\nHost: a\r\n\r\n');
    await until(() => expect(worker.lane.kinds()).toEqual([KIND.REQUEST]));
    worker.lane.send(KIND.RESPONSE, { id: 1, head: ['200 OK', 'X-Accel-Redirect', '/p/large'] });
    await until(() => expect(theatre.stuck).not.toEqual([]));
    client.socket.resume();
    expect((await client.read()).body.length).toBe(20_000_000);
  });

  test('refusals are logged, and answered by a page that names nothing', async () => {
    await using theatre = await openTheatre(settings());
    await theatre.worker({
      onRequest: (frame, wire) =>
        wire.send(KIND.RESPONSE, {
          id: frame.id,
          flags: FLAG.LAST,
          head: ['200 OK', 'X-Accel-Redirect', frame.head.includes('/none') ? '/p/none' : '/q/secret'],
        }),
    });
    for (const [target, status] of [
      ['/none', 404],
      ['/other', 500],
    ] as const) {
      const answer = await (await theatre.ask(target)).read();
      expect(answer.status).toBe(status);
      expect(String(answer.body)).not.toContain('/q/');
      expect(field(answer, 'x-accel-redirect')).toBeUndefined();
    }
    expect(theatre.log).toHaveLength(2);
  });

  test('a head that may not be sent ends nothing', async () => {
    await using theatre = await openTheatre(settings());
    await theatre.worker({
      onRequest: (frame, wire) =>
        wire.send(KIND.RESPONSE, {
          id: frame.id,
          flags: FLAG.LAST,
          head: ['200 OK', 'X-Accel-Redirect', '/p/a.pdf', 'X-A', 'a\x01'],
        }),
    });
    const client = await theatre.stage.connect();
    expect((await client.request('GET', '/x')).status).toBe(500);
    const known = await client.request('GET', '/x', { fields: { 'If-None-Match': '*' } });
    expect(known.status).toBe(500);
    expect(theatre.log).toHaveLength(2);
  });

  test('with neither option the headers pass through untouched, with their body', async () => {
    await using theatre = await openTheatre();
    const head = ['200 OK', 'X-Accel-Redirect', '/p/a.pdf', 'X-Sendfile', '/etc/passwd'];
    await theatre.worker({
      onRequest: (frame, wire) =>
        wire.send(KIND.RESPONSE, { id: frame.id, flags: FLAG.LAST, head, body: 'its own' }),
    });
    const answer = await (await theatre.ask('/x')).read();
    expect([field(answer, 'x-accel-redirect'), field(answer, 'x-sendfile'), String(answer.body)]).toEqual([
      '/p/a.pdf',
      '/etc/passwd',
      'its own',
    ]);
  });

  test('it is obeyed also where the application gives another file as its body', async () => {
    await using theatre = await openTheatre(settings());
    const worker = await theatre.worker({
      pid: process.pid,
      onRequest: (frame, wire) => {
        const head = ['200 OK', 'X-Accel-Redirect', '/p/a.pdf'];
        const words = ['fd', '0', 'dev', '1', 'ino', '1', 'offset', '0', 'length', '5'];
        wire.send(KIND.FILE, { id: frame.id, flags: FLAG.LAST, head, body: words.join('\0') });
      },
    });
    const client = await theatre.stage.connect();
    const answer = await client.request('GET', '/x');
    expect([String(answer.body), field(answer, 'x-accel-redirect')]).toEqual(['a document', undefined]);
    await until(() => expect(worker.lane.kinds()).toEqual([KIND.REQUEST, KIND.OPENED]));
    expect((await client.request('GET', '/x')).status).toBe(200);
  });

  test('a reload can permit it', async () => {
    await using theatre = await openTheatre();
    await theatre.worker({
      onRequest: (frame, wire) =>
        wire.send(KIND.RESPONSE, {
          id: frame.id,
          flags: FLAG.LAST,
          head: ['200 OK', 'X-Accel-Redirect', '/p/a.pdf'],
        }),
    });
    expect(String((await (await theatre.ask('/x')).read()).body)).toBe('');
    theatre.configure(settings());
    expect(String((await (await theatre.ask('/x')).read()).body)).toBe('a document');
  });
});

import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { StaticFiles } from '../../src/front/static.ts';
import type { Fields } from '../../src/http/types.ts';
import { Collector } from './collector.ts';

const LONG_AGO = new Date('2024-02-29T12:00:00.500Z');
const BIG = Buffer.alloc(1_000_003, 'abcdefghijklmnopqrstuvwxyz');

let base = '';
let files: StaticFiles;

beforeAll(() => {
  base = mkdtempSync(join(tmpdir(), 'tunicorn-static-'));
  const folder = join(base, 'public');
  mkdirSync(join(folder, 'css'), { recursive: true });
  mkdirSync(join(folder, '.git'));
  mkdirSync(join(folder, '.well-known'));
  mkdirSync(join(base, 'public-not'));
  mkdirSync(join(base, 'second', 'css'), { recursive: true });
  write('secret.txt', 'secret');
  write('public-not/secret.txt', 'secret');
  write('public/hello.txt', 'Heyo');
  write('public/css/site.css', 'body { color: red }');
  write('public/empty.bin', '');
  write('public/big.bin', BIG);
  write('public/edge.bin', BIG.subarray(0, 64 * 1024));
  write('public/.env', 'secret');
  write('public/.git/config', 'secret');
  write('public/.well-known/security.txt', 'mail us');
  write('public/ä ö.txt', 'umlaut');
  write('public/100%25.txt', 'percent');
  write('public/back\\slash.txt', 'x');
  write('second/css/other.css', 'p {}');
  write('second/hello.txt', 'shadowed');
  symlinkSync('../hello.txt', join(folder, 'css', 'inside.txt'));
  symlinkSync(join(base, 'secret.txt'), join(folder, 'out.txt'));
  symlinkSync(base, join(folder, 'up'));
  symlinkSync('../public-not/secret.txt', join(folder, 'beside.txt'));
  symlinkSync('loop', join(folder, 'loop'));
  symlinkSync(folder, join(base, 'current'));
  files = new StaticFiles([{ prefix: '/static/', folders: [folder, join(base, 'second')] }]);
});

afterAll(() => rmSync(base, { recursive: true, force: true }));

function write(name: string, content: string | Buffer): void {
  writeFileSync(join(base, name), content);
  utimesSync(join(base, name), LONG_AGO, LONG_AGO);
}

function begin(
  path: string,
  {
    method = 'GET',
    fields = [],
    from = files,
  }: { method?: string; fields?: Fields; from?: StaticFiles } = {},
): Collector {
  const exchange = new Collector(method, { path, fields });
  const match = from.match(path);
  if (match === null) throw new Error(`${path} is not covered.`);
  from.serve(match, exchange);
  return exchange;
}

async function get(path: string, options: Parameters<typeof begin>[1] = {}): Promise<Collector> {
  const exchange = begin(path, options);
  await exchange.done;
  expect(exchange.released).toBe(1);
  return exchange;
}

/** How many files below the test's folder this process has open. */
function openFiles(): number {
  return readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith(base);
    } catch {
      return false;
    }
  }).length;
}

async function allClosed(): Promise<void> {
  await vi.waitFor(() => expect(openFiles()).toBe(0), { timeout: 20_000 });
}

describe('a file', () => {
  test('comes with type, length and validators', async () => {
    const answer = await get('/static/hello.txt');
    expect(answer.response).toEqual({
      status: '200 OK',
      fields: [
        'Content-Type',
        'text/plain; charset=utf-8',
        'ETag',
        expect.stringMatching(/^"[0-9a-z]+-4"$/),
        'Last-Modified',
        'Thu, 29 Feb 2024 12:00:00 GMT',
        'X-Content-Type-Options',
        'nosniff',
        'Content-Length',
        '4',
        'Accept-Ranges',
        'bytes',
      ],
    });
    expect(answer.text).toBe('Heyo');
    expect(answer.chunks).toHaveLength(1);
  });

  test('HEAD has the same fields and no body', async () => {
    const [head, whole] = [await get('/static/big.bin', { method: 'HEAD' }), await get('/static/big.bin')];
    expect(head.response).toEqual(whole.response);
    expect(head.text).toBe('');
  });

  test.each(['POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'TRACE'])('%s is not allowed', async (method) => {
    const answer = await get('/static/hello.txt', { method });
    expect([answer.status, answer.field('allow')]).toEqual([405, 'GET, HEAD']);
  });

  test.each([
    ['empty.bin', ''],
    ['edge.bin', BIG.toString('utf8', 0, 64 * 1024)],
    ['big.bin', BIG.toString()],
    ['css/site.css', 'body { color: red }'],
    ['css/inside.txt', 'Heyo'],
    ['%C3%A4%20%c3%b6.txt', 'umlaut'],
    ['100%2525.txt', 'percent'],
    ['css//site.css', 'body { color: red }'],
    ['/hello.txt', 'Heyo'],
    ['css%2Fsite.css', 'body { color: red }'],
    ['.well-known/security.txt', 'mail us'],
    ['css/other.css', 'p {}'],
  ])('%s is served byte for byte', async (name, content) => {
    const answer = await get(`/static/${name}`);
    expect(answer.status).toBe(200);
    expect(answer.field('content-length')).toBe(String(Buffer.byteLength(content)));
    expect(answer.text === content).toBe(true);
  });

  test.each([
    ['a.css', 'text/css; charset=utf-8'],
    ['a.js', 'text/javascript; charset=utf-8'],
    ['a.mjs', 'text/javascript; charset=utf-8'],
    ['a.HTML', 'text/html; charset=utf-8'],
    ['a.svg', 'image/svg+xml'],
    ['a.json', 'application/json'],
    ['a.xml', 'text/xml'],
    ['a.png', 'image/png'],
    ['a.ico', 'image/x-icon'],
    ['a.woff2', 'font/woff2'],
    ['a.wasm', 'application/wasm'],
    ['a.tar.gz', 'application/gzip'],
    ['a.unheard', 'application/octet-stream'],
    ['js', 'application/octet-stream'],
    ['a.', 'application/octet-stream'],
  ])('%s is %s', async (name, type) => {
    write(`second/${name}`, '');
    expect((await get(`/static/${name}`)).field('content-type')).toBe(type);
  });
});

describe('no way out of the folder', () => {
  test.each([
    '../secret.txt',
    '%2e%2e/secret.txt',
    '%2E%2E%2Fsecret.txt',
    '..%2fsecret.txt',
    '..%5csecret.txt',
    '..\\secret.txt',
    '%252e%252e/secret.txt',
    '%252e%252e%252fsecret.txt',
    '..%c0%afsecret.txt',
    '%c0%ae%c0%ae/secret.txt',
    '..;/secret.txt',
    'css/../../secret.txt',
    'css/../hello.txt',
    './hello.txt',
    '%2e/hello.txt',
    'out.txt',
    'up/secret.txt',
    'up/public/hello.txt/../../../secret.txt',
    'beside.txt',
    'loop',
    '%2Fetc/passwd',
    '/etc/passwd',
    '//etc/passwd',
    'hello.txt%00.css',
    'back%5cslash.txt',
    '.env',
    '.git/config',
    '%2egit/config',
    'css/.well-known/x',
    '',
    '/',
    'css',
    'css/',
    'hello.txt/',
    'hello.txt/x',
    'none.txt',
    'x'.repeat(300),
    `${'x/'.repeat(3000)}x`,
  ])('%s is not found', async (name) => {
    const answer = await get(`/static/${name}`);
    expect(answer.status).toBe(404);
    expect(answer.text).not.toContain('secret');
    await allClosed();
  });

  test('a symlink that leads back in is good', async () => {
    expect((await get('/static/up/public/hello.txt')).status).toBe(200);
  });

  test('any mix of parts stays inside', async () => {
    const part = fc.constantFrom(
      '..',
      '.',
      '/',
      '%2e',
      '%2f',
      '%5c',
      '\\',
      'css',
      'up',
      'out.txt',
      '%25',
      'secret.txt',
      '%00',
      '%ff',
      'public',
    );
    await fc.assert(
      fc.asyncProperty(fc.array(part, { maxLength: 8 }), async (parts) => {
        expect((await get(`/static/${parts.join('')}`)).text).not.toContain('secret');
      }),
      { numRuns: 300 },
    );
  });

  test('a FIFO and a socket are not opened as files', async () => {
    execFileSync('mkfifo', [join(base, 'public', 'fifo')]);
    expect((await get('/static/fifo')).status).toBe(404);
    symlinkSync('/dev/zero', join(base, 'public', 'zero'));
    expect((await get('/static/zero')).status).toBe(404);
  });

  test.skipIf(process.getuid?.() === 0)('what may not be read is forbidden', async () => {
    write('public/locked.txt', 'secret');
    chmodSync(join(base, 'public', 'locked.txt'), 0);
    expect((await get('/static/locked.txt')).status).toBe(403);
  });
});

describe('mounts', () => {
  test.each(['/', '/staticx/a', '/static', '/other', '/STATIC/hello.txt', '//static/hello.txt', '*'])(
    '%s is not covered',
    (path) => {
      expect(files.match(path)).toBeNull();
    },
  );

  test('an encoded prefix is the same prefix', async () => {
    expect((await get('/st%61tic/hello.txt')).text).toBe('Heyo');
  });

  test('folders of one prefix are looked through in order', async () => {
    expect((await get('/static/hello.txt')).text).toBe('Heyo');
    expect((await get('/static/css/other.css')).text).toBe('p {}');
    const two = new StaticFiles([
      { prefix: '/s/', folders: [join(base, 'second')] },
      { prefix: '/s/', folders: [join(base, 'public')] },
    ]);
    expect((await get('/s/hello.txt', { from: two })).text).toBe('shadowed');
    expect((await get('/s/css/site.css', { from: two })).status).toBe(200);
  });

  test('the longer prefix comes first, the shorter after it', async () => {
    const from = new StaticFiles([
      { prefix: '/', folders: [join(base, 'public')] },
      { prefix: '/css/', folders: [join(base, 'second')] },
    ]);
    expect((await get('/css/hello.txt', { from })).text).toBe('shadowed');
    expect((await get('/css/site.css', { from })).status).toBe(200);
  });

  test('a folder that is swapped for another is followed', async () => {
    const from = new StaticFiles([{ prefix: '/', folders: [join(base, 'current')] }]);
    expect((await get('/hello.txt', { from })).text).toBe('Heyo');
    rmSync(join(base, 'current'));
    symlinkSync(join(base, 'second'), join(base, 'current'));
    expect((await get('/hello.txt', { from })).text).toBe('shadowed');
    expect((await get('/css/other.css', { from })).status).toBe(200);
  });

  test('a folder that is not there has no files', async () => {
    const from = new StaticFiles([{ prefix: '/', folders: [join(base, 'nowhere')] }]);
    expect((await get('/hello.txt', { from })).status).toBe(404);
  });
});

describe('conditions and ranges', () => {
  test('304 has the validators and no body', async () => {
    const etag = (await get('/static/hello.txt')).field('etag') ?? '';
    const answer = await get('/static/hello.txt', { fields: ['if-none-match', `"x", W/${etag}`] });
    expect(answer.response).toEqual({
      status: '304 Not Modified',
      fields: [
        ...['ETag', etag, 'Last-Modified', 'Thu, 29 Feb 2024 12:00:00 GMT'],
        ...['X-Content-Type-Options', 'nosniff'],
      ],
    });
    expect(answer.text).toBe('');
    await allClosed();
  });

  test.each([
    ['bytes=0-3', 206, 'bytes 0-3/1000003', 'abcd'],
    ['bytes=1000001-', 206, 'bytes 1000001-1000002/1000003', BIG.toString('utf8', 1_000_001)],
    ['bytes=-2', 206, 'bytes 1000001-1000002/1000003', BIG.toString('utf8', 1_000_001)],
    ['bytes=100-200099', 206, 'bytes 100-200099/1000003', BIG.toString('utf8', 100, 200_100)],
    ['bytes=1000003-', 416, 'bytes */1000003', null],
    ['bytes=0-1,5-6', 200, undefined, BIG.toString()],
  ])('%s', async (range, status, contentRange, content) => {
    const answer = await get('/static/big.bin', { fields: ['range', range] });
    expect([answer.status, answer.field('content-range')]).toEqual([status, contentRange]);
    if (content === null) return;
    expect(answer.field('content-length')).toBe(String(content.length));
    expect(answer.text === content).toBe(true);
    await allClosed();
  });

  test('412 when the file is another', async () => {
    expect((await get('/static/hello.txt', { fields: ['if-match', '"other"'] })).status).toBe(412);
  });

  test('the tag is weak while the file is fresh, and changes with its content', async () => {
    writeFileSync(join(base, 'second', 'fresh.txt'), 'one');
    const first = (await get('/static/fresh.txt')).field('etag');
    expect(first).toMatch(/^W\/"/);
    writeFileSync(join(base, 'second', 'fresh.txt'), 'three');
    expect((await get('/static/fresh.txt')).field('etag')).not.toBe(first);
  });

  test('a time in the future is now', async () => {
    writeFileSync(join(base, 'second', 'future.txt'), 'x');
    utimesSync(join(base, 'second', 'future.txt'), new Date('2100-01-01'), new Date('2100-01-01'));
    const modified = Date.parse((await get('/static/future.txt')).field('last-modified') ?? '');
    expect(modified).toBeLessThanOrEqual(Date.now());
  });
});

describe('a slow client', () => {
  function beginSlow(): Collector {
    const exchange = new Collector('GET', { path: '/static/big.bin', fields: [] });
    exchange.slow = true;
    const match = files.match('/static/big.bin');
    if (match !== null) files.serve(match, exchange);
    return exchange;
  }

  test('is not read ahead for, and gets every byte', async () => {
    const exchange = beginSlow();
    for (let taken = 1; !exchange.gone; taken += 1) {
      await vi.waitFor(() => expect(exchange.gone || exchange.onDrain !== null).toBe(true), {
        timeout: 20_000,
      });
      expect(exchange.chunks).toHaveLength(taken);
      exchange.onDrain?.();
    }
    expect(exchange.text === BIG.toString()).toBe(true);
    await allClosed();
  });

  test('may leave while it is waited for: the file is closed', async () => {
    const exchange = beginSlow();
    await vi.waitFor(() => expect(exchange.onDrain).not.toBeNull(), { timeout: 20_000 });
    expect(openFiles()).toBe(1);
    exchange.leave();
    await allClosed();
  });

  test('may leave while the file is opened or read', async () => {
    const early = beginSlow();
    early.leave();
    const later = beginSlow();
    await vi.waitFor(() => expect(later.onDrain).not.toBeNull(), { timeout: 20_000 });
    later.onDrain?.();
    later.gone = true;
    await allClosed();
  });

  test('is cut when the file shrinks meanwhile, and gets no more when it grows', async () => {
    for (const change of [
      () => truncateSync(join(base, 'second', 'log'), 70_000),
      () => appendFileSync(join(base, 'second', 'log'), 'more'),
    ]) {
      write('second/log', BIG);
      const exchange = begin('/static/log');
      exchange.slow = true;
      await vi.waitFor(() => expect(exchange.onDrain).not.toBeNull(), { timeout: 20_000 });
      change();
      exchange.slow = false;
      exchange.onDrain?.();
      await exchange.done;
      if (exchange.failure === null) expect(exchange.text === BIG.toString()).toBe(true);
      else expect([exchange.failure.code, exchange.text.length]).toEqual(['file-failed', 70_000]);
      await allClosed();
    }
  });
});

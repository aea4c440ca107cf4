/** The library over real sockets, in this process and in a Node worker, with bodies in memory and spooled. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeServer } from '../../src/index.ts';
import { ROOT, startTunicorn } from '../support/tunicorn.ts';

interface Running {
  readonly url: string;
  /** All that the server and the application logged; the server has ended. */
  stop(): Promise<string>;
}

async function startInProcess(): Promise<Running> {
  let log = '';
  const { write } = process.stderr;
  process.stderr.write = (text: string | Uint8Array) => {
    log += String(text);
    return true;
  };
  const { app } = await import('../apps/library.ts');
  const server = makeServer('127.0.0.1', 0, app);
  const served = server.serveForever();
  await server.ready;
  const stop = async () => {
    await server.shutdown();
    await served;
    process.stderr.write = write;
    return log;
  };
  return { url: `http://127.0.0.1:${server.serverPort}`, stop };
}

async function startCommand(): Promise<Running> {
  const server = await startTunicorn({ args: [join(ROOT, 'test/apps/library.ts:app')], cwd: ROOT });
  const stop = async () => {
    await server.stop();
    return server.log();
  };
  return { url: server.url, stop };
}

const BIG = Buffer.alloc(3_000_000, 'a line of text\n');
const SHA256 = createHash('sha256').update(BIG).digest('hex');

describe.each([
  ['makeServer', startInProcess],
  ['a Node worker', startCommand],
])('in %s', (_, start) => {
  let running: Running;
  let log = '';
  beforeAll(async () => {
    running = await start();
  });
  afterAll(async () => {
    log ||= await running.stop();
  });

  const post = async (path: string, body: NonNullable<RequestInit['body']>) =>
    (await fetch(running.url + path, { method: 'POST', body })).json();

  test('a form with a file that is spooled', async () => {
    const form = new FormData();
    form.append('name', 'é');
    form.append('upload', new Blob([BIG]), 'línes.txt');
    expect(await post('/form', form)).toEqual([
      ['name', 'é'],
      ['upload', 'línes.txt', SHA256],
    ]);
  });

  test('a form of fields', async () => {
    expect(await post('/form', new URLSearchParams({ a: '1 é', b: '' }))).toEqual([
      ['a', '1 é'],
      ['b', ''],
    ]);
  });

  test('json and text, short and spooled', async () => {
    expect(await post('/json', '{"a": ["é"]}')).toEqual({ a: ['é'] });
    const long = Array(100_000).fill('é');
    expect(await post('/json', JSON.stringify(long))).toEqual(long);
    expect(await post('/text', 'é'.repeat(500_000))).toBe(500_000);
  });

  test('a stream, piece by piece', async () => {
    const { sha256, longest } = (await post('/stream', BIG)) as { sha256: string; longest: number };
    expect(sha256).toBe(SHA256);
    expect(longest).toBeLessThanOrEqual(64 * 1024);
  });

  test('prefixes and ids', async () => {
    const answer = await fetch(`${running.url}/where/to%20go?a=1`, { headers: { 'X-Request-ID': 'mine' } });
    const id = answer.headers.get('x-request-id');
    expect(id).toMatch(/^[0-9a-f-]{36}$/);
    expect(await answer.text()).toBe(`/where|/to go|${id}`);
    expect((await fetch(`${running.url}/nowhere`)).status).toBe(404);
  });

  test('a body in parts, and one for HEAD', async () => {
    expect(await (await fetch(`${running.url}/parts`)).text()).toBe('onetwo');
    expect((await fetch(`${running.url}/where`, { method: 'HEAD' })).status).toBe(200);
  });

  test('the access log has a line for each, and the validator nothing to say', async () => {
    log = await running.stop();
    const lines = log.split('\n').filter((line) => line.startsWith('accessed'));
    expect(lines).toHaveLength(10);
    expect(lines).toContain('accessed "GET /parts HTTP/1.1" 200 6');
    expect(lines).toContain('accessed "HEAD /where HTTP/1.1" 200 0');
    expect(lines).toContain('accessed "GET /nowhere HTTP/1.1" 404 14');
    expect(log).not.toMatch(/WsgiViolation|WsgiWarning|warns|Error in the application/);
  });
});

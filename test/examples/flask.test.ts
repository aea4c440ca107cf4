import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hasModule, ROOT, type Server, startTunicorn } from '../support/tunicorn.ts';
import { Visitor } from './visitor.ts';

const FOLDER = join(ROOT, 'examples/flask');

describe.skipIf(!hasModule('flask')).each([
  ['app:app', []],
  ['app', ['--threads', '4']],
])('the Flask example as %s %j', (app, args) => {
  let server: Server;
  let visitor: Visitor;

  beforeAll(async () => {
    const env = { PYTHONDONTWRITEBYTECODE: '1' };
    server = await startTunicorn({ args: [...args, app], cwd: FOLDER, env });
    visitor = new Visitor(server.url);
  });
  afterAll(() => server[Symbol.asyncDispose]());

  test('is named in the log', () => {
    expect(server.log()).toMatch(/Application app:app \(Flask \d\.\d+/);
  });

  test('every link of its page works', async () => {
    const { text } = await visitor.get('/');
    const links = [...text.matchAll(/href="([^"]+)"/g)].map((match) => match[1] ?? '');
    expect(links.length).toBeGreaterThan(3);
    for (const link of links) {
      const path = link.replace('?from=5', '?from=5&pause=0');
      expect([link, (await visitor.get(path)).status]).toEqual([link, 200]);
    }
  });

  test('answers JSON with JSON', async () => {
    const query = await visitor.get('/api/echo?name=Heyo&name=x');
    expect(JSON.parse(query.text)).toEqual({
      method: 'GET',
      query: { name: 'Heyo' },
      json: null,
      remote: '127.0.0.1',
    });
    const response = await fetch(`${server.url}/api/echo`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ word: 'Grüß Gott', list: [1, 2] }),
    });
    expect(await response.json()).toMatchObject({
      method: 'POST',
      json: { word: 'Grüß Gott', list: [1, 2] },
    });
  });

  test('sends each line of a generator when it is made', async () => {
    const response = await fetch(`${server.url}/countdown?from=3&pause=0.3`);
    const times: number[] = [];
    let text = '';
    for await (const chunk of response.body ?? []) {
      text += Buffer.from(chunk).toString();
      times.push(performance.now());
    }
    expect(text).toBe('3\n2\n1\nHeyo\n');
    // Three pauses: gathered lines would have come at once.
    expect(times.length).toBeGreaterThan(1);
    expect((times.at(-1) ?? 0) - (times[0] ?? 0)).toBeGreaterThan(250);
  });

  test('goes on when a client leaves in the middle of a countdown', async () => {
    const abort = new AbortController();
    const response = await fetch(`${server.url}/countdown?from=60&pause=0.05`, { signal: abort.signal });
    await response.body?.getReader().read();
    abort.abort();
    expect((await visitor.get('/')).status).toBe(200);
  });

  test('sends files whole, in parts, and not again', async () => {
    const path = '/download/100000';
    const whole = await visitor.get(path);
    expect(whole.headers.get('content-disposition')).toBe('attachment; filename=lines-100000.txt');
    expect(whole.text.split('\n')).toHaveLength(100_001);
    expect(whole.text.endsWith('line 100000\n')).toBe(true);
    const part = await visitor.get(path, { range: 'bytes=7-13' });
    expect([part.status, part.text]).toEqual([206, 'line 2\n']);
    const etag = whole.headers.get('etag') ?? '';
    expect((await visitor.get(path, { 'if-none-match': etag })).status).toBe(304);
    const source = await visitor.get('/download/this-file');
    expect(source.body.equals(readFileSync(join(FOLDER, 'app.py')))).toBe(true);
  });
});

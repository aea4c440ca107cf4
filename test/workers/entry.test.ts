import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import express from 'express';
import fastify from 'fastify';
import { H3 } from 'h3';
import { Hono } from 'hono';
import Koa from 'koa';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { recognize } from '../../src/workers/application-kind.ts';
import { loadEntry, parseSpec } from '../../src/workers/entry.ts';

describe('what a value is', () => {
  // biome-ignore format: one a line
  test.each<[string, unknown]>([
    ['WSGI', (environ: object, startResponse: () => void) => [environ, startResponse]],
    ['WSGI', function* (_environ: object, _start: () => void) { yield 'a'; }],
    ['WSGI', async () => []],
    ['WSGI', function app(environ: object) { return [environ]; }],
    ['Node listener', (req: object, res: object) => [req, res]],
    ['Node listener', async function handler(request: object, response: object) { return [request, response]; }],
    ['Node listener', (_req: object, res: object) => res],
    ['Express', express()],
    ['Koa', new Koa()],
    ['Fastify', fastify()],
    ['Hono', new Hono()],
    ['H3', new H3()],
    ['fetch', { fetch: () => new Response() }],
    ['http.Server', createServer(() => {})],
  ])('%s', (kind, value) => {
    expect(recognize(value)?.kind).toBe(kind);
  });

  test.each([undefined, null, 1, 'text', {}, [], { app: () => {} }])('%j is none', (value) => {
    expect(recognize(value)).toBe(null);
  });
});

test.each([
  ['server.ts', 'server.ts', ''],
  ['src/server.mts:app', 'src/server.mts', 'app'],
  ['/a:b/server.js:default', '/a:b/server.js', 'default'],
  ['./a.cjs', './a.cjs', ''],
])('%s', (spec, file, name) => {
  expect(parseSpec(spec)).toEqual({ file, name });
});

describe('a file', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'entry-'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  let count = 0;
  function write(text: string, ending = 'mjs'): string {
    const name = `entry${count++}.${ending}`;
    writeFileSync(join(folder, name), text);
    return name;
  }

  const load = (text: string, { ending = 'mjs', name = '' } = {}) =>
    loadEntry(`${write(text, ending)}${name}`, folder);

  test('its default comes first, then the usual names', async () => {
    const wsgi = '(environ, startResponse) => []';
    expect((await load(`export const app = () => []; export default ${wsgi};`)).name).toMatch(
      /^entry\d+\.mjs$/,
    );
    expect((await load(`export const app = ${wsgi}; export const handler = 1;`)).name).toMatch(/mjs:app$/);
    expect((await load(`export const application = ${wsgi};`)).name).toMatch(/mjs:application$/);
    expect((await load(`export default { fetch: () => {} }`)).kind).toBe('fetch');
    const both = `export const a = ${wsgi}; export const b = (req, res) => {};`;
    expect((await load(both, { name: ':b' })).kind).toBe('Node listener');
  });

  test('CommonJS: all of module.exports, or one of its names', async () => {
    expect((await load('module.exports = (req, res) => {};', { ending: 'cjs' })).kind).toBe('Node listener');
    const named = await load('exports["app"] = (environ, start) => [];', { ending: 'cjs' });
    expect([named.kind, named.name]).toEqual(['WSGI', expect.stringMatching(/cjs:app$/)]);
  });

  const none = /exports no application\. /;
  test.each<[string, string, string, RegExp]>([
    [
      'nothing',
      'const a = 1;',
      '',
      /It exports nothing at all\. Export as default a WSGI application, an object with fetch/,
    ],
    [
      'other things',
      "export const a = 1, b = 'x', c = new Map();",
      '',
      /It exports a \(a number\), b \(a string\), c \(a Map\)\./,
    ],
    ['a default that is none', 'export default 42;', '', none],
    [
      'no such name',
      'export const app = () => [];',
      ':other',
      /nothing by the name of other\. It exports app \(a function\)\./,
    ],
    [
      'a name that is none',
      'export const other = 42;',
      ':other',
      /:other is a number\. It should be a WSGI application/,
    ],
    [
      'a server that listens',
      "import { createServer } from 'node:http'; const s = createServer(() => {}).listen(0); s.unref(); await new Promise((r) => s.once('listening', r)); export default s;",
      '',
      /The server listens already\. Leave its listen\(\) out/,
    ],
    [
      'a server without listener',
      "import { createServer } from 'node:http'; export default createServer();",
      '',
      /no listener for requests/,
    ],
  ])('%s is told', async (_, text, name, message) => {
    await expect(load(text, { name })).rejects.toThrow(message);
  });

  test('a program that listens by itself is told what to do', () => {
    const file = write("import { createServer } from 'node:http'; createServer(() => {}).listen(0);");
    const entry = new URL('../../dist/workers/entry.js', import.meta.url).href;
    const program = `import('${entry}').then((m) => m.loadEntry('${file}', '${folder}')).catch((e) => { console.log(e.message); process.exit(); });`;
    const told = execFileSync(process.execPath, ['-e', program], { encoding: 'utf8' });
    expect(told).toMatch(/exports nothing at all.*The file listens by itself: export the server/s);
  });

  test('one that is not there, and one that fails', async () => {
    await expect(loadEntry('nowhere.ts', folder)).rejects.toThrow(`There is no file ${folder}/nowhere.ts.`);
    await expect(load("throw new Error('at its import');")).rejects.toThrow('at its import');
  });
});

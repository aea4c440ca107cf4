/** What somebody gets who installs the npm package: the tarball, in an empty folder. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { publint } from 'publint';
import { rolldown } from 'rolldown';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fetchOnce } from '../support/client.ts';
import { makeDjangoProject } from '../support/project.ts';
import { cleanEnvironment, hasModule, ROOT, startTunicorn } from '../support/tunicorn.ts';

interface Packed {
  readonly filename: string;
  readonly files: readonly { readonly path: string }[];
}

let folder: string;
let files: readonly string[];
let tarball: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'pack-'));
  // Without its scripts: what is built is fresh already, and their output would be in the JSON.
  const output = npm(ROOT, 'pack', '--json', '--ignore-scripts', '--pack-destination', folder);
  // npm 11 gives a list, later ones an object by name.
  const packed = Object.values(JSON.parse(output) as Record<string, Packed>)[0];
  tarball = join(folder, packed?.filename ?? '');
  files = packed?.files.map(({ path }) => path) ?? [];
  writeFileSync(join(folder, 'package.json'), '{ "private": true, "type": "module" }');
  npm(folder, 'install', '--no-audit', '--no-fund', `./${packed?.filename}`);
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

function npm(cwd: string, ...args: string[]): string {
  return execFileSync('npm', args, {
    cwd,
    encoding: 'utf8',
    env: cleanEnvironment(),
    stdio: ['ignore', 'pipe', 2],
  });
}

const installed = (path: string) => join(folder, 'node_modules/tunicorn', path);

test('the tarball holds what is needed', () => {
  const needed = [
    'README.md',
    'LICENSE',
    'CHANGELOG.md',
    'bin/tunicorn',
    'bin/require-node.cjs',
    'dist/index.js',
    'dist/index.d.ts',
    'dist/front/main.js',
    'dist/examples/heyo-ts/heyo.js',
    'python/tunicorn-worker.py',
    'python/tunicorn/__init__.py',
    'examples/heyo/heyo.py',
    'scripts/start.mjs',
  ];
  expect(needed.filter((path) => !files.includes(path))).toEqual([]);
});

test('and no junk', () => {
  const junk =
    /^(src|test|bench|node_modules|\.)|\.(pyc|map|tgz|log|sqlite3)$|__pycache__|\.(venv|cache|stamp)|\.test\./;
  expect(files.filter((path) => junk.test(path))).toEqual([]);
});

test('the command says its version, and can be executed', () => {
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
  const command = join(folder, 'node_modules/.bin/tunicorn');
  expect(execFileSync(command, ['--version'], { encoding: 'utf8' })).toContain(version);
  expect(statSync(installed('bin/tunicorn')).mode & 0o111).toBe(0o111);
});

test('a program can import it', () => {
  const program = `import { makeServer } from 'tunicorn'; console.log(typeof makeServer);`;
  const output = execFileSync(process.execPath, ['--input-type=module', '-e', program], {
    cwd: folder,
    encoding: 'utf8',
  });
  expect(output).toBe('function\n');
});

test('of an application that fails there, its own part of the stack is told', () => {
  const program = `import { makeServer } from 'tunicorn';
    const server = makeServer('127.0.0.1', 0, async () => { throw new Error('mine'); }, { errors: console.log });
    void server.serveForever();
    await server.ready;
    await fetch('http://127.0.0.1:' + server.serverPort);
    await server.shutdown(0);`;
  const output = execFileSync(process.execPath, ['--input-type=module', '-e', program], {
    cwd: folder,
    encoding: 'utf8',
  });
  expect(output).toMatch(/^Error in the application for GET \/:\nError: mine\n(?: +at .*\[eval1\].*\n)+\n$/);
});

test('what resolves it, and the types, find what they look for', async () => {
  const { messages } = await publint({ pkgDir: installed(''), strict: true, pack: false });
  expect(messages).toEqual([]);
  // ESM alone: what requires it gets it by require(esm) of Node 20.19 and newer, which attw does not know.
  // It exits with 1 when there is a problem.
  const words = ['attw', '--profile', 'esm-only', '--format', 'ascii', tarball];
  const report = npm(folder, 'exec', '--prefix', ROOT, '--', ...words);
  for (const entry of ['tunicorn', 'tunicorn/ts']) expect(report).toContain(`"${entry}"`);
});

test('a bundle holds only what it uses', async () => {
  const input = join(folder, 'shaken.mjs');
  writeFileSync(input, "import { compose } from 'tunicorn'; console.log(compose);");
  await using bundle = await rolldown({ input, platform: 'node', external: [/^node:/] });
  const [chunk] = (await bundle.generate({ format: 'esm' })).output;
  expect(chunk.code).toContain('reduceRight');
  expect(chunk.code.length).toBeLessThan(1000);
});

test('npm start serves the example from there', async () => {
  await using server = await startTunicorn({
    args: [],
    command: ['npm', '--prefix', installed(''), 'start'],
    cwd: folder,
    env: { TUNICORN_BIND: '127.0.0.1:0' },
    python: null,
  });
  expect((await fetchOnce({ port: server.port }, '/')).body.toString()).toMatch(/^Heyo\n/);
});

describe.skipIf(!hasModule('django'))('Django', () => {
  test('is served from there, with the admin’s own CSS', async () => {
    using project = makeDjangoProject();
    await using server = await startTunicorn({
      args: ['mysite.wsgi', '-w', '2'],
      command: [join(folder, 'node_modules/.bin/tunicorn')],
      cwd: project.folder,
    });
    const fields = { Host: 'localhost' };
    const home = await fetchOnce({ port: server.port }, '/', { fields });
    expect([home.status, home.body.includes('The install worked successfully!')]).toEqual([200, true]);
    const login = await fetchOnce({ port: server.port }, '/admin/login/', { fields });
    const sheet = /href="(\/static\/[^"]+\.css)"/.exec(login.body.toString())?.[1] ?? '';
    const css = await fetchOnce({ port: server.port }, sheet, { fields });
    expect([css.status, css.body.length > 1000]).toEqual([200, true]);
    expect((await server.stop()).code).toBe(0);
  });
});

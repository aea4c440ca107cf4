import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { findInterpreter, howToInstall } from '../../src/arbiter/interpreter.ts';

let root = '';

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'interpreter-'));
});

afterEach(() => rmSync(root, { recursive: true }));

/** A program that answers as Python does, or does something else. */
function fake(path: string, script: string): string {
  const file = join(root, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `#!/bin/sh\n${script}\n`);
  chmodSync(file, 0o755);
  return file;
}

const python = (path: string, version: string) => fake(path, `printf '${version}|%s' "$0"`);

function find(options: { python?: string; app?: string; env?: NodeJS.ProcessEnv; osRelease?: string } = {}) {
  const env = { PATH: join(root, 'bin'), ...options.env };
  return findInterpreter({ python: '', app: 'mysite.wsgi', chdir: root, rights: null, ...options, env });
}

test('--python comes before all others', async () => {
  python('bin/python3', '3.9.1');
  const own = python('own/python', '3.12.1');
  const env = { VIRTUAL_ENV: join(root, 'nowhere') };
  expect(await find({ python: own, env })).toEqual({ path: own, version: '3.12.1', from: 'from --python' });
  expect(await find({ python: './own/python' })).toMatchObject({ path: own });
  expect(await find({ python: 'python3' })).toMatchObject({ version: '3.9.1', from: 'from --python' });
});

test('--python may name a virtual environment', async () => {
  python('env/bin/python', '3.12.1');
  expect(await find({ python: './env' })).toMatchObject({ path: join(root, 'env/bin/python') });
});

test('then the active virtual environment, then .venv and venv, then the PATH', async () => {
  python('bin/python', '3.8.0');
  expect(await find()).toMatchObject({ version: '3.8.0', from: 'from PATH' });
  python('bin/python3', '3.8.1');
  expect(await find()).toMatchObject({ version: '3.8.1' });
  python('venv/bin/python', '3.8.2');
  expect(await find()).toMatchObject({ version: '3.8.2', from: 'from venv' });
  python('.venv/bin/python', '3.8.3');
  expect(await find()).toMatchObject({ version: '3.8.3', from: 'from .venv' });
  python('active/bin/python', '3.8.4');
  const env = { VIRTUAL_ENV: join(root, 'active') };
  expect(await find({ env })).toMatchObject({
    version: '3.8.4',
    from: 'from the active virtual environment',
  });
});

test('beside an application given as a path, and in the folders above it', async () => {
  python('.venv/bin/python', '3.8.1');
  expect(await find({ app: 'sites/shop/app.py:app' })).toMatchObject({ version: '3.8.1' });
  python('sites/venv/bin/python', '3.8.2');
  const above = await find({ app: 'sites/shop/app.py:app' });
  expect(above).toMatchObject({ version: '3.8.2', from: `from ${join(root, 'sites/venv')}` });
  python('sites/shop/.venv/bin/python', '3.8.3');
  expect(await find({ app: './sites/shop/app.py' })).toMatchObject({ version: '3.8.3' });
  expect(await find({ app: 'sites.shop:app' })).toMatchObject({ version: '3.8.1' });
});

test('what a launcher started is taken instead of the launcher', async () => {
  fake('bin/python3', "printf '3.11.7|/opt/versions/3.11.7/bin/python3'");
  expect(await find()).toMatchObject({ path: '/opt/versions/3.11.7/bin/python3' });
});

test('a python3 that is too old, but python is not', async () => {
  python('bin/python3', '3.6.15');
  python('bin/python', '3.11.0');
  expect(await find()).toMatchObject({ version: '3.11.0' });
});

test.each<[string, () => Parameters<typeof find>[0], RegExp]>([
  [
    'none',
    () => ({ osRelease: 'ID=debian\n' }),
    /^No Python was found\. Install it with: apt install python3$/,
  ],
  [
    'too old',
    () => ({ python: python('old', '3.7.16') }),
    /^Python 3\.8 or newer is needed, but .*old \(from --python\) is Python 3\.7\.16\./,
  ],
  ['Python 2', () => ({ python: python('two', '2.7.18') }), /is Python 2\.7\.18/],
  [
    'broken',
    () => ({ python: fake('bad', 'echo "libpython3.so: cannot open" >&2; exit 127') }),
    /does not work.*\nlibpython3\.so: cannot open$/s,
  ],
  ['silent', () => ({ python: fake('quiet', 'exit 0') }), /does not work.*\nIt printed no version\.$/s],
  ['not there', () => ({ python: './nope' }), /^--python \.\/nope is no program/],
  ['not on the PATH', () => ({ python: 'nope' }), /^--python nope is no program/],
  [
    'an environment that was deleted',
    () => ({ env: { VIRTUAL_ENV: '/nope' } }),
    /^VIRTUAL_ENV names \/nope, but there is no Python in it\./,
  ],
])('%s: one clear sentence', async (_name, options, message) => {
  await expect(find(options())).rejects.toThrow(message);
  await expect(find(options())).rejects.toMatchObject({ name: 'UserError', exitCode: 1 });
});

test.each([
  ['ID=ubuntu\nID_LIKE=debian\n', 'apt install python3'],
  ['ID=linuxmint\nID_LIKE="ubuntu debian"\n', 'apt install python3'],
  ['ID=alpine\n', 'apk add python3'],
  ['ID="rocky"\nID_LIKE="rhel centos fedora"\n', 'dnf install python3'],
  ['ID=arch\n', 'pacman -S python'],
  ['ID=plan9\n', 'python.org'],
])('what to install on %j', (release, command) => {
  expect(howToInstall(release)).toContain(command);
});

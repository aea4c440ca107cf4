import { expect, test } from 'vitest';
import {
  describeRuntime,
  findRuntime,
  programOf,
  pythonOf,
  type Runtime,
  runtimeEnvironment,
} from '../../src/arbiter/runtime.ts';
import { loadSettings } from '../../src/config/load.ts';

const settings = (...argv: string[]) => loadSettings({ argv, env: {}, cwd: '/' }).settings;
const options = { env: process.env, rights: null };
const python: Runtime = { kind: 'python', path: '/usr/bin/python3', version: '3.11.2', from: 'from PATH' };

test('a TypeScript application is run by this Node, and asks for no Python', async () => {
  const node = await findRuntime(settings('server.ts'), { env: { PATH: '/nowhere' }, rights: null });
  expect(node).toEqual({ kind: 'node', path: process.execPath, version: process.versions.node, from: '' });
  expect(describeRuntime(node)).toBe(`Node ${process.versions.node}, ${process.execPath}`);
  expect([programOf(node), pythonOf(node)]).toEqual([expect.stringMatching(/dist\/workers\/main\.js$/), '']);
});

test('everything else by Python', async () => {
  expect((await findRuntime(settings('mysite.wsgi'), options)).kind).toBe('python');
  expect(describeRuntime(python)).toBe('Python 3.11.2, /usr/bin/python3 (from PATH)');
  expect([programOf(python), pythonOf(python)]).toEqual([
    expect.stringMatching(/python\/tunicorn-worker\.py$/),
    '/usr/bin/python3',
  ]);
});

test('NODE_ENV is production for Node, unless somebody says otherwise', () => {
  const node: Runtime = { ...python, kind: 'node' };
  expect(runtimeEnvironment(node, { A: '1' })).toEqual({ A: '1', NODE_ENV: 'production' });
  expect(runtimeEnvironment(node, { NODE_ENV: 'development' })).toEqual({ NODE_ENV: 'development' });
  expect(runtimeEnvironment(python, { A: '1' })).toEqual({ A: '1' });
});

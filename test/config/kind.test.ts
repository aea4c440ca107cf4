import { expect, it } from 'vitest';
import { loadSettings } from '../../src/config/load.ts';

function load(...argv: string[]) {
  return loadSettings({ argv, env: {}, cwd: '/' });
}

it.each([
  ['server.ts', 'node', 100],
  ['server.js:app', 'node', 100],
  ['src/server.mts', 'node', 100],
  ['./server.cjs:default', 'node', 100],
  ['mysite.wsgi', 'python', 1],
  ['app.ts:create_app()', 'node', 100],
  ['mysite.js.wsgi:app', 'python', 1],
  ['', 'python', 1],
])('%j is run by a %s worker, %i requests at once', (app, kind, threads) => {
  const { settings } = load(...(app === '' ? [] : [app]));
  expect([settings.workerClass, settings.threads]).toEqual([kind, threads]);
});

it('a number of threads that was chosen stands', () => {
  expect(load('--threads', '7', 'server.ts').settings.threads).toBe(7);
  expect(load('-k', 'node', '--threads', '1', 'server.ts').settings.threads).toBe(1);
});

it('what means nothing to Node is noted', () => {
  const { notes } = load('--preload', '--hooks', 'hooks', 'server.ts');
  expect(notes).toEqual([
    '--preload has no effect on server.ts: a Node process cannot be forked.',
    '--hooks has no effect on server.ts: hooks is a Python module.',
  ]);
  expect(load('--preload', 'mysite.wsgi').notes).toEqual([]);
});

import { expect, test } from 'vitest';
import { describeEnd, workerEnvironment } from '../../src/arbiter/children.ts';

test('workers get the environment without what is Node’s own, and --env over it', () => {
  const own = { HOME: '/root', NODE_CHANNEL_FD: '3', NODE_UNIQUE_ID: '1', LANG: 'C' };
  const env = workerEnvironment(own, {
    env: ['LANG=C.UTF-8', 'DSN=a=b', 'EMPTY='],
    prefix: '/',
    serverSoftware: 'tunicorn/1',
  });
  expect(env).toEqual({
    HOME: '/root',
    LANG: 'C.UTF-8',
    DSN: 'a=b',
    EMPTY: '',
    SERVER_SOFTWARE: 'tunicorn/1',
  });
});

test.each([
  [{ code: 3, signal: null }, 'ended with status 3'],
  [{ code: null, signal: 'SIGSEGV' as const }, 'was ended by SIGSEGV'],
  [
    { code: null, signal: 'SIGKILL' as const },
    'was killed by SIGKILL (kill -9, or the system was out of memory)',
  ],
  [{ code: null, signal: null, error: new Error('spawn EAGAIN') }, 'could not be started: spawn EAGAIN'],
])('an end in words: %j', (end, words) => {
  expect(describeEnd(end)).toBe(words);
});

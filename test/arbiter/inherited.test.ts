import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { Predecessor, takeInherited, UPGRADE } from '../../src/arbiter/inherited.ts';

const OURS = String(process.pid);
const NOTHING = { sockets: [], predecessor: null };
const SOCKETS = [{ fd: 4, unit: null, address: '127.0.0.1:8000' }];
const legacy = (pid: number) => JSON.stringify({ pid, sockets: SOCKETS });

test.each([
  ['nothing', {}, []],
  ['two with names', { LISTEN_PID: OURS, LISTEN_FDS: '2', LISTEN_FDNAMES: 'web:local' }, ['web', 'local']],
  [
    'two, one with a name',
    { LISTEN_PID: OURS, LISTEN_FDS: '2', LISTEN_FDNAMES: ':local' },
    ['unknown', 'local'],
  ],
  ['one without names', { LISTEN_PID: OURS, LISTEN_FDS: '1' }, ['unknown']],
  ['those of another process', { LISTEN_PID: '1', LISTEN_FDS: '1' }, []],
  ['no number', { LISTEN_PID: OURS, LISTEN_FDS: 'many' }, []],
  ['no process', { LISTEN_FDS: '1' }, []],
])('of systemd: %s', (_what, given, units) => {
  const env = { ...given, PATH: '/bin' };
  const sockets = units.map((unit, i) => ({ fd: 3 + i, unit, address: '' }));
  expect(takeInherited(env)).toEqual({ sockets, predecessor: null });
  expect(env).toEqual({ PATH: '/bin' });
});

test('of the Tunicorn that started this one, whatever systemd says', () => {
  const env = { [UPGRADE]: legacy(process.ppid), LISTEN_PID: OURS, LISTEN_FDS: '1' };
  const { sockets, predecessor } = takeInherited(env);
  expect(sockets).toEqual(SOCKETS);
  expect(predecessor).toBeInstanceOf(Predecessor);
  expect([predecessor?.pid, predecessor?.isGone]).toEqual([process.ppid, false]);
  expect(env).toEqual({});
});

test('of one that has died meanwhile: its sockets, and nobody to follow', async () => {
  const child = spawn('true', { stdio: 'ignore' });
  await once(child, 'exit');
  expect(takeInherited({ [UPGRADE]: legacy(child.pid ?? 0) })).toEqual({
    sockets: SOCKETS,
    predecessor: null,
  });
});

test.each([
  ['made for another process', legacy(process.pid)],
  ['no JSON', '{'],
  ['something else', 'null'],
])('a variable that was %s is not believed', (_what, text) => {
  const env = { [UPGRADE]: text };
  expect(takeInherited(env)).toEqual(NOTHING);
  expect(env).toEqual({});
});

test('a predecessor is gone when this process has another parent', () => {
  expect(new Predecessor(process.pid).isGone).toBe(true);
});

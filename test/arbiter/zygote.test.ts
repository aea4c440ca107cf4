import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { isAlive } from '../../src/arbiter/alive.ts';
import { describeEnd, type End } from '../../src/arbiter/children.ts';
import { workerStart } from '../../src/arbiter/worker.ts';
import { type ForkedWorker, Zygote } from '../../src/arbiter/zygote.ts';
import type { FromWorker } from '../../src/messages.ts';
import { FakePython } from './fake-python.ts';
import { pythonRuntime, setupOf } from './stand-ins.ts';

let python: FakePython;
let zygote: Zygote | null = null;
/** Of the zygote and its workers, in order: `zygote`, or the worker's number. */
let ends: [who: string | number, end: End][] = [];
let said: [who: string | number, message: FromWorker][] = [];

beforeEach(() => {
  python = new FakePython();
  [ends, said, zygote] = [[], [], null];
});

afterEach(async () => {
  zygote?.kill();
  await ended('zygote');
  python.remove();
});

const startOf = (worker: number, app: string) =>
  workerStart(setupOf({ app }).settings, {
    mode: worker === 0 ? 'zygote' : 'worker',
    worker,
    generation: 1,
    gateway: '/nowhere/front-0',
    stackFile: '',
  });

function open(app = 'shop'): Zygote {
  zygote = new Zygote(startOf(0, app), {
    runtime: pythonRuntime(python.path),
    name: app,
    env: process.env,
    rights: null,
    errorLog: 2,
    output: null,
    onMessage: (message) => said.push(['zygote', message]),
    onExit: (end) => ends.push(['zygote', end]),
  });
  return zygote;
}

function fork(from: Zygote, worker: number, app = 'serve'): ForkedWorker {
  return from.fork(startOf(worker, app), {
    onMessage: (message) => said.push([worker, message]),
    onExit: (end) => ends.push([worker, end]),
  });
}

const heard = (who: string | number) => python.until(() => said.some(([speaker]) => speaker === who));
const ended = (who: string | number) => python.until(() => ends.some(([gone]) => gone === who));
const endOf = (who: string | number) => ends.find(([gone]) => gone === who)?.[1];

test('it speaks of itself first', async () => {
  expect(open().pid).toBeGreaterThan(0);
  await heard('zygote');
  expect(said).toEqual([['zygote', expect.objectContaining({ event: 'loaded' })]]);
});

test('what it cannot load ends it', async () => {
  open('broken');
  await ended('zygote');
  expect(said).toMatchObject([['zygote', { event: 'failed', message: 'No module named broken.' }]]);
  expect(endOf('zygote')).toEqual({ code: 3, signal: null });
});

describe('a worker', () => {
  test('has no pid until it is forked, and speaks through its zygote', async () => {
    const worker = fork(open(), 7);
    expect(worker.pid).toBe(0);
    await heard(7);
    expect(isAlive(worker.pid)).toBe(true);
    expect(worker.pid).not.toBe(zygote?.pid);
    expect(said.at(-1)).toMatchObject([7, { event: 'loaded', app: 'serve' }]);
  });

  test.each<[string, End]>([
    ['exit 0', { code: 0, signal: null }],
    ['exit 3', { code: 3, signal: null }],
    ['signal 11', { code: null, signal: 'SIGSEGV' }],
    ['signal 15', { code: null, signal: 'SIGTERM' }],
  ])('ends as the zygote saw it: %s', async (app, end) => {
    fork(open(), 7, app);
    await ended(7);
    expect(ends).toEqual([[7, end]]);
  });

  test('that could not be forked has not started', async () => {
    const worker = fork(open(), 7, 'no-fork');
    await ended(7);
    expect(worker.pid).toBe(0);
    const end = endOf(7);
    expect(end === undefined ? '' : describeEnd(end)).toBe('could not be started: EAGAIN: no more processes');
  });

  test('is killed alone', async () => {
    const from = open();
    const [first, second] = [fork(from, 7), fork(from, 8)];
    await heard(8);
    first.kill();
    await ended(7);
    expect(ends).toEqual([[7, { code: null, signal: 'SIGKILL' }]]);
    expect(isAlive(second.pid)).toBe(true);
  });

  test('that is unwanted before it is forked is killed as soon as it is', async () => {
    const worker = fork(open(), 7, 'slow');
    worker.kill();
    await ended(7);
    expect(endOf(7)).toEqual({ code: null, signal: 'SIGKILL' });
    expect(worker.pid).toBeGreaterThan(0);
  });

  test('that has ended is not killed: its pid may be somebody else’s', async () => {
    const worker = fork(open(), 7, 'exit 0');
    await ended(7);
    const kill = vi.spyOn(process, 'kill').mockReturnValue(true);
    worker.kill();
    const calls = kill.mock.calls.length;
    kill.mockRestore();
    expect(calls).toBe(0);
  });
});

describe('its end', () => {
  test('is that of all its workers, who are told of first, each once', async () => {
    const from = open();
    const workers = [fork(from, 7), fork(from, 8)];
    await heard(8);
    from.kill();
    await ended('zygote');
    const killed = { code: null, signal: 'SIGKILL' };
    expect(ends).toEqual([
      [7, killed],
      [8, killed],
      ['zygote', killed],
    ]);
    await python.until(() => workers.every((worker) => !isAlive(worker.pid)));
    expect(ends).toHaveLength(3);
  });

  test('comes when it is told that nobody needs it', async () => {
    const from = open();
    await heard('zygote');
    from.leave();
    await ended('zygote');
    expect(ends).toEqual([['zygote', { code: 0, signal: null }]]);
  });
});

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { apply } from '../../src/arbiter/apply.ts';
import type { Code, Fleet } from '../../src/arbiter/fleet.ts';
import { Performer } from '../../src/arbiter/perform.ts';
import type { Action } from '../../src/arbiter/plan.ts';
import type { Bound } from '../../src/arbiter/sockets.ts';
import { poolAt, type State } from '../../src/arbiter/state.ts';
import { dumpStacks } from '../../src/stack-file.ts';
import { startHanging } from '../support/hanging.ts';
import { keepLog, servingState, setupOf } from './stand-ins.ts';

/** A pid that nobody has. */
let nobody = 0;

beforeEach(async () => {
  const child = spawn('true', { stdio: 'ignore' });
  await once(child, 'exit');
  nobody = child.pid ?? 0;
});

/** A performer whose fleet only notes what it is to do. */
class Desk {
  readonly state: State;
  readonly log = keepLog();
  readonly done: string[] = [];
  readonly expired: [generation: number, text: string][] = [];
  readonly #performer: Performer;

  constructor(
    state = servingState(2),
    { pid = nobody, stackFile = '/nowhere/stack', zygotes = [1, 2] } = {},
  ) {
    this.state = state;
    const note =
      (name: string) =>
      (...given: unknown[]) =>
        void this.done.push([name, ...given.map((each) => JSON.stringify(each))].join(' '));
    const zygote = (generation: number) => ({
      pid,
      kill: note(`kill zygote ${generation}`),
      leave: note(`end zygote ${generation}`),
    });
    const fleet = {
      spawnFront: note('spawnFront'),
      spawnWorker: (id: number, { front, generation }: { front: number; generation: number }) =>
        note('spawnWorker')(id, { front, generation }),
      spawnZygote: ({ pool, generation }: Code) => note('spawnZygote')(pool, generation),
      tell: note('tell'),
      tellAll: note('tellAll'),
      killFront: note('killFront'),
      killWorker: note('killWorker'),
      adopt: ({ pool, generation }: Code) => note('adopt')(pool, generation),
      discard: ({ pool, generation }: Code) => note('discard')(pool, generation),
      zygote: ({ generation }: Code) => (zygotes.includes(generation) ? zygote(generation) : undefined),
      named: (id: number) => ({ id, pid }),
      of: () => '',
      stacks: () => dumpStacks(pid, stackFile),
      zygoteStacks: () => dumpStacks(pid, stackFile),
      setup: () => setupOf({ bootTimeout: 60 }),
    };
    this.#performer = new Performer({
      state,
      fleet: fleet as unknown as Fleet,
      log: this.log,
      sockets: [{ close: note('close') } as unknown as Bound],
      onExpired: ({ generation }, text) => void this.expired.push([generation, text]),
    });
  }

  perform(action: Exclude<Action, { type: 'exit' }>): this {
    this.#performer.perform(action);
    return this;
  }

  /** Killing takes a moment where a stack is asked for first. */
  async until(done: string): Promise<void> {
    await vi.waitFor(() => expect(this.done).toContain(done), { timeout: 20_000 });
  }
}

test.each<[Exclude<Action, { type: 'exit' }>, string[]]>([
  [{ type: 'spawn-front', slot: 1 }, ['spawnFront 1']],
  [
    { type: 'spawn-worker', worker: 3, pool: 0, front: 1, generation: 2 },
    ['spawnWorker 3 {"front":1,"generation":2}'],
  ],
  [{ type: 'spawn-zygote', pool: 1, generation: 2 }, ['spawnZygote 1 2']],
  [{ type: 'park-front', slot: 1, graceMs: 700 }, ['tell 1 {"type":"stop","graceMs":700}']],
  [{ type: 'kill-front', slot: 1 }, ['killFront 1']],
  [{ type: 'kill-worker', worker: 2 }, ['killWorker 2']],
  [{ type: 'kill-zygote', pool: 0, generation: 2, expired: false }, ['kill zygote 2']],
  [{ type: 'end-zygote', pool: 0, generation: 1 }, ['end zygote 1']],
  [{ type: 'kill-zygote', pool: 0, generation: 9, expired: true }, []],
  [{ type: 'end-zygote', pool: 0, generation: 9 }, []],
  [{ type: 'retire-worker', worker: 1, cause: 'reload' }, []],
  [{ type: 'worker-worn', worker: 1, cause: 'max-age' }, []],
])('%j', (action, done) => {
  const desk = new Desk().perform(action);
  expect(desk.done).toEqual(done);
  expect(desk.log.lines).toEqual([]);
});

test('a front is asked to drain its own worker; nobody, one that is gone', () => {
  const desk = new Desk();
  apply(desk.state, { type: 'spawn-worker', worker: 3, pool: 0, front: 4, generation: 1 }, 0);
  desk.perform({ type: 'drain-worker', worker: 3 }).perform({ type: 'drain-worker', worker: 99 });
  expect(desk.done).toEqual(['tell 4 {"type":"drain-worker","worker":3}']);
});

test('at a stop fronts are told first, then our sockets are closed', () => {
  const desk = new Desk().perform({ type: 'stop-fronts', graceMs: 5000 });
  expect(desk.done).toEqual(['tellAll {"type":"stop","graceMs":5000}', 'close']);
});

test('a reload ends with the generation that is wanted then', () => {
  const state = servingState(1);
  apply(state, { type: 'reload', pool: 0, limits: poolAt(state, 0).limits, range: null }, 0);
  expect(new Desk(state).perform({ type: 'finish-reload', pool: 0 }).done).toEqual(['adopt 0 2']);
  expect(new Desk(state).perform({ type: 'abort-reload', pool: 0 }).done).toEqual(['discard 0 2']);
});

describe('a worker that is killed', () => {
  const STUCK = { type: 'worker-stuck', worker: 1, graceMs: 0, cause: 'timeout' } as const;

  test('because somebody has stopped it', () => {
    const desk = new Desk();
    apply(desk.state, { type: 'retire-worker', worker: 1, cause: 'stopped' }, 0);
    desk.perform({ type: 'kill-worker', worker: 1 });
    expect(desk.log.lines).toEqual([
      `ERROR Worker 1 (pid ${nobody}) was stopped by a signal (SIGSTOP): it is killed and replaced`,
    ]);
  });

  test('because it did not finish', () => {
    const desk = new Desk();
    apply(desk.state, STUCK, 0);
    desk.perform({ type: 'kill-worker', worker: 1 });
    expect(desk.log.lines).toEqual([`WARNING Worker 1 (pid ${nobody}) did not finish in time: killed`]);
  });

  test('at a stop: the front tells what was not finished', () => {
    const desk = new Desk();
    apply(desk.state, STUCK, 0);
    apply(desk.state, { type: 'stop', graceMs: 0 }, 0);
    desk.perform({ type: 'kill-worker', worker: 1 });
    expect(desk.log.lines).toEqual([]);
    expect(desk.done).toEqual(['killWorker 1']);
  });
});

describe('who did not get ready in time', () => {
  test('a worker: where it was, and only then is it killed', async () => {
    await using hanging = await startHanging();
    const desk = new Desk(servingState(2), hanging);
    desk.perform({ type: 'expire-worker', worker: 2 });
    expect(desk.done).toEqual([]);
    await desk.until('killWorker 2');
    expect(desk.expired).toEqual([[1, expect.stringContaining('in hang_in_regex')]]);
    expect(desk.expired[0]?.[1]).toMatch(
      new RegExp(
        `^Worker 2 \\(pid ${hanging.pid}\\) was not ready after 60 s \\(--boot-timeout\\): it is killed\\. It was here:\\n.*\\S$`,
        's',
      ),
    );
  });

  test('a worker that has ended meanwhile, or says nothing', async () => {
    const desk = new Desk().perform({ type: 'expire-worker', worker: 2 });
    await desk.until('killWorker 2');
    expect(desk.expired).toEqual([
      [
        1,
        `Worker 2 (pid ${nobody}) was not ready after 60 s (--boot-timeout): it is killed. Its stack could not be had.`,
      ],
    ]);
  });

  test('a zygote, of its own generation', async () => {
    await using hanging = await startHanging();
    const desk = new Desk(servingState(2), hanging);
    desk.perform({ type: 'kill-zygote', pool: 0, generation: 2, expired: true });
    await desk.until('kill zygote 2');
    expect(desk.expired).toEqual([[2, expect.stringContaining('in hang_in_regex')]]);
    expect(desk.expired[0]?.[1]).toContain(
      `The process that workers are forked from (pid ${hanging.pid}) was not ready after 60 s`,
    );
  });
});

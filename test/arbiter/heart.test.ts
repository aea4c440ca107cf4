import { afterEach, describe, expect, test } from 'vitest';
import { apply, type Change } from '../../src/arbiter/apply.ts';
import { Fleet } from '../../src/arbiter/fleet.ts';
import { Heart } from '../../src/arbiter/heart.ts';
import { poolAt, type State } from '../../src/arbiter/state.ts';
import type { Settings } from '../../src/config/options.ts';
import { FakePython } from './fake-python.ts';
import { keepLog, servingState, setupOf } from './stand-ins.ts';

const pythons: FakePython[] = [];

afterEach(() => {
  for (const python of pythons.splice(0)) python.remove();
});

/** A heart over a state of the test's own; its fleet has no process unless the test spawns one. */
class Desk {
  readonly state: State;
  readonly fleet: Fleet;
  readonly heart: Heart;
  readonly log = keepLog();
  readonly changes: Change[] = [];
  readonly python = new FakePython();
  #now = 0;

  constructor(state: State, settings: Partial<Settings> = {}) {
    pythons.push(this.python);
    this.state = state;
    const setups = state.pools.map((_, i) => ({
      ...setupOf(settings, this.python.path),
      prefix: i === 0 ? '/' : `/app${i}`,
    }));
    this.fleet = new Fleet(this.python.fleetOptions(this.log, setups), () => {});
    this.heart = new Heart({
      state,
      fleet: this.fleet,
      log: this.log,
      apply: (change) => {
        this.changes.push(change);
        apply(state, change, this.#now);
      },
    });
  }

  get target(): number {
    return poolAt(this.state, 0).target;
  }

  /** Seconds go by, each with what the fronts said of it. */
  seconds(count: number, ...loads: { waitMs: number; busy: number }[]): void {
    for (let second = 0; second < count; second++) {
      for (const load of loads) this.heart.feel(0, load);
      this.#now += 1000;
      this.heart.beat(this.#now);
    }
  }
}

const RANGE = { min: 1, max: 8 };
const WAITING = { waitMs: 500, busy: 2 };

test('it beats once a second, however often there is a turn, and rests when nothing happens', () => {
  const { heart } = new Desk(servingState(1));
  let beats = 0;
  heart.also(() => beats++);
  for (const now of [5000, 5001, 5999, 6000, 6001, 7500]) heart.beat(now);
  expect([beats, heart.nextAt]).toEqual([2, 8000]);
  heart.stir();
  heart.beat(8000);
  expect([beats, heart.nextAt]).toEqual([3, 9000]);
});

test.each([
  ['scaling', servingState(2, { min: 2, max: 4 }), false],
  ['a watchdog', servingState(1), true],
])('it does not rest with %s', (_what, state, neverRests) => {
  const { heart } = new Desk(state);
  heart.also(() => {}, { neverRests });
  for (const now of [1000, 2000, 3000]) heart.beat(now);
  expect(heart.nextAt).toBe(4000);
});

describe('scaling', () => {
  test('requests that wait bring more workers, and the log says so', () => {
    const desk = new Desk(servingState(2, RANGE));
    desk.seconds(3, WAITING);
    expect(desk.target).toBe(3);
    expect(desk.log.lines).toEqual(['INFO 3 workers from now on: requests wait']);
    expect(desk.changes).toEqual([{ type: 'scale', pool: 0, ...RANGE, target: 3 }]);
  });

  test('what one front cannot do counts, though another can', () => {
    const desk = new Desk(servingState(2, RANGE));
    desk.seconds(3, { waitMs: 0, busy: 1 }, WAITING);
    expect(desk.target).toBe(3);
  });

  test('a bad second counts once, also when the fronts are silent afterwards', () => {
    const desk = new Desk(servingState(2, RANGE));
    desk.seconds(1, WAITING);
    desk.seconds(5);
    expect(desk.changes).toEqual([]);
  });

  test('what is busy is added up over all fronts: three of four are needed', () => {
    const desk = new Desk(servingState(4, RANGE), { scaleIdle: 3 });
    desk.seconds(20, { waitMs: 0, busy: 1.5 }, { waitMs: 0, busy: 1.5 });
    expect(desk.target).toBe(4);
    desk.seconds(4, { waitMs: 0, busy: 1 }, { waitMs: 0, busy: 0 });
    expect(desk.target).toBe(3);
    expect(desk.log.lines).toEqual(['INFO 3 workers from now on: one is spare']);
  });

  test('not while a worker is still to come', () => {
    const desk = new Desk(servingState(2, RANGE));
    apply(desk.state, { type: 'spawn-worker', worker: 3, pool: 0, front: 0, generation: 1 }, 0);
    desk.seconds(5, WAITING);
    expect(desk.changes).toEqual([]);
    apply(desk.state, { type: 'worker-ready', worker: 3 }, 0);
    desk.seconds(1, WAITING);
    expect(desk.target).toBe(3);
  });

  test.each<[string, () => State]>([
    ['with a fixed number of workers', () => servingState(2)],
    [
      'while parked',
      () => {
        const state = servingState(2, RANGE);
        apply(state, { type: 'park' }, 0);
        return state;
      },
    ],
    [
      'during a stop',
      () => {
        const state = servingState(2, RANGE);
        apply(state, { type: 'stop', graceMs: 5000 }, 0);
        return state;
      },
    ],
  ])('not %s', (_name, state) => {
    const desk = new Desk(state());
    let beats = 0;
    desk.heart.also(() => beats++);
    desk.seconds(10, WAITING);
    expect(desk.changes).toEqual([]);
    expect(beats).toBeGreaterThanOrEqual(5);
  });
});

test('each application is scaled by what its own requests wait', () => {
  const desk = new Desk(servingState(2, RANGE, 2));
  for (let second = 0; second < 3; second++) {
    desk.heart.feel(1, WAITING);
    desk.seconds(1);
  }
  expect(desk.state.pools.map(({ target }) => target)).toEqual([2, 2]);
  expect(desk.log.lines).toEqual(['INFO 2 workers of /app1 from now on: requests wait']);
});

describe('a fleet that may be empty', () => {
  test('the first request starts the first worker', () => {
    const desk = new Desk(servingState(0, { min: 0, max: 4 }));
    desk.heart.wake(0);
    expect(desk.target).toBe(1);
    expect(desk.log.lines).toEqual(['INFO 1 worker from now on: a request waits']);
    // The front says it again each second until one is there.
    desk.heart.wake(0);
    expect(desk.changes).toHaveLength(1);
  });

  test('a request that waits where workers are wanted already changes nothing', () => {
    const desk = new Desk(servingState(2, RANGE));
    desk.heart.wake(0);
    expect(desk.changes).toEqual([]);
  });
});

test('each second every process is looked at, and those that are none are not', async () => {
  const desk = new Desk(servingState(2));
  desk.fleet.spawnWorker(2, { pool: 0, front: 0, generation: 1 });
  const { pid } = desk.fleet.named(2);
  await desk.python.started(pid);
  process.kill(pid, 'SIGSTOP');
  try {
    await desk.python.until(() => {
      desk.seconds(1);
      return desk.changes.some((change) => change.type === 'worker-seen' && change.stopped);
    });
    expect(new Set(desk.changes.map((change) => ('worker' in change ? change.worker : 0)))).toEqual(
      new Set([2]),
    );
    expect(desk.changes.at(-1)).toMatchObject({ type: 'worker-seen', worker: 2, rss: expect.any(Number) });
    expect(desk.state.suspended.has(2)).toBe(true);
  } finally {
    desk.fleet.killWorker(2);
  }
});

import { describe, expect, test } from 'vitest';
import { apply, type Change } from '../../src/arbiter/apply.ts';
import { AUTOPSY_MS, retryDelay, SETTLE_MS } from '../../src/arbiter/lives.ts';
import {
  type Action,
  FRONT_SLACK_MS,
  LOOK_MS,
  plan,
  RECONNECT_MS,
  restMs,
  SUSPENDED_MS,
} from '../../src/arbiter/plan.ts';
import {
  createState,
  isDegraded,
  type Limits,
  NO_LIMITS,
  type Pool,
  poolAt,
  type State,
} from '../../src/arbiter/state.ts';
import { Clock, LATE_MS } from '../../src/clock.ts';
import type { WorkerRange } from '../../src/config/values.ts';

const GRACE_MS = 30_000;

/** A state and a clock: `at` applies changes at a time and then does what the plan says, as the loop would. */
class Desk {
  readonly state: State;
  readonly done: Action[] = [];
  now = 0;

  /** `workers`: of one application, or of each of several. */
  constructor(workers: number | readonly number[], fronts = 1, limits: Partial<Limits> = {}) {
    const all = { ...NO_LIMITS, graceMs: GRACE_MS, ...limits };
    const counts = typeof workers === 'number' ? [workers] : workers;
    const pools = counts.map((count) => ({ min: count, max: count, limits: all }));
    this.state = createState({ fronts, pools });
  }

  /** Of the first application. */
  get pool(): Pool {
    return poolAt(this.state, 0);
  }

  at(now: number, ...changes: Change[]): Action[] {
    this.now = now;
    for (const change of changes) apply(this.state, change, now);
    const done: Action[] = [];
    for (let round = 0; round < 20; round++) {
      const { actions } = plan(this.state, now);
      if (actions.length === 0) break;
      for (const action of actions) {
        done.push(action);
        if (action.type === 'exit') return done;
        apply(this.state, action, now);
      }
    }
    return done;
  }

  /** Every worker is spawned and serves. */
  serve(now = 100): this {
    this.at(0);
    this.at(now, ...this.state.fronts.map(({ slot }): Change => ({ type: 'front-listening', slot })));
    this.at(now, ...[...this.state.workers.keys()].map(ready));
    return this;
  }

  get wakeAt(): number {
    return plan(this.state, this.now).wakeAt;
  }
}

const ready = (worker: number): Change => ({ type: 'worker-ready', worker });
const gone = (worker: number): Change => ({ type: 'worker-gone', worker });
const types = (actions: Action[]) => actions.map((action) => action.type);
const worn = (worker: number): Change => ({ type: 'worker-worn', worker, cause: 'max-requests' });
const scale = (number: number, pool = 0): Change => ({
  type: 'scale',
  pool,
  min: number,
  max: number,
  target: number,
});
const reload = (limits: Partial<Limits> = {}, range: WorkerRange | null = null, pool = 0): Change => ({
  type: 'reload',
  pool,
  limits: { ...NO_LIMITS, graceMs: GRACE_MS, ...limits },
  range,
});
/** `spawn-worker 3`, `retire-worker 1`: what is done to whom. */
const brief = (actions: Action[]) =>
  actions.map((action) => ('worker' in action ? `${action.type} ${action.worker}` : action.type));

function leaving({ workers }: State): number {
  return [...workers.values()].filter(({ phase }) => phase === 'leaving').length;
}

describe('workers', () => {
  test('at the start every front and worker is spawned, dealt evenly', () => {
    const actions = new Desk(5, 2).at(0);
    expect(types(actions)).toEqual([...Array(2).fill('spawn-front'), ...Array(5).fill('spawn-worker')]);
    const fronts = actions.flatMap((action) => (action.type === 'spawn-worker' ? [action.front] : []));
    expect(fronts).toEqual([0, 1, 0, 1, 0]);
  });

  test('with all well there is nothing to do and nothing to wait for', () => {
    const desk = new Desk(4).serve();
    expect(desk.at(5000)).toEqual([]);
    expect(desk.wakeAt).toBe(Number.POSITIVE_INFINITY);
  });

  test('one that served and died is replaced at once, at the front that misses it', () => {
    const desk = new Desk(4, 2).serve();
    expect(desk.at(60_000, gone(2))).toEqual([
      { type: 'spawn-worker', worker: 5, pool: 0, front: 1, generation: 1 },
    ]);
    expect(desk.at(60_001, gone(5))).toEqual([]);
    expect(desk.wakeAt).toBe(60_101);
  });

  test('one more, one fewer: the oldest goes when the front has drained it', () => {
    const desk = new Desk(2).serve();
    expect(types(desk.at(1000, scale(3)))).toEqual(['spawn-worker']);
    desk.at(1500, ready(3));
    const leave = [
      { type: 'retire-worker', worker: 1, cause: 'scale' },
      { type: 'drain-worker', worker: 1 },
    ];
    expect(desk.at(2000, scale(2))).toEqual(leave);
    expect(desk.wakeAt).toBe(2000 + GRACE_MS);
    expect(desk.at(2100, gone(1))).toEqual([]);
  });

  test('one that boots is the first to go, at once', () => {
    const desk = new Desk(2).serve();
    desk.at(1000, scale(3));
    expect(desk.at(1010, scale(2))).toEqual([
      { type: 'retire-worker', worker: 3, cause: 'scale' },
      { type: 'drain-worker', worker: 3 },
      { type: 'kill-worker', worker: 3 },
    ]);
  });

  test('the target stays within its bounds', () => {
    const desk = new Desk(2).serve();
    desk.at(1000, { type: 'scale', pool: 0, min: 2, max: 4, target: 9 });
    expect(desk.pool.target).toBe(4);
    desk.at(1000, { type: 'scale', pool: 0, min: 2, max: 4, target: 1 });
    expect(desk.pool.target).toBe(2);
  });

  test('a stuck one is replaced at once, and killed when its siblings had their time', () => {
    const desk = new Desk(1).serve();
    const stuck = desk.at(1000, { type: 'worker-stuck', worker: 1, graceMs: 700, cause: 'timeout' });
    expect(types(stuck).sort()).toEqual(['drain-worker', 'spawn-worker']);
    expect(desk.wakeAt).toBe(1700);
    expect(desk.at(1700)).toEqual([{ type: 'kill-worker', worker: 1 }]);
    expect(desk.at(1710, gone(1))).toEqual([]);
  });
});

describe('crash loops', () => {
  test('each failure in a row doubles the wait, from 0.1 s to 30 s', () => {
    expect([1, 2, 3, 8, 9, 10, 100].map(retryDelay)).toEqual([100, 200, 400, 12_800, 25_600, 30_000, 30_000]);
  });

  test('a fleet that fails together has failed once, and one at a time tries again', () => {
    const desk = new Desk(8);
    desk.at(0);
    expect(desk.at(50, ...[1, 2, 3, 4, 5, 6, 7, 8].map(gone))).toEqual([]);
    expect(desk.wakeAt).toBe(150);
    expect(types(desk.at(150))).toEqual(['spawn-worker']);
    desk.at(200, gone(9));
    expect(desk.wakeAt).toBe(400);
  });

  test('a worker that stays ready ends it, and the rest follow at once', () => {
    const desk = new Desk(4);
    desk.at(0);
    desk.at(50, { type: 'front-listening', slot: 0 }, ...[1, 2, 3, 4].map(gone));
    expect(types(desk.at(150))).toEqual(['spawn-worker']);
    expect(types(desk.at(300, ready(5)))).toEqual(['spawn-worker']);
    expect(types(desk.at(300 + SETTLE_MS, ready(6)))).toEqual(['spawn-worker', 'spawn-worker']);
  });

  test('a front that dies before it listens is tried again with the same patience', () => {
    const desk = new Desk(1);
    desk.at(0);
    expect(desk.at(10, { type: 'front-gone', slot: 0 })).toEqual([]);
    expect(desk.wakeAt).toBe(110);
    expect(types(desk.at(110))).toEqual(['spawn-front']);
  });
});

describe('a front that dies', () => {
  test('is replaced at once; its workers count as there while they look for the new one', () => {
    const desk = new Desk(2).serve();
    expect(types(desk.at(5000, { type: 'front-gone', slot: 0 }))).toEqual(['spawn-front']);
    expect(desk.at(5080, { type: 'front-listening', slot: 0 })).toEqual([]);
    expect(desk.at(5100, ready(1), ready(2))).toEqual([]);
    expect(desk.wakeAt).toBe(Number.POSITIVE_INFINITY);
  });

  test('a worker that does not find the new one in time is replaced, and may finish', () => {
    const desk = new Desk(2).serve();
    desk.at(5000, { type: 'front-gone', slot: 0 });
    desk.at(5080, { type: 'front-listening', slot: 0 });
    desk.at(5100, ready(1));
    expect(desk.wakeAt).toBe(5080 + RECONNECT_MS);
    const late = desk.at(5080 + RECONNECT_MS);
    expect(types(late)).toEqual(['retire-worker', 'drain-worker', 'spawn-worker']);
    // It comes back after all: the new front has to hear that it is to leave.
    expect(desk.at(7000, ready(2))).toEqual([{ type: 'drain-worker', worker: 2 }]);
  });
});

describe('a stop', () => {
  test('fronts are told, finish and end; the workers with them', () => {
    const desk = new Desk(2).serve();
    expect(desk.at(1000, { type: 'stop', graceMs: 5000 })).toEqual([{ type: 'stop-fronts', graceMs: 5000 }]);
    expect(desk.wakeAt).toBe(6000);
    expect(desk.at(1500, gone(1), { type: 'front-stopped', slot: 0 })).toEqual([]);
    expect(desk.at(1510, { type: 'front-gone', slot: 0 })).toEqual([]);
    expect(desk.at(1600, gone(2))).toEqual([{ type: 'exit' }]);
  });

  test('what is left at the end of the time is killed, the fronts a little later', () => {
    const desk = new Desk(1).serve();
    desk.at(1000, { type: 'stop', graceMs: 5000 });
    expect(desk.at(6000)).toEqual([{ type: 'kill-worker', worker: 1 }]);
    expect(desk.wakeAt).toBe(6000 + FRONT_SLACK_MS);
    expect(desk.at(6000 + FRONT_SLACK_MS, gone(1))).toEqual([{ type: 'kill-front', slot: 0 }]);
    expect(desk.at(7010, { type: 'front-gone', slot: 0 })).toEqual([{ type: 'exit' }]);
  });

  test('a second one may only shorten the first', () => {
    const desk = new Desk(1).serve();
    desk.at(1000, { type: 'stop', graceMs: 5000 });
    expect(desk.at(1100, { type: 'stop', graceMs: 30_000 })).toEqual([]);
    expect(desk.at(1200, { type: 'stop', graceMs: 0 })).toEqual([
      { type: 'stop-fronts', graceMs: 0 },
      { type: 'kill-worker', worker: 1 },
    ]);
  });

  test('nothing is replaced any more', () => {
    const desk = new Desk(2, 1).serve();
    desk.at(1000, { type: 'stop', graceMs: 5000 });
    expect(desk.at(1100, gone(1))).toEqual([]);
    // The front died without draining: nobody will ever hear what its worker answers.
    expect(desk.at(1200, { type: 'front-gone', slot: 0 })).toEqual([{ type: 'kill-worker', worker: 2 }]);
  });

  test('a worker that boots is not waited for, unless requests may wait for it', () => {
    const busy = new Desk(2).serve();
    busy.at(1000, scale(3));
    expect(types(busy.at(1010, { type: 'stop', graceMs: 5000 }))).toEqual(['stop-fronts', 'kill-worker']);
    const alone = new Desk(1).serve();
    alone.at(1000, gone(1));
    expect(types(alone.at(1010, { type: 'stop', graceMs: 5000 }))).toEqual(['stop-fronts']);
  });

  test('a stop in the middle of the start waits for nothing', () => {
    const desk = new Desk(2);
    desk.at(0);
    expect(types(desk.at(10, { type: 'stop', graceMs: 5000 }))).toEqual(['stop-fronts', 'kill-front']);
    expect(types(desk.at(20, { type: 'front-gone', slot: 0 }))).toEqual(['kill-worker', 'kill-worker']);
    expect(desk.at(30, gone(1), gone(2))).toEqual([{ type: 'exit' }]);
  });
});

describe('replacement first', () => {
  test('a worn one leaves when its replacement is ready', () => {
    const desk = new Desk(2).serve();
    expect(brief(desk.at(1000, worn(1)))).toEqual(['spawn-worker 3']);
    expect(desk.at(1500)).toEqual([]);
    expect(desk.at(2000, ready(3))).toEqual([
      { type: 'retire-worker', worker: 1, cause: 'max-requests' },
      { type: 'drain-worker', worker: 1 },
    ]);
    expect(desk.at(2100, gone(1))).toEqual([]);
  });

  test('no more than the surge at a time, over all fronts', () => {
    const desk = new Desk(4, 2, { surge: 1 }).serve();
    expect(brief(desk.at(1000, worn(1), worn(2), worn(3), worn(4)))).toEqual(['spawn-worker 5']);
    expect(brief(desk.at(2000, ready(5)))).toEqual(['retire-worker 1', 'drain-worker 1', 'spawn-worker 6']);
    const both = new Desk(4, 2, { surge: 2 }).serve();
    expect(brief(both.at(1000, worn(1), worn(2)))).toEqual(['spawn-worker 5', 'spawn-worker 6']);
  });

  test('one that dies meanwhile is no surge', () => {
    const desk = new Desk(2).serve();
    desk.at(1000, worn(1));
    expect(brief(desk.at(60_000, gone(2)))).toEqual(['spawn-worker 4']);
  });

  test('age and memory wear a worker', () => {
    const desk = new Desk(1, 1, { maxAgeMs: 60_000, maxMemory: 100 }).serve();
    expect(desk.wakeAt).toBe(60_000);
    const seen = (worker: number, rss: number): Change => ({
      type: 'worker-seen',
      worker,
      stopped: false,
      rss,
    });
    expect(desk.at(1000, seen(1, 100))).toEqual([]);
    expect(brief(desk.at(2000, seen(1, 101)))).toEqual(['spawn-worker 2']);
    expect(brief(desk.at(2500, ready(2)))).toContain('retire-worker 1');
    expect(brief(desk.at(62_000, gone(1)))).toEqual(['worker-worn 2', 'spawn-worker 3']);
  });

  test('one that boots too long is killed after its stack was had, and counts as a failure', () => {
    const desk = new Desk(1, 1, { bootMs: 5000 });
    desk.at(0, { type: 'front-listening', slot: 0 });
    expect(desk.wakeAt).toBe(5000);
    expect(brief(desk.at(5000))).toEqual(['expire-worker 1', 'spawn-worker 2']);
    expect(brief(desk.at(5000 + AUTOPSY_MS))).toEqual(['kill-worker 1']);
    desk.at(6100, gone(1));
    expect(desk.pool.retry.failures).toBe(1);
  });

  test('one that is stopped by a signal is replaced, but not for one glance', () => {
    const seen = (stopped: boolean): Change => ({ type: 'worker-seen', worker: 1, stopped, rss: 0 });
    const desk = new Desk(1).serve();
    expect(desk.at(1000, seen(true))).toEqual([]);
    expect(desk.at(1500, seen(false))).toEqual([]);
    expect(desk.at(2000, seen(true))).toEqual([]);
    const done = brief(desk.at(2000 + SUSPENDED_MS, seen(true)));
    expect(done).toEqual(['retire-worker 1', 'kill-worker 1', 'spawn-worker 2']);
  });

  test('one that lost its front and does not come back is replaced', () => {
    const desk = new Desk(1).serve();
    desk.at(5000, { type: 'worker-lost', worker: 1 });
    expect(desk.wakeAt).toBe(5000 + RECONNECT_MS);
    expect(desk.at(5100, ready(1))).toEqual([]);
    desk.at(6000, { type: 'worker-lost', worker: 1 });
    expect(brief(desk.at(6000 + RECONNECT_MS))).toContain('retire-worker 1');
  });
});

describe('a reload', () => {
  test('rolls one by one; it ends when the new generation serves alone', () => {
    const desk = new Desk(2).serve();
    expect(desk.at(1000, reload())).toEqual([
      { type: 'spawn-worker', worker: 3, pool: 0, front: 0, generation: 2 },
    ]);
    const next = desk.at(2000, ready(3));
    expect(brief(next)).toEqual(['retire-worker 1', 'drain-worker 1', 'spawn-worker 4']);
    expect(brief(desk.at(3000, gone(1), ready(4)))).toEqual([
      'retire-worker 2',
      'drain-worker 2',
      'finish-reload',
    ]);
    expect(desk.pool.reload).toBeNull();
    expect(desk.at(3100, gone(2))).toEqual([]);
  });

  test('what does not load is thrown away, and the old generation serves on', () => {
    const desk = new Desk(2).serve();
    desk.at(60_000, reload({ surge: 2 }));
    expect(desk.pool.limits.surge).toBe(2);
    const failed = brief(desk.at(60_500, gone(3)));
    expect(failed).toEqual(['abort-reload', 'kill-worker 4']);
    expect(desk.pool).toMatchObject({ generation: 1, reload: null, limits: { surge: 1 } });
    expect(desk.pool.retry.failures).toBe(0);
    expect(desk.at(60_600, gone(4))).toEqual([]);
    // The next one is another generation.
    expect(desk.at(61_000, reload())).toMatchObject([{ type: 'spawn-worker', generation: 3 }]);
  });

  test('one that boots too long counts as not loaded, too', () => {
    const desk = new Desk(1).serve();
    desk.at(1000, reload({ bootMs: 500 }));
    expect(brief(desk.at(1500))).toEqual(['expire-worker 2', 'spawn-worker 3']);
    expect(brief(desk.at(1600, gone(2)))).toEqual(['abort-reload', 'kill-worker 3']);
  });

  test('a worker that dies once another has proved the code is no reason to go back', () => {
    const desk = new Desk(2).serve();
    desk.at(60_000, reload());
    desk.at(60_500, ready(3));
    expect(brief(desk.at(61_000, gone(4)))).toEqual([]);
    expect(desk.pool.reload).toMatchObject({ proven: true, failed: false });
    expect(brief(desk.at(62_000))).toEqual(['spawn-worker 5']);
  });

  test('mended code need not wait for the end of a backoff', () => {
    const desk = new Desk(1);
    desk.at(0, { type: 'front-listening', slot: 0 });
    for (let i = 1, now = 0; i < 8; i++, now = desk.wakeAt) desk.at(now, gone(i));
    expect(isDegraded(desk.pool)).toBe(true);
    expect(types(desk.at(desk.now + 1, reload()))).toContain('spawn-worker');
    expect(isDegraded(desk.pool)).toBe(false);
  });

  test('with nobody there one worker proves the new code', () => {
    const desk = new Desk(0);
    desk.pool.max = 4;
    desk.at(0, { type: 'front-listening', slot: 0 });
    expect(types(desk.at(1000, reload()))).toEqual(['spawn-worker']);
  });
});

describe('a reload whose code is not proven yet', () => {
  const TEN: WorkerRange = { min: 10, max: 10 };
  const seen = (worker: number, rss: number): Change => ({
    type: 'worker-seen',
    worker,
    stopped: false,
    rss,
  });

  test('brings no limit for old workers: their memory', () => {
    const desk = new Desk(2, 1, { maxMemory: 1000 }).serve();
    desk.at(60_000, reload({ maxMemory: 100 }));
    desk.at(60_100, seen(1, 500));
    expect(desk.state.workers.get(1)?.worn).toBeNull();
    desk.at(60_200, gone(3));
    expect(desk.at(60_300, seen(1, 500))).toEqual([]);
    expect(brief(desk.at(60_400, seen(1, 1001)))).toEqual(['spawn-worker 4']);
  });

  test('brings its limit with the proof', () => {
    const desk = new Desk(2, 1, { maxMemory: 1000 }).serve();
    desk.at(60_000, reload({ maxMemory: 100 }));
    desk.at(60_100, ready(3), seen(2, 500));
    expect(desk.state.workers.get(2)?.worn).toBe('max-memory');
  });

  test('brings no age for old workers, nor does it leave one', () => {
    const desk = new Desk(1, 1, { maxAgeMs: 90_000 }).serve();
    desk.at(60_000, reload({ maxAgeMs: 10_000 }));
    expect(brief(desk.at(60_500, gone(2)))).toEqual(['abort-reload']);
    expect(desk.at(89_999)).toEqual([]);
    expect(brief(desk.at(90_000))).toEqual(['worker-worn 1', 'spawn-worker 3']);
  });

  test('lets an old worker boot as long as it may, and its own no longer than they may', () => {
    const desk = new Desk(1, 1, { bootMs: 9000 });
    desk.at(0, { type: 'front-listening', slot: 0 });
    desk.at(1000, reload({ bootMs: 2000 }));
    expect(brief(desk.at(2999))).toEqual([]);
    expect(desk.wakeAt).toBe(3000);
    expect(brief(desk.at(3000))).toContain('expire-worker 2');
    expect(desk.state.workers.get(1)?.phase).toBe('booting');
  });

  test('leaves what old workers do the time that it had', () => {
    const desk = new Desk(1).serve();
    desk.at(60_000, reload({ graceMs: 10 }));
    expect(desk.at(60_100, { type: 'park' })).toMatchObject([
      { type: 'kill-worker', worker: 2 },
      { type: 'park-front', graceMs: GRACE_MS },
    ]);
    expect(desk.state.workers.get(1)?.killAt).toBe(60_100 + GRACE_MS);
  });

  test('changes the number of workers with the proof', () => {
    const desk = new Desk(1).serve();
    expect(types(desk.at(60_000, reload({}, TEN)))).toEqual(['spawn-worker']);
    expect(desk.pool).toMatchObject({ min: 1, max: 1, target: 1 });
    desk.at(60_500, ready(2));
    expect(desk.pool).toMatchObject({ ...TEN, target: 10 });
    expect(desk.state.workers.size).toBe(11);
  });

  test('moves the number of workers into new bounds, no further', () => {
    const desk = new Desk(6).serve();
    desk.at(60_000, reload({}, { min: 2, max: 4 }));
    desk.at(60_500, ready(7));
    expect(desk.pool).toMatchObject({ min: 2, max: 4, target: 4 });
  });

  test('a failed one leaves the number of workers, and what was ordered meanwhile', () => {
    const desk = new Desk(3).serve();
    desk.at(60_000, reload({}, { min: 1, max: 1 }));
    expect(leaving(desk.state)).toBe(0);
    desk.at(60_100, scale(4));
    desk.at(60_200, gone(4));
    expect(desk.pool).toMatchObject({ reload: null, generation: 1, min: 4, max: 4, target: 4 });
  });

  test('what is ordered meanwhile is the later word', () => {
    const desk = new Desk(1).serve();
    desk.at(60_000, reload({}, TEN));
    desk.at(60_100, scale(2));
    desk.at(60_500, ready(2));
    expect(desk.pool).toMatchObject({ min: 2, max: 2, target: 2 });
  });

  test('what only moves between the bounds is none', () => {
    const desk = new Desk(1).serve();
    desk.pool.max = 3;
    desk.at(60_000, reload({}, TEN));
    desk.at(60_100, { type: 'scale', pool: 0, min: 1, max: 3, target: 2 });
    desk.at(60_500, ready(2));
    expect(desk.pool).toMatchObject({ ...TEN, target: 10 });
  });
});

test('fewer are wanted while replacements boot: no more than the surge stay beside the old ones', () => {
  const desk = new Desk(6, 3, { surge: 1 }).serve();
  desk.at(60_000, reload());
  // Replaced by new code, as everything that dies now.
  desk.at(60_100, gone(1), gone(2), gone(3));
  const { booting } = desk.pool;
  const { workers } = desk.state;
  expect([booting.size, workers.size]).toEqual([4, 7]);
  desk.at(60_200, scale(3));
  expect(workers.size - leaving(desk.state)).toBe(4);
});

describe('after the machine slept', () => {
  test('a worker that lost its front has the rest of its time', () => {
    let time = 5000;
    const clock = new Clock(() => time);
    const desk = new Desk(1).serve();
    desk.at(clock.now(), { type: 'worker-lost', worker: 1 });
    clock.restMs = restMs(clock.now(), { wakeAt: desk.wakeAt, beatAt: 7000 });
    time += 3_600_000;
    expect(desk.at(clock.now())).toEqual([]);
    for (let rests = 1; rests < RECONNECT_MS / LOOK_MS; rests++) {
      time += LOOK_MS;
      expect(desk.at(clock.now())).toEqual([]);
    }
    time += LOOK_MS;
    expect(brief(desk.at(clock.now()))).toContain('retire-worker 1');
  });

  test('the clock is read often while something is due soon: what cannot be seen is shorter than any deadline of ours', () => {
    const never = Number.POSITIVE_INFINITY;
    expect(restMs(100, { wakeAt: never, beatAt: 2100 })).toBe(2000);
    expect(restMs(100, { wakeAt: 1_000_000, beatAt: 2100 })).toBe(2000);
    expect(restMs(100, { wakeAt: 30_000, beatAt: 2100 })).toBe(LOOK_MS);
    expect(restMs(100, { wakeAt: 120.5, beatAt: 2100 })).toBe(21);
    expect(restMs(100, { wakeAt: 90, beatAt: 2100 })).toBe(0);
    expect(LOOK_MS + LATE_MS).toBeLessThan(Math.min(RECONNECT_MS, SUSPENDED_MS, AUTOPSY_MS, FRONT_SLACK_MS));
  });
});

describe('a zygote', () => {
  const zygote = (type: 'zygote-ready' | 'zygote-gone', generation: number): Change => ({
    type,
    pool: 0,
    generation,
  });

  test('comes first, and workers when it has loaded the application', () => {
    const desk = new Desk(2, 1, { preload: true });
    expect(types(desk.at(0))).toEqual(['spawn-front', 'spawn-zygote']);
    expect(types(desk.at(300, zygote('zygote-ready', 1)))).toEqual(['spawn-worker', 'spawn-worker']);
  });

  test('at a reload a new one starts, and the old one stays until its last worker is gone', () => {
    const desk = new Desk(1, 1, { preload: true });
    desk.at(0, { type: 'front-listening', slot: 0 }, zygote('zygote-ready', 1));
    desk.at(300, zygote('zygote-ready', 1));
    desk.at(310, ready(1));
    expect(types(desk.at(5000, reload({ preload: true })))).toEqual(['spawn-zygote']);
    expect(brief(desk.at(6000, zygote('zygote-ready', 2)))).toEqual(['spawn-worker 2']);
    expect(brief(desk.at(6010, ready(2)))).toEqual(['retire-worker 1', 'drain-worker 1', 'finish-reload']);
    expect(desk.at(6100, gone(1))).toEqual([{ type: 'end-zygote', pool: 0, generation: 1 }]);
    expect(desk.at(6200, zygote('zygote-gone', 1))).toEqual([]);
  });

  test('one that still loads the application is not waited for at a stop', () => {
    const desk = new Desk(1, 1, { preload: true });
    desk.at(0);
    const actions = types(desk.at(300, { type: 'stop', graceMs: 30_000 }));
    expect(actions).toContain('kill-zygote');
    expect(types(desk.at(310))).not.toContain('kill-zygote');
  });

  test('one that cannot load the new code ends the reload', () => {
    const desk = new Desk(1, 1, { preload: true });
    desk.at(0);
    desk.at(300, { type: 'front-listening', slot: 0 }, zygote('zygote-ready', 1));
    desk.at(310, ready(1));
    desk.at(5000, reload({ preload: true }));
    expect(types(desk.at(5300, zygote('zygote-gone', 2)))).toEqual(['abort-reload']);
    expect(desk.at(9000)).toEqual([]);
  });

  test('one that dies is replaced, and so are its workers', () => {
    const desk = new Desk(1, 1, { preload: true });
    desk.at(0);
    desk.at(300, { type: 'front-listening', slot: 0 }, zygote('zygote-ready', 1));
    desk.at(310, ready(1));
    expect(types(desk.at(60_000, gone(1), zygote('zygote-gone', 1)))).toEqual(['spawn-zygote']);
    expect(types(desk.at(61_000, zygote('zygote-ready', 1)))).toEqual(['spawn-worker']);
  });

  test('a stop lets it go after its workers, or kills it', () => {
    const desk = new Desk(1, 1, { preload: true });
    desk.at(0);
    desk.at(300, { type: 'front-listening', slot: 0 }, zygote('zygote-ready', 1));
    desk.at(310, ready(1));
    desk.at(1000, { type: 'stop', graceMs: 5000 });
    const over = desk.at(1500, gone(1), { type: 'front-stopped', slot: 0 }, { type: 'front-gone', slot: 0 });
    expect(types(over)).toEqual(['end-zygote']);
    expect(types(desk.at(6000))).toEqual(['kill-zygote']);
    expect(desk.at(6010, zygote('zygote-gone', 1))).toEqual([{ type: 'exit' }]);
  });
});

describe('parking', () => {
  test('fronts finish and end, workers with them; nothing is replaced until it is over', () => {
    const desk = new Desk(2).serve();
    expect(desk.at(1000, { type: 'park' })).toEqual([{ type: 'park-front', slot: 0, graceMs: GRACE_MS }]);
    expect(
      desk.at(1100, gone(1), { type: 'front-stopped', slot: 0 }, { type: 'front-gone', slot: 0 }),
    ).toEqual([]);
    expect(brief(desk.at(1000 + GRACE_MS))).toEqual(['kill-worker 2']);
    desk.at(1010 + GRACE_MS, gone(2));
    expect(types(desk.at(90_000, { type: 'unpark' }))).toEqual([
      'spawn-front',
      'spawn-worker',
      'spawn-worker',
    ]);
    expect(desk.pool.retry.failures).toBe(0);
  });

  test('a front that still finishes is not given new workers', () => {
    const desk = new Desk(1).serve();
    desk.at(1000, { type: 'park' });
    desk.at(1100, gone(1));
    expect(desk.at(1200, { type: 'unpark' })).toEqual([]);
    const over = desk.at(1300, { type: 'front-stopped', slot: 0 }, { type: 'front-gone', slot: 0 });
    expect(types(over)).toEqual(['spawn-front', 'spawn-worker']);
  });
});

describe('several applications', () => {
  const pools = (desk: Desk) => desk.state.pools;
  const spawned = (actions: Action[]) =>
    actions.flatMap((action) => (action.type === 'spawn-worker' ? [`${action.pool}:${action.worker}`] : []));

  test('each has its own number of workers, and no number is used twice', () => {
    expect(spawned(new Desk([2, 1, 3]).at(0))).toEqual(['0:1', '0:2', '1:3', '2:4', '2:5', '2:6']);
  });

  test('one in a crash loop does not delay another', () => {
    const desk = new Desk([1, 1]).serve();
    desk.at(60_000, gone(1));
    desk.at(60_100, gone(3));
    desk.at(60_200);
    desk.at(60_300, gone(4));
    expect(pools(desk).map(isDegraded)).toEqual([true, false]);
    expect(spawned(desk.at(60_310, gone(2)))).toEqual(['1:5']);
  });

  test('a reload replaces the workers of its own alone', () => {
    const desk = new Desk([1, 1]).serve();
    expect(spawned(desk.at(60_000, reload({}, null, 1)))).toEqual(['1:3']);
    expect(brief(desk.at(60_100, ready(3)))).toEqual(['retire-worker 2', 'drain-worker 2', 'finish-reload']);
    expect(pools(desk).map(({ generation }) => generation)).toEqual([1, 2]);
  });

  test('what does not load is thrown away beside one that reloads well', () => {
    const desk = new Desk([1, 1]).serve();
    desk.at(60_000, reload({}, null, 0), reload({}, null, 1));
    expect(desk.at(60_100, gone(3))).toEqual([{ type: 'abort-reload', pool: 0 }]);
    expect(brief(desk.at(60_200, ready(4)))).toEqual(['retire-worker 2', 'drain-worker 2', 'finish-reload']);
    expect(pools(desk).map(({ generation }) => generation)).toEqual([1, 2]);
  });

  test('an order to scale moves its own alone', () => {
    const desk = new Desk([2, 2]).serve();
    expect(spawned(desk.at(60_000, scale(3, 1)))).toEqual(['1:5']);
    expect(pools(desk).map(({ target }) => target)).toEqual([2, 3]);
  });

  test('a stop waits for the boot of one that alone can take its requests', () => {
    const desk = new Desk([1, 1]);
    desk.at(0);
    desk.at(10, { type: 'front-listening', slot: 0 }, ready(1));
    // Worker 1 serves another application: what waits for worker 2 still needs it.
    expect(types(desk.at(20, { type: 'stop', graceMs: 5000 }))).toEqual(['stop-fronts']);
  });
});

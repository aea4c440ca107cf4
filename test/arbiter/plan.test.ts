import { describe, expect, test } from 'vitest';
import { type Action, FRONT_SLACK_MS, plan, RECONNECT_MS } from '../../src/arbiter/plan.ts';
import {
  apply,
  type Change,
  createState,
  retryDelay,
  SETTLE_MS,
  type State,
} from '../../src/arbiter/state.ts';

const GRACE_MS = 30_000;

/** A state and a clock: `at` applies changes at a time and then does what the plan says, as the loop would. */
class Desk {
  readonly state: State;
  readonly done: Action[] = [];
  now = 0;

  constructor(workers: number, fronts = 1) {
    this.state = createState({ workers, fronts, graceMs: GRACE_MS });
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
    expect(desk.at(60_000, gone(2))).toEqual([{ type: 'spawn-worker', worker: 5, front: 1 }]);
    expect(desk.at(60_001, gone(5))).toEqual([]);
    expect(desk.wakeAt).toBe(60_101);
  });

  test('one more, one fewer: the oldest goes when the front has drained it', () => {
    const desk = new Desk(2).serve();
    expect(types(desk.at(1000, { type: 'retarget', by: 1 }))).toEqual(['spawn-worker']);
    desk.at(1500, ready(3));
    const leave = [
      { type: 'retire-worker', worker: 1 },
      { type: 'drain-worker', worker: 1 },
    ];
    expect(desk.at(2000, { type: 'retarget', by: -1 })).toEqual(leave);
    expect(desk.wakeAt).toBe(2000 + GRACE_MS);
    expect(desk.at(2100, gone(1))).toEqual([]);
  });

  test('one that boots is the first to go, at once', () => {
    const desk = new Desk(2).serve();
    desk.at(1000, { type: 'retarget', by: 1 });
    expect(desk.at(1010, { type: 'retarget', by: -1 })).toEqual([
      { type: 'retire-worker', worker: 3 },
      { type: 'kill-worker', worker: 3 },
    ]);
  });

  test('there is always one', () => {
    const desk = new Desk(1).serve();
    expect(desk.at(1000, { type: 'retarget', by: -1 })).toEqual([]);
    expect(desk.state.target).toBe(1);
  });

  test('a stuck one is replaced at once, and killed when its siblings had their time', () => {
    const desk = new Desk(1).serve();
    const stuck = desk.at(1000, { type: 'worker-stuck', worker: 1, graceMs: 700 });
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
    busy.at(1000, { type: 'retarget', by: 1 });
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

import { expect, test } from 'vitest';
import { apply, type Change } from '../../src/arbiter/apply.ts';
import { type Action, plan } from '../../src/arbiter/plan.ts';
import { NO_FAILURE, type Pool, poolAt, type State, type Team } from '../../src/arbiter/state.ts';
import { type History, type Planner, simulate, Violation } from './simulation.ts';

const HISTORIES = 3000;
/** Histories that a broken plan may take to be caught. */
const TRIES = 500;

test(`${HISTORIES} random histories break no rule`, () => {
  let killed = 0;
  let fronts = 0;
  let replaced = 0;
  let aborted = 0;
  let gaps = 0;
  for (let seed = 1; seed <= HISTORIES; seed++) {
    try {
      const summary = simulate({ seed, plan });
      killed += summary.killed;
      fronts += summary.fronts;
      replaced += summary.replaced;
      aborted += summary.aborted;
      gaps += summary.gaps;
    } catch (error) {
      throw new Error(`Seed ${seed}: ${(error as Error).message}`, { cause: error });
    }
  }
  // The faults did strike.
  expect(killed).toBeGreaterThan(HISTORIES);
  expect(replaced).toBeGreaterThan(HISTORIES);
  expect(aborted).toBeGreaterThan(HISTORIES / 10);
  expect(fronts).toBeGreaterThan(2 * HISTORIES);
  expect(gaps).toBeGreaterThan(2 * HISTORIES);
});

function without(...types: Action['type'][]): Planner {
  return (state, now) => {
    const { actions, wakeAt } = plan(state, now);
    return { actions: actions.filter((action) => !types.includes(action.type)), wakeAt };
  };
}

/** As if the state were another one. */
function believing(belief: (state: State) => Partial<State>): Planner {
  return (state, now) => plan({ ...state, ...belief(state) }, now);
}

/** As if each pool were another one. */
function fancying(belief: (pool: Pool) => Partial<Pool>): Planner {
  return believing(({ pools }) => ({ pools: pools.map((pool) => ({ ...pool, ...belief(pool) })) }));
}

/** Does something more whenever it likes. */
function adding(more: (state: State) => readonly Action[]): Planner {
  return (state, now) => {
    const honest = plan(state, now);
    const extra = state.stop === null ? more(state) : [];
    return { ...honest, actions: [...honest.actions, ...extra] };
  };
}

/** Does something else, or something more, where a change is entered. */
function entering(type: Change['type'], enter: typeof apply): Pick<History, 'apply'> {
  return { apply: (state, change, now) => (change.type === type ? enter : apply)(state, change, now) };
}

/** Takes code for proven that is on trial. */
const trusting: typeof apply = (state, change, now) => {
  const reloads = state.pools.map(({ reload }) => reload);
  for (const pool of state.pools) if (pool.reload !== null) pool.reload = { ...pool.reload, proven: true };
  apply(state, change, now);
  state.pools.forEach((pool, i) => {
    pool.reload = reloads[i] ?? null;
  });
};

/** A clock that skips a gap but for so much of it. */
function counting(partMs: number, restMs: number): NonNullable<History['clock']> {
  return (source) => {
    let last = source();
    let skipped = 0;
    const now = () => {
      const passed = source() - last;
      last += passed;
      if (passed > 2 * restMs) skipped += passed - partMs;
      return last - skipped;
    };
    return { now, restMs };
  };
}

const poolOf = (state: State, change: Change) => poolAt(state, 'pool' in change ? change.pool : 0);
const oldOf = ({ old }: Team) => [...old.all.values()].filter((worker) => worker.phase === 'ready');

const BROKEN: Record<string, readonly [Planner | Omit<History, 'seed' | 'plan'>, RegExp]> = {
  'no backoff': [fancying(() => ({ retry: NO_FAILURE })), /crash loop without backoff/],
  'one worker too many': [
    fancying(({ target }) => ({ target: target + 1 })),
    /more workers than target and surge/,
  ],
  'one worker too few': [
    fancying(({ target }) => ({ target: Math.max(1, target - 1) })),
    /not replaced|retired/,
  ],
  'blind to a stop': [
    (state, now) => {
      const honest = plan(state, now);
      if (state.stop === null || honest.actions.length > 0) return honest;
      return plan({ ...state, stop: null }, now);
    },
    /spawned during a stop/,
  ],
  'old stopped before the new is ready': [
    adding(({ pools }) =>
      pools
        .flatMap(({ teams }) => teams.flatMap(oldOf))
        .slice(0, 1)
        .map(({ id }) => ({ type: 'retire-worker', worker: id, cause: 'reload' })),
    ),
    /before its replacement is ready/,
  ],
  'a surge too large': [
    fancying(({ limits }) => ({ limits: { ...limits, surge: limits.surge + 1 } })),
    /more workers than target and surge/,
  ],
  'code that cannot be loaded is kept': [without('abort-reload'), /no return to health/],
  'reloads never end': [without('finish-reload'), /a reload without end/],
  'never tires of a worker that boots': [without('expire-worker'), /no return to health|wake-up in the past/],
  'a stopped worker is left alone': [
    believing(() => ({ suspended: new Map() })),
    /a stopped worker was left/,
  ],
  'forks from nothing': [
    fancying(({ limits }) => ({ limits: { ...limits, preload: false } })),
    /a fork without a zygote/,
  ],
  'a zygote that leaves its children': [
    adding(({ pools }) =>
      pools.flatMap(({ index, zygotes, generation }) =>
        [...zygotes.values()]
          .filter((zygote) => zygote.generation !== generation && zygote.phase === 'ready')
          .map((zygote) => ({ type: 'end-zygote', pool: index, generation: zygote.generation })),
      ),
    ),
    /a zygote ended before its workers/,
  ],
  'starts while parked': [believing(() => ({ parked: false })), /spawned during a stop/],
  'no replacement for the lost': [believing(() => ({ detached: new Set() })), /no return to health/],
  'never kills': [without('kill-worker'), /outlives|wake-up in the past|would ever end/],
  'never replaces a front': [
    (state, now) => (now < 1000 ? plan(state, now) : without('spawn-front')(state, now)),
    /front missing|wake-up in the past/,
  ],
  'sleeps too long': [
    (state, now) => ({ ...plan(state, now), wakeAt: Number.POSITIVE_INFINITY }),
    /outlives|would ever end|no return to health|longer than/,
  ],
  'retires the youngest': [
    (state, now) => {
      const { actions, wakeAt } = plan(state, now);
      const youngest = [...state.workers.values()].filter((worker) => worker.phase === 'ready').at(-1);
      if (state.pools.some(({ booting }) => booting.size > 0) || youngest === undefined)
        return { actions, wakeAt };
      const other = actions.map((action): Action => {
        const detached = action.type !== 'retire-worker' || state.detached.has(action.worker);
        return detached ? action : { ...action, worker: youngest.id };
      });
      return { actions: other, wakeAt };
    },
    /another worker retired|retired/,
  ],
  'a clock that counts the time of a sleeping machine': [
    { clock: (now) => ({ now, restMs: 0 }) },
    /(boot|way back|time|age|stop) cut short/,
  ],
  'a clock that counts more of a gap than a worker has to come back': [
    { clock: counting(2000, 2000) },
    /way back cut short/,
  ],
  'memory limits of unproven code for old workers': [
    entering('worker-seen', trusting),
    /worn by limits that are not its own/,
  ],
  'boot timeouts of unproven code for old workers': [
    fancying(({ reload }) => ({ reload: reload === null ? null : { ...reload, proven: true } })),
    /a boot cut short/,
  ],
  'a failed reload that leaves its limits': [
    entering('abort-reload', (state, change, now) => {
      const pool = poolOf(state, change);
      const { limits } = pool;
      apply(state, change, now);
      pool.limits = limits;
    }),
    /limits that are not in force/,
  ],
  'the number of workers taken over before the proof': [
    entering('reload', (state, change, now) => {
      apply(state, change, now);
      if (change.type !== 'reload' || change.range === null) return;
      const { pool, range } = change;
      apply(state, { type: 'scale', pool, ...range, target: poolAt(state, pool).target }, now);
    }),
    /another number of workers than was ordered/,
  ],
  'a failed reload that leaves its number of workers': [
    entering('abort-reload', (state, change, now) => {
      const { reload, index, target } = poolOf(state, change);
      const range = reload?.range ?? null;
      apply(state, change, now);
      if (range !== null) apply(state, { type: 'scale', pool: index, ...range, target }, now);
    }),
    /another number of workers than was ordered/,
  ],
  'a number of workers that is forgotten with the proof': [
    entering('reload', (state, change, now) => {
      if (change.type === 'reload') apply(state, { ...change, range: null }, now);
    }),
    /another number of workers than was ordered/,
  ],
  'an order to scale that a reload takes back': [
    entering('scale', (state, change, now) => {
      const pool = poolOf(state, change);
      const { reload } = pool;
      apply(state, change, now);
      pool.reload = reload;
    }),
    /another number of workers than was ordered/,
  ],
  'a crash loop that holds up every application': [
    entering('worker-gone', (state, change, now) => {
      apply(state, change, now);
      const failed = state.pools.find(({ retry }) => retry.failedAt === now);
      if (failed !== undefined) for (const pool of state.pools) pool.retry = failed.retry;
    }),
    /touched by what happens to another/,
  ],
  'a reload of every application': [
    entering('reload', (state, change, now) => {
      for (const pool of state.pools.keys()) apply(state, { ...change, pool } as Change, now);
    }),
    /touched by what happens to another/,
  ],
  'an order to scale that is taken for the first application': [
    entering('scale', (state, change, now) => apply(state, { ...change, pool: 0 } as Change, now)),
    /another number of workers|touched by what happens to another/,
  ],
  'workers of another application in place of its own': [
    (state, now) => {
      const { actions, wakeAt } = plan(state, now);
      const last = state.pools.length - 1;
      const other = actions.map((action) =>
        action.type === 'spawn-worker' ? { ...action, pool: last } : action,
      );
      return { actions: other, wakeAt };
    },
    /more workers than target and surge|missing and not replaced|so many steps|without end/,
  ],
  'an application that waits for the health of another': [
    believing(({ pools }) => {
      const isIll = pools.some(({ retry }) => retry.failures > 0);
      return { pools: isIll ? pools.filter(({ retry }) => retry.failures > 0) : pools };
    }),
    /missing and not replaced|wake-up in the past/,
  ],
};

test.each(Object.entries(BROKEN))(
  'the simulation catches a plan that is broken: %s',
  (_name, [broken, rule]) => {
    const caught: string[] = [];
    for (let seed = 1; seed <= TRIES && !rule.test(caught.at(-1) ?? ''); seed++) {
      try {
        simulate(typeof broken === 'function' ? { seed, plan: broken } : { seed, plan, ...broken });
      } catch (error) {
        expect(error).toBeInstanceOf(Violation);
        caught.push((error as Error).message);
      }
    }
    expect(caught.join('\n')).toMatch(rule);
  },
);

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { apply, type Change } from '../../src/arbiter/apply.ts';
import type { Arbiter } from '../../src/arbiter/arbiter.ts';
import { Inquiries } from '../../src/arbiter/inquiry.ts';
import { Orders } from '../../src/arbiter/orders.ts';
import type { Reloads } from '../../src/arbiter/reload.ts';
import type { SignalName } from '../../src/arbiter/signals.ts';
import { type Pool, poolAt, type State } from '../../src/arbiter/state.ts';
import { dumpStacks } from '../../src/stack-file.ts';
import { startHanging } from '../support/hanging.ts';
import { keepLog, servingState } from './stand-ins.ts';

const tty = vi.hoisted(() => ({ isThere: false }));
// Whether the tests themselves run in a terminal must make no difference.
vi.mock('node:tty', () => ({ isatty: () => tty.isThere }));

/** A pid that nobody has. */
let nobody = 0;

beforeEach(async () => {
  tty.isThere = false;
  const child = spawn('true', { stdio: 'ignore' });
  await once(child, 'exit');
  nobody = child.pid ?? 0;
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const PREFIXES = ['/', '/api', '/shop/admin'];
const DONE = { ok: true, text: 'done' };

/** Orders to an arbiter that enters them into its state, and plans nothing. */
class Desk {
  readonly state: State;
  readonly log = keepLog();
  readonly changes: Change[] = [];
  /** Beside changes: `reload`, `reopen`, `upgrade`. */
  readonly done: string[] = [];
  readonly orders: Orders;
  /** What a worker says of its stacks, through its front. */
  answer: (worker: number) => string = () => '';
  #now = 0;

  constructor(state = servingState(2), { pid = nobody, stackFile = '/nowhere/stack' } = {}) {
    this.state = state;
    vi.spyOn(performance, 'now').mockImplementation(() => this.#now);
    const inquiries = new Inquiries((slot, message) => {
      if (message.type !== 'stacks') return;
      const text = this.answer(message.worker);
      if (text !== '') setImmediate(() => inquiries.take(slot, { ...message, text }));
    });
    const arbiter = {
      state,
      inquiries,
      fleet: {
        named: (id: number) => ({ id, pid }),
        stacks: () => dumpStacks(pid, stackFile),
        of: (pool: number) => (state.pools.length === 1 ? '' : ` of ${PREFIXES[pool]}`),
      },
      setups: PREFIXES.slice(0, state.pools.length).map((prefix) => ({ prefix })),
      order: (change: Change) => this.#enter(change),
    };
    this.orders = new Orders({
      arbiter: arbiter as unknown as Arbiter,
      log: this.log,
      reloads: {
        request: (pool: number | null = null) => this.#note(pool === null ? 'reload' : `reload ${pool}`),
      } as unknown as Reloads,
      listen: [],
      onStop: () => {},
      reopenLogs: () => void this.#note('reopen'),
      upgrade: () => this.#note('upgrade'),
    });
  }

  signals(...names: SignalName[]): this {
    for (const name of names) this.orders.signal(name);
    return this;
  }

  /** Milliseconds go by. */
  pass(ms: number): this {
    this.#now += ms;
    return this;
  }

  enter(...changes: Change[]): this {
    for (const change of changes) apply(this.state, change, this.#now);
    return this;
  }

  /** Of the first application. */
  get pool(): Pool {
    return poolAt(this.state, 0);
  }

  get bounds(): string {
    const { min, target, max } = this.pool;
    return `${min} ${target} ${max}`;
  }

  /** How much time each order to stop has left. */
  get stops(): number[] {
    return this.changes.flatMap((change) => (change.type === 'stop' ? [change.graceMs] : []));
  }

  #enter(change: Change): void {
    this.changes.push(change);
    this.enter(change);
  }

  #note(what: string) {
    this.done.push(what);
    return Promise.resolve(DONE);
  }
}

const stopping = () => new Desk().enter({ type: 'stop', graceMs: 5000 });
const parked = () => new Desk().enter({ type: 'park' });
const ranged = () => new Desk(servingState(2, { min: 1, max: 4 }));

describe('signals to stop', () => {
  test.each<[string, SignalName[], number[]]>([
    ['TERM: requests have the graceful timeout', ['SIGTERM'], [30_000]],
    ['INT: they have 3 s', ['SIGINT'], [3000]],
    ['QUIT: as INT', ['SIGQUIT'], [3000]],
    ['TERM, then INT: less', ['SIGTERM', 'SIGINT'], [30_000, 3000]],
    ['TERM, then INT, then QUIT: nothing', ['SIGTERM', 'SIGINT', 'SIGQUIT'], [30_000, 3000, 0]],
    ['INT, then TERM: nothing', ['SIGINT', 'SIGTERM'], [3000, 0]],
  ])('%s', (_name, signals, expected) => {
    expect(new Desk().signals(...signals).stops).toEqual(expected);
  });

  test('while new code is not proven, they have the time that the old configuration gives', () => {
    const desk = new Desk();
    const limits = { ...desk.pool.limits, graceMs: 1 };
    expect(desk.enter({ type: 'reload', pool: 0, limits, range: null }).signals('SIGTERM').stops).toEqual([
      30_000,
    ]);
  });

  test('the same one again within a second is an echo; later it counts', () => {
    const desk = new Desk().signals('SIGINT').pass(999).signals('SIGINT');
    expect(desk.stops).toEqual([3000]);
    expect(desk.pass(1).signals('SIGINT').stops).toEqual([3000, 0]);
  });

  test('TERM again never counts', () => {
    expect(new Desk().signals('SIGTERM').pass(5000).signals('SIGTERM').stops).toEqual([30_000]);
  });

  test('a graceful timeout that is shorter holds for INT, too', () => {
    const desk = new Desk();
    desk.pool.limits = { ...desk.pool.limits, graceMs: 1000 };
    expect(desk.signals('SIGINT').stops).toEqual([1000]);
  });

  test('the log says by whom, and how much time there is', () => {
    const { log } = new Desk().signals('SIGTERM', 'SIGINT', 'SIGQUIT');
    expect(log.lines).toEqual([
      'INFO Stopping (SIGTERM): requests in flight have up to 30 s',
      'INFO Stopping (SIGINT): requests in flight have up to 3 s',
      'INFO Stopping (SIGQUIT): at once',
    ]);
  });

  test('the control command stops as TERM does, or as INT', () => {
    const slow = new Desk();
    expect(slow.orders.stop(false)).toEqual({ ok: true, text: 'Stopping.' });
    expect(slow.stops).toEqual([30_000]);
    expect(slow.log.lines).toEqual(['INFO Stopping (tunicorn stop): requests in flight have up to 30 s']);
    const quick = new Desk();
    quick.orders.stop(true);
    expect(quick.stops).toEqual([3000]);
  });
});

describe('other signals', () => {
  test('HUP reloads; USR1 opens the logs anew; USR2 upgrades', () => {
    const desk = new Desk().signals('SIGHUP', 'SIGUSR1', 'SIGUSR2');
    expect(desk.done).toEqual(['reload', 'reopen', 'upgrade']);
    expect(desk.changes).toEqual([]);
  });

  test('during a stop neither HUP nor USR2 nor WINCH begins anything', () => {
    const desk = stopping().signals('SIGHUP', 'SIGUSR2', 'SIGWINCH');
    expect(desk.done).toEqual([]);
    expect(desk.changes).toEqual([]);
  });

  test('WINCH parks once; HUP brings fronts and workers back, and only then reloads', () => {
    const desk = new Desk().signals('SIGWINCH', 'SIGWINCH');
    expect(desk.changes).toEqual([{ type: 'park' }]);
    desk.signals('SIGHUP');
    expect(desk.changes.at(-1)).toEqual({ type: 'unpark' });
    expect(desk.done).toEqual([]);
    expect(desk.signals('SIGHUP').done).toEqual(['reload']);
    expect(desk.log.lines).toEqual([
      'INFO SIGWINCH: fronts and workers finish and end; HUP brings them back',
      'INFO SIGHUP: fronts and workers start again',
    ]);
  });

  test('in a terminal WINCH is only its size', () => {
    tty.isThere = true;
    expect(new Desk().signals('SIGWINCH').changes).toEqual([]);
  });

  test.each<[string, () => Desk, SignalName[], string]>([
    ['one more', () => new Desk(), ['SIGTTIN'], '3 3 3'],
    [
      'three more, three fewer',
      () => new Desk(),
      Array(3).fill('SIGTTIN').concat(Array(3).fill('SIGTTOU')),
      '2 2 2',
    ],
    ['never none', () => new Desk(), ['SIGTTOU', 'SIGTTOU', 'SIGTTOU'], '1 1 1'],
    ['a range moves as a whole', ranged, ['SIGTTIN'], '2 3 5'],
    ['a range gets no lower than one', ranged, ['SIGTTOU', 'SIGTTOU'], '1 1 2'],
    [
      'a range from none moves by its upper end',
      () => new Desk(servingState(0, { min: 0, max: 2 })),
      ['SIGTTOU'],
      '0 0 1',
    ],
  ])('TTIN and TTOU: %s', (_name, open, signals, bounds) => {
    expect(open().signals(...signals).bounds).toBe(bounds);
  });

  test('the log says how many there are from now on', () => {
    expect(new Desk().signals('SIGTTIN', 'SIGTTOU').log.lines).toEqual([
      'INFO SIGTTIN: 3 workers from now on',
      'INFO SIGTTOU: 2 workers from now on',
    ]);
    expect(ranged().signals('SIGTTIN').log.lines).toEqual(['INFO SIGTTIN: 2 to 5 workers from now on']);
  });
});

describe('scale', () => {
  test.each<[string, string, string]>([
    ['4', '4 4 4', '4 workers from now on'],
    ['1', '1 1 1', '1 worker from now on'],
    ['+1', '3 3 3', '3 workers from now on'],
    ['-1', '1 1 1', '1 worker from now on'],
    ['-9999', '1 1 1', '1 worker from now on: there must be 1 at least'],
    ['2..8', '2 2 8', '2 to 8 workers from now on'],
    ['3..8', '3 3 8', '3 to 8 workers from now on'],
    ['0..2', '0 2 2', '0 to 2 workers from now on'],
  ])('%s', (order, bounds, text) => {
    const desk = new Desk();
    expect(desk.orders.scale(order)).toEqual({ ok: true, text });
    expect(desk.bounds).toBe(bounds);
    expect(desk.log.lines).toEqual([`INFO ${text} (tunicorn scale ${order})`]);
  });

  test.each(['', '0', 'many', '8..2', '+', '1.5', '--1'])('not to %j', (order) => {
    const desk = new Desk();
    expect(desk.orders.scale(order)).toEqual({
      ok: false,
      text: `"${order}" is no number of workers. Good ones are a whole number from 1 up, a range such as 2..8, auto, and a step such as +1 or -1.`,
    });
    expect(desk.changes).toEqual([]);
  });

  test.each<[string, string, string]>([
    ['-2', '1 1 2', '1 to 2 workers from now on: there must be 1 at least'],
    ['-1', '1 1 3', '1 to 3 workers from now on: there must be 1 at least'],
    ['-9', '1 1 1', '1 worker from now on: there must be 1 at least'],
  ])('a range by %s', (order, bounds, text) => {
    const desk = ranged();
    expect(desk.orders.scale(order)).toEqual({ ok: true, text });
    expect(desk.bounds).toBe(bounds);
  });

  test('0..N by a step that leaves none', () => {
    const desk = new Desk();
    desk.orders.scale('0..2');
    expect(desk.orders.scale('+1').text).toBe('1 to 3 workers from now on');
    desk.orders.scale('0..3');
    expect(desk.orders.scale('-1').text).toBe('0 to 2 workers from now on');
    expect(desk.orders.scale('-5').text).toBe('0 to 1 workers from now on: the most must be 1 at least');
  });

  test('not below one worker for each front', () => {
    const desk = new Desk();
    desk.state.fronts.push({ ...desk.state.fronts[0] } as State['fronts'][number]);
    expect(desk.orders.scale('1')).toMatchObject({
      ok: false,
      text: '1 worker would be too few: there are 2 fronts, and each needs one (--fronts).',
    });
    expect(desk.orders.scale('0..4')).toMatchObject({ ok: false });
    expect(desk.orders.scale('2..4')).toMatchObject({ ok: true });
  });
});

describe('stacks', () => {
  test('of one worker, as it tells them', async () => {
    const desk = new Desk();
    desk.answer = (worker) => `File "app.py", line ${worker}\n\n`;
    expect(await desk.orders.stacks(2)).toEqual({
      ok: true,
      text: `Worker 2 (pid ${nobody})\nFile "app.py", line 2`,
    });
  });

  test('of all, also of one that is stuck in C', async () => {
    await using hanging = await startHanging();
    const desk = new Desk(servingState(2), hanging);
    desk.answer = (worker) => (worker === 1 ? 'File "app.py", line 1' : '');
    const { ok, text } = await desk.orders.stacks(null);
    const [first = '', second = ''] = text.split('\n\n');
    expect(ok).toBe(true);
    expect(first).toBe(`Worker 1 (pid ${hanging.pid})\nFile "app.py", line 1`);
    expect(second).toMatch(new RegExp(`^Worker 2 \\(pid ${hanging.pid}\\)\\n`));
    expect(second).toContain('in hang_in_regex');
  });

  test('of one that boots no front is asked', async () => {
    await using hanging = await startHanging();
    const desk = new Desk(servingState(1), hanging);
    desk.enter({ type: 'spawn-worker', worker: 2, pool: 0, front: 0, generation: 1 });
    desk.answer = () => 'nobody can have said this';
    expect((await desk.orders.stacks(2)).text).toContain('in hang_in_regex');
  });

  test('of one that says nothing at all', async () => {
    expect((await new Desk(servingState(1)).orders.stacks(1)).text).toBe(
      `Worker 1 (pid ${nobody})\nIts stacks could not be had: it is stopped, or ends.`,
    );
  });

  test('of none', async () => {
    expect(await new Desk(servingState(0, { min: 0, max: 2 })).orders.stacks(null)).toEqual({
      ok: true,
      text: 'There are no workers.',
    });
    expect(await new Desk().orders.stacks(9)).toEqual({
      ok: false,
      text: 'There is no worker 9: there are 1, 2.',
    });
  });
});

describe('recycle', () => {
  test.each<[string, (desk: Desk) => void]>([
    ['it leaves', (desk) => desk.enter({ type: 'retire-worker', worker: 1, cause: 'recycle' })],
    ['it is gone', (desk) => desk.enter({ type: 'worker-gone', worker: 1 })],
  ])('it ends when its replacement is there, and %s', async (_name, replace) => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    const desk = new Desk();
    const outcome = desk.orders.recycle(1);
    expect(desk.changes).toEqual([{ type: 'worker-worn', worker: 1, cause: 'recycle' }]);
    expect(desk.log.lines).toEqual([`INFO Worker 1 (pid ${nobody}) is to be replaced (tunicorn recycle)`]);
    let ended = false;
    void outcome.then(() => {
      ended = true;
    });
    await vi.advanceTimersByTimeAsync(60_000);
    expect(ended).toBe(false);
    replace(desk);
    await vi.advanceTimersByTimeAsync(1000);
    expect(await outcome).toEqual({ ok: true, text: `Worker 1 (pid ${nobody}) has been replaced.` });
  });

  test('not one that leaves, nor one that is none', async () => {
    const desk = new Desk().enter({ type: 'retire-worker', worker: 1, cause: 'reload' });
    expect(await desk.orders.recycle(1)).toEqual({
      ok: false,
      text: `Worker 1 (pid ${nobody}) is leaving already.`,
    });
    expect(await desk.orders.recycle(9)).toEqual({
      ok: false,
      text: 'There is no worker 9: there are 1, 2.',
    });
    expect(await new Desk(servingState(0, { min: 0, max: 2 })).orders.recycle(1)).toMatchObject({
      text: 'There is no worker 1: there are none.',
    });
    expect(desk.changes).toEqual([]);
  });
});

describe('reload and upgrade', () => {
  test('give the outcome of what was asked for', async () => {
    const desk = new Desk();
    expect(await desk.orders.reload()).toBe(DONE);
    expect(await desk.orders.upgrade()).toBe(DONE);
    expect(desk.done).toEqual(['reload', 'upgrade']);
  });

  test('a reload while parked brings everything back first', async () => {
    const desk = parked();
    expect(await desk.orders.reload()).toBe(DONE);
    expect(desk.changes).toEqual([{ type: 'unpark' }]);
    expect(desk.log.lines).toEqual(['INFO reload: fronts and workers start again']);
  });
});

test('during a stop every order is refused', async () => {
  const { orders, done, changes } = stopping();
  const refused = { ok: false, text: 'The server is stopping.' };
  expect(orders.scale('4')).toEqual(refused);
  expect(await orders.reload()).toEqual(refused);
  expect(await orders.upgrade()).toEqual(refused);
  expect(await orders.recycle(1)).toEqual(refused);
  expect([done, changes]).toEqual([[], []]);
});

describe('several applications', () => {
  const several = () => new Desk(servingState(2, { min: 2, max: 2 }, 3));

  test.each<[string | null, string]>([
    [null, 'reload'],
    ['/api', 'reload 1'],
    ['/shop/admin/', 'reload 2'],
    ['/', 'reload 0'],
  ])('reload of %s', async (mount, done) => {
    const desk = several();
    expect(await desk.orders.reload(mount)).toEqual(DONE);
    expect(desk.done).toEqual([done]);
  });

  test('what is not there cannot be meant, and what is there is told', async () => {
    const text = 'Nothing is mounted at /apo. There are /, /api, /shop/admin.';
    expect(await several().orders.reload('/apo')).toEqual({ ok: false, text });
    expect(several().orders.scale('+1', '/apo')).toEqual({ ok: false, text });
    expect(await several().orders.stacks(null, '/apo')).toEqual({ ok: false, text });
  });

  test('a number of workers is for one of them', () => {
    const desk = several();
    expect(desk.orders.scale('4', '/api')).toEqual({ ok: true, text: '4 workers of /api from now on' });
    expect(desk.state.pools.map(({ target }) => target)).toEqual([2, 4, 2]);
    expect(desk.orders.scale('4')).toEqual({
      ok: false,
      text: 'Which application? There are /, /api, /shop/admin: name one with --mount.',
    });
  });

  test('a signal cannot name one: it means each', () => {
    const desk = several().signals('SIGTTIN');
    expect(desk.state.pools.map(({ target }) => target)).toEqual([3, 3, 3]);
  });

  test('stacks of those of one application alone', async () => {
    const text = 'There are no workers.';
    expect(await several().orders.stacks(null, '/api')).toEqual({ ok: true, text });
  });
});

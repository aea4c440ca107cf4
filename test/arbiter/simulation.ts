/**
 * A simulated machine for `plan`: processes that boot, serve, crash, hang and come back, in simulated time and
 * from a seed. It checks after each step what must never happen, so that a broken plan is caught.
 */

import { apply, type Change } from '../../src/arbiter/apply.ts';
import { REST_MS } from '../../src/arbiter/heart.ts';
import { FRONT_SLACK_MS, LOOK_MS, type Plan, restMs } from '../../src/arbiter/plan.ts';
import {
  countReady,
  createState,
  isOld,
  type Limits,
  NO_FAILURE,
  NO_LIMITS,
  type Pool,
  poolAt,
  quota,
  type State,
  type WorkerState,
} from '../../src/arbiter/state.ts';
import { Clock } from '../../src/clock.ts';
import { mulberry32 } from '../support/random.mjs';
import { Ledger } from './ledger.ts';

export type Planner = (state: State, now: number) => Plan;

export interface History {
  readonly seed: number;
  readonly plan: Planner;
  readonly apply?: typeof apply;
  readonly clock?: (source: () => number) => Pick<Clock, 'now' | 'restMs'>;
  /** Simulated time before the stop, default two minutes. */
  readonly runMs?: number;
}

export interface Summary {
  readonly steps: number;
  readonly spawned: number;
  readonly killed: number;
  readonly fronts: number;
  /** Workers that left because another took their place, and reloads that were thrown away. */
  readonly replaced: number;
  readonly aborted: number;
  /** How often the machine slept. */
  readonly gaps: number;
  /** Simulated time from the order to stop to the end. */
  readonly stopMs: number;
}

/** A rule was broken. */
export class Violation extends Error {
  override readonly name = 'Violation';
}

/** A process killed or told to go is gone after at most this long. */
const REAP_MS = 20;
/** Faults cease for so long that everything must be well again: the longest backoff, and one more try. */
const QUIET_MS = 70_000;
const GRACE_MS = 5000;
const BOOT_MS = 8000;
const MAX_STEPS = 200_000;

type Happening =
  | Change
  /** What starts of this application fails. */
  | { readonly type: 'mood'; readonly pool: number; readonly failing: boolean }
  /** The machine sleeps, or all that runs on it is stopped. */
  | { readonly type: 'sleep'; readonly ms: number }
  /** SIGSTOP, and perhaps SIGCONT soon after. */
  | { readonly type: 'suspend'; readonly worker: number };

/** Runs one random history. @throws {Violation} */
export function simulate(history: History): Summary {
  return new World(history).run();
}

const ORDERS: readonly string[] = ['scale', 'reload', 'park', 'unpark'];

class World {
  readonly #plan: Planner;
  readonly #apply: typeof apply;
  readonly #clock: Pick<Clock, 'now' | 'restMs'>;
  readonly #ledger: Ledger;
  readonly #random: () => number;
  readonly #state: State;
  readonly #runMs: number;
  /** Time in which the machine was awake, and in which it was not. What happens goes by the first. */
  #now = 0;
  #slept = 0;
  #agenda: { at: number; what: Happening }[] = [];
  /** What really runs. */
  readonly #workers = new Set<number>();
  readonly #fronts = new Set<number>();
  /** Dead on a signal that they get no second time. */
  readonly #dying = new Set<string>();
  readonly #used = new Set<number>();
  /** By pool and generation, as all that is of one generation. */
  readonly #zygotes = new Set<string>();
  readonly #suspended = new Set<number>();
  readonly #forked = new Set<number>();
  /** Generations whose code cannot be loaded. */
  readonly #broken = new Set<string>();
  /** Pools whose new processes fail. */
  readonly #failing = new Set<number>();
  /** No faults happen. */
  #quiet = false;
  /** By pool. */
  readonly #failedSpawns = new Map<number, number[]>();
  #steps = 0;
  #killed = 0;
  #spawnedFronts = 0;
  #replaced = 0;
  #aborted = 0;

  constructor(history: History) {
    const { seed, plan, runMs = 120_000, clock = (source) => new Clock(source) } = history;
    this.#plan = plan;
    this.#apply = history.apply ?? apply;
    this.#clock = clock(() => this.#now + this.#slept);
    this.#random = mulberry32(seed);
    this.#runMs = runMs;
    const fronts = 1 + this.#below(3);
    // Mostly one application; several small ones, so that the histories are no longer for it.
    const count = [1, 1, 2, 3][this.#below(4)] ?? 1;
    const pools = Array.from({ length: count }, () => {
      const min = fronts + this.#below(count === 1 ? 6 : 3);
      return { min, max: min + this.#below(3), limits: this.#limits() };
    });
    this.#state = createState({ fronts, pools });
    this.#ledger = new Ledger({
      state: this.#state,
      now: () => this.#now,
      violated: (rule) => this.#violated(rule),
    });
  }

  run(): Summary {
    this.#scatter();
    this.#until(this.#runMs);
    this.#quiet = true;
    this.#failing.clear();
    if (this.#state.parked) this.#change({ type: 'unpark' });
    this.#until(this.#runMs + QUIET_MS);
    this.#checkConverged();
    const stopMs = this.#stop();
    return {
      steps: this.#steps,
      spawned: this.#used.size,
      killed: this.#killed,
      fronts: this.#spawnedFronts,
      replaced: this.#replaced,
      aborted: this.#aborted,
      gaps: this.#ledger.gaps,
      stopMs,
    };
  }

  /** Orders and moods of this history. */
  #scatter(): void {
    for (let i = this.#below(8); i > 0; i--) this.#in(this.#below(this.#runMs), this.#order());
    for (let i = this.#below(4); i > 0; i--) this.#in(this.#below(this.#runMs), this.#sleep());
    for (let i = this.#below(3); i > 0; i--) {
      const from = this.#below(this.#runMs);
      const pool = this.#anyPool();
      this.#in(from, { type: 'mood', pool, failing: true });
      this.#in(from + this.#below(60_000), { type: 'mood', pool, failing: false });
    }
  }

  #limits(): Limits {
    return {
      ...NO_LIMITS,
      graceMs: GRACE_MS - 1000 * this.#below(3),
      bootMs: BOOT_MS - 1500 * this.#below(3),
      surge: 1 + this.#below(3),
      maxAgeMs: this.#below(3) === 0 ? 20_000 + this.#below(40_000) : Number.POSITIVE_INFINITY,
      maxMemory: 500 * (1 + this.#below(3)),
      preload: this.#below(3) === 0,
    };
  }

  #order(): Change {
    const pool = this.#anyPool();
    switch (this.#below(7)) {
      case 0:
        return { type: 'park' };
      case 1:
        return { type: 'unpark' };
      case 2:
      case 3:
        return this.#rescale(pool);
      default:
        return { type: 'reload', pool, limits: this.#limits(), range: this.#range() };
    }
  }

  #anyPool(): number {
    return this.#below(this.#state.pools.length);
  }

  #rescale(pool: number): Change {
    const { min, max, target } = poolAt(this.#state, pool);
    const low = Math.max(this.#state.fronts.length, min + this.#below(3) - 1);
    return {
      type: 'scale',
      pool,
      min: low,
      max: Math.max(low, max),
      target: target + this.#below(3) - 1,
    };
  }

  /** What a configuration says of the number of workers: nothing new, or another one. */
  #range(): { min: number; max: number } | null {
    if (this.#below(3) === 0) return null;
    const min = this.#state.fronts.length + this.#below(6);
    return { min, max: min + this.#below(3) };
  }

  /** A moment, minutes, or a night. */
  #sleep(): Happening {
    return { type: 'sleep', ms: [this.#below(4000), 200_000, 30_000_000][this.#below(3)] ?? 0 };
  }

  #stop(): number {
    const began = this.#now;
    // At the stop anything may hang once more, and half the fleet may be in the middle of something.
    this.#quiet = false;
    this.#settle();
    if (this.#below(2) === 0)
      for (const slot of this.#fronts) this.#in(this.#below(3000), { type: 'front-gone', slot });
    for (const worker of this.#workers)
      if (this.#below(4) === 0) this.#in(this.#below(9000), { type: 'worker-gone', worker });
    this.#change({ type: 'stop', graceMs: GRACE_MS });
    if (this.#below(3) === 0) this.#in(this.#below(4000), { type: 'stop', graceMs: this.#below(2) * 3000 });
    if (this.#below(3) === 0) this.#in(this.#below(6000), this.#sleep());
    const gaps = this.#ledger.gaps;
    // What was left of a rest when the machine fell asleep is waited for once more.
    const limit = () =>
      began + GRACE_MS + FRONT_SLACK_MS + 3 * REAP_MS + (this.#ledger.gaps - gaps) * LOOK_MS;
    while (!this.#settle()) {
      if (!this.#advance(Number.POSITIVE_INFINITY)) this.#violated('a stop that nothing would ever end');
      if (this.#now > limit()) this.#violated('a stop longer than the graceful timeout');
    }
    if (this.#workers.size > 0 || this.#fronts.size > 0 || this.#zygotes.size > 0)
      this.#violated('an end that leaves processes behind');
    return this.#now - began;
  }

  #until(end: number): void {
    this.#settle();
    while (this.#advance(end)) this.#settle();
    this.#now = end;
    this.#settle();
  }

  /** Goes to the next happening or wake-up, if there is one before `end`. */
  #advance(end: number): boolean {
    const { actions, wakeAt } = this.#plan(this.#state, this.#clock.now());
    if (actions.length > 0) this.#violated('actions left over after a turn');
    if (wakeAt <= this.#clock.now()) this.#violated('a wake-up in the past: the loop would spin');
    this.#agenda.sort((a, b) => a.at - b.at);
    for (let now = this.#clock.now(); now < wakeAt; now = this.#clock.now()) {
      if (this.#agenda.length === 0 && wakeAt === Number.POSITIVE_INFINITY) return false;
      const ms = restMs(now, { wakeAt, beatAt: now + REST_MS });
      this.#clock.restMs = ms;
      const what = this.#rest(this.#now + this.#slept + ms, end);
      if (what === 'end') return false;
      if (what === 'timer') continue;
      this.#happen(what);
      return true;
    }
    return true;
  }

  /** Until something happens or the timer, set by a clock that counts gaps, goes off. Who sleeps does not notice. */
  #rest(timer: number, end: number): Happening | 'timer' | 'end' {
    for (;;) {
      const at = Math.max(this.#now, timer - this.#slept);
      const next = this.#agenda[0];
      if (Math.min(at, next?.at ?? at) > end) return 'end';
      if (next === undefined || next.at > at) {
        this.#now = at;
        return 'timer';
      }
      this.#now = next.at;
      this.#agenda.shift();
      if (next.what.type !== 'sleep') return next.what;
      this.#slept += next.what.ms;
      this.#ledger.gaps++;
    }
  }

  /** One turn of the arbiter. @returns whether it may exit. */
  #settle(): boolean {
    for (let round = 0; round < 50; round++) {
      if (++this.#steps > MAX_STEPS) this.#violated('so many steps: the loop spins');
      const { actions } = this.#plan(this.#state, this.#clock.now());
      if (actions.length === 0) {
        this.#checkState();
        return false;
      }
      for (const action of actions) {
        if (action.type === 'exit') return true;
        this.#check(action);
        this.#ledger.check(action);
        this.#change(action);
        this.#perform(action);
      }
    }
    this.#violated('a turn without end');
  }

  #change(change: Change): void {
    this.#ledger.note(change);
    const mine = poolOf(this.#state, change);
    const others = this.#state.pools.filter(({ index }) => index !== mine);
    const before = others.map((pool) => ({ ...pool }));
    this.#apply(this.#state, change, this.#clock.now());
    others.forEach((pool, i) => {
      if (!isUntouched(pool, before[i])) this.#violated('an application touched by what happens to another');
    });
  }

  // What really happens

  #happen(what: Happening): void {
    if (what.type === 'mood') {
      if (what.failing && !this.#quiet) this.#failing.add(what.pool);
      else this.#failing.delete(what.pool);
      this.#failedSpawns.delete(what.pool);
      return;
    }
    if (what.type === 'sleep') return;
    if (what.type === 'suspend') return this.#suspend(what.worker);
    if (what.type === 'worker-gone' && !this.#workers.delete(what.worker)) return;
    if ((what.type === 'worker-stuck' || what.type === 'worker-seen') && !this.#workers.has(what.worker))
      return;
    if (what.type === 'worker-ready') return this.#connect(what.worker);
    if (what.type === 'zygote-ready' && !this.#zygotes.has(key(what))) return;
    if (what.type === 'zygote-gone') return this.#loseZygote(what);
    if (what.type === 'reload') {
      if (poolAt(this.#state, what.pool).reload !== null || this.#state.parked) return;
    }
    if (what.type === 'front-gone') return this.#loseFront(what.slot);
    if (what.type === 'front-listening' && !this.#fronts.has(what.slot)) return;
    if (ORDERS.includes(what.type) && this.#state.stop !== null) return;
    this.#change(what.type === 'worker-seen' ? this.#look(what) : what);
    if (what.type === 'reload' && !this.#quiet) this.#tryOut(what.pool);
    if (what.type === 'front-listening') this.#reconnect(what.slot);
    if (what.type === 'front-stopped') this.#in(1, { type: 'front-gone', slot: what.slot });
  }

  #look(seen: Extract<Change, { type: 'worker-seen' }>): Change {
    return { ...seen, stopped: seen.stopped || this.#suspended.has(seen.worker) };
  }

  /** The new code may be broken; meanwhile old workers are looked at, and somebody may want another number of them. */
  #tryOut(pool: number): void {
    const { generation } = poolAt(this.#state, pool);
    if (this.#below(3) === 0) this.#broken.add(key({ pool, generation }));
    for (const worker of this.#workers) {
      if (this.#below(3) === 0)
        this.#in(this.#below(1000), {
          type: 'worker-seen',
          worker,
          stopped: false,
          rss: this.#below(1600),
        });
    }
    if (this.#below(2) === 0) this.#in(this.#below(1000), this.#rescale(pool));
  }

  #perform(action: Change): void {
    switch (action.type) {
      case 'spawn-worker':
        return this.#bootWorker(action);
      case 'spawn-zygote':
        return this.#bootZygote(action);
      case 'end-zygote':
        return this.#in(this.#below(500), { ...action, type: 'zygote-gone' });
      case 'kill-zygote':
        return this.#end(`z${key(action)}`, { ...action, type: 'zygote-gone' });
      case 'park-front':
        return this.#stopFront(action.slot, action.graceMs);
      case 'abort-reload':
        this.#aborted++;
        this.#failedSpawns.delete(action.pool);
        return;
      case 'spawn-front':
        return this.#bootFront(action.slot);
      case 'kill-worker':
        this.#killed++;
        return this.#end(`w${action.worker}`, { type: 'worker-gone', worker: action.worker });
      case 'kill-front':
        return this.#end(`f${action.slot}`, { type: 'front-gone', slot: action.slot });
      case 'drain-worker':
        // One in four does not listen: it must be killed in the end.
        if (this.#below(4) > 0) this.#in(this.#below(4000), { type: 'worker-gone', worker: action.worker });
        return;
      case 'stop-fronts':
        for (const slot of this.#fronts) this.#stopFront(slot, action.graceMs);
        return;
      default:
        return;
    }
  }

  #bootWorker(action: Extract<Change, { type: 'spawn-worker' }>): void {
    const { worker, pool } = action;
    const isFailing = this.#failing.has(pool);
    this.#workers.add(worker);
    this.#used.add(worker);
    const dies = isFailing || this.#broken.has(key(action)) || this.#faulty(10);
    if (isFailing) this.#failedSpawns.set(pool, [...(this.#failedSpawns.get(pool) ?? []), this.#now]);
    // Stuck in its import: nothing happens until it is killed.
    if (dies && this.#below(8) === 0) return;
    if (dies) this.#in(10 + this.#below(500), { type: 'worker-gone', worker });
    else this.#in(50 + this.#below(2000), { type: 'worker-ready', worker });
  }

  #bootZygote({ pool, generation }: Code): void {
    const name = key({ pool, generation });
    if (this.#zygotes.has(name)) this.#violated('two zygotes of one generation');
    this.#zygotes.add(name);
    this.#dying.delete(`z${name}`);
    if (this.#failing.has(pool) || this.#broken.has(name) || this.#faulty(10)) {
      if (this.#below(4) > 0) this.#in(this.#below(900), { type: 'zygote-gone', pool, generation });
      return;
    }
    this.#in(100 + this.#below(3000), { type: 'zygote-ready', pool, generation });
    if (this.#faulty(4)) this.#in(this.#below(60_000), { type: 'zygote-gone', pool, generation });
  }

  /** Its workers die with it. */
  #loseZygote({ pool, generation }: Code): void {
    if (!this.#zygotes.delete(key({ pool, generation }))) return;
    for (const worker of [...this.#state.workers.values()]) {
      const isOurs = worker.pool === pool && worker.generation === generation;
      const isChild = isOurs && this.#forked.has(worker.id);
      if (isChild && this.#workers.delete(worker.id))
        this.#change({ type: 'worker-gone', worker: worker.id });
    }
    this.#change({ type: 'zygote-gone', pool, generation });
  }

  /** It answers nothing; somebody may let it go on before long. */
  #suspend(worker: number): void {
    if (!this.#workers.has(worker)) return;
    const goesOn = this.#below(2) === 0 ? this.#below(1500) : Number.POSITIVE_INFINITY;
    if (goesOn === Number.POSITIVE_INFINITY) this.#suspended.add(worker);
    for (let at = 0; at < 3000; at += 1000) {
      this.#in(at, { type: 'worker-seen', worker, stopped: at < goesOn, rss: 0 });
    }
  }

  /** It serves if its front is there; else it waits for the next front. */
  #connect(worker: number): void {
    const known = this.#state.workers.get(worker);
    if (!this.#workers.has(worker) || known === undefined) return;
    const front = this.#state.fronts[known.front];
    if (front?.phase !== 'listening' || !this.#fronts.has(known.front)) return;
    this.#change({ type: 'worker-ready', worker });
    if (!this.#faulty(2)) return;
    const delayMs = this.#below(20_000);
    this.#in(delayMs, this.#mishap(worker));
    if (this.#below(6) === 0) this.#in(delayMs + this.#below(1500), this.#sleep());
  }

  #mishap(worker: number): Happening {
    switch (this.#below(7)) {
      case 0:
        return { type: 'worker-stuck', worker, graceMs: this.#below(GRACE_MS), cause: 'timeout' };
      case 1:
        return { type: 'suspend', worker };
      case 2:
        return { type: 'worker-worn', worker, cause: 'max-requests' };
      case 3:
        return { type: 'worker-seen', worker, stopped: false, rss: this.#below(2000) };
      case 4:
        if (this.#below(2) === 0) this.#in(20_000, { type: 'worker-ready', worker });
        return { type: 'worker-lost', worker };
      default:
        return { type: 'worker-gone', worker };
    }
  }

  #bootFront(slot: number): void {
    this.#fronts.add(slot);
    this.#dying.delete(`f${slot}`);
    this.#spawnedFronts++;
    if (this.#faulty(8)) this.#in(this.#below(200), { type: 'front-gone', slot });
    else this.#in(50 + this.#below(100), { type: 'front-listening', slot });
    if (this.#faulty(4)) this.#in(this.#below(60_000), { type: 'front-gone', slot });
  }

  #loseFront(slot: number): void {
    if (!this.#fronts.delete(slot)) return;
    this.#dying.delete(`f${slot}`);
    this.#agenda = this.#agenda.filter(({ what }) => !('slot' in what && what.slot === slot));
    this.#change({ type: 'front-gone', slot });
  }

  /** Workers of a front that died look for the new one; those that boot too. Some are stuck in a request and do not. */
  #reconnect(slot: number): void {
    for (const worker of this.#state.workers.values()) {
      if (worker.front !== slot || this.#broken.has(key(worker))) continue;
      if (worker.phase === 'detached' && this.#faulty(10)) continue;
      this.#in(this.#below(100), { type: 'worker-ready', worker: worker.id });
    }
  }

  /** It finishes what it has and drains its workers; or it does not come to an end. */
  #stopFront(slot: number, graceMs: number): void {
    if (this.#below(5) === 0) return;
    const at = this.#below(Math.max(1, graceMs));
    for (const worker of this.#state.workers.values()) {
      if (worker.front === slot && worker.phase === 'ready' && this.#below(8) > 0) {
        this.#in(at + this.#below(300), { type: 'worker-gone', worker: worker.id });
      }
    }
    this.#in(at, { type: 'front-stopped', slot });
  }

  #end(key: string, change: Change): void {
    if (this.#dying.has(key)) this.#violated(`a second kill of ${key}`);
    this.#dying.add(key);
    this.#in(1 + this.#below(REAP_MS - 1), change);
  }

  // What must never be

  #check(action: Change): void {
    const { stop, parked } = this.#state;
    if (action.type === 'spawn-worker') this.#checkSpawned(action);
    if (action.type === 'spawn-front') {
      if (stop !== null || parked) this.#violated('a front spawned during a stop');
      if (this.#fronts.has(action.slot)) this.#violated('two fronts in one slot');
    }
    if (action.type === 'end-zygote') {
      const children = [...this.#state.workers.values()].filter((worker) => key(worker) === key(action));
      if (children.some((worker) => this.#forked.has(worker.id)))
        this.#violated('a zygote ended before its workers');
    }
    if (action.type === 'retire-worker') this.#checkRetired(action.worker, action.cause);
  }

  #checkSpawned(action: Extract<Change, { type: 'spawn-worker' }>): void {
    const { stop, parked } = this.#state;
    const pool = poolAt(this.#state, action.pool);
    const { limits, target, generation } = pool;
    if (stop !== null || parked) this.#violated('a worker spawned during a stop');
    if (countServing(this.#state, pool) >= target + limits.surge)
      this.#violated('more workers than target and surge');
    if (action.generation !== generation) this.#violated('a worker of another generation spawned');
    if (limits.preload && !this.#zygotes.has(key(action))) this.#violated('a fork without a zygote');
    if (limits.preload) this.#forked.add(action.worker);
    if (this.#used.has(action.worker)) this.#violated('a number used twice');
    this.#checkBackoff(pool);
  }

  /** While everything fails: within the first second a few tries, within a minute no more than 15 and the fleet. */
  #checkBackoff({ index, target }: Pool): void {
    const failed = this.#failedSpawns.get(index) ?? [];
    const lately = failed.filter((at) => at > this.#now - 30_000);
    if (lately.length > 12 + 2 * target) this.#violated('a crash loop without backoff');
  }

  /**
   * One that can serve leaves only when enough others do: the oldest of those that are to be replaced, or of all when
   * there are too many; before them those that do not serve yet.
   */
  #checkRetired(id: number, cause: string): void {
    const worker = this.#state.workers.get(id);
    if (worker === undefined) this.#violated('a worker retired that is not there');
    const pool = poolAt(this.#state, worker.pool);
    const team = pool.teams[worker.front];
    if (team === undefined) this.#violated('a worker retired that has no front');
    if (cause === 'lost' || cause === 'stopped') return;
    this.#replaced++;
    const group = isOld(pool, worker) ? team.old : team.fresh;
    const members = [...group.all.values()];
    const first = members.find((other) => other.phase !== 'ready') ?? members[0];
    if (worker.phase !== 'ready') return;
    if (first?.id !== id) this.#violated('another worker retired than the oldest');
    const others = countReady(team.fresh) + countReady(team.old) - 1;
    if (others < quota(pool, worker.front))
      this.#violated('a worker stopped before its replacement is ready');
  }

  #checkState(): void {
    const { workers, stop, pools } = this.#state;
    for (const id of this.#workers) if (!workers.has(id)) this.#violated('a process that is forgotten');
    for (const worker of leaving(this.#state)) {
      if (!worker.killed && worker.killAt <= this.#clock.now()) {
        this.#violated('a worker that outlives its graceful timeout');
      }
    }
    this.#ledger.checkState();
    if (stop === null) for (const pool of pools) this.#checkReplaced(pool);
  }

  /** Without a crash loop of its own a missing worker, or front, is replaced in the same turn. */
  #checkReplaced(pool: Pool): void {
    const { fronts, parked } = this.#state;
    const { retry, target, limits, zygotes, generation } = pool;
    const serving = countServing(this.#state, pool);
    if (serving > target + limits.surge) this.#violated('more workers than target and surge');
    if (parked) return;
    const canSpawn = !limits.preload || zygotes.get(generation)?.phase === 'ready';
    const pausing = fronts.some((front) => front.phase === 'stopping');
    if (retry.failures === 0 && serving < target && canSpawn && !pausing) {
      this.#violated('a worker missing and not replaced');
    }
    if (fronts.some((front) => front.phase === 'gone' && front.retry.failures === 0)) {
      this.#violated('a front missing and not replaced');
    }
  }

  #checkConverged(): void {
    const { fronts, parked, pools } = this.#state;
    for (const { index, generation, reload } of pools) {
      if (this.#broken.has(key({ pool: index, generation })) && reload === null)
        this.#violated('code that cannot be loaded was taken');
    }
    if ([...this.#suspended].some((worker) => this.#workers.has(worker)))
      this.#violated('a stopped worker was left');
    if (parked) return;
    for (const pool of pools) this.#checkHealth(pool);
    if (fronts.some((front) => front.phase !== 'listening'))
      this.#violated('no return to health: a front is missing');
  }

  #checkHealth(pool: Pool): void {
    const { target, limits, reload } = pool;
    const workers = workersOf(this.#state, pool);
    const ready = workers.filter((worker) => worker.phase === 'ready').length;
    const gone = workers.filter((worker) => worker.phase === 'leaving').length;
    if (reload !== null) this.#violated('no return to health: a reload without end');
    if (workers.some((worker) => worker.phase !== 'leaving' && worker.generation !== pool.generation))
      this.#violated('no return to health: a worker of another generation');
    if (ready < target || (gone > 0 && limits.maxAgeMs === Number.POSITIVE_INFINITY))
      this.#violated(`no return to health: ${ready} of ${target} ready, ${gone} leaving`);
  }

  #violated(rule: string): never {
    throw new Violation(`${rule} (at ${Math.round(this.#now)} ms)`);
  }

  // Chance

  #in(delayMs: number, what: Happening): void {
    this.#agenda.push({ at: this.#now + delayMs, what });
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  /** One in `odds`, unless the machine has been told to behave. */
  #faulty(odds: number): boolean {
    return !this.#quiet && this.#below(odds) === 0;
  }
}

function leaving({ workers }: State): WorkerState[] {
  return [...workers.values()].filter(({ phase }) => phase === 'leaving');
}

function workersOf({ workers }: State, { index }: Pool): WorkerState[] {
  return [...workers.values()].filter(({ pool }) => pool === index);
}

/** How many workers of a pool count: all that are not leaving. */
function countServing(state: State, pool: Pool): number {
  return workersOf(state, pool).filter(({ phase }) => phase !== 'leaving').length;
}

/** The code of one generation of one application. */
interface Code {
  readonly pool: number;
  readonly generation: number;
}

function key({ pool, generation }: Code): string {
  return `${pool}/${generation}`;
}

/** The pool that a change is about; undefined for one that is about the fronts or all of them. */
function poolOf({ workers }: State, change: Change): number | undefined {
  if ('pool' in change) return change.pool;
  return 'worker' in change ? workers.get(change.worker)?.pool : undefined;
}

/** Whatever happens elsewhere, its orders stay as they are; its crash loop may end with time. */
function isUntouched(now: Pool, before: Pool | undefined): boolean {
  const { target, min, max, limits, generation, reload, retry } = now;
  const isSame = target === before?.target && min === before.min && max === before.max;
  const isOver = retry === before?.retry || retry === NO_FAILURE;
  return (
    isSame &&
    isOver &&
    limits === before.limits &&
    generation === before.generation &&
    reload === before.reload
  );
}

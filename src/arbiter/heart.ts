/** What the arbiter does once a second, or every other one when nothing happens: looks at every worker, and scales between the bounds of `--workers MIN..MAX`. */
import { HEARTBEAT_MS } from '../clock.ts';
import { count } from '../count.ts';
import type { Load } from '../messages.ts';
import type { Logger } from '../observe/log.ts';
import type { Change } from './apply.ts';
import { Watch } from './checkup.ts';
import type { Fleet } from './fleet.ts';
import { Scaler } from './scaler.ts';
import { isSettled, limitsInForce, type Pool, poolAt, type State } from './state.ts';

export interface HeartOptions {
  readonly state: State;
  readonly fleet: Fleet;
  readonly log: Logger;
  readonly apply: (change: Change) => void;
}

/** The beat while nothing happens, so that an idle server costs next to nothing. */
export const REST_MS = 2000;

export class Heart {
  readonly #options: HeartOptions;
  /** By worker. */
  readonly #watches = new Map<number, Watch>();
  readonly #listeners: (() => void)[] = [];
  /** By pool, as what the fronts said of this second. */
  readonly #scalers: readonly Scaler[];
  #loads: Load[][];
  #nextAt = 0;
  /** Something has happened since the last beat. */
  #stirred = true;
  #neverRests = false;

  constructor(options: HeartOptions) {
    this.#options = options;
    const { pools } = options.state;
    this.#scalers = pools.map(() => new Scaler());
    this.#loads = pools.map(() => []);
  }

  get nextAt(): number {
    return this.#nextAt;
  }

  /** What else is to be done with each beat; `neverRests`: once a second, whatever happens. */
  also(listener: () => void, { neverRests = false } = {}): void {
    this.#listeners.push(listener);
    this.#neverRests ||= neverRests;
  }

  /** Something happens: the next beats come soon. */
  stir(): void {
    this.#stirred = true;
  }

  /** A front's second, as far as one application is concerned. */
  feel(pool: number, load: Load): void {
    this.#loads[pool]?.push(load);
  }

  /** A request waits, and nobody is there to run it. */
  wake(index: number): void {
    const pool = poolAt(this.#options.state, index);
    if (pool.target === 0) this.#retarget(pool, 1, 'a request waits');
  }

  /** To be called in every turn; does nothing when it is too early. */
  beat(now: number): void {
    if (now < this.#nextAt) return;
    if (this.#options.state.stop === null) {
      this.#examine();
      for (const pool of this.#options.state.pools) this.#scale(pool, now);
    }
    this.#loads = this.#loads.map(() => []);
    for (const listener of this.#listeners) listener();
    this.#nextAt = now + (this.#mayRest() ? REST_MS : HEARTBEAT_MS);
    this.#stirred = false;
  }

  #mayRest(): boolean {
    const { pools, suspended } = this.#options.state;
    return !this.#stirred && !this.#neverRests && !pools.some(needsLooks) && suspended.size === 0;
  }

  #examine(): void {
    const { state, apply } = this.#options;
    for (const worker of state.workers.keys()) {
      const vitals = this.#watch(worker)?.look() ?? null;
      if (vitals !== null) apply({ type: 'worker-seen', worker, ...vitals });
    }
    for (const [worker, watch] of this.#watches) {
      if (state.workers.has(worker)) continue;
      watch.close();
      this.#watches.delete(worker);
    }
  }

  /** Undefined while it has no process: one that a zygote forks gets it later. */
  #watch(worker: number): Watch | undefined {
    const { pid } = this.#options.fleet.named(worker);
    if (!this.#watches.has(worker) && pid > 0) this.#watches.set(worker, new Watch(pid));
    return this.#watches.get(worker);
  }

  #scale(pool: Pool, now: number): void {
    const { state, fleet } = this.#options;
    const { index, generation, target, min, max } = pool;
    if (min === max || state.parked) return;
    const { threads, scaleIdle } = fleet.setup({ pool: index, generation }).settings;
    const loads = this.#loads[index] ?? [];
    const next = this.#scalers[index]?.next({
      now,
      target,
      min,
      max,
      threads,
      idleMs: scaleIdle * 1000,
      settled: isSettled(state, pool),
      waitMs: Math.max(0, ...loads.map((load) => load.waitMs)),
      busy: loads.reduce((sum, load) => sum + load.busy, 0),
    });
    if (next === undefined || next === target) return;
    this.#retarget(pool, next, next > target ? 'requests wait' : 'one is spare');
  }

  #retarget(pool: Pool, target: number, why: string): void {
    const { fleet, log, apply } = this.#options;
    const { index, min, max } = pool;
    apply({ type: 'scale', pool: index, min, max, target });
    log.info(`${count(pool.target, 'worker')}${fleet.of(index)} from now on: ${why}`);
  }
}

/** Its number of workers moves by itself, or their memory is to be looked at. */
function needsLooks(pool: Pool): boolean {
  return pool.min !== pool.max || limitsInForce(pool).maxMemory !== Number.POSITIVE_INFINITY;
}

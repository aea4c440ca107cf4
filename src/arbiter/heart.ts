/** What the arbiter does once a second, or every other one when nothing happens: looks at every worker, and scales between the bounds of `--workers MIN..MAX`. */
import { HEARTBEAT_MS } from '../clock.ts';
import { count } from '../count.ts';
import type { Load } from '../messages.ts';
import type { Logger } from '../observe/log.ts';
import type { Change } from './apply.ts';
import { Watch } from './checkup.ts';
import type { Fleet } from './fleet.ts';
import { Scaler } from './scaler.ts';
import { limitsInForce, type State } from './state.ts';

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
  readonly #scaler = new Scaler();
  /** By worker. */
  readonly #watches = new Map<number, Watch>();
  readonly #listeners: (() => void)[] = [];
  /** What the fronts said of this second. */
  #loads: Load[] = [];
  #nextAt = 0;
  /** Something has happened since the last beat. */
  #stirred = true;
  #neverRests = false;

  constructor(options: HeartOptions) {
    this.#options = options;
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

  /** A front's second. */
  feel(load: Load): void {
    this.#loads.push(load);
  }

  /** A request waits, and nobody is there to run it. */
  wake(): void {
    if (this.#options.state.target === 0) this.#retarget(1, 'a request waits');
  }

  /** To be called in every turn; does nothing when it is too early. */
  beat(now: number): void {
    if (now < this.#nextAt) return;
    if (this.#options.state.stop === null) {
      this.#examine();
      this.#scale(now);
    }
    this.#loads = [];
    for (const listener of this.#listeners) listener();
    this.#nextAt = now + (this.#mayRest() ? REST_MS : HEARTBEAT_MS);
    this.#stirred = false;
  }

  #mayRest(): boolean {
    const { state } = this.#options;
    const { min, max, suspended } = state;
    const { maxMemory } = limitsInForce(state);
    const needsLooks = this.#neverRests || min !== max || maxMemory !== Number.POSITIVE_INFINITY;
    return !this.#stirred && !needsLooks && suspended.size === 0;
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

  #scale(now: number): void {
    const { state, fleet } = this.#options;
    const { target, min, max, booting, detached } = state;
    if (min === max || state.parked) return;
    const { threads, scaleIdle } = fleet.setup(state.generation).settings;
    const next = this.#scaler.next({
      now,
      target,
      min,
      max,
      threads,
      idleMs: scaleIdle * 1000,
      settled: booting.size === 0 && detached.size === 0,
      waitMs: Math.max(0, ...this.#loads.map((load) => load.waitMs)),
      busy: this.#loads.reduce((sum, load) => sum + load.busy, 0),
    });
    if (next !== target) this.#retarget(next, next > target ? 'requests wait' : 'one is spare');
  }

  #retarget(target: number, why: string): void {
    const { state, log, apply } = this.#options;
    const { min, max } = state;
    apply({ type: 'scale', min, max, target });
    log.info(`${count(state.target, 'worker')} from now on: ${why}`);
  }
}

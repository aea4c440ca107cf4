/**
 * What the simulated machine knows by itself: who was promised how much time, and which orders are in force. Kept apart
 * from the state of the arbiter, which is judged by it. Time is that in which the machine was awake.
 */
import type { Change } from '../../src/arbiter/apply.ts';
import { AUTOPSY_MS } from '../../src/arbiter/lives.ts';
import { FRONT_SLACK_MS, LOOK_MS, RECONNECT_MS, SUSPENDED_MS } from '../../src/arbiter/plan.ts';
import { type Limits, type Pool, poolAt, type State, type WorkerState } from '../../src/arbiter/state.ts';
import { LATE_MS } from '../../src/clock.ts';
import type { WorkerRange } from '../../src/config/values.ts';

/** What a gap may cost: as much of it as cannot be told from time. */
const UNSEEN_MS = LOOK_MS + LATE_MS;

interface Moment {
  readonly at: number;
  readonly gaps: number;
}

interface Promised extends Moment {
  readonly ms: number;
}

interface Trial {
  readonly limits: Limits;
  readonly range: WorkerRange | null;
}

/** What is in force for one application. */
interface Orders {
  /** What holds for everybody, and what for the generation on trial. */
  limits: Limits;
  trial: Trial | null;
  range: WorkerRange & { readonly target: number };
}

export interface LedgerOptions {
  readonly state: State;
  readonly now: () => number;
  readonly violated: (rule: string) => never;
}

export class Ledger {
  gaps = 0;
  readonly #state: State;
  readonly #options: LedgerOptions;
  readonly #born = new Map<number, Moment>();
  /** By pool and generation. */
  readonly #zygotes = new Map<string, Moment>();
  readonly #lost = new Map<number, Moment>();
  readonly #stopped = new Map<number, Moment>();
  readonly #listening = new Map<number, Moment>();
  /** Workers over the memory that they may have. */
  readonly #heavy = new Set<number>();
  /** Until when they may live. */
  readonly #workers = new Map<number, Promised>();
  readonly #fronts = new Map<number, Promised>();
  #stop: Promised | null = null;
  /** By pool. */
  readonly #orders: Orders[];

  constructor(options: LedgerOptions) {
    this.#options = options;
    this.#state = options.state;
    this.#orders = options.state.pools.map(({ limits, min, max, target }) => ({
      limits,
      trial: null,
      range: { min, max, target },
    }));
  }

  /** To be told of each change before it is entered. */
  note(change: Change): void {
    this.#noteTime(change);
    this.#noteOrder(change);
  }

  #noteTime(change: Change): void {
    const { workers } = this.#state;
    switch (change.type) {
      case 'spawn-worker':
        return void this.#born.set(change.worker, this.#moment());
      case 'spawn-zygote':
        return void this.#zygotes.set(zygoteKey(change), this.#moment());
      case 'front-listening':
        return void this.#listening.set(change.slot, this.#moment());
      case 'front-gone':
        this.#fronts.delete(change.slot);
        for (const worker of workers.values()) if (worker.front === change.slot) this.#lose(worker);
        return;
      case 'worker-lost':
        return this.#lose(workers.get(change.worker));
      case 'worker-seen':
        return this.#see(change);
      case 'worker-stuck':
        return this.#allow(change.worker, change.graceMs);
      case 'expire-worker':
        return this.#allow(change.worker, AUTOPSY_MS);
      case 'retire-worker':
        return this.#allow(change.worker, change.cause === 'stopped' ? 0 : this.#grace(change.worker));
      case 'park-front':
        return void this.#fronts.set(change.slot, { ...this.#moment(), ms: change.graceMs });
      case 'park':
        for (const id of workers.keys()) this.#allow(id, this.#grace(id));
        return;
      case 'abort-reload':
        for (const { id, pool, generation } of workers.values())
          if (pool === change.pool && generation === poolAt(this.#state, pool).generation) this.#allow(id, 0);
        return;
      case 'stop':
        this.#stop = this.#sooner(this.#stop, change.graceMs);
        return;
      default:
        return;
    }
  }

  #noteOrder(change: Change): void {
    switch (change.type) {
      case 'reload':
        this.#ordersOf(change.pool).trial = change;
        return;
      case 'abort-reload':
        this.#ordersOf(change.pool).trial = null;
        return;
      case 'scale': {
        const orders = this.#ordersOf(change.pool);
        const { trial, range } = orders;
        if (trial !== null && (change.min !== range.min || change.max !== range.max))
          orders.trial = { ...trial, range: null };
        return scale(orders, change, change.target);
      }
      case 'worker-ready': {
        const worker = this.#state.workers.get(change.worker);
        if (worker === undefined || worker.phase === 'leaving') return;
        if (worker.generation === poolAt(this.#state, worker.pool).generation)
          prove(this.#ordersOf(worker.pool));
        return;
      }
      default:
        return;
    }
  }

  #ordersOf(pool: number): Orders {
    const orders = this.#orders[pool];
    if (orders === undefined) return this.#options.violated('a pool that is not there');
    return orders;
  }

  // What must never be

  /** Before an action is performed: nobody may be ended before its time. */
  check(action: Change): void {
    switch (action.type) {
      case 'expire-worker':
        return this.#due('a boot', this.#born.get(action.worker), this.#of(action.worker).bootMs);
      case 'kill-zygote': {
        const { bootMs } = this.#limitsFor(action.pool, action.generation);
        if (action.expired) this.#due('a boot', this.#zygotes.get(zygoteKey(action)), bootMs);
        return;
      }
      case 'worker-worn':
        return this.#due('a worker’s age', this.#born.get(action.worker), this.#of(action.worker).maxAgeMs);
      case 'retire-worker':
        if (action.cause === 'lost') this.#checkLost(action.worker);
        if (action.cause === 'stopped') this.#due('a stop', this.#stopped.get(action.worker), SUSPENDED_MS);
        return;
      case 'kill-worker':
        return this.#checkKilled(action.worker);
      case 'kill-front':
        return this.#checkFront(action.slot);
      default:
        return;
    }
  }

  /** When all is done. */
  checkState(): void {
    for (const pool of this.#state.pools) this.#checkOrders(pool);
    for (const { id, worn } of this.#state.workers.values())
      if (worn === 'max-memory' && !this.#heavy.has(id))
        this.#options.violated('a worker worn by limits that are not its own');
  }

  #checkOrders({ index, min, max, target, limits }: Pool): void {
    const { violated } = this.#options;
    const orders = this.#ordersOf(index);
    const { range } = orders;
    if (min !== range.min || max !== range.max || target !== range.target)
      violated('another number of workers than was ordered');
    if (limits !== (orders.trial ?? orders).limits) violated('limits that are not in force');
  }

  #checkLost(id: number): void {
    const front = this.#state.workers.get(id)?.front ?? -1;
    this.#due('the way back', this.#lost.get(id), RECONNECT_MS);
    this.#due('the way back', this.#listening.get(front), RECONNECT_MS);
  }

  #checkKilled(id: number): void {
    const worker = this.#state.workers.get(id);
    const promised = this.#workers.get(id);
    if (this.#stop === null) return this.#due('a worker’s time', promised, promised?.ms ?? 0);
    // Nobody hears what it answers, or it serves nobody yet.
    const front = this.#state.fronts[worker?.front ?? -1];
    if (worker?.readyAt === Number.POSITIVE_INFINITY || front?.phase === 'gone') return;
    if (promised !== undefined && this.#isDue(promised, promised.ms)) return;
    this.#due('a stop', this.#stop, this.#stop.ms);
  }

  #checkFront(slot: number): void {
    if (this.#state.fronts[slot]?.phase === 'starting') return;
    const promised = this.#fronts.get(slot);
    if (this.#stop !== null && this.#isDue(this.#stop, this.#stop.ms + FRONT_SLACK_MS)) return;
    this.#due('a front’s time', promised, (promised?.ms ?? 0) + FRONT_SLACK_MS);
  }

  #due(what: string, since: Moment | undefined, ms: number): void {
    if (since === undefined || !this.#isDue(since, ms)) this.#options.violated(`${what} cut short`);
  }

  #isDue({ at, gaps }: Moment, ms: number): boolean {
    return this.#options.now() - at + (this.gaps - gaps) * UNSEEN_MS >= ms;
  }

  // Entries

  #moment(): Moment {
    return { at: this.#options.now(), gaps: this.gaps };
  }

  #lose(worker: WorkerState | undefined): void {
    if (worker?.phase === 'ready') this.#lost.set(worker.id, this.#moment());
  }

  #see({ worker, stopped, rss }: Extract<Change, { type: 'worker-seen' }>): void {
    if (!stopped) this.#stopped.delete(worker);
    else if (!this.#stopped.has(worker)) this.#stopped.set(worker, this.#moment());
    if (rss > this.#of(worker).maxMemory) this.#heavy.add(worker);
  }

  #allow(worker: number, ms: number): void {
    this.#workers.set(worker, this.#sooner(this.#workers.get(worker) ?? null, ms));
  }

  #sooner(before: Promised | null, ms: number): Promised {
    const now = this.#options.now();
    return before !== null && before.at + before.ms <= now + ms ? before : { ...this.#moment(), ms };
  }

  /** One that never served has nothing to finish. */
  #grace(id: number): number {
    return this.#state.workers.get(id)?.readyAt === Number.POSITIVE_INFINITY ? 0 : this.#of(id).graceMs;
  }

  #of(id: number): Limits {
    const worker = this.#state.workers.get(id);
    return this.#limitsFor(worker?.pool ?? 0, worker?.generation ?? 0);
  }

  #limitsFor(pool: number, generation: number): Limits {
    const orders = this.#ordersOf(pool);
    return generation === poolAt(this.#state, pool).generation
      ? (orders.trial ?? orders).limits
      : orders.limits;
  }
}

function prove(orders: Orders): void {
  if (orders.trial === null) return;
  const { limits, range } = orders.trial;
  orders.trial = null;
  orders.limits = limits;
  if (range !== null) scale(orders, range, range.min === range.max ? range.min : orders.range.target);
}

function scale(orders: Orders, { min, max }: WorkerRange, target: number): void {
  orders.range = { min, max, target: Math.min(max, Math.max(min, target)) };
}

function zygoteKey({ pool, generation }: { readonly pool: number; readonly generation: number }): string {
  return `${pool}/${generation}`;
}

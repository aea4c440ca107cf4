/** What people ask for, by signal or by the control command, as orders to the arbiter. */

import { type WorkerRange, workerRange } from '../config/values.ts';
import { count } from '../count.ts';
import { UserError } from '../errors.ts';
import type { Logger } from '../observe/log.ts';
import type { Controlled, Outcome, Status } from '../status.ts';
import type { Arbiter } from './arbiter.ts';
import { name } from './journal.ts';
import type { Reloads } from './reload.ts';
import { SIGNALS, type SignalName } from './signals.ts';
import { longestGraceMs, type Pool, poolAt } from './state.ts';
import { survey } from './survey.ts';
import { Terminal } from './terminal.ts';

export interface OrdersOptions {
  readonly arbiter: Arbiter;
  readonly log: Logger;
  readonly reloads: Reloads;
  readonly listen: readonly string[];
  /** The server begins to stop. */
  readonly onStop: () => void;
  readonly reopenLogs: () => void;
  /** Starts the successor; resolves when it serves, or has failed. */
  readonly upgrade: () => Promise<Outcome>;
}

/** What INT and QUIT leave to requests in flight. */
const QUICK_MS = 3000;
/** npm, a shell or a supervisor may pass on a signal that we got already: that is not a second one. */
const ECHO_MS = 1000;
/** A worker that can be asked for its stacks answers sooner. */
const STACKS_MS = 500;
const RECYCLED_POLL_MS = 20;

export class Orders implements Controlled {
  readonly #options: OrdersOptions;
  readonly #arbiter: Arbiter;
  readonly #log: Logger;
  readonly #terminal = new Terminal();
  /** The last order to stop. */
  #stopping: { at: number; quick: boolean; by: string } = { at: 0, quick: false, by: '' };

  constructor(options: OrdersOptions) {
    this.#options = options;
    this.#arbiter = options.arbiter;
    this.#log = options.log;
  }

  /** To be called by the signal's handler: does nothing that takes time. */
  signal(signal: SignalName): void {
    switch (SIGNALS[signal].verb) {
      case 'stop':
        return this.#stop(signal, false);
      case 'quick-stop':
        return this.#stop(signal, true);
      case 'reload':
        if (this.#terminal.isGone()) return this.#stop(signal, false);
        return this.#onHup(signal);
      case 'reopen':
        return this.#options.reopenLogs();
      case 'upgrade':
        return void this.#replace();
      case 'winch':
        // In a terminal it only says that the window has another size.
        return this.#terminal.isThere ? undefined : this.#park(signal);
      case 'more':
        return this.#more(signal, 1);
      case 'fewer':
        return this.#more(signal, -1);
    }
  }

  status(): Promise<Status> {
    return survey(this.#arbiter, this.#options.listen);
  }

  async reload(mount: string | null = null): Promise<Outcome> {
    if (this.#arbiter.state.stop !== null) return refused('The server is stopping.');
    const pool = mount === null ? null : this.#find(mount);
    if (typeof pool === 'string') return refused(pool);
    if (this.#arbiter.state.parked) this.#unpark('reload');
    return this.#options.reloads.request(pool?.index ?? null);
  }

  scale(order: string, mount: string | null = null): Outcome {
    const { state } = this.#arbiter;
    if (state.stop !== null) return refused('The server is stopping.');
    const pool = this.#find(mount);
    if (typeof pool === 'string') return refused(pool);
    let limit = '';
    try {
      const { min, max } = scaled(order, pool);
      if (state.fronts.length > Math.max(1, min)) {
        return refused(
          `${count(min, 'worker')} would be too few: there are ${state.fronts.length} fronts, and each needs one (--fronts).`,
        );
      }
      limit = isStep(order) ? describeLimit(pool, Number(order)) : '';
      this.#rescale(pool, { min, max, target: isStep(order) ? pool.target + Number(order) : pool.target });
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      return refused(error.message);
    }
    const text = `${this.#describeScale(pool)}${limit}`;
    this.#log.info(`${text} (tunicorn scale ${order})`);
    return { ok: true, text };
  }

  /** The pool under a prefix; without one the only one. @returns a sentence for people when there is none */
  #find(mount: string | null): Pool | string {
    const { pools } = this.#arbiter.state;
    const prefixes = this.#arbiter.setups.map(({ prefix }) => prefix);
    const list = `There ${prefixes.length === 1 ? 'is' : 'are'} ${prefixes.join(', ')}`;
    if (mount === null)
      return pools.length === 1
        ? poolAt(this.#arbiter.state, 0)
        : `Which application? ${list}: name one with --mount.`;
    const index = prefixes.indexOf(mount.replace(/(?<=.)\/$/, ''));
    return pools[index] ?? `Nothing is mounted at ${mount}. ${list}.`;
  }

  async stacks(worker: number | null, mount: string | null = null): Promise<Outcome> {
    const { state } = this.#arbiter;
    if (worker !== null && !state.workers.has(worker)) return refused(this.#noWorker(worker));
    const pool = mount === null ? null : this.#find(mount);
    if (typeof pool === 'string') return refused(pool);
    const all = [...state.workers.values()].filter((each) => pool === null || each.pool === pool.index);
    const asked = worker === null ? all.map(({ id }) => id) : [worker];
    if (asked.length === 0) return { ok: true, text: 'There are no workers.' };
    const texts = await Promise.all(asked.map((id) => this.#stacksOf(id)));
    return { ok: true, text: texts.join('\n\n') };
  }

  async #stacksOf(id: number): Promise<string> {
    const { state, fleet, inquiries } = this.#arbiter;
    const named = fleet.named(id);
    const known = state.workers.get(id);
    const asked =
      known === undefined || known.phase === 'booting'
        ? ''
        : await inquiries.stacks(known.front, { worker: id, patienceMs: STACKS_MS });
    const text = asked || (await fleet.stacks(id));
    return `${name(named)}\n${text.trimEnd() || 'Its stacks could not be had: it is stopped, or ends.'}`;
  }

  recycle(worker: number): Promise<Outcome> {
    const { state, fleet } = this.#arbiter;
    const known = state.workers.get(worker);
    if (state.stop !== null) return Promise.resolve(refused('The server is stopping.'));
    if (known === undefined) return Promise.resolve(refused(this.#noWorker(worker)));
    const named = name(fleet.named(worker));
    if (known.phase === 'leaving') return Promise.resolve(refused(`${named} is leaving already.`));
    this.#log.info(`${named} is to be replaced (tunicorn recycle)`);
    this.#arbiter.order({ type: 'worker-worn', worker, cause: 'recycle' });
    return new Promise((resolve) => {
      const timer = setInterval(() => {
        const now = state.workers.get(worker);
        if (now !== undefined && now.phase !== 'leaving') return;
        clearInterval(timer);
        const isOver = state.parked || state.stop !== null;
        resolve(
          isOver
            ? refused(`${named} ends with all others.`)
            : { ok: true, text: `${named} has been replaced.` },
        );
      }, RECYCLED_POLL_MS);
    });
  }

  stop(quick: boolean): Outcome {
    this.#stop(quick ? 'tunicorn stop --quick' : 'tunicorn stop', quick);
    return { ok: true, text: 'Stopping.' };
  }

  async upgrade(): Promise<Outcome> {
    const outcome = await this.#replace();
    // USR2 leaves the end of this one to whoever sent it, as gunicorn's does; the command means the whole way.
    if (outcome.ok) this.#stop('tunicorn upgrade', false);
    return outcome;
  }

  #replace(): Promise<Outcome> {
    if (this.#arbiter.state.stop !== null) return Promise.resolve(refused('The server is stopping.'));
    return this.#options.upgrade();
  }

  /** Brings fronts and workers back, as HUP does after WINCH. */
  resume(why: string): void {
    if (this.#arbiter.state.parked) this.#unpark(why);
  }

  #onHup(signal: string): void {
    if (this.#arbiter.state.stop !== null) return;
    if (this.#arbiter.state.parked) return this.#unpark(signal);
    void this.#options.reloads.request();
  }

  #park(signal: string): void {
    const { state } = this.#arbiter;
    if (state.parked || state.stop !== null) return;
    this.#log.info(`${signal}: fronts and workers finish and end; HUP brings them back`);
    this.#arbiter.order({ type: 'park' });
  }

  #unpark(why: string): void {
    this.#log.info(`${why}: fronts and workers start again`);
    this.#arbiter.order({ type: 'unpark' });
  }

  /** A signal cannot name an application: it means each of them. */
  #more(signal: string, by: 1 | -1): void {
    const { state } = this.#arbiter;
    if (state.stop === null) for (const pool of state.pools) this.#oneMore(pool, { signal, by });
  }

  #oneMore(pool: Pool, { signal, by }: { readonly signal: string; readonly by: 1 | -1 }): void {
    const { fronts } = this.#arbiter.state;
    const range = scaled(by === 1 ? '+1' : '-1', pool);
    if (range.min < fronts.length && fronts.length > 1) {
      this.#log.info(`${signal}: each of the ${fronts.length} fronts needs a worker; nothing was done`);
      return;
    }
    const limit = describeLimit(pool, by);
    this.#rescale(pool, { ...range, target: pool.target + by });
    this.#log.info(`${signal}: ${this.#describeScale(pool)}${limit}`);
  }

  #rescale({ index }: Pool, range: WorkerRange & { readonly target: number }): void {
    this.#arbiter.order({ type: 'scale', pool: index, ...range });
  }

  #describeScale({ index, min, max, target }: Pool): string {
    const of = this.#arbiter.fleet.of(index);
    if (min === max) return `${count(target, 'worker')}${of} from now on`;
    return `${min} to ${max} workers${of} from now on`;
  }

  #noWorker(worker: number): string {
    const known = [...this.#arbiter.state.workers.keys()];
    const list = known.length === 0 ? 'there are none' : `there are ${known.join(', ')}`;
    return `There is no worker ${worker}: ${list}.`;
  }

  /** TERM, then INT, then one more: each may only shorten what is left. */
  #stop(by: string, quick: boolean): void {
    const now = performance.now();
    const { state } = this.#arbiter;
    const { stop } = state;
    const before = this.#stopping;
    if (stop !== null) {
      const isEcho = by === before.by && now - before.at < ECHO_MS;
      const isRepeated = !quick && !before.quick;
      if (isEcho || isRepeated) return;
    }
    const graceMs = longestGraceMs(state);
    const wantedMs = before.quick ? 0 : quick ? Math.min(graceMs, QUICK_MS) : graceMs;
    this.#stopping = { at: now, quick, by };
    this.#log.info(`Stopping (${by}): ${describeGrace(wantedMs)}`);
    if (stop === null) this.#options.onStop();
    this.#arbiter.order({ type: 'stop', graceMs: wantedMs });
  }
}

/** Why a step did less than it says; empty when it did all. */
function describeLimit({ min, max }: WorkerRange, by: number): string {
  if (min === 0) return max + by < 1 ? ': the most must be 1 at least' : '';
  return min + by < 1 ? ': there must be 1 at least' : '';
}

function isStep(order: string): boolean {
  return /^[+-]\d{1,4}$/.test(order);
}

/** The bounds after an order: `+1` and `-1` move both, but never below one worker. @throws {UserError} */
function scaled(order: string, { min, max }: WorkerRange): WorkerRange {
  if (!isStep(order)) return wantedRange(order);
  const by = Number(order);
  const least = min === 0 ? 0 : 1;
  return { min: Math.max(least, min + by), max: Math.max(1, max + by) };
}

/** @throws {UserError} */
function wantedRange(order: string): WorkerRange {
  try {
    return workerRange(order);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    throw new UserError(
      `${JSON.stringify(order)} is no number of workers. Good ones are a whole number from 1 up, a range such as 2..8, auto, and a step such as +1 or -1.`,
    );
  }
}

function refused(text: string): Outcome {
  return { ok: false, text };
}

function describeGrace(ms: number): string {
  return ms === 0 ? 'at once' : `requests in flight have up to ${ms / 1000} s`;
}

/**
 * The loop: signals and what children say are only queued; each turn works them off, then plans, then
 * performs. Nothing here waits, so the arbiter stays able to judge when everything else is stuck.
 */
import { Clock } from '../clock.ts';
import type { Address } from '../config/address.ts';
import type { Settings } from '../config/options.ts';
import { count } from '../count.ts';
import type { Cause, FromFront, FromWorker } from '../messages.ts';
import type { Logger } from '../observe/log.ts';
import { apply, type Change } from './apply.ts';
import { describeEnd, type End } from './children.ts';
import { type ChildEvent, type Code, Fleet, type FleetOptions, type Setup } from './fleet.ts';
import { Heart } from './heart.ts';
import { Inquiries } from './inquiry.ts';
import { describeFailure, Journal, name } from './journal.ts';
import { Performer } from './perform.ts';
import { type Action, plan, restMs } from './plan.ts';
import { bindError } from './sockets.ts';
import { Standing } from './standing.ts';
import {
  countWorkers,
  createState,
  isDegraded,
  isSettled,
  type Limits,
  type Pool,
  poolAt,
  readyWorkers,
  type State,
} from './state.ts';

export interface ArbiterOptions extends FleetOptions {
  /** What `sockets` were bound to. */
  readonly addresses: readonly Address[];
  /** The new generation of a pool serves alone, or was thrown away because of `failure`. */
  readonly onReload: (pool: number, failure: string | null) => void;
}

/** Forever stands for 0 in settings. */
const orNever = (amount: number) => (amount === 0 ? Number.POSITIVE_INFINITY : amount);

export function limitsOf(settings: Settings): Limits {
  return {
    graceMs: settings.gracefulTimeout * 1000,
    bootMs: orNever(settings.bootTimeout * 1000),
    maxAgeMs: orNever(settings.maxAge * 1000),
    maxMemory: orNever(settings.maxMemory),
    surge: settings.reloadSurge,
    preload: settings.preload,
  };
}

export class Arbiter {
  readonly state: State;
  readonly fleet: Fleet;
  readonly inquiries: Inquiries;
  /** Requests are answered: every front listens, and of each application a worker is ready or none is wanted. Called once. */
  onServing: () => void = () => {};
  /** All that are wanted are ready, for the first time or again. */
  onReady: () => void = () => {};
  readonly #options: ArbiterOptions;
  readonly #log: Logger;
  readonly #journal: Journal;
  readonly #clock = new Clock();
  readonly #performer: Performer;
  readonly heart: Heart;
  /** By pool. */
  readonly #standings: readonly Standing[];
  /** Workers that have told of the application, loaded or not. */
  readonly #told = new Map<number, FromWorker['event']>();
  readonly #events: ChildEvent[] = [];
  #exit: (code: number) => void = () => {};
  #turnIsDue = false;
  #timer: NodeJS.Timeout | undefined;
  #announced = false;
  #exitCode = 0;
  #requests = 0;

  constructor(options: ArbiterOptions) {
    const { settings, setups, log } = options;
    const pools = setups.map((setup) => ({ ...setup.settings.workers, limits: limitsOf(setup.settings) }));
    this.#options = options;
    this.#log = log;
    this.state = createState({ fronts: settings.fronts, pools });
    this.fleet = new Fleet(options, (event) => this.#post(event));
    this.#journal = new Journal({ log, pools: setups.length, of: (pool) => this.fleet.of(pool) });
    this.#standings = this.state.pools.map((pool) => new Standing(pool, options));
    this.inquiries = new Inquiries((slot, message) => this.fleet.tell(slot, message));
    this.#performer = new Performer({
      ...options,
      state: this.state,
      fleet: this.fleet,
      onExpired: (code, text) => this.#onExpired(code, text),
    });
    this.heart = new Heart({
      state: this.state,
      fleet: this.fleet,
      log,
      apply: (change) => this.#apply(change),
    });
  }

  /** Milliseconds of the clock that decides about lives. */
  now(): number {
    return this.#clock.now();
  }

  /** What new workers of a pool run with. */
  setup(pool: number): Setup {
    const { generation } = poolAt(this.state, pool);
    return this.fleet.setup({ pool, generation });
  }

  /** What new workers run with, by pool. */
  get setups(): readonly Setup[] {
    return this.state.pools.map(({ index }) => this.setup(index));
  }

  /** An application in full, once it has been loaded. */
  app(pool: number): string {
    return this.#journal.app(pool);
  }

  /** Workers of a pool that were replaced, by cause. */
  restarts(pool: number): ReadonlyMap<Cause, number> {
    return this.#standing(pool).restarts;
  }

  /** Whether every application was ever ready. */
  get serving(): boolean {
    return this.#standings.every(({ served }) => served);
  }

  #standing(pool: number): Standing {
    const standing = this.#standings[pool];
    if (standing === undefined) throw new Error(`There is no pool ${pool}.`);
    return standing;
  }

  /** Spawns everything and keeps it running until it is told to stop. @returns the exit code. */
  async run(): Promise<number> {
    this.#schedule();
    const code = await new Promise<number>((resolve) => {
      this.#exit = resolve;
    });
    await Promise.all(this.#standings.map(({ goneHook }) => goneHook.finish()));
    return code;
  }

  /** Enters an order; what follows from it is done in the next turn. */
  order(change: Change): void {
    this.#apply(change);
    this.#schedule();
  }

  /** Begins to replace every worker of a pool by one of the new setup. @returns its generation. */
  renew(pool: number, setup: Setup): number {
    this.#standing(pool).renew();
    const { workers: before } = this.setup(pool).settings;
    const { workers } = setup.settings;
    // What TTIN, TTOU or `tunicorn scale` made of it stays, unless the configuration says something new.
    const isNew = workers.min !== before.min || workers.max !== before.max;
    this.order({ type: 'reload', pool, limits: limitsOf(setup.settings), range: isNew ? workers : null });
    const { generation } = poolAt(this.state, pool);
    this.fleet.prepare({ pool, generation }, setup);
    return generation;
  }

  #post(event: ChildEvent): void {
    this.#events.push(event);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#turnIsDue) return;
    this.#turnIsDue = true;
    setImmediate(() => this.#turn());
  }

  #turn(): void {
    this.#turnIsDue = false;
    clearTimeout(this.#timer);
    if (this.#events.length > 0) this.heart.stir();
    for (const event of this.#events.splice(0)) this.#handle(event);
    this.heart.beat(this.#clock.now());
    // What was performed may call for more; each action moves a child forward, so this comes to an end.
    for (;;) {
      const { actions, wakeAt } = plan(this.state, this.#clock.now());
      for (const action of actions) this.#perform(action);
      if (actions.some((action) => action.type === 'exit')) return;
      if (actions.length === 0) return this.#sleep(wakeAt);
    }
  }

  #sleep(wakeAt: number): void {
    for (const pool of this.state.pools) this.#journal.health(pool.index, isDegraded(pool));
    const ms = restMs(this.#clock.now(), { wakeAt, beatAt: this.heart.nextAt });
    this.#clock.restMs = ms;
    this.#timer = setTimeout(() => this.#schedule(), ms);
  }

  #apply(change: Change): void {
    apply(this.state, change, this.#clock.now());
  }

  // Events

  #handle(event: ChildEvent): void {
    switch (event.type) {
      case 'front':
        return this.#onFront(event.slot, event.message);
      case 'front-end':
        return this.#onFrontEnd(event.slot, event.end);
      case 'worker':
        return this.#onLoaded(event.worker, event.message);
      case 'worker-end':
        return this.#onWorkerEnd(event.worker, event.end);
      case 'zygote':
        return this.#onZygote(event, event.message);
      case 'zygote-end':
        return this.#onZygoteEnd(event, event.end);
      default:
        return event satisfies never;
    }
  }

  #onFront(slot: number, message: FromFront): void {
    switch (message.type) {
      case 'up':
        return;
      case 'listening':
        this.#apply({ type: 'front-listening', slot });
        return this.#announce();
      case 'listen-failed':
        return this.#onListenFailed(slot, message);
      case 'worker-ready':
        return this.#onReady(message.worker);
      case 'worker-stuck':
        return this.#apply(message);
      case 'worker-worn':
        return this.#apply({ ...message, cause: 'max-requests' });
      case 'worker-lost':
        return this.#apply(message);
      case 'worker-wanted':
        return this.heart.wake(message.mount);
      case 'load':
        return this.heart.feel(message.mount, message.load);
      case 'report':
      case 'stacks':
        return this.inquiries.take(slot, message);
      case 'stopped':
        this.#requests += message.requests;
        return this.#apply({ type: 'front-stopped', slot });
      default:
        return message satisfies never;
    }
  }

  #onListenFailed(slot: number, { listener, code }: Extract<FromFront, { type: 'listen-failed' }>): void {
    const { sockets, addresses } = this.#options;
    const index = sockets.findIndex(({ host, port }) => host === listener.host && port === listener.port);
    const address = addresses[index];
    const error = address === undefined ? code : bindError(address, code).message;
    if (!this.serving) return this.#fail(error, 1);
    this.#log.error(error);
    this.fleet.killFront(slot);
  }

  #onReady(id: number): void {
    const worker = this.state.workers.get(id);
    const wasBooting = worker?.phase === 'booting';
    this.#apply({ type: 'worker-ready', worker: id });
    if (worker === undefined) return;
    if (wasBooting) this.#journal.replaced(this.fleet.named(id));
    this.#standing(worker.pool).served = true;
    this.#announce();
  }

  /** The addresses once every front listens; the readiness once one worker of each application serves, and once every worker does. */
  #announce(): void {
    const { pools, stop, fronts } = this.state;
    if (fronts.some((front) => front.phase !== 'listening')) return;
    const { sockets, settings } = this.#options;
    this.#journal.listening(
      sockets.map((socket) => socket.url),
      settings.static,
    );
    if (stop !== null) return;
    if (!this.#announced && pools.every((pool) => pool.target === 0 || readyWorkers(pool) > 0)) {
      this.#announced = true;
      this.onServing();
    }
    if (!pools.every((pool) => this.#isComplete(pool))) return;
    // With 0..N nobody will load the application before the first request: there is no start that could fail.
    for (const standing of this.#standings) standing.served = true;
    this.#journal.ready(
      pools.map(({ target }) => target),
      performance.now(),
    );
    this.onReady();
  }

  #isComplete(pool: Pool): boolean {
    return isSettled(this.state, pool) && countWorkers(pool) >= pool.target;
  }

  #onFrontEnd(slot: number, end: End): void {
    this.fleet.forgetFront(slot);
    const front = this.state.fronts[slot];
    this.#apply({ type: 'front-gone', slot });
    if (this.state.stop !== null) {
      if (front?.finished === false && !front.killed) this.#log.error(`The front ${describeEnd(end)}`);
      return;
    }
    if (front?.finished) return;
    if (!this.serving && front?.phase === 'starting' && end.signal !== 'SIGKILL') {
      return this.#fail(`The front ${describeEnd(end)} before it listened.`, 1);
    }
    this.#log.error(`The front ${describeEnd(end)}. Another one starts`);
  }

  #onLoaded(id: number, message: FromWorker): void {
    this.#told.set(id, message.event);
    const worker = this.state.workers.get(id);
    if (worker !== undefined) this.#hear(worker, message);
  }

  /** A worker or a zygote has loaded the application, or says why it cannot. */
  #hear({ pool, generation }: Code, message: FromWorker): void {
    const standing = this.#standing(pool);
    if (message.event === 'loaded') {
      const setup = this.fleet.setup({ pool, generation });
      standing.goneHook.learn(generation, { setup, hooks: message.hooks });
      if (generation !== poolAt(this.state, pool).generation) return;
      this.#journal.loaded(pool, message);
      return this.fleet.setStaticMounts(pool, message.mounts);
    }
    if (this.state.stop !== null) return;
    const failure = describeFailure(message, this.fleet.of(pool));
    const meaning = standing.blame(generation, failure);
    if (meaning === 'start') this.#fail(failure, 3);
    else if (meaning === 'later') this.#journal.failed(pool, message);
  }

  #onWorkerEnd(id: number, end: End): void {
    const before = this.state.workers.get(id);
    const named = this.fleet.named(id);
    const told = this.#told.get(id);
    this.#told.delete(id);
    this.fleet.forgetWorker(id);
    if (before === undefined) return;
    const standing = this.#standing(before.pool);
    const isOnTrial = standing.isOnTrial(before.generation);
    this.#apply({ type: 'worker-gone', worker: id });
    standing.callGoneHook(before.generation, named);
    this.fleet.tell(before.front, { type: 'worker-gone', worker: id });
    if (this.state.stop !== null) return;
    const wasReady = before.readyAt !== Number.POSITIVE_INFINITY;
    standing.countRestart(before.cause ?? (wasReady ? 'crash' : 'boot-failed'));
    // One that we killed has been told of already, where there was something to tell.
    if (before.phase === 'leaving') return before.killed ? undefined : this.#journal.left(named, end);
    const how = told === 'failed' ? 'could not load the application' : describeEnd(end);
    const text = `${name(named)} ${how}${told === 'failed' ? '' : ' while it loaded the application'}.`;
    if (isOnTrial) return void standing.blame(before.generation, text);
    if (!standing.served && told === undefined && isOwnFault(end)) return this.#fail(text, 3);
    this.#journal.lost(named, how, poolAt(this.state, before.pool).retry.notBefore - this.#clock.now());
  }

  #onZygote({ pool, generation }: Code, message: FromWorker): void {
    this.#hear({ pool, generation }, message);
    if (message.event === 'loaded') this.#apply({ type: 'zygote-ready', pool, generation });
  }

  #onZygoteEnd({ pool, generation }: Code, end: End): void {
    const code = { pool, generation };
    const standing = this.#standing(pool);
    const before = poolAt(this.state, pool).zygotes.get(generation);
    const pid = this.fleet.zygote(code)?.pid ?? 0;
    this.fleet.forgetZygote(code);
    const text = `The process that workers${this.fleet.of(pool)} are forked from ${describeEnd(end)}`;
    const isTold = this.state.stop !== null || before === undefined || before.phase === 'leaving';
    // One that has loaded the application speaks for no trial any more.
    const isBooting = before?.phase === 'booting';
    const loading = `${text} while it loaded the application.`;
    const meaning = isTold || (standing.served && !isBooting) ? 'later' : standing.blame(generation, loading);
    this.#apply({ type: 'zygote-gone', ...code });
    // What the import left under its pid is to be taken away, too.
    standing.callGoneHook(generation, { id: 0, pid });
    if (isTold) return;
    if (meaning === 'start') this.#fail(loading, 3);
    else if (meaning === 'later') this.#log.error(`${text}. Another one starts`);
  }

  /** The start has failed: told once, however many find out. */
  #fail(message: string, exitCode: 1 | 3): void {
    if (this.state.stop !== null) return;
    this.#exitCode = exitCode;
    this.#log.error(message);
    this.#apply({ type: 'stop', graceMs: 0 });
  }

  #perform(action: Action): void {
    if (action.type === 'exit') return this.#finish();
    this.#performer.perform(action);
    this.#apply(action);
    if (action.type === 'finish-reload') this.#options.onReload(action.pool, null);
    if (action.type === 'abort-reload')
      this.#options.onReload(action.pool, this.#standing(action.pool).failure);
  }

  /** Told by who was killed because it did not get ready. */
  #onExpired({ pool, generation }: Code, text: string): void {
    const meaning = this.#standing(pool).blame(generation, text);
    if (meaning === 'start') this.#fail(text, 3);
    else if (meaning === 'later') this.#log.error(text);
  }

  #finish(): void {
    clearTimeout(this.#timer);
    for (const { index, reload } of this.state.pools)
      if (reload !== null) this.#options.onReload(index, 'The server was stopped.');
    if (this.#exitCode === 0) this.#log.info(`Stopped: ${count(this.#requests, 'request')} finished`);
    this.#exit(this.#exitCode);
  }
}

/** A crash, or an exit: not a signal from outside, such as kill -9 or the system out of memory. */
function isOwnFault({ code, signal }: End): boolean {
  return code !== null || (signal !== null && CRASHES.includes(signal));
}

const CRASHES: readonly NodeJS.Signals[] = ['SIGSEGV', 'SIGABRT', 'SIGBUS', 'SIGILL', 'SIGFPE', 'SIGSYS'];

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
import { type ChildEvent, Fleet, type FleetOptions, type Setup } from './fleet.ts';
import { GoneHook } from './gone-hook.ts';
import { Heart } from './heart.ts';
import { Inquiries } from './inquiry.ts';
import { describeFailure, Journal, name } from './journal.ts';
import { Performer } from './perform.ts';
import { type Action, plan, restMs } from './plan.ts';
import { bindError } from './sockets.ts';
import { countReady, createState, isDegraded, type Limits, type State } from './state.ts';

export interface ArbiterOptions extends FleetOptions {
  readonly setup: Setup;
  /** What `sockets` were bound to. */
  readonly addresses: readonly Address[];
  /** The new generation serves alone, or was thrown away because of `failure`. */
  readonly onReload: (failure: string | null) => void;
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
  /** Workers that were replaced, by cause. */
  readonly restarts = new Map<Cause, number>();
  /** Requests are answered: every front listens, and a worker is ready or none is wanted. Called once. */
  onServing: () => void = () => {};
  /** All that are wanted are ready, for the first time or again. */
  onReady: () => void = () => {};
  readonly #options: ArbiterOptions;
  readonly #log: Logger;
  readonly #journal: Journal;
  readonly #clock = new Clock();
  readonly #performer: Performer;
  readonly heart: Heart;
  readonly #goneHook: GoneHook;
  /** Workers that have told of the application, loaded or not. */
  readonly #told = new Map<number, FromWorker['event']>();
  readonly #events: ChildEvent[] = [];
  /** Why the new generation is no good. */
  #failure = '';
  #exit: (code: number) => void = () => {};
  #turnIsDue = false;
  #timer: NodeJS.Timeout | undefined;
  /** Some worker was ready once: from then on the server is never ended by an application that fails. */
  #served = false;
  #announced = false;
  #exitCode = 0;
  #requests = 0;

  constructor(options: ArbiterOptions) {
    const { setup, log } = options;
    const { workers, fronts } = setup.settings;
    this.#options = options;
    this.#log = log;
    this.#journal = new Journal(log);
    this.state = createState({ ...workers, fronts, limits: limitsOf(setup.settings) });
    this.fleet = new Fleet(setup, options, (event) => this.#post(event));
    this.inquiries = new Inquiries((slot, message) => this.fleet.tell(slot, message));
    this.#performer = new Performer({
      ...options,
      state: this.state,
      fleet: this.fleet,
      onExpired: (generation, text) => this.#onExpired(generation, text),
    });
    this.#goneHook = new GoneHook(options);
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

  /** What new workers run with. */
  get setup(): Setup {
    return this.fleet.setup(this.state.generation);
  }

  /** The application in full, once it has been loaded. */
  get app(): string {
    return this.#journal.app;
  }

  /** Whether the server was ever ready. */
  get serving(): boolean {
    return this.#served;
  }

  /** Spawns everything and keeps it running until it is told to stop. @returns the exit code. */
  async run(): Promise<number> {
    this.#schedule();
    const code = await new Promise<number>((resolve) => {
      this.#exit = resolve;
    });
    await this.#goneHook.finish();
    return code;
  }

  /** Enters an order; what follows from it is done in the next turn. */
  order(change: Change): void {
    this.#apply(change);
    this.#schedule();
  }

  /** Begins to replace every worker by one of the new setup. @returns its generation. */
  renew(setup: Setup): number {
    this.#failure = '';
    const { workers: before } = this.setup.settings;
    const { workers } = setup.settings;
    // What TTIN, TTOU or `tunicorn scale` made of it stays, unless the configuration says something new.
    const isNew = workers.min !== before.min || workers.max !== before.max;
    this.order({ type: 'reload', limits: limitsOf(setup.settings), range: isNew ? workers : null });
    this.fleet.prepare(this.state.generation, setup);
    return this.state.generation;
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
    this.#journal.health(isDegraded(this.state));
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
        return this.#onZygote(event.generation, event.message);
      case 'zygote-end':
        return this.#onZygoteEnd(event.generation, event.end);
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
        return this.heart.wake();
      case 'load':
        return this.heart.feel(message.load);
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
    if (!this.#served) return this.#fail(error, 1);
    this.#log.error(error);
    this.fleet.killFront(slot);
  }

  #onReady(worker: number): void {
    const wasBooting = this.state.booting.has(worker);
    this.#apply({ type: 'worker-ready', worker });
    if (wasBooting) this.#journal.replaced(this.fleet.named(worker));
    this.#served = true;
    this.#announce();
  }

  /** How many workers can take a request. */
  get readyWorkers(): number {
    const groups = this.state.fronts.flatMap(({ fresh, old }) => [fresh, old]);
    return groups.reduce((sum, group) => sum + countReady(group), 0);
  }

  /** The addresses once every front listens; the readiness once one worker serves, and once every worker does. */
  #announce(): void {
    const { workers, booting, detached, target, stop, fronts } = this.state;
    if (fronts.some((front) => front.phase !== 'listening')) return;
    const { sockets, setup } = this.#options;
    this.#journal.listening(
      sockets.map((socket) => socket.url),
      setup.settings.static,
    );
    if (stop !== null) return;
    if (!this.#announced && (target === 0 || this.readyWorkers > 0)) {
      this.#announced = true;
      this.onServing();
    }
    const isComplete = booting.size === 0 && detached.size === 0 && workers.size >= target;
    if (!isComplete) return;
    // With 0..N nobody will load the application before the first request: there is no start that could fail.
    this.#served = true;
    this.#journal.ready(target, performance.now());
    this.onReady();
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
    if (!this.#served && front?.phase === 'starting' && end.signal !== 'SIGKILL') {
      return this.#fail(`The front ${describeEnd(end)} before it listened.`, 1);
    }
    this.#log.error(`The front ${describeEnd(end)}. Another one starts`);
  }

  #onLoaded(id: number, message: FromWorker): void {
    this.#told.set(id, message.event);
    const generation = this.state.workers.get(id)?.generation ?? 0;
    this.#hear(generation, message);
  }

  /** A worker or a zygote has loaded the application, or says why it cannot. */
  #hear(generation: number, message: FromWorker): void {
    if (message.event === 'loaded') {
      this.#goneHook.learn(generation, { setup: this.fleet.setup(generation), hooks: message.hooks });
      if (generation !== this.state.generation) return;
      this.#journal.loaded(message);
      return this.fleet.setMounts(message.mounts);
    }
    if (this.state.stop !== null) return;
    if (!this.#served) return this.#fail(describeFailure(message), 3);
    if (this.#isOnTrial(generation)) this.#failure ||= describeFailure(message);
    else this.#journal.failed(message);
  }

  /** Whether this generation may still be thrown away. */
  #isOnTrial(generation: number): boolean {
    const { reload } = this.state;
    return reload !== null && !reload.proven && generation === this.state.generation;
  }

  #callGoneHook(generation: number, gone: { readonly id: number; readonly pid: number }): void {
    this.#goneHook.call(generation, gone);
    const { reload, population, zygotes } = this.state;
    const isOld = generation !== this.state.generation && reload?.proven !== false;
    const isEmpty = (population.get(generation) ?? 0) === 0 && !zygotes.has(generation);
    if (isOld && isEmpty) this.#goneHook.forget(generation);
  }

  #onWorkerEnd(id: number, end: End): void {
    const before = this.state.workers.get(id);
    const named = this.fleet.named(id);
    const told = this.#told.get(id);
    this.#told.delete(id);
    this.fleet.forgetWorker(id);
    const isOnTrial = this.#isOnTrial(before?.generation ?? 0);
    this.#apply({ type: 'worker-gone', worker: id });
    if (before === undefined) return;
    this.#callGoneHook(before.generation, named);
    this.fleet.tell(before.front, { type: 'worker-gone', worker: id });
    if (this.state.stop !== null) return;
    const wasReady = before.readyAt !== Number.POSITIVE_INFINITY;
    const cause = before.cause ?? (wasReady ? 'crash' : 'boot-failed');
    this.restarts.set(cause, (this.restarts.get(cause) ?? 0) + 1);
    // One that we killed has been told of already, where there was something to tell.
    if (before.phase === 'leaving') return before.killed ? undefined : this.#journal.left(named, end);
    const how = told === 'failed' ? 'could not load the application' : describeEnd(end);
    if (isOnTrial) {
      this.#failure ||= `${name(named)} ${how}${told === 'failed' ? '' : ' while it loaded the application'}.`;
      return;
    }
    if (!this.#served && told === undefined && isOwnFault(end)) {
      return this.#fail(`${name(named)} ${describeEnd(end)} while it loaded the application.`, 3);
    }
    this.#journal.lost(named, how, this.state.retry.notBefore - this.#clock.now());
  }

  #onZygote(generation: number, message: FromWorker): void {
    this.#hear(generation, message);
    if (message.event === 'loaded') this.#apply({ type: 'zygote-ready', generation });
  }

  #onZygoteEnd(generation: number, end: End): void {
    const before = this.state.zygotes.get(generation);
    const isOnTrial = this.#isOnTrial(generation);
    const pid = this.fleet.zygote(generation)?.pid ?? 0;
    this.fleet.forgetZygote(generation);
    this.#apply({ type: 'zygote-gone', generation });
    // What the import left under its pid is to be taken away, too.
    this.#callGoneHook(generation, { id: 0, pid });
    if (this.state.stop !== null || before === undefined || before.phase === 'leaving') return;
    const text = `The process that workers are forked from ${describeEnd(end)}`;
    if (before.phase === 'booting' && isOnTrial) this.#failure ||= `${text} while it loaded the application.`;
    else if (!this.#served) this.#fail(`${text} while it loaded the application.`, 3);
    else this.#log.error(`${text}. Another one starts`);
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
    if (action.type === 'finish-reload') this.#options.onReload(null);
    if (action.type === 'abort-reload') this.#options.onReload(this.#failure);
  }

  /** Told by who was killed because it did not get ready. */
  #onExpired(generation: number, text: string): void {
    if (!this.#served) this.#fail(text, 3);
    else if (this.#isOnTrial(generation)) this.#failure ||= text;
    else this.#log.error(text);
  }

  #finish(): void {
    clearTimeout(this.#timer);
    if (this.state.reload !== null) this.#options.onReload('The server was stopped.');
    if (this.#exitCode === 0) this.#log.info(`Stopped: ${count(this.#requests, 'request')} finished`);
    this.#exit(this.#exitCode);
  }
}

/** A crash, or an exit: not a signal from outside, such as kill -9 or the system out of memory. */
function isOwnFault({ code, signal }: End): boolean {
  return code !== null || (signal !== null && CRASHES.includes(signal));
}

const CRASHES: readonly NodeJS.Signals[] = ['SIGSEGV', 'SIGABRT', 'SIGBUS', 'SIGILL', 'SIGFPE', 'SIGSYS'];

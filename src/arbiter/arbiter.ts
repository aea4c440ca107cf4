/**
 * The loop: signals and what children say are only queued; each turn works them off, then plans, then
 * performs. Nothing here waits, so the arbiter stays able to judge when everything else is stuck.
 */
import type { Address } from '../config/address.ts';
import type { FromFront, FromWorker } from '../messages.ts';
import type { Logger } from '../observe/log.ts';
import { describeEnd, type End } from './children.ts';
import { type ChildEvent, Fleet, type FleetOptions } from './fleet.ts';
import { count, describeFailure, Journal, name } from './journal.ts';
import { type Action, plan } from './plan.ts';
import { SIGNALS, type SignalName } from './signals.ts';
import { bindError } from './sockets.ts';
import { apply, type Change, createState, type State } from './state.ts';
import { Terminal } from './terminal.ts';

export interface ArbiterOptions extends FleetOptions {
  /** What `sockets` were bound to. */
  readonly addresses: readonly Address[];
}

type Event = ChildEvent | { readonly type: 'signal'; readonly name: SignalName };

/** What INT and QUIT leave to requests in flight. */
const QUICK_MS = 3000;
/** npm, a shell or a supervisor may pass on a signal that we got already: that is not a second one. */
const ECHO_MS = 1000;
/** The longest that a timer of Node's can wait. */
const MAX_TIMER_MS = 2 ** 31 - 1;

export class Arbiter {
  readonly #options: ArbiterOptions;
  readonly #log: Logger;
  readonly #journal: Journal;
  readonly #state: State;
  readonly #terminal = new Terminal();
  readonly #fleet: Fleet;
  /** Workers that have told of the application, loaded or not. */
  readonly #told = new Map<number, FromWorker['event']>();
  readonly #events: Event[] = [];
  #exit: (code: number) => void = () => {};
  #turnIsDue = false;
  #timer: NodeJS.Timeout | undefined;
  /** Some worker was ready once: from then on the server is never ended by an application that fails. */
  #served = false;
  /** The last order to stop. */
  #stopping: { at: number; quick: boolean; signal: SignalName | null } = {
    at: 0,
    quick: false,
    signal: null,
  };
  #exitCode = 0;
  #requests = 0;

  constructor(options: ArbiterOptions) {
    const { settings, log } = options;
    this.#options = options;
    this.#log = log;
    this.#journal = new Journal(log);
    this.#state = createState({
      workers: settings.workers.min,
      fronts: settings.fronts,
      graceMs: settings.gracefulTimeout * 1000,
    });
    this.#fleet = new Fleet(options, (event) => this.#post(event));
  }

  /** Spawns everything and keeps it running until it is told to stop. @returns the exit code. */
  run(): Promise<number> {
    this.#schedule();
    return new Promise((resolve) => {
      this.#exit = resolve;
    });
  }

  /** To be called by the signal's handler. */
  signal(name: SignalName): void {
    this.#post({ type: 'signal', name });
  }

  #post(event: Event): void {
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
    for (const event of this.#events.splice(0)) this.#handle(event);
    // What was performed may call for more; each action moves a child forward, so this comes to an end.
    for (;;) {
      const { actions, wakeAt } = plan(this.#state, performance.now());
      for (const action of actions) this.#perform(action);
      if (actions.some((action) => action.type === 'exit')) return;
      if (actions.length > 0) continue;
      if (wakeAt === Number.POSITIVE_INFINITY) return;
      const ms = Math.min(MAX_TIMER_MS, Math.max(0, Math.ceil(wakeAt - performance.now())));
      this.#timer = setTimeout(() => this.#schedule(), ms);
      return;
    }
  }

  #apply(change: Change): void {
    apply(this.#state, change, performance.now());
  }

  // Events

  #handle(event: Event): void {
    switch (event.type) {
      case 'signal':
        return this.#onSignal(event.name);
      case 'front':
        return this.#onFront(event.slot, event.message);
      case 'front-end':
        return this.#onFrontEnd(event.slot, event.end);
      case 'worker':
        return this.#onWorker(event.worker, event.message);
      case 'worker-end':
        return this.#onWorkerEnd(event.worker, event.end);
      default:
        return event satisfies never;
    }
  }

  #onSignal(signal: SignalName): void {
    switch (SIGNALS[signal].verb) {
      case 'stop':
        return this.#stop(signal, false);
      case 'quick-stop':
        return this.#stop(signal, true);
      case 'reload':
        if (this.#terminal.isGone()) return this.#stop(signal, false);
        return this.#later(signal, 'Reloading');
      case 'reopen':
        return this.#later(signal, 'Reopening the logs');
      case 'upgrade':
        return this.#later(signal, 'Upgrading in place');
      case 'winch':
        // In a terminal it only says that the window has another size.
        return this.#terminal.isThere ? undefined : this.#later(signal, 'Stopping the workers alone');
      case 'more':
        return this.#retarget(signal, 1);
      case 'fewer':
        return this.#retarget(signal, -1);
    }
  }

  #later(signal: SignalName, what: string): void {
    this.#log.warning(`${signal}: ${what} comes with a later version; nothing was done`);
  }

  #retarget(signal: SignalName, by: number): void {
    this.#apply({ type: 'retarget', by });
    this.#log.info(`${signal}: ${count(this.#state.target, 'worker')} from now on`);
  }

  /** TERM, then INT, then one more: each may only shorten what is left. */
  #stop(signal: SignalName, quick: boolean): void {
    const now = performance.now();
    const { stop, graceMs } = this.#state;
    const before = this.#stopping;
    if (stop !== null) {
      const isEcho = signal === before.signal && now - before.at < ECHO_MS;
      const isRepeated = !quick && !before.quick;
      if (isEcho || isRepeated) return;
    }
    const wantedMs = before.quick ? 0 : quick ? Math.min(graceMs, QUICK_MS) : graceMs;
    this.#stopping = { at: now, quick, signal };
    this.#log.info(`Stopping (${signal}): ${describeGrace(wantedMs)}`);
    this.#apply({ type: 'stop', graceMs: wantedMs });
  }

  #onFront(slot: number, message: FromFront): void {
    switch (message.type) {
      case 'up':
        return;
      case 'listening':
        this.#apply({ type: 'front-listening', slot });
        if (this.#state.fronts.every((front) => front.phase === 'listening')) {
          this.#journal.listening(
            this.#options.sockets.map((socket) => socket.url),
            this.#options.settings.static,
          );
        }
        return this.#announce();
      case 'listen-failed':
        return this.#onListenFailed(slot, message);
      case 'worker-ready':
        return this.#onReady(message.worker);
      case 'worker-stuck':
        this.#log.error(`${this.#name(message.worker)} is stuck in a request. Another one starts`);
        return this.#apply(message);
      case 'stopped':
        this.#requests += message.requests;
        return this.#apply({ type: 'front-stopped', slot });
      case 'worker-worn':
      case 'worker-lost':
      case 'worker-wanted':
      case 'load':
      case 'report':
      case 'stacks':
        return;
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
    this.#fleet.killFront(slot);
  }

  #onReady(worker: number): void {
    const before = this.#state.workers.get(worker);
    this.#apply({ type: 'worker-ready', worker });
    if (before?.phase === 'booting') this.#journal.replaced(this.#fleet.named(worker));
    this.#served = true;
    this.#announce();
  }

  #announce(): void {
    const { workers, booting, detached, target, stop } = this.#state;
    const serving = booting.size === 0 && detached.size === 0 && workers.size >= target;
    if (serving && stop === null) this.#journal.ready(target, performance.now());
  }

  #onFrontEnd(slot: number, end: End): void {
    this.#fleet.forgetFront(slot);
    const front = this.#state.fronts[slot];
    this.#apply({ type: 'front-gone', slot });
    if (this.#state.stop !== null) {
      if (front?.finished === false && !front.killed) this.#log.error(`The front ${describeEnd(end)}`);
      return;
    }
    if (!this.#served && front?.phase === 'starting' && end.signal !== 'SIGKILL') {
      return this.#fail(`The front ${describeEnd(end)} before it listened.`, 1);
    }
    this.#log.error(`The front ${describeEnd(end)}. Another one starts`);
  }

  #onWorker(id: number, message: FromWorker): void {
    this.#told.set(id, message.event);
    if (message.event === 'loaded') {
      this.#journal.loaded(message);
      return this.#fleet.setMounts(message.mounts);
    }
    if (this.#state.stop !== null) return;
    if (this.#served) this.#journal.failed(message);
    else this.#fail(describeFailure(message), 3);
  }

  #onWorkerEnd(id: number, end: End): void {
    const before = this.#state.workers.get(id);
    const named = this.#fleet.named(id);
    const told = this.#told.get(id);
    this.#told.delete(id);
    this.#fleet.forgetWorker(id);
    this.#apply({ type: 'worker-gone', worker: id });
    if (before === undefined) return;
    this.#fleet.tell(before.front, { type: 'worker-gone', worker: id });
    if (this.#state.stop !== null) return;
    // One that we killed has been told of already, where there was something to tell.
    if (before.phase === 'leaving') return before.killed ? undefined : this.#journal.left(named, end);
    if (!this.#served && told === undefined && isOwnFault(end)) {
      return this.#fail(`${name(named)} ${describeEnd(end)} while it loaded the application.`, 3);
    }
    const how = told === 'failed' ? 'could not load the application' : describeEnd(end);
    this.#journal.lost(named, how, this.#state.retry.notBefore - performance.now());
  }

  /** The start has failed: told once, however many workers find out. */
  #fail(message: string, exitCode: 1 | 3): void {
    if (this.#state.stop !== null) return;
    this.#exitCode = exitCode;
    this.#log.error(message);
    this.#apply({ type: 'stop', graceMs: 0 });
  }

  // Actions

  #perform(action: Action): void {
    switch (action.type) {
      case 'spawn-front':
        this.#fleet.spawnFront(action.slot);
        break;
      case 'spawn-worker':
        this.#fleet.spawnWorker(action.worker, action.front);
        break;
      case 'stop-fronts':
        this.#stopFronts(action.graceMs);
        break;
      case 'kill-front':
        this.#fleet.killFront(action.slot);
        break;
      case 'kill-worker':
        this.#killWorker(action.worker);
        break;
      case 'drain-worker':
        this.#drainWorker(action.worker);
        break;
      case 'retire-worker':
        break;
      case 'exit':
        return this.#finish();
      default:
        return action satisfies never;
    }
    this.#apply(action);
  }

  /** Fronts and arbiter let go of the sockets together: what connects later is refused, not left waiting. */
  #stopFronts(graceMs: number): void {
    this.#fleet.tellAll({ type: 'stop', graceMs });
    for (const socket of this.#options.sockets) socket.close();
  }

  #drainWorker(id: number): void {
    const front = this.#state.workers.get(id)?.front;
    if (front !== undefined) this.#fleet.tell(front, { type: 'drain-worker', worker: id });
  }

  #killWorker(id: number): void {
    const { workers, stop } = this.#state;
    // At a stop the front tells which requests were not finished.
    if (stop === null && workers.get(id)?.stuck)
      this.#log.warning(`${this.#name(id)} did not finish in time: killed`);
    this.#fleet.killWorker(id);
  }

  #finish(): void {
    clearTimeout(this.#timer);
    if (this.#exitCode === 0) this.#log.info(`Stopped: ${count(this.#requests, 'request')} finished`);
    this.#exit(this.#exitCode);
  }

  #name(id: number): string {
    return name(this.#fleet.named(id));
  }
}

function describeGrace(ms: number): string {
  return ms === 0 ? 'at once' : `requests in flight have up to ${ms / 1000} s`;
}

/** A crash, or an exit: not a signal from outside, such as kill -9 or the system out of memory. */
function isOwnFault({ code, signal }: End): boolean {
  return code !== null || (signal !== null && CRASHES.includes(signal));
}

const CRASHES: readonly NodeJS.Signals[] = ['SIGSEGV', 'SIGABRT', 'SIGBUS', 'SIGILL', 'SIGFPE', 'SIGSYS'];

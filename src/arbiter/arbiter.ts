/**
 * The loop: signals and what children say are only queued; each turn works them off, then plans, then
 * performs. Nothing here waits, so the arbiter stays able to judge when everything else is stuck.
 */
import type { Address } from '../config/address.ts';
import type { Settings } from '../config/options.ts';
import type { FromFront, FromWorker, StaticMount } from '../messages.ts';
import type { Logger } from '../observe/log.ts';
import { describeEnd, type End } from './children.ts';
import { FrontHandle } from './front.ts';
import { count, describeFailure, Journal, name } from './journal.ts';
import { type Action, plan } from './plan.ts';
import type { Rights } from './rights.ts';
import { SIGNALS, type SignalName } from './signals.ts';
import { type Bound, bindError } from './sockets.ts';
import { apply, type Change, createState, type State } from './state.ts';
import { Terminal } from './terminal.ts';
import { WorkerHandle, workerStart } from './worker.ts';

export interface ArbiterOptions {
  readonly settings: Settings;
  readonly log: Logger;
  readonly sockets: readonly Bound[];
  /** What `sockets` were bound to. */
  readonly addresses: readonly Address[];
  /** Path of the gateway socket of a front. */
  readonly gateway: (slot: number) => string;
  /** Descriptor of the access log; -1 for none. */
  readonly accessLog: number;
  readonly rights: Rights | null;
  /** Path of the interpreter. */
  readonly python: string;
  /** The environment of workers. */
  readonly env: NodeJS.ProcessEnv;
}

type Event =
  | { readonly type: 'signal'; readonly name: SignalName }
  | { readonly type: 'front'; readonly slot: number; readonly message: FromFront }
  | { readonly type: 'front-end'; readonly slot: number; readonly end: End }
  | { readonly type: 'worker'; readonly worker: number; readonly message: FromWorker }
  | { readonly type: 'worker-end'; readonly worker: number; readonly end: End };

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
  readonly #workers = new Map<number, Worker>();
  readonly #fronts: (FrontHandle | null)[];
  readonly #events: Event[] = [];
  #exit: (code: number) => void = () => {};
  #turnIsDue = false;
  #timer: NodeJS.Timeout | undefined;
  #mounts: readonly StaticMount[] = [];
  /** Some worker was ready once: from then on the server is never ended by an application that fails. */
  #served = false;
  #stoppedAt = Number.POSITIVE_INFINITY;
  #exitCode = 0;
  #requests = 0;

  constructor(options: ArbiterOptions) {
    const { settings, log } = options;
    this.#options = options;
    this.#log = log;
    this.#journal = new Journal(log);
    this.#state = createState({
      workers: settings.workers,
      fronts: settings.fronts,
      graceMs: settings.gracefulTimeout * 1000,
    });
    this.#fronts = this.#state.fronts.map(() => null);
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

  /** TERM, then at most INT, then at most one more: each may only shorten what is left. */
  #stop(signal: SignalName, quick: boolean): void {
    const now = performance.now();
    const { stop, graceMs } = this.#state;
    const wanted = quick ? Math.min(graceMs, QUICK_MS) : graceMs;
    if (stop === null) {
      this.#stoppedAt = now;
      this.#log.info(`Stopping (${signal}): requests in flight have up to ${wanted / 1000} s`);
      return this.#apply({ type: 'stop', graceMs: wanted });
    }
    if (now - this.#stoppedAt < ECHO_MS) return;
    const isQuick = stop.graceMs <= QUICK_MS;
    if (!quick && !isQuick) return;
    this.#stoppedAt = now;
    this.#log.info(isQuick ? `Stopping at once (${signal})` : `Stopping (${signal}): 3 s are left`);
    this.#apply({ type: 'stop', graceMs: isQuick ? 0 : wanted });
  }

  #onFront(slot: number, message: FromFront): void {
    switch (message.type) {
      case 'up':
        return;
      case 'listening':
        this.#apply({ type: 'front-listening', slot });
        if (this.#state.fronts.every((front) => front.phase === 'listening')) {
          this.#journal.listening(this.#options.sockets.map((socket) => socket.url));
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
    this.#fronts[slot]?.kill();
  }

  #onReady(worker: number): void {
    const before = this.#state.workers.get(worker);
    this.#apply({ type: 'worker-ready', worker });
    if (before?.phase === 'booting') this.#journal.replaced(this.#named(worker));
    this.#served = true;
    this.#announce();
  }

  #announce(): void {
    const { workers, booting, detached, target, stop } = this.#state;
    const serving = booting.size === 0 && detached.size === 0 && workers.size >= target;
    if (serving && stop === null) this.#journal.ready(target, performance.now());
  }

  #onFrontEnd(slot: number, end: End): void {
    this.#fronts[slot] = null;
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
    const worker = this.#workers.get(id);
    if (worker === undefined) return;
    worker.said = message;
    if (message.event === 'loaded') {
      this.#journal.loaded(message);
      if (this.#options.settings.name === '') process.title = `tunicorn: arbiter [${message.app}]`;
      return this.#setMounts(message.mounts);
    }
    if (this.#state.stop !== null) return;
    if (this.#served) this.#journal.failed(message);
    else this.#fail(describeFailure(message), 3);
  }

  #setMounts(mounts: readonly StaticMount[]): void {
    if (JSON.stringify(mounts) === JSON.stringify(this.#mounts)) return;
    this.#mounts = mounts;
    for (const front of this.#fronts) front?.send({ type: 'mounts', mounts });
  }

  #onWorkerEnd(id: number, end: End): void {
    const worker = this.#workers.get(id);
    const before = this.#state.workers.get(id);
    const named = this.#named(id);
    this.#workers.delete(id);
    this.#apply({ type: 'worker-gone', worker: id });
    if (worker === undefined || before === undefined) return;
    this.#fronts[before.front]?.send({ type: 'worker-gone', worker: id });
    if (this.#state.stop !== null) return;
    if (before.phase === 'leaving') return this.#journal.left(named, end);
    if (!this.#served && worker.said === null && isOwnFault(end)) {
      return this.#fail(`${name(named)} ${describeEnd(end)} while it loaded the application.`, 3);
    }
    const how = worker.said?.event === 'failed' ? 'could not load the application' : describeEnd(end);
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
        this.#spawnFront(action.slot);
        break;
      case 'spawn-worker':
        this.#spawnWorker(action.worker, action.front);
        break;
      case 'stop-fronts':
        this.#stopFronts(action.graceMs);
        break;
      case 'kill-front':
        this.#fronts[action.slot]?.kill();
        break;
      case 'kill-worker':
        this.#killWorker(action.worker);
        break;
      case 'drain-worker':
        this.#frontOf(action.worker)?.send({ type: 'drain-worker', worker: action.worker });
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

  #spawnFront(slot: number): void {
    const { settings, log, gateway } = this.#options;
    try {
      this.#fronts[slot] = new FrontHandle({
        ...this.#options,
        settings: { ...settings, name: title(settings) },
        gateway: gateway(slot),
        errorLog: log.fd,
        mounts: () => this.#mounts,
        onMessage: (message) => this.#post({ type: 'front', slot, message }),
        onExit: (end) => this.#post({ type: 'front-end', slot, end }),
      });
    } catch (error) {
      this.#post({ type: 'front-end', slot, end: notStarted(error) });
    }
  }

  #spawnWorker(id: number, front: number): void {
    const { settings, log, gateway } = this.#options;
    try {
      const handle = new WorkerHandle(workerStart(settings, { worker: id, gateway: gateway(front) }), {
        ...this.#options,
        name: title(settings),
        errorLog: log.fd,
        captureOutput: settings.captureOutput,
        onMessage: (message) => this.#post({ type: 'worker', worker: id, message }),
        onExit: (end) => this.#post({ type: 'worker-end', worker: id, end }),
      });
      this.#workers.set(id, { handle, said: null });
    } catch (error) {
      this.#post({ type: 'worker-end', worker: id, end: notStarted(error) });
    }
  }

  /** Fronts and arbiter let go of the sockets together: what connects later is refused, not left waiting. */
  #stopFronts(graceMs: number): void {
    for (const front of this.#fronts) front?.send({ type: 'stop', graceMs });
    for (const socket of this.#options.sockets) socket.close();
  }

  #killWorker(id: number): void {
    const worker = this.#state.workers.get(id);
    const stop = this.#state.stop;
    const late = stop === null ? worker?.stuck === true : worker?.phase === 'ready' && stop.graceMs > 0;
    if (late) this.#log.warning(`${this.#name(id)} did not finish in time: killed`);
    this.#workers.get(id)?.handle.kill();
  }

  #finish(): void {
    clearTimeout(this.#timer);
    if (this.#exitCode === 0) this.#log.info(`Stopped: ${count(this.#requests, 'request')} finished`);
    this.#exit(this.#exitCode);
  }

  #frontOf(worker: number): FrontHandle | null {
    return this.#fronts[this.#state.workers.get(worker)?.front ?? -1] ?? null;
  }

  #named(id: number): { id: number; pid: number } {
    return { id, pid: this.#workers.get(id)?.handle.pid ?? 0 };
  }

  #name(id: number): string {
    return name(this.#named(id));
  }
}

interface Worker {
  readonly handle: WorkerHandle;
  /** What it said of the application, if anything. */
  said: FromWorker | null;
}

/** What `ps` shows behind the kind of process. */
export function title(settings: Settings): string {
  return settings.name || settings.app || 'manage.py';
}

/** A crash, or an exit: not a signal from outside, such as kill -9 or the system out of memory. */
function isOwnFault({ code, signal }: End): boolean {
  return code !== null || (signal !== null && CRASHES.includes(signal));
}

const CRASHES: readonly NodeJS.Signals[] = ['SIGSEGV', 'SIGABRT', 'SIGBUS', 'SIGILL', 'SIGFPE', 'SIGSYS'];

function notStarted(error: unknown): End {
  return { code: null, signal: null, error: error instanceof Error ? error : new Error(String(error)) };
}

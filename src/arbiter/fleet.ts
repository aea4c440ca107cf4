/** The child processes as handles: starts them, speaks with them, and posts what they say as events. */
import { rmSync } from 'node:fs';
import type { Settings } from '../config/options.ts';
import type { FromFront, FromWorker, StaticMount, ToFront, WorkerStart } from '../messages.ts';
import type { Logger } from '../observe/log.ts';
import type { End } from './children.ts';
import { FrontHandle } from './front.ts';
import type { Rights } from './rights.ts';
import { pythonOf, type Runtime } from './runtime.ts';
import type { StackOwner } from './runtime-dir.ts';
import type { Bound } from './sockets.ts';
import { isOwnWord, type ProcessOptions, WorkerProcess, workerStart } from './worker.ts';
import { type ForkedWorker, Zygote } from './zygote.ts';

/** What the children of one generation run with. */
export interface Setup {
  readonly settings: Settings;
  readonly runtime: Runtime;
  /** The environment of workers. */
  readonly env: NodeJS.ProcessEnv;
}

export interface FleetOptions {
  readonly log: Logger;
  readonly sockets: readonly Bound[];
  /** Path of the gateway socket of a front. */
  readonly gateway: (slot: number) => string;
  /** Path of the file in which the stacks of a process are found. */
  readonly stackFile: (owner: StackOwner) => string;
  /** Descriptor of the access log; -1 for none. */
  readonly accessLog: () => number;
  readonly rights: Rights | null;
  /** Somebody else serves until we can. */
  readonly isSuccessor: () => boolean;
}

export type ChildEvent =
  | { readonly type: 'front'; readonly slot: number; readonly message: FromFront }
  | { readonly type: 'front-end'; readonly slot: number; readonly end: End }
  | { readonly type: 'worker'; readonly worker: number; readonly message: FromWorker }
  | { readonly type: 'worker-end'; readonly worker: number; readonly end: End }
  | { readonly type: 'zygote'; readonly generation: number; readonly message: FromWorker }
  | { readonly type: 'zygote-end'; readonly generation: number; readonly end: End };

export class Fleet {
  readonly #options: FleetOptions;
  readonly #post: (event: ChildEvent) => void;
  readonly #workers = new Map<number, WorkerProcess | ForkedWorker>();
  readonly #fronts = new Map<number, FrontHandle>();
  readonly #zygotes = new Map<number, Zygote>();
  /** By generation. */
  readonly #setups = new Map<number, Setup>();
  #front: Setup;
  #mounts: readonly StaticMount[] = [];

  /** `post` only queues: it may be called from within any method. */
  constructor(setup: Setup, options: FleetOptions, post: (event: ChildEvent) => void) {
    this.#front = setup;
    this.#setups.set(1, setup);
    this.#options = options;
    this.#post = post;
  }

  /** What new workers of this generation run with. */
  setup(generation: number): Setup {
    return this.#setups.get(generation) ?? this.#front;
  }

  prepare(generation: number, setup: Setup): void {
    this.#setups.set(generation, setup);
  }

  /** From now on this generation is the one that serves: the fronts take up its settings. */
  adopt(generation: number): void {
    this.#front = this.setup(generation);
    for (const known of this.#setups.keys()) if (known < generation) this.#setups.delete(known);
    this.tellAll({ type: 'settings', settings: this.#named(this.#front.settings) });
  }

  discard(generation: number): void {
    this.#setups.delete(generation);
  }

  spawnFront(slot: number): void {
    const { log, gateway } = this.#options;
    try {
      const front = new FrontHandle({
        ...this.#options,
        python: pythonOf(this.#front.runtime),
        accessLog: this.#options.accessLog(),
        settings: () => this.#named(this.#front.settings),
        gateway: gateway(slot),
        errorLog: log.fd,
        // With 0..N nobody is there before the first request.
        afterReady: this.#options.isSuccessor() && this.#front.settings.workers.min > 0,
        mounts: () => this.#mounts,
        onMessage: (message) => this.#post({ type: 'front', slot, message }),
        onExit: (end) => this.#post({ type: 'front-end', slot, end }),
      });
      this.#fronts.set(slot, front);
    } catch (error) {
      this.#post({ type: 'front-end', slot, end: notStarted(error) });
    }
  }

  spawnWorker(id: number, where: { readonly front: number; readonly generation: number }): void {
    const { generation } = where;
    const start = this.#start('worker', { id, ...where });
    const onExit = (end: End) => this.#post({ type: 'worker-end', worker: id, end });
    const onMessage = (message: FromWorker) => this.#post({ type: 'worker', worker: id, message });
    try {
      const zygote = this.#zygotes.get(generation);
      const worker =
        zygote?.fork(start, { onMessage, onExit }) ??
        new WorkerProcess(start, {
          ...this.#process(generation),
          onMessage: (message) => void (isOwnWord(message) && onMessage(message)),
          onExit,
        });
      this.#workers.set(id, worker);
    } catch (error) {
      onExit(notStarted(error));
    }
  }

  spawnZygote(generation: number): void {
    const onExit = (end: End) => this.#post({ type: 'zygote-end', generation, end });
    try {
      const zygote = new Zygote(this.#start('zygote', { id: 0, front: 0, generation }), {
        ...this.#process(generation),
        onMessage: (message) => this.#post({ type: 'zygote', generation, message }),
        onExit,
      });
      this.#zygotes.set(generation, zygote);
    } catch (error) {
      onExit(notStarted(error));
    }
  }

  killFront(slot: number): void {
    this.#fronts.get(slot)?.kill();
  }

  killWorker(id: number): void {
    this.#workers.get(id)?.kill();
  }

  /** Where a process is, one that no front can ask; empty when that cannot be had. */
  async stacks(owner: StackOwner): Promise<string> {
    const path = this.#options.stackFile(owner);
    if (typeof owner === 'number') return (await this.#workers.get(owner)?.stacks(path)) ?? '';
    return (await this.#zygotes.get(Number(owner.slice('zygote-'.length)))?.stacks(path)) ?? '';
  }

  zygote(generation: number): Zygote | undefined {
    return this.#zygotes.get(generation);
  }

  /** To one front, or to nobody when it is gone. */
  tell(slot: number, message: ToFront): void {
    this.#fronts.get(slot)?.send(message);
  }

  tellAll(message: ToFront): void {
    for (const front of this.#fronts.values()) front.send(message);
  }

  /** Static files found in the application: for every front, and for those that come later. */
  setMounts(mounts: readonly StaticMount[]): void {
    if (JSON.stringify(mounts) === JSON.stringify(this.#mounts)) return;
    this.#mounts = mounts;
    this.tellAll({ type: 'mounts', mounts });
  }

  /** A worker for the log; pid 0 when it could not be started. */
  named(id: number): { id: number; pid: number } {
    return { id, pid: this.#workers.get(id)?.pid ?? 0 };
  }

  frontPid(slot: number): number {
    return this.#fronts.get(slot)?.pid ?? 0;
  }

  forgetFront(slot: number): void {
    this.#fronts.delete(slot);
  }

  forgetWorker(id: number): void {
    this.#workers.delete(id);
    rmSync(this.#options.stackFile(id), { force: true });
  }

  forgetZygote(generation: number): void {
    this.#zygotes.delete(generation);
    rmSync(this.#options.stackFile(`zygote-${generation}`), { force: true });
  }

  #start(
    mode: WorkerStart['mode'],
    { id, front, generation }: { id: number; front: number; generation: number },
  ): WorkerStart {
    const { gateway, stackFile } = this.#options;
    const owner: StackOwner = mode === 'zygote' ? `zygote-${generation}` : id;
    const where = { worker: id, generation, gateway: gateway(front), stackFile: stackFile(owner) };
    return workerStart(this.setup(generation).settings, { mode, ...where });
  }

  #process(generation: number): Omit<ProcessOptions, 'onMessage' | 'onExit'> {
    const { log, rights } = this.#options;
    const { settings, runtime, env } = this.setup(generation);
    return {
      runtime,
      env,
      rights,
      name: title(settings),
      errorLog: log.fd,
      output: captured(settings, log),
    };
  }

  #named(settings: Settings): Settings {
    return { ...settings, name: title(settings) };
  }
}

/** What `ps` shows behind the kind of process. */
export function title(settings: Settings): string {
  return settings.name || settings.app || 'manage.py';
}

function notStarted(error: unknown): End {
  return { code: null, signal: null, error: error instanceof Error ? error : new Error(String(error)) };
}

/** Where `--capture-output` leads. A log on standard error has a descriptor that does not block, which print() needs. */
function captured({ captureOutput, errorLogfile }: Settings, log: Logger): number | null {
  if (!captureOutput) return null;
  return errorLogfile === '-' ? 2 : log.fd;
}

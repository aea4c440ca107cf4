/** The child processes as handles: starts them, speaks with them, and posts what they say as events. */
import type { Settings } from '../config/options.ts';
import type { FromFront, FromWorker, StaticMount, ToFront } from '../messages.ts';
import type { Logger } from '../observe/log.ts';
import type { End } from './children.ts';
import { FrontHandle } from './front.ts';
import type { Rights } from './rights.ts';
import type { Bound } from './sockets.ts';
import { WorkerHandle, workerStart } from './worker.ts';

export interface FleetOptions {
  readonly settings: Settings;
  readonly log: Logger;
  readonly sockets: readonly Bound[];
  /** Path of the gateway socket of a front. */
  readonly gateway: (slot: number) => string;
  /** Path of the file in which a worker's stacks are found. */
  readonly stackFile: (worker: number) => string;
  /** Descriptor of the access log; -1 for none. */
  readonly accessLog: number;
  readonly rights: Rights | null;
  /** Path of the interpreter. */
  readonly python: string;
  /** The environment of workers. */
  readonly env: NodeJS.ProcessEnv;
}

export type ChildEvent =
  | { readonly type: 'front'; readonly slot: number; readonly message: FromFront }
  | { readonly type: 'front-end'; readonly slot: number; readonly end: End }
  | { readonly type: 'worker'; readonly worker: number; readonly message: FromWorker }
  | { readonly type: 'worker-end'; readonly worker: number; readonly end: End };

export class Fleet {
  readonly #options: FleetOptions;
  readonly #post: (event: ChildEvent) => void;
  readonly #workers = new Map<number, WorkerHandle>();
  readonly #fronts = new Map<number, FrontHandle>();
  #mounts: readonly StaticMount[] = [];

  /** `post` only queues: it may be called from within any method. */
  constructor(options: FleetOptions, post: (event: ChildEvent) => void) {
    this.#options = options;
    this.#post = post;
  }

  spawnFront(slot: number): void {
    const { settings, log, gateway } = this.#options;
    try {
      const front = new FrontHandle({
        ...this.#options,
        settings: { ...settings, name: title(settings) },
        gateway: gateway(slot),
        errorLog: log.fd,
        mounts: () => this.#mounts,
        onMessage: (message) => this.#post({ type: 'front', slot, message }),
        onExit: (end) => this.#post({ type: 'front-end', slot, end }),
      });
      this.#fronts.set(slot, front);
    } catch (error) {
      this.#post({ type: 'front-end', slot, end: notStarted(error) });
    }
  }

  spawnWorker(id: number, front: number): void {
    const { settings, log, gateway } = this.#options;
    try {
      const worker = new WorkerHandle(
        workerStart(settings, {
          mode: 'worker',
          worker: id,
          generation: 1,
          gateway: gateway(front),
          stackFile: this.#options.stackFile(id),
        }),
        {
          ...this.#options,
          name: title(settings),
          errorLog: log.fd,
          output: captured(settings, log),
          onMessage: (message) => this.#post({ type: 'worker', worker: id, message }),
          onExit: (end) => this.#post({ type: 'worker-end', worker: id, end }),
        },
      );
      this.#workers.set(id, worker);
    } catch (error) {
      this.#post({ type: 'worker-end', worker: id, end: notStarted(error) });
    }
  }

  killFront(slot: number): void {
    this.#fronts.get(slot)?.kill();
  }

  killWorker(id: number): void {
    this.#workers.get(id)?.kill();
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

  forgetFront(slot: number): void {
    this.#fronts.delete(slot);
  }

  forgetWorker(id: number): void {
    this.#workers.delete(id);
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

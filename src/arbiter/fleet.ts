/** The child processes as handles: starts them, speaks with them, and posts what they say as events. */
import { rmSync } from 'node:fs';
import type { Settings } from '../config/options.ts';
import type { FromFront, FromWorker, FrontMount, StaticMount, ToFront, WorkerStart } from '../messages.ts';
import type { Logger } from '../observe/log.ts';
import type { End } from './children.ts';
import { FrontHandle } from './front.ts';
import type { Named } from './journal.ts';
import type { Rights } from './rights.ts';
import { anyPython, type Runtime } from './runtime.ts';
import type { StackOwner } from './runtime-dir.ts';
import type { Bound } from './sockets.ts';
import { isOwnWord, type ProcessOptions, WorkerProcess, workerStart } from './worker.ts';
import { type ForkedWorker, Zygote } from './zygote.ts';

/** What the workers of one generation of an application run with. */
export interface Setup {
  /** Where the application is found: `/`, or a prefix such as `/api`. */
  readonly prefix: string;
  readonly settings: Settings;
  readonly runtime: Runtime;
  /** The environment of workers. */
  readonly env: NodeJS.ProcessEnv;
}

export interface FleetOptions {
  /** What holds for the server as a whole. */
  readonly settings: Settings;
  /** What the first generation of each application runs with: one for each pool. */
  readonly setups: readonly Setup[];
  readonly log: Logger;
  readonly sockets: readonly Bound[];
  /** Path of the socket on which a front waits for the workers of a pool. */
  readonly gateway: (slot: number, pool: number) => string;
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
  | ({ readonly type: 'zygote'; readonly message: FromWorker } & Code)
  | ({ readonly type: 'zygote-end'; readonly end: End } & Code);

/** Which code: a generation of a pool. */
export interface Code {
  readonly pool: number;
  readonly generation: number;
}

/** What is known of the children of one pool. */
interface Crew {
  /** What its workers run with for whom the fronts have taken up the settings. */
  adopted: Setup;
  /** By generation. */
  readonly setups: Map<number, Setup>;
  readonly zygotes: Map<number, Zygote>;
  staticMounts: readonly StaticMount[];
}

export class Fleet {
  readonly #options: FleetOptions;
  readonly #post: (event: ChildEvent) => void;
  readonly #workers = new Map<
    number,
    { readonly pool: number; readonly process: WorkerProcess | ForkedWorker }
  >();
  readonly #fronts = new Map<number, FrontHandle>();
  /** By pool. */
  readonly #crews: readonly Crew[];
  #settings: Settings;

  /** `post` only queues: it may be called from within any method. */
  constructor(options: FleetOptions, post: (event: ChildEvent) => void) {
    this.#settings = options.settings;
    this.#crews = options.setups.map((setup) => ({
      adopted: setup,
      setups: new Map([[1, setup]]),
      zygotes: new Map(),
      staticMounts: [],
    }));
    this.#options = options;
    this.#post = post;
  }

  /** What holds for the server as a whole, and for fronts that start. */
  get settings(): Settings {
    return this.#settings;
  }

  /** What new workers of this generation run with. */
  setup({ pool, generation }: Code): Setup {
    const { setups, adopted } = this.#crew(pool);
    return setups.get(generation) ?? adopted;
  }

  prepare({ pool, generation }: Code, setup: Setup): void {
    this.#crew(pool).setups.set(generation, setup);
  }

  /** From now on this generation is the one that serves: the fronts take up its settings. */
  adopt({ pool, generation }: Code): void {
    const crew = this.#crew(pool);
    crew.adopted = this.setup({ pool, generation });
    for (const known of crew.setups.keys()) if (known < generation) crew.setups.delete(known);
    this.#tellSettings();
  }

  discard({ pool, generation }: Code): void {
    this.#crew(pool).setups.delete(generation);
  }

  /** The fronts take up what belongs to no application alone. */
  configure(settings: Settings): void {
    this.#settings = settings;
    this.#tellSettings();
  }

  #tellSettings(): void {
    for (const [slot, front] of this.#fronts) {
      front.send({ type: 'settings', settings: this.#named(), mounts: this.#mounts(slot) });
    }
  }

  #mounts(slot: number): FrontMount[] {
    return this.#crews.map(({ adopted: { prefix, settings } }, pool) => {
      return { prefix, settings, gateway: this.#options.gateway(slot, pool) };
    });
  }

  #crew(pool: number): Crew {
    const crew = this.#crews[pool];
    if (crew === undefined) throw new Error(`There is no pool ${pool}.`);
    return crew;
  }

  spawnFront(slot: number): void {
    const { log } = this.#options;
    const setups = this.#crews.map(({ adopted }) => adopted);
    try {
      const front = new FrontHandle({
        sockets: this.#options.sockets,
        rights: this.#options.rights,
        python: anyPython(setups.map(({ runtime }) => runtime)),
        accessLog: this.#options.accessLog(),
        settings: () => this.#named(),
        mounts: () => this.#mounts(slot),
        errorLog: log.fd,
        afterReady: this.#options.isSuccessor(),
        staticMounts: () => this.#staticMounts(),
        onMessage: (message) => this.#post({ type: 'front', slot, message }),
        onExit: (end) => this.#post({ type: 'front-end', slot, end }),
      });
      this.#fronts.set(slot, front);
    } catch (error) {
      this.#post({ type: 'front-end', slot, end: notStarted(error) });
    }
  }

  spawnWorker(id: number, where: Code & { readonly front: number }): void {
    const start = this.#start('worker', { id, ...where });
    const onExit = (end: End) => this.#post({ type: 'worker-end', worker: id, end });
    const onMessage = (message: FromWorker) => this.#post({ type: 'worker', worker: id, message });
    try {
      const process =
        this.zygote(where)?.fork(start, { onMessage, onExit }) ??
        new WorkerProcess(start, {
          ...this.#process(where),
          onMessage: (message) => void (isOwnWord(message) && onMessage(message)),
          onExit,
        });
      this.#workers.set(id, { pool: where.pool, process });
    } catch (error) {
      onExit(notStarted(error));
    }
  }

  spawnZygote({ pool, generation }: Code): void {
    const onExit = (end: End) => this.#post({ type: 'zygote-end', pool, generation, end });
    try {
      const zygote = new Zygote(this.#start('zygote', { id: 0, front: 0, pool, generation }), {
        ...this.#process({ pool, generation }),
        onMessage: (message) => this.#post({ type: 'zygote', pool, generation, message }),
        onExit,
      });
      this.#crew(pool).zygotes.set(generation, zygote);
    } catch (error) {
      onExit(notStarted(error));
    }
  }

  killFront(slot: number): void {
    this.#fronts.get(slot)?.kill();
  }

  killWorker(id: number): void {
    this.#workers.get(id)?.process.kill();
  }

  /** Where a worker is that no front can ask; empty when that cannot be had. */
  async stacks(worker: number): Promise<string> {
    return (await this.#workers.get(worker)?.process.stacks(this.#options.stackFile(worker))) ?? '';
  }

  /** As `stacks`, of what workers are forked from. */
  async zygoteStacks(code: Code): Promise<string> {
    return (await this.zygote(code)?.stacks(this.#options.stackFile(zygoteName(code)))) ?? '';
  }

  zygote({ pool, generation }: Code): Zygote | undefined {
    return this.#crew(pool).zygotes.get(generation);
  }

  /** To one front, or to nobody when it is gone. */
  tell(slot: number, message: ToFront): void {
    this.#fronts.get(slot)?.send(message);
  }

  tellAll(message: ToFront): void {
    for (const front of this.#fronts.values()) front.send(message);
  }

  /** Static files found in an application: for every front, and for those that come later. */
  setStaticMounts(pool: number, found: readonly StaticMount[]): void {
    const crew = this.#crew(pool);
    if (JSON.stringify(found) === JSON.stringify(crew.staticMounts)) return;
    crew.staticMounts = found;
    this.tellAll({ type: 'static-mounts', staticMounts: this.#staticMounts() });
  }

  #staticMounts(): StaticMount[] {
    return this.#crews.flatMap(({ staticMounts }) => staticMounts);
  }

  /** A worker for the log; pid 0 when it could not be started. */
  named(id: number): Named {
    const worker = this.#workers.get(id);
    return { id, pid: worker?.process.pid ?? 0, of: worker === undefined ? '' : this.of(worker.pool) };
  }

  /** What distinguishes an application in the log, to be put behind a noun: ` of /api`; empty when there is only one. */
  of(pool: number): string {
    return this.#crews.length === 1 ? '' : ` of ${this.#crew(pool).adopted.prefix}`;
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

  forgetZygote(code: Code): void {
    this.#crew(code.pool).zygotes.delete(code.generation);
    rmSync(this.#options.stackFile(zygoteName(code)), { force: true });
  }

  #start(
    mode: WorkerStart['mode'],
    { id, front, ...code }: Code & { readonly id: number; readonly front: number },
  ): WorkerStart {
    const { gateway, stackFile } = this.#options;
    const owner: StackOwner = mode === 'zygote' ? zygoteName(code) : id;
    return workerStart(this.setup(code).settings, {
      mode,
      worker: id,
      generation: code.generation,
      gateway: gateway(front, code.pool),
      stackFile: stackFile(owner),
    });
  }

  #process(code: Code): Omit<ProcessOptions, 'onMessage' | 'onExit'> {
    const { log, rights } = this.#options;
    const { settings, runtime, env } = this.setup(code);
    return {
      runtime,
      env,
      rights,
      name: title(settings),
      errorLog: log.fd,
      output: captured(settings, log),
    };
  }

  #named(): Settings {
    return { ...this.#settings, mount: [], name: title(this.#settings) };
  }
}

function zygoteName({ pool, generation }: Code): StackOwner {
  return `zygote-${pool + 1}-${generation}`;
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

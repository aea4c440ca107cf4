/** The arbiter's view of a zygote: a Python process that has imported the application and forks workers. */
import { constants } from 'node:os';
import type { FromWorker, FromZygote, WorkerStart } from '../messages.ts';
import { dumpStacks } from '../stack-file.ts';
import type { End } from './children.ts';
import { isOwnWord, type ProcessOptions, WorkerProcess } from './worker.ts';

export interface ZygoteOptions extends Omit<ProcessOptions, 'onMessage'> {
  readonly onMessage: (message: FromWorker) => void;
}

export interface ForkOptions {
  readonly onMessage: (message: FromWorker) => void;
  readonly onExit: (end: End) => void;
}

const KILLED: End = { code: null, signal: 'SIGKILL' };

export class Zygote {
  readonly #process: WorkerProcess;
  readonly #forked = new Map<number, ForkedWorker>();
  readonly #options: ZygoteOptions;

  constructor(start: WorkerStart, options: ZygoteOptions) {
    this.#options = options;
    this.#process = new WorkerProcess(start, {
      ...options,
      onMessage: (message) => this.#onMessage(message),
      onExit: (end) => this.#onExit(end),
    });
  }

  get pid(): number {
    return this.#process.pid;
  }

  /** Asks for one more worker. */
  fork(start: WorkerStart, options: ForkOptions): ForkedWorker {
    const worker = new ForkedWorker(options);
    this.#forked.set(start.worker, worker);
    this.#process.send({ fork: start });
    return worker;
  }

  /** Lets it end once its last worker has. */
  leave(): void {
    this.#process.send({ leave: true });
  }

  kill(): void {
    this.#process.kill();
  }

  /** Where it is, by its stack file. */
  stacks(path: string): Promise<string> {
    return this.#process.stacks(path);
  }

  #onMessage(message: FromZygote): void {
    if (isOwnWord(message)) return this.#options.onMessage(message);
    const worker = this.#forked.get(message.worker);
    if (worker === undefined) return;
    if (message.event === 'forked') return worker.begin(message.pid);
    if (message.event === 'said') return worker.say(message.said);
    this.#forked.delete(message.worker);
    if (message.event === 'fork-failed') {
      return worker.end({ code: null, signal: null, error: new Error(message.message) });
    }
    worker.end({ code: message.code, signal: nameOf(message.signal) });
  }

  /** The kernel has killed them with it (PR_SET_PDEATHSIG). */
  #onExit(end: End): void {
    for (const worker of this.#forked.values()) worker.end(KILLED);
    this.#forked.clear();
    this.#options.onExit(end);
  }
}

/** A worker that a zygote forked. */
export class ForkedWorker {
  readonly #options: ForkOptions;
  #pid = 0;
  #ended = false;
  #unwanted = false;

  constructor(options: ForkOptions) {
    this.#options = options;
  }

  /** 0 until the zygote has told it. */
  get pid(): number {
    return this.#pid;
  }

  begin(pid: number): void {
    this.#pid = pid;
    if (this.#unwanted) this.kill();
  }

  say(message: FromWorker): void {
    this.#options.onMessage(message);
  }

  end(end: End): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#options.onExit(end);
  }

  /** Where it is, by its stack file. */
  stacks(path: string): Promise<string> {
    return dumpStacks(this.#pid, path);
  }

  kill(): void {
    this.#unwanted = true;
    if (this.#ended || this.#pid === 0) return;
    try {
      process.kill(this.#pid, 'SIGKILL');
    } catch {
      // It has ended, and the zygote is about to tell.
    }
  }
}

function nameOf(number: number | null): NodeJS.Signals | null {
  if (number === null) return null;
  const found = Object.entries(constants.signals).find(([, value]) => value === number);
  return (found?.[0] as NodeJS.Signals | undefined) ?? null;
}

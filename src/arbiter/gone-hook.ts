/**
 * The hook `worker_gone`: called after the end of each worker, in a fresh Python process, because a worker that was
 * killed cannot clean up behind itself, and a hook that hangs or crashes must not do so in the arbiter.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import type { Logger } from '../observe/log.ts';
import { describeEnd, type End, WORKER_PROGRAM } from './children.ts';
import type { Setup } from './fleet.ts';
import { type Rights, withRights } from './rights.ts';
import { pythonOf } from './runtime.ts';

/** Longer than any cleaning up should take. */
const PATIENCE_MS = 30_000;
/** How long a stop waits for what is still to be done. */
const STOP_MS = 5_000;

export interface GoneHookOptions {
  readonly log: Logger;
  readonly rights: Rights | null;
}

interface Gone {
  readonly id: number;
  readonly pid: number;
}

export class GoneHook {
  readonly #options: GoneHookOptions;
  /** Generations that have the hook. */
  readonly #setups = new Map<number, Setup>();
  /** Those that ended while a process was at work: the next one takes them all. */
  readonly #waiting = new Map<Setup, Gone[]>();
  #work: Promise<void> | null = null;
  #child: ChildProcess | null = null;

  constructor(options: GoneHookOptions) {
    this.#options = options;
  }

  /** What the application of a generation was loaded with. */
  learn(generation: number, { setup, hooks }: { setup: Setup; hooks: readonly string[] }): void {
    if (hooks.includes('worker_gone')) this.#setups.set(generation, setup);
  }

  /** No process of this generation is left. */
  forget(generation: number): void {
    this.#setups.delete(generation);
  }

  /** A worker has ended, or with id 0 what workers are forked from. Never blocks. */
  call(generation: number, gone: Gone): void {
    const setup = this.#setups.get(generation);
    if (setup === undefined || gone.pid === 0) return;
    this.#waiting.set(setup, [...(this.#waiting.get(setup) ?? []), gone]);
    this.#work ??= this.#workOff();
  }

  /** Resolves once every call is done, or its time is up. */
  async finish(): Promise<void> {
    if (this.#work === null) return;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, STOP_MS);
    });
    await Promise.race([this.#work, late]);
    clearTimeout(timer);
    if (this.#work === null) return;
    this.#waiting.clear();
    this.#child?.kill('SIGKILL');
    this.#options.log.warning(`The hook worker_gone was not done after ${STOP_MS / 1000} s: it is killed`);
  }

  async #workOff(): Promise<void> {
    for (;;) {
      const [next] = this.#waiting;
      if (next === undefined) break;
      const [setup, gone] = next;
      this.#waiting.delete(setup);
      const end = await this.#run(setup, gone);
      // With status 1 it has told what went wrong itself.
      if (end.code !== 0 && end.code !== 1)
        this.#options.log.error(`The process of the hook worker_gone ${describeEnd(end)}`);
    }
    this.#work = null;
  }

  async #run(setup: Setup, gone: readonly Gone[]): Promise<End> {
    try {
      this.#child = start(setup, gone, this.#options);
      return await endOf(this.#child);
    } catch (error) {
      return { code: null, signal: null, error: error as Error };
    } finally {
      this.#child = null;
    }
  }
}

/** With the environment and the rights of workers. */
function start(
  { settings, runtime, env }: Setup,
  gone: readonly Gone[],
  { log, rights }: GoneHookOptions,
): ChildProcess {
  const python = pythonOf(runtime);
  const plain = { file: python, args: [WORKER_PROGRAM, '--hook', 'worker_gone'] };
  const { file, args } = withRights(plain, rights, python);
  const { hooks: module, chdir, pythonpath } = settings;
  const lines = gone.map(
    ({ id, pid }) => `${JSON.stringify({ module, pid, worker: id, chdir, pythonpath })}\n`,
  );
  const child = spawn(file, [...args], {
    env,
    stdio: ['pipe', settings.captureOutput ? log.fd : 'inherit', log.fd],
    // A stop by Ctrl-C must not interrupt it.
    detached: true,
    timeout: PATIENCE_MS,
    killSignal: 'SIGKILL',
  });
  // It may have ended before it has read anything.
  child.stdin?.on('error', () => {});
  child.stdin?.end(lines.join(''));
  return child;
}

function endOf(child: ChildProcess): Promise<End> {
  return new Promise((resolve) => {
    child.once('error', (error) => resolve({ code: null, signal: null, error }));
    child.once('exit', (code, signal) => resolve({ code, signal }));
  });
}

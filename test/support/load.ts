/**
 * A load on a server, from a process of its own, with a recorded fate for every request: see
 * load-connection.mjs for what may become of one. `await using load = startLoad({ port, rate: 500 });`
 */
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Connections, Fate, Fated } from './load-connection.mjs';
import type { LoadOptions, ToLoad } from './load-process.mjs';

const PROGRAM = fileURLToPath(new URL('load-process.mjs', import.meta.url));

interface Packed {
  readonly counts: Connections;
  readonly late: Float64Array;
  readonly ticks: number;
  readonly unsent: number;
  readonly fates: {
    readonly failed: readonly Fated[];
    /** When each should have been sent: before `sentMs` when this process was late. */
    readonly dueMs: Float64Array;
    readonly sentMs: Float64Array;
    readonly doneMs: Float64Array;
    readonly slow: Uint8Array;
    readonly workers: Float64Array;
    readonly fresh: number;
    readonly posted: readonly string[];
  };
}

type FromLoad =
  | { readonly type: 'progress'; readonly done: number; readonly failed: number }
  | { readonly type: 'fated'; readonly id: number; readonly fated: Fated }
  | { readonly type: 'report'; readonly report: Packed };

/** Milliseconds of the monotonic clock that every process of the machine shares. */
export const monotonicMs = (): number => Number(process.hrtime.bigint()) / 1e6;

export class Load implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, (fated: Fated) => void>();
  readonly #watching = new Set<() => void>();
  readonly #report: Promise<LoadReport>;
  #asked = 0;
  #done = 0;
  #failed = 0;

  constructor(child: ChildProcess) {
    this.#child = child;
    this.#report = new Promise((resolve, reject) => {
      child.on('message', (message: FromLoad) => {
        if (message.type === 'report') return resolve(new LoadReport(message.report));
        if (message.type === 'fated') return this.#hear(message.id, message.fated);
        this.#done = message.done;
        this.#failed = message.failed;
        for (const look of [...this.#watching]) look();
      });
      child.once('exit', (code, signal) =>
        reject(new Error(`The load ended by itself (${code ?? signal}).`)),
      );
    });
    this.#report.catch(() => {});
  }

  /** So far. */
  get failed(): number {
    return this.#failed;
  }

  /** Waits until `count` more requests have met their fate. @throws {Error} after `timeoutMs` */
  async answered(count: number, timeoutMs = 20_000): Promise<void> {
    const wanted = this.#done + count;
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#watching.delete(look);
        reject(new Error(`Only ${this.#done} of ${wanted} requests met their fate within ${timeoutMs} ms.`));
      }, timeoutMs);
      const look = () => {
        if (this.#done < wanted) return;
        clearTimeout(timer);
        this.#watching.delete(look);
        resolve();
      };
      this.#watching.add(look);
    });
  }

  /** One request on a connection of its own, beside the load; it counts in the report like the others. */
  once(path: string, method = 'GET'): Promise<Fated> {
    const id = this.#asked++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, resolve);
      this.#report.catch(reject);
      this.#tell({ type: 'once', id, method, path });
    });
  }

  /** Stops its process for a while, as a busy machine would: for the tests of the harness itself. */
  freeze(ms: number): void {
    this.#child.kill('SIGSTOP');
    setTimeout(() => this.#child.kill('SIGCONT'), ms);
  }

  /** Asks no more, waits for what is under way, and ends. */
  stop(): Promise<LoadReport> {
    this.#tell({ type: 'stop' });
    return this.#report;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill('SIGKILL');
    await gone;
  }

  #tell(message: ToLoad): void {
    // A load that has ended is told of by the report's promise.
    if (this.#child.connected) this.#child.send(message);
  }

  #hear(id: number, fated: Fated): void {
    this.#waiting.get(id)?.(fated);
    this.#waiting.delete(id);
  }
}

/** What became of every request. */
export class LoadReport {
  readonly connections: Connections;
  /** All but `ok`. */
  readonly failed: readonly Fated[];
  readonly ok: number;
  /** Those of `ok` that had a connection of their own. */
  readonly fresh: number;
  /** Those of `ok` that had the slow path. */
  readonly slow: number;
  /** Nonces of the POST requests that were answered 200. */
  readonly posted: readonly string[];
  /** Requests of the rate that were not even sent, because thousands were unanswered. */
  readonly unsent: number;
  readonly #packed: Packed;

  constructor(packed: Packed) {
    this.#packed = packed;
    this.connections = packed.counts;
    this.failed = packed.fates.failed;
    this.ok = packed.fates.sentMs.length;
    this.fresh = packed.fates.fresh;
    this.slow = packed.fates.slow.reduce((sum, one) => sum + one, 0);
    this.posted = packed.fates.posted;
    this.unsent = packed.unsent;
  }

  /** How often each fate was met; those with a status by it: `{ ok: 12, '502': 1 }`. */
  fates(): Record<string, number> {
    const counts: Record<string, number> = { ok: this.ok };
    for (const { fate, status } of this.failed) {
      const name = fate === 'status' ? String(status) : fate;
      counts[name] = (counts[name] ?? 0) + 1;
    }
    return counts;
  }

  count(fate: Fate): number {
    return fate === 'ok' ? this.ok : this.failed.filter((each) => each.fate === fate).length;
  }

  /** Requests answered 200 by each worker, by process id. */
  byWorker(): Map<number, number> {
    const counts = new Map<number, number>();
    for (const worker of this.#packed.fates.workers) counts.set(worker, (counts.get(worker) ?? 0) + 1);
    return counts;
  }

  /** Requests answered 200 between two moments. */
  okBetween(fromMs: number, toMs: number): number {
    return this.#packed.fates.doneMs.filter((at) => at >= fromMs && at <= toMs).length;
  }

  /** @param share e.g. 0.99 @returns milliseconds from sending to the end of the answer, of those that went well */
  quantileMs(share: number): number {
    const { sentMs, doneMs } = this.#packed.fates;
    return quantile(
      doneMs.map((at, index) => at - (sentMs[index] ?? 0)),
      share,
    );
  }

  /** The same from the moment at which each was due, of those that are not of the slow path. */
  fastMs(share: number): number {
    const { dueMs, doneMs, slow } = this.#packed.fates;
    const took = doneMs.map((at, index) => at - (dueMs[index] ?? 0));
    return quantile(
      took.filter((_, index) => slow[index] === 0),
      share,
    );
  }

  /** By how many milliseconds a bare timer of the load's process ran late; those below one count as one. */
  timerMs(share: number): number {
    const { late, ticks } = this.#packed;
    const all = new Float64Array(ticks).fill(1);
    all.set(late.filter((_, index) => index % 2 === 1));
    return quantile(all, share);
  }

  /** By how many milliseconds a timer of the load ran late, at most, between two moments. */
  lateMs(fromMs: number, toMs: number): number {
    let most = 0;
    const { late } = this.#packed;
    for (let i = 0; i + 1 < late.length; i += 2) {
      const [due = 0, by = 0] = [late[i], late[i + 1]];
      if (due <= toMs && due + by >= fromMs) most = Math.max(most, by);
    }
    return most;
  }
}

/** Sorts them. */
function quantile(values: Float64Array, share: number): number {
  return values.sort()[Math.min(values.length - 1, Math.floor(values.length * share))] ?? Number.NaN;
}

/** Starts the load; without more, only `once` asks. The server should have a --keep-alive of 75 s. */
export function startLoad(options: Partial<LoadOptions> & { readonly port: number }): Load {
  const all: LoadOptions = {
    connections: 16,
    rate: 0,
    fresh: 0.3,
    posts: 0.2,
    path: '/echo',
    slow: null,
    keepAliveMs: 75_000,
    patienceMs: 30_000,
    seed: 1,
    ...options,
  };
  return new Load(
    fork(PROGRAM, [JSON.stringify(all)], {
      serialization: 'advanced',
      // A session of its own; it ends with this process all the same, when the channel does.
      detached: true,
      execArgv: [],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    }),
  );
}

/** A moment at which the server was tried, and what it took. */
export interface Strike {
  readonly fromMs: number;
  readonly toMs: number;
  /** What is judged: milliseconds, or how far off a deadline. */
  readonly value: number;
}

const FEWEST_STRIKES = 20;

/**
 * @returns the median of the strikes, without those during which the harness's own timer ran late by more than a
 *   fifth of the bound; how many is printed.
 * @throws {Error} when there are fewer than 20, or more than half must be left out
 */
export function judge(
  what: string,
  strikes: readonly Strike[],
  { boundMs, report }: { readonly boundMs: number; readonly report: Pick<LoadReport, 'lateMs'> },
): number {
  const kept = strikes.filter(({ fromMs, toMs }) => report.lateMs(fromMs, toMs) <= boundMs / 5);
  const values = kept.map(({ value }) => value).sort((a, b) => a - b);
  const median = values[Math.floor(values.length / 2)] ?? Number.NaN;
  const [least = Number.NaN, most = Number.NaN] = [values[0], values.at(-1)];
  console.info(
    `${what}: ${strikes.length} strikes, ${strikes.length - kept.length} left out (late timers); ` +
      `median ${median.toFixed(1)} ms, ${least.toFixed(1)} to ${most.toFixed(1)} ms (bound ${boundMs} ms).`,
  );
  if (strikes.length < FEWEST_STRIKES) throw new Error(`${what}: only ${strikes.length} strikes.`);
  if (kept.length * 2 < strikes.length) throw new Error(`${what}: this machine is too busy to measure it.`);
  return median;
}

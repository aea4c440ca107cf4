/** What the arbiter tells of itself and its children: the answer to `tunicorn status --json`, and the source of the metrics. */
import type { Cause, FrontReport, LaneReport } from './messages.ts';

export interface Status {
  readonly version: string;
  /** Of the arbiter. */
  readonly pid: number;
  /** The application as named, or found; of several each, separated by commas. */
  readonly app: string;
  /** The folder of `--chdir`. */
  readonly folder: string;
  readonly listen: readonly string[];
  readonly state: ServerState;
  /** Seconds since the arbiter started. */
  readonly uptime: number;
  /** Counts reloads, from 1; of several applications the highest. */
  readonly generation: number;
  /** The workers wanted of all applications, and between which bounds scaling may move that. */
  readonly target: number;
  readonly min: number;
  readonly max: number;
  /** Each application, in the order of the configuration. */
  readonly mounts: readonly MountStatus[];
  readonly workers: readonly WorkerStatus[];
  readonly fronts: readonly FrontStatus[];
  /** Requests that wait for a worker over all fronts, and the age of the oldest in seconds. */
  readonly queue: { readonly waiting: number; readonly oldest: number };
  readonly totals: Totals;
}

export interface Totals {
  /** Answered, by status, over all fronts that run now. */
  readonly statuses: Readonly<Record<string, number>>;
  readonly requests: number;
  readonly retried: number;
  /** Workers that were replaced, by cause, since the start. */
  readonly restarts: Readonly<Partial<Record<Cause, number>>>;
}

/** `degraded`: workers die at start, and wait before the next try. `parked`: by WINCH. */
export type ServerState = 'starting' | 'serving' | 'degraded' | 'reloading' | 'parked' | 'stopping';

/** One application. */
export interface MountStatus {
  /** `/`, or the prefix under which it is found. */
  readonly prefix: string;
  readonly app: string;
  /** It may be degraded or reloading while the others just serve. */
  readonly state: ServerState;
  readonly generation: number;
  readonly target: number;
  readonly min: number;
  readonly max: number;
  readonly queue: { readonly waiting: number; readonly oldest: number };
  readonly totals: Totals;
}

export interface WorkerStatus {
  readonly id: number;
  /** Prefix of its application. */
  readonly mount: string;
  readonly pid: number;
  readonly generation: number;
  readonly state: 'booting' | 'ready' | 'detached' | 'leaving';
  /** Seconds since its start. */
  readonly age: number;
  readonly requests: number;
  /** Resident memory in bytes, and seconds of CPU time since its start; null when the process is gone. */
  readonly rss: number | null;
  readonly cpu: number | null;
  /** One for each request that it can run at once; empty while it is not known to a front. */
  readonly lanes: readonly LaneReport[];
}

export interface FrontStatus {
  readonly slot: number;
  readonly pid: number;
  readonly state: 'starting' | 'listening' | 'stopping' | 'gone';
  readonly rss: number | null;
  readonly cpu: number | null;
  /** Null when it did not answer in time. */
  readonly report: FrontReport | null;
}

/** Outcome of an order: `ok` false is exit status 1 of the command. */
export interface Outcome {
  readonly ok: boolean;
  /** For people: one line, or more with a traceback. */
  readonly text: string;
}

/** What the control command may ask of the arbiter. `mount`: the prefix of one application; null for all. */
export interface Controlled {
  /** Waits for the fronts, but not for ever (half a second). */
  status(): Promise<Status>;
  /** Resolves when the new generation serves alone, or the old one goes on. */
  reload(mount: string | null): Promise<Outcome>;
  /** `+1`, `-1`, `4` or `2..8`. */
  scale(order: string, mount: string | null): Outcome;
  /** Stacks of every thread of one worker, or of all workers. Resolves within a second. */
  stacks(worker: number | null, mount: string | null): Promise<Outcome>;
  /** Resolves when the worker's replacement is ready. */
  recycle(worker: number): Promise<Outcome>;
  /** Resolves at once: the end of the connection tells the rest. */
  stop(quick: boolean): Outcome;
  /** Resolves when the successor is ready, or has failed. */
  upgrade(): Promise<Outcome>;
}

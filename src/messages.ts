/**
 * What the arbiter and its children say to each other. The arbiter and a front speak over Node's IPC
 * channel; the arbiter and a worker over a socket pair on the worker's descriptor 3, one JSON object a line.
 */
import type { Settings } from './config/options.ts';
import type { Control } from './config/values.ts';

/** A listening socket that the front inherits. */
export interface Listener {
  /** Descriptor number in the front's process. */
  readonly fd: number;
  /** For `SERVER_NAME` and `SERVER_PORT`; a UNIX socket has its path and port 0. */
  readonly host: string;
  readonly port: number;
  readonly unix: boolean;
}

/** Files that the front serves itself: a URL prefix ending in `/`, and the folders looked through in order. */
export interface StaticMount {
  readonly prefix: string;
  readonly folders: readonly string[];
}

/** An application under its prefix. Its place in the list of all is its number in messages. */
export interface FrontMount {
  /** `/`, or a path without a slash at its end. */
  readonly prefix: string;
  /** What holds for it. */
  readonly settings: Settings;
  /** Path of the UNIX socket on which the front waits for its workers. */
  readonly gateway: string;
}

export type ToFront =
  | {
      readonly type: 'start';
      /** Those of the server: of everything that no application can have for itself. */
      readonly settings: Settings;
      readonly mounts: readonly FrontMount[];
      readonly listeners: readonly Listener[];
      /** Descriptors of the logs; -1 when there is none. */
      readonly errorLog: number;
      readonly accessLog: number;
      /** Static files found by workers that are ready already (when this front replaces one that died). */
      readonly staticMounts: readonly StaticMount[];
      /** Accept clients only when each application has a worker: until then a predecessor serves them, which may have to go on. */
      readonly afterReady: boolean;
    }
  /** Replaces the static files that were found in the applications. */
  | { readonly type: 'static-mounts'; readonly staticMounts: readonly StaticMount[] }
  /** The process is dead: its requests in flight are lost. */
  | { readonly type: 'worker-gone'; readonly worker: number }
  /** Give it nothing more, and send DRAIN when it has nothing left. */
  | { readonly type: 'drain-worker'; readonly worker: number }
  /** Stop accepting, finish within `graceMs`, then say `stopped` and exit. */
  | { readonly type: 'stop'; readonly graceMs: number }
  /** A reload: what can change without a restart does, for new requests and connections. */
  | { readonly type: 'settings'; readonly settings: Settings; readonly mounts: readonly FrontMount[] }
  /** Open the log files anew by their paths, and tell the workers (REOPEN). */
  | { readonly type: 'reopen-logs' }
  /** Answered by `report`. */
  | { readonly type: 'report' }
  /** Ask the worker for the stacks of all its threads. Answered by `stacks`. */
  | { readonly type: 'stacks'; readonly worker: number };

/** Why a worker is replaced; also the label `cause` of the restarts that are counted. */
export type Cause =
  | 'crash'
  | 'boot-failed'
  | 'boot-timeout'
  | 'timeout'
  | 'unresponsive'
  | 'stopped'
  | 'lost'
  | 'max-requests'
  | 'max-memory'
  | 'max-age'
  | 'recycle'
  | 'reload'
  | 'scale';

export type FromFront =
  /** The process is up and waits for `start`. */
  | { readonly type: 'up' }
  /** It listens on every listener and on the gateway. */
  | { readonly type: 'listening' }
  | { readonly type: 'listen-failed'; readonly listener: Listener; readonly code: string }
  /** Control connection and every lane are there. */
  | { readonly type: 'worker-ready'; readonly worker: number }
  /**
   * The worker must be replaced: a request ran over its deadline (`timeout`), or it answers neither PING nor DUMP
   * (`unresponsive`). What it still does may take `graceMs`. May be said again with less time.
   */
  | {
      readonly type: 'worker-stuck';
      readonly worker: number;
      readonly graceMs: number;
      readonly cause: Extract<Cause, 'timeout' | 'unresponsive'>;
    }
  /** It has served `max-requests`: it is to be replaced, its replacement first. */
  | { readonly type: 'worker-worn'; readonly worker: number }
  /** Control has ended though the process may live: it is to come back, or to be replaced. */
  | { readonly type: 'worker-lost'; readonly worker: number }
  /** A request waits and no worker is there for it (with `workers` 0..N). */
  | { readonly type: 'worker-wanted'; readonly mount: number }
  /** With a range of workers, once a second while there are requests. */
  | { readonly type: 'load'; readonly mount: number; readonly load: Load }
  | { readonly type: 'report'; readonly report: FrontReport }
  /** `text` empty: the worker did not answer. */
  | { readonly type: 'stacks'; readonly worker: number; readonly text: string }
  | { readonly type: 'stopped'; readonly requests: number };

/** What a second was like, for scaling. */
export interface Load {
  /** The longest that a request waited for a lane, those that wait still included; milliseconds. */
  readonly waitMs: number;
  /** The most lanes that were busy at once, over all workers of this front. */
  readonly busy: number;
}

/** Counters of one front since its start, and what it does now. */
export interface FrontReport {
  readonly pid: number;
  readonly connections: number;
  /** Bytes held in memory and in spool files. */
  readonly memory: number;
  readonly spooled: number;
  /** As in `MountReport`, of requests that belong to no application: they could not be read, or nothing lies under their path. */
  readonly statuses: Readonly<Record<string, number>>;
  readonly mounts: readonly MountReport[];
}

/** What concerns one application. */
export interface MountReport {
  readonly prefix: string;
  /** Requests that wait for a lane, and for how long the first of them has. */
  readonly waiting: number;
  readonly oldestMs: number;
  /** Requests answered under its prefix, by status: `{ "200": 12 }`; 499 for those whose client left. */
  readonly statuses: Readonly<Record<string, number>>;
  /** Requests that were given to a second worker. */
  readonly retried: number;
  /** From the arrival of a whole request to its start in a worker, and from there to the end of its answer. */
  readonly queueWait: HistogramReport;
  readonly service: HistogramReport;
  readonly workers: readonly PeerReport[];
}

/** As Prometheus has it: `counts[i]` observations were at most `bounds[i]` seconds and above the bound before; the last is the rest. */
export interface HistogramReport {
  readonly bounds: readonly number[];
  /** One more than bounds. */
  readonly counts: readonly number[];
  /** Seconds. */
  readonly sum: number;
}

export interface PeerReport {
  readonly worker: number;
  /** Answered by it so far. */
  readonly requests: number;
  readonly lanes: readonly LaneReport[];
}

export interface LaneReport {
  /** `GET /path`; empty when idle. */
  readonly request: string;
  readonly forMs: number;
}

/**
 * First line to a worker, and the only one; a zygote gets `{ "fork": WorkerStart }` for each worker after it.
 * `worker`: serve. `check`: load the application, report, and end. `zygote`: load it, report, and fork.
 */
export interface WorkerStart {
  readonly mode: 'worker' | 'check' | 'zygote';
  readonly worker: number;
  /** Counts reloads. */
  readonly generation: number;
  /** The application as given on the command line; empty: find Django's. */
  readonly app: string;
  readonly gateway: string;
  readonly threads: number;
  /** How orders reach a worker of one thread while it runs a request. */
  readonly control: Control;
  readonly multiprocess: boolean;
  /** Folder to work in, which is on `sys.path` behind the folders of `pythonpath`, as with gunicorn. */
  readonly chdir: string;
  readonly pythonpath: readonly string[];
  /** Descriptor of the error log in the worker. */
  readonly errorLog: number;
  readonly logLevel: string;
  /** Keys of `environ` that the access log names with `%({key}e)s`: returned with each response head. */
  readonly logEnviron: readonly string[];
  readonly serverSoftware: string;
  readonly umask: number;
  /** Module with hooks; empty for none. */
  readonly hooks: string;
  /** Path of the error log, for REOPEN; empty when it is a standard stream. */
  readonly errorLogfile: string;
  /** Descriptors 1 and 2 are the error log, too. */
  readonly captured: boolean;
  /**
   * Path of a file that the worker makes before it loads the application, and to which faulthandler writes the stacks
   * of all threads on SIGURG, whatever the interpreter does at that moment.
   */
  readonly stackFile: string;
}

export type FromWorker =
  | {
      readonly event: 'loaded';
      /** As `module:callable`. */
      readonly app: string;
      /** E.g. `Django 5.2.19`; empty when unknown. */
      readonly framework: string;
      readonly ms: number;
      /** Where the application was found when none was named, as a clause for the log; else empty. */
      readonly found: string;
      readonly mounts: readonly StaticMount[];
      /** Why `mounts` are there, for the log, e.g. `DEBUG is on`; without mounts a sentence that says why not. */
      readonly mountsWhy: string;
      /** The hooks that the module has. */
      readonly hooks: readonly string[];
    }
  /**
   * The application cannot be loaded; the worker exits with status 3. `message` is for people: one
   * paragraph; `traceback` is empty where it would not help.
   */
  | { readonly event: 'failed'; readonly code: string; readonly message: string; readonly traceback: string };

/** What a zygote says: of its own loading as a worker does, then of the workers that it forked. */
export type FromZygote =
  | FromWorker
  | { readonly event: 'forked'; readonly worker: number; readonly pid: number }
  /** fork() itself failed: there is no process. */
  | { readonly event: 'fork-failed'; readonly worker: number; readonly message: string }
  /** As waitpid(2) tells it: `code` null when a signal ended it, `signal` its number or null. */
  | {
      readonly event: 'exited';
      readonly worker: number;
      readonly code: number | null;
      readonly signal: number | null;
    }
  /** A forked worker said this on its own channel. */
  | { readonly event: 'said'; readonly worker: number; readonly said: FromWorker };

/**
 * What the arbiter and its children say to each other. The arbiter and a front speak over Node's IPC
 * channel; the arbiter and a worker over a socket pair on the worker's descriptor 3, one JSON object a line.
 */
import type { Settings } from './config/options.ts';

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

export type ToFront =
  | {
      readonly type: 'start';
      readonly settings: Settings;
      readonly listeners: readonly Listener[];
      /** Path of the UNIX socket on which this front waits for its workers. */
      readonly gateway: string;
      /** Descriptors of the logs; -1 when there is none. */
      readonly errorLog: number;
      readonly accessLog: number;
      /** Static files found by workers that are ready already (when this front replaces one that died). */
      readonly mounts: readonly StaticMount[];
    }
  /** Replaces the mounts that were found in the application. */
  | { readonly type: 'mounts'; readonly mounts: readonly StaticMount[] }
  /** The process is dead: its requests in flight are lost. */
  | { readonly type: 'worker-gone'; readonly worker: number }
  /** Give it nothing more, and send DRAIN when it has nothing left. */
  | { readonly type: 'drain-worker'; readonly worker: number }
  /** Stop accepting, finish within `graceMs`, then say `stopped` and exit. */
  | { readonly type: 'stop'; readonly graceMs: number };

export type FromFront =
  /** The process is up and waits for `start`. */
  | { readonly type: 'up' }
  /** It listens on every listener and on the gateway. */
  | { readonly type: 'listening' }
  | { readonly type: 'listen-failed'; readonly listener: Listener; readonly code: string }
  /** Control connection and every lane are there. */
  | { readonly type: 'worker-ready'; readonly worker: number }
  /** A request ran over its deadline: the worker must be replaced; siblings may finish for `graceMs`. */
  | { readonly type: 'worker-stuck'; readonly worker: number; readonly graceMs: number }
  | { readonly type: 'stopped'; readonly requests: number };

/** First and only line to a worker. */
export interface WorkerStart {
  readonly worker: number;
  /** The application as given on the command line; empty: find Django's. */
  readonly app: string;
  readonly gateway: string;
  readonly threads: number;
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
    }
  /**
   * The application cannot be loaded; the worker exits with status 3. `message` is for people: one
   * paragraph; `traceback` is empty where it would not help.
   */
  | { readonly event: 'failed'; readonly code: string; readonly message: string; readonly traceback: string };

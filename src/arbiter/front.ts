/** The arbiter's view of one front process. What runs in it lives in `src/front/`. */
import { type ChildProcess, spawn } from 'node:child_process';
import type { Settings } from '../config/options.ts';
import type { FromFront, FrontMount, Listener, StaticMount, ToFront } from '../messages.ts';
import { type End, FRONT_PROGRAM } from './children.ts';
import { type Rights, withRights } from './rights.ts';
import type { Bound } from './sockets.ts';

export interface FrontOptions {
  /** What it starts with, asked for when it is up; `staticMounts`: those found so far. */
  readonly settings: () => Settings;
  readonly mounts: () => readonly FrontMount[];
  readonly staticMounts: () => readonly StaticMount[];
  readonly sockets: readonly Bound[];
  readonly errorLog: number;
  /** Descriptor of the access log; -1 for none. */
  readonly accessLog: number;
  readonly rights: Rights | null;
  /** Path of the interpreter, which may be needed to change rights. */
  readonly python: string;
  readonly afterReady: boolean;
  readonly onMessage: (message: FromFront) => void;
  readonly onExit: (end: End) => void;
}

/** Descriptors in the front: 0 to 2 standard, 3 IPC, 4 error log, 5 access log, then the listeners. */
const ERROR_LOG = 4;
const ACCESS_LOG = 5;
const FIRST_LISTENER = 6;
/** How long after its end a front's last words are waited for. */
const LAST_WORDS_MS = 100;

export class FrontHandle {
  readonly #child: ChildProcess;
  readonly #options: FrontOptions;
  #ended = false;

  /** Starts the process and, once it is up, tells it what to do. Its failure to start is told to `onExit`. */
  constructor(options: FrontOptions) {
    this.#options = options;
    this.#child = spawnFront(options);
    this.#child.on('message', (message: FromFront) => this.#onMessage(message));
    this.#child.on('error', (error) => {
      if (this.#child.pid === undefined) this.#finish({ code: null, signal: null, error });
    });
    this.#child.once('exit', (code, signal) => this.#onExit({ code, signal }));
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** A front that has gone already is told by its exit. */
  send(message: ToFront): void {
    if (this.#child.connected) this.#child.send(message, () => {});
  }

  kill(): void {
    if (!this.#ended) this.#child.kill('SIGKILL');
  }

  #onMessage(message: FromFront): void {
    if (message.type === 'up') this.#start();
    this.#options.onMessage(message);
  }

  #start(): void {
    const { settings, mounts, sockets, accessLog, staticMounts, afterReady } = this.#options;
    this.send({
      type: 'start',
      settings: settings(),
      listeners: sockets.map(({ host, port, unix }, index): Listener => {
        return { fd: FIRST_LISTENER + index, host, port, unix };
      }),
      mounts: mounts(),
      errorLog: ERROR_LOG,
      accessLog: accessLog < 0 ? -1 : ACCESS_LOG,
      staticMounts: staticMounts(),
      afterReady,
    });
  }

  /** The news of its end may overtake what it said last. */
  #onExit(end: End): void {
    if (!this.#child.connected) return this.#finish(end);
    const timer = setTimeout(() => this.#finish(end), LAST_WORDS_MS);
    this.#child.once('disconnect', () => {
      clearTimeout(timer);
      this.#finish(end);
    });
  }

  #finish(end: End): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#options.onExit(end);
  }
}

function spawnFront(options: FrontOptions): ChildProcess {
  const { errorLog, accessLog, sockets } = options;
  const plain = { file: process.execPath, args: [FRONT_PROGRAM] };
  const command = withRights(plain, options.rights, options.python);
  const log = accessLog < 0 ? 'ignore' : accessLog;
  const listeners = sockets.map((socket) => socket.fd);
  return spawn(command.file, [...command.args], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc', errorLog, log, ...listeners],
    // A session of its own: Ctrl-C goes to the arbiter alone.
    detached: true,
  });
}

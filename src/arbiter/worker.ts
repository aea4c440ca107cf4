/** The arbiter's view of one process that runs the application, a worker or a zygote. What runs in it lives in `python/` and `src/workers/`. */
import { type ChildProcess, spawn } from 'node:child_process';
import type { Duplex } from 'node:stream';
import type { Settings } from '../config/options.ts';
import type { FromWorker, FromZygote, WorkerStart } from '../messages.ts';
import { compileAccessFormat } from '../observe/access-log.ts';
import { dumpStacks, NODE_PATIENCE_MS, readStacks } from '../stack-file.ts';
import { SERVER_SOFTWARE } from '../version.ts';
import type { End } from './children.ts';
import { type Rights, withRights } from './rights.ts';
import { programOf, pythonOf, type Runtime } from './runtime.ts';

export interface ProcessOptions {
  readonly runtime: Runtime;
  /** What `ps` shows. */
  readonly name: string;
  readonly env: NodeJS.ProcessEnv;
  readonly rights: Rights | null;
  /** Descriptor of the error log. */
  readonly errorLog: number;
  /** Descriptor to which what the application prints goes; null for our own standard streams. */
  readonly output: number | null;
  readonly onMessage: (message: FromZygote) => void;
  /** Called once, after every message. */
  readonly onExit: (end: End) => void;
}

/** Descriptor of the error log in the worker; 3 is the channel to the arbiter. */
const ERROR_LOG = 4;

/** What a worker is told to do. */
export function workerStart(
  settings: Settings,
  what: Pick<WorkerStart, 'mode' | 'worker' | 'generation' | 'gateway' | 'stackFile'>,
): WorkerStart {
  return {
    ...what,
    app: settings.app,
    threads: settings.threads,
    control: settings.control,
    // What wsgi.multiprocess means: another process may run the same application at the same time.
    multiprocess: settings.workers.max > 1,
    chdir: settings.chdir,
    pythonpath: settings.pythonpath,
    errorLog: ERROR_LOG,
    logLevel: settings.logLevel,
    logEnviron:
      settings.accessLogfile === '' ? [] : compileAccessFormat(settings.accessLogformat).needs.environ,
    serverSoftware: SERVER_SOFTWARE,
    umask: settings.umask,
    hooks: settings.hooks,
    errorLogfile: settings.errorLogfile === '-' ? '' : settings.errorLogfile,
    captured: settings.captureOutput && settings.errorLogfile !== '-',
  };
}

/** How long after its end a process's last words are waited for, when a child of it keeps the pipe open. */
const LAST_WORDS_MS = 100;

export class WorkerProcess {
  readonly #child: ChildProcess;
  readonly #channel: Duplex | null;
  readonly #options: ProcessOptions;
  #text = '';
  #ended = false;

  /** Starts the process. Its failure to start is told to `onExit`, like its end. */
  constructor(start: WorkerStart, options: ProcessOptions) {
    this.#options = options;
    this.#child = spawnProcess(options, start.app);
    this.#channel = (this.#child.stdio?.[3] ?? null) as Duplex | null;
    this.#child.once('error', (error) => this.#onError(error));
    this.#child.once('exit', (code, signal) => this.#onExit({ code, signal }));
    this.#listen();
    this.send(start);
  }

  /** 0 when it could not be started. */
  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** One JSON object on a line. A process that is gone already is told by its exit. */
  send(
    message:
      | WorkerStart
      | { readonly fork: WorkerStart }
      | { readonly leave: true }
      | { readonly dump: true },
  ): void {
    this.#channel?.write(`${JSON.stringify(message)}\n`);
  }

  kill(): void {
    if (!this.#ended) this.#child.kill('SIGKILL');
  }

  /** Where it is, while no front can ask it; `path`: its stack file. Empty when it does not tell. */
  stacks(path: string): Promise<string> {
    if (this.#options.runtime.kind === 'python') return dumpStacks(this.pid, path);
    const ask = () => {
      this.send({ dump: true });
      return !this.#ended;
    };
    return readStacks(path, { ask, patienceMs: NODE_PATIENCE_MS });
  }

  #listen(): void {
    const channel = this.#channel;
    if (channel === null) return;
    channel.setEncoding('utf8');
    channel.on('data', (text: string) => this.#onText(text));
    channel.on('error', () => {});
  }

  #onText(text: string): void {
    const lines = (this.#text + text).split('\n');
    this.#text = lines.pop() ?? '';
    for (const line of lines) {
      const message = parseMessage(line);
      if (message !== null) this.#options.onMessage(message);
    }
  }

  /** Not started at all; or it could not be signalled, which is no end. */
  #onError(error: Error): void {
    if (this.#child.pid === undefined) this.#finish({ code: null, signal: null, error });
  }

  /** The news of its end may overtake what it said last. */
  #onExit(end: End): void {
    const channel = this.#channel;
    if (channel === null || channel.readableEnded || channel.destroyed) return this.#finish(end);
    const timer = setTimeout(() => this.#finish(end), LAST_WORDS_MS);
    channel.once('close', () => {
      clearTimeout(timer);
      this.#finish(end);
    });
  }

  #finish(end: End): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#channel?.destroy();
    this.#options.onExit(end);
  }
}

function spawnProcess(options: ProcessOptions, app: string): ChildProcess {
  const { runtime, errorLog } = options;
  const output = options.output ?? 'inherit';
  const plain = { file: runtime.path, args: [programOf(runtime), options.name, app] };
  const command = withRights(plain, options.rights, pythonOf(runtime));
  return spawn(command.file, [...command.args], {
    env: options.env,
    stdio: ['ignore', output, output, 'pipe', errorLog],
    // A session of its own: Ctrl-C goes to the arbiter alone, also while the interpreter still starts.
    detached: true,
  });
}

const EVENTS: readonly string[] = [
  'loaded',
  'failed',
  'forked',
  'fork-failed',
  'exited',
  'said',
] satisfies readonly FromZygote['event'][];

/** An application that writes to descriptor 3 must not end the arbiter. */
function parseMessage(line: string): FromZygote | null {
  try {
    const message = JSON.parse(line) as FromZygote;
    return EVENTS.includes(message.event) ? message : null;
  } catch {
    return null;
  }
}

/** Whether a process speaks of itself and not, as a zygote, of others. */
export function isOwnWord(message: FromZygote): message is FromWorker {
  return message.event === 'loaded' || message.event === 'failed';
}

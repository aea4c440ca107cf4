import { connect } from 'node:net';
import { encodeFrame, KIND } from '../gateway/frames.ts';
import type { WorkerStart } from '../messages.ts';
import type { LogFile } from '../observe/log.ts';
import { type RunOptions, runApplication } from '../wsgi/run.ts';
import type { FrontCall } from './call.ts';
import type { Entry } from './entry.ts';
import { WorkerLane } from './lane.ts';
import { scriptName } from './script-name.ts';
import type { Watcher } from './watcher.ts';

/** A front that is being replaced is looked for this often, and this long. */
const RETRY_MS = 20;
const GIVE_UP_MS = 10_000;
/** A session that lasted so long counts as one: the search for the next front begins anew. */
const LASTED_MS = 1000;
/** What the application does at its end may take so long. */
const CLOSE_MS = 5000;

export interface NodeWorkerOptions {
  readonly start: WorkerStart;
  readonly entry: Entry;
  readonly watcher: Watcher;
  readonly log: LogFile;
}

/** Standard output and error lead to the log, and Node cannot move descriptors: console.log() is led there itself. */
function followLog(log: LogFile): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.write = (chunk: Uint8Array | string, ...rest: readonly unknown[]) => {
      log.write(typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString());
      const done = rest.find((each) => typeof each === 'function');
      if (done !== undefined) process.nextTick(done);
      return true;
    };
  }
}

/** A loaded application, served to one front after another until the front says DRAIN. */
export class NodeWorker {
  readonly #options: NodeWorkerOptions;
  readonly #runOptions: RunOptions;
  #lane: WorkerLane | null = null;
  #session = 0;
  #began = 0;
  #giveUpAt = 0;
  #draining = false;

  constructor(options: NodeWorkerOptions) {
    this.#options = options;
    const { start, log } = options;
    this.#runOptions = {
      errors: (text) => log.write(text),
      report: (text) => log.error(text),
      serverSoftware: start.serverSoftware,
      multiprocess: start.multiprocess,
    };
    options.watcher.onOrder = (order) => this.#obey(order);
  }

  serve(): void {
    this.#giveUpAt = performance.now() + GIVE_UP_MS;
    this.#connect();
  }

  /** One session lives from one HELLO to the end of any of its connections, which takes the other with it. */
  #connect(): void {
    const { start, watcher, log } = this.#options;
    const session = ++this.#session;
    this.#began = performance.now();
    const socket = connect(start.gateway);
    const lane = new WorkerLane({
      socket,
      claims: watcher.claims,
      logEnviron: start.logEnviron,
      prefix: scriptName(process.env),
      run: (call) => void this.#run(call),
      onError: (message) => log.error(message),
      onIdle: () => this.#leaveWhenDone(),
      onClose: () => this.#onEnd(session),
    });
    this.#lane = lane;
    const { worker, threads, gateway } = start;
    const parts = ['role', 'lane', 'worker', worker, 'lane', 0, 'capacity', threads, 'order', 'any'];
    socket.write(encodeFrame({ kind: KIND.HELLO, id: 0, head: parts.join('\0') }));
    socket.on('connect', () => watcher.tell({ type: 'connect', session, gateway, worker, pid: process.pid }));
  }

  #run(call: FrontCall): Promise<void> {
    return runApplication(this.#options.entry.application, call, this.#runOptions);
  }

  #obey(order: Parameters<Watcher['onOrder']>[0]): void {
    switch (order.type) {
      case 'abandon':
        return this.#lane?.call(order.id)?.abandon();
      case 'interrupt':
        return this.#lane?.call(order.id)?.interrupt();
      case 'reopen':
        return this.#reopen();
      case 'drain':
        this.#draining = true;
        return this.#leaveWhenDone();
      case 'lost':
        if (order.session === this.#session) this.#lane?.destroy();
        return;
    }
  }

  #reopen(): void {
    const { start, log } = this.#options;
    try {
      if (start.errorLogfile === '') return;
      log.reopen(start.errorLogfile);
      if (start.captured) followLog(log);
    } catch (error) {
      log.error((error as Error).message);
    }
  }

  #onEnd(session: number): void {
    if (this.#draining) return;
    const { watcher, log, start } = this.#options;
    watcher.tell({ type: 'disconnect', session });
    const now = performance.now();
    if (now - this.#began >= LASTED_MS) this.#giveUpAt = now + GIVE_UP_MS;
    if (now < this.#giveUpAt) {
      setTimeout(() => this.#connect(), RETRY_MS);
      return;
    }
    log.error(`Worker ${start.worker} found no front to serve`);
    process.exit(1);
  }

  #leaveWhenDone(): void {
    if (!this.#draining || (this.#lane?.size ?? 0) > 0) return;
    this.#lane?.end();
    setTimeout(() => process.exit(0), CLOSE_MS);
    void this.#options.entry.close().then(() => process.exit(0));
  }
}

import { createServer } from 'node:net';
import { join } from 'node:path';
import { expect } from 'vitest';
import { Deadlines } from '../../src/front/deadlines.ts';
import { Dispatcher, type DispatchSettings } from '../../src/front/dispatch.ts';
import type { FromFront } from '../../src/messages.ts';
import type { Logger } from '../../src/observe/log.ts';
import { formatRequest } from '../support/client.ts';
import { dial, type FakeWorker, type FakeWorkerOptions, startWorker } from './fake-worker.ts';
import { openStage, type Stage, type StageOptions, until } from './harness.ts';

const SETTINGS: DispatchSettings = {
  queueSize: 100,
  queueTimeout: 20,
  queueTarget: 0.5,
  timeout: 20,
  gracefulTimeout: 5,
  retry: 'off',
  maxRequests: 0,
  maxRequestsJitter: 0,
  sendfileRoot: [],
  accel: [],
};

/** The front without its process: clients, the dispatcher, and a gateway for workers of the test's own. */
export class Theatre implements AsyncDisposable {
  readonly stage: Stage;
  readonly dispatcher: Dispatcher;
  readonly path: string;
  /** What the arbiter was told. */
  readonly told: FromFront[] = [];
  onTold: (message: FromFront) => void = () => {};
  readonly log: string[] = [];
  readonly #gateway = createServer((socket) => this.dispatcher.crew.connect(socket));
  readonly #workers: FakeWorker[] = [];

  constructor(stage: Stage, makeDispatcher: (theatre: Theatre) => Dispatcher) {
    this.stage = stage;
    this.path = join(stage.folder, 'gateway');
    this.dispatcher = makeDispatcher(this);
  }

  get ready(): number[] {
    return this.told.flatMap((message) => (message.type === 'worker-ready' ? [message.worker] : []));
  }

  /** Worker and time, rounded to what it was meant to be. */
  get stuck(): [number, number][] {
    return this.told.flatMap((message): [number, number][] =>
      message.type === 'worker-stuck' ? [[message.worker, Math.ceil(message.graceMs / 100) * 100]] : [],
    );
  }

  async open(): Promise<this> {
    await new Promise<void>((resolve) => this.#gateway.listen(this.path, resolve));
    return this;
  }

  async worker(options: Omit<FakeWorkerOptions, 'path'> = {}): Promise<FakeWorker> {
    const worker = await startWorker({ path: this.path, ...options });
    this.#workers.push(worker);
    await until(() => expect(this.ready).toContain(worker.id));
    return worker;
  }

  /** A reload that changes these. */
  configure(changes: Partial<DispatchSettings>): void {
    this.dispatcher.configure({ ...SETTINGS, ...changes });
  }

  /** Connected, and nothing said yet. */
  async silent(options: Omit<FakeWorkerOptions, 'path'> = {}): Promise<FakeWorker> {
    const worker = await dial({ path: this.path, ...options });
    this.#workers.push(worker);
    return worker;
  }

  /** Sends a request on a connection of its own. */
  async ask(target: string, body: string | Buffer = '') {
    const client = await this.stage.connect();
    await client.send(formatRequest(body.length === 0 ? 'GET' : 'POST', target, { body }));
    return client;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const worker of this.#workers) worker.die();
    this.#gateway.close();
    await this.stage[Symbol.asyncDispose]();
  }
}

export async function openTheatre(options: Partial<DispatchSettings> & StageOptions = {}): Promise<Theatre> {
  const deadlines = new Deadlines();
  const stage = await openStage((exchange) => theatre.dispatcher.handle(exchange), options);
  const theatre: Theatre = new Theatre(stage, (self) => {
    const note = (text: string) => void self.log.push(text);
    const log: Logger = { debug: note, info: note, warning: note, error: note, critical: note, fd: 2 };
    return new Dispatcher({
      mount: 0,
      settings: { ...SETTINGS, ...options },
      deadlines,
      log,
      stackFile: (worker) => join(self.stage.folder, `stack-${worker}`),
      tell: (message) => {
        self.told.push(message);
        self.onTold(message);
      },
      random: () => 0.5,
    });
  });
  return theatre.open();
}

import { Worker } from 'node:worker_threads';
import { Claims } from './claims.ts';
import type { FromWatch, ToWatch, WatchData } from './orders.ts';

/** It reads a few bytes now and then: what Node would give a thread by default is for programs. */
const LIMITS = { maxOldGenerationSizeMb: 32, maxYoungGenerationSizeMb: 2 };

/** The thread that takes orders, as the main thread sees it. */
export class Watcher {
  readonly claims = new Claims();
  onOrder: (order: Exclude<FromWatch, { type: 'there' }>) => void = () => {};
  readonly #thread: Worker;

  constructor(stackFile: string) {
    const data: WatchData = { claims: this.claims.memory, stackFile };
    // Neither the application's flags nor its preloaded modules are for it.
    this.#thread = new Worker(new URL('./watch.js', import.meta.url), {
      workerData: data,
      execArgv: [],
      env: {},
      resourceLimits: LIMITS,
      name: 'tunicorn-orders',
    });
    this.#thread.on('message', (order: FromWatch) => {
      if (order.type === 'there') this.tell({ type: 'here' });
      else this.onOrder(order);
    });
    this.#thread.on('error', (error) => {
      throw error;
    });
  }

  tell(message: ToWatch): void {
    this.#thread.postMessage(message);
  }
}

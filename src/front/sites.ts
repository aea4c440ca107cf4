/** The applications of a front: each with its workers, queue and deadlines, and the paths that are its own. */
import { unlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { HttpError } from '../errors.ts';
import type { Exchange } from '../http/exchange.ts';
import type { FromFront, FrontMount, MountReport } from '../messages.ts';
import type { Logger } from '../observe/log.ts';
import type { Outcome } from './client-context.ts';
import { Counters } from './counters.ts';
import type { Deadlines } from './deadlines.ts';
import { Dispatcher } from './dispatch.ts';
import { Router } from './router.ts';

export interface SitesOptions {
  readonly mounts: readonly FrontMount[];
  readonly deadlines: Deadlines;
  readonly log: Logger;
  /** What the arbiter has to know. */
  readonly tell: (message: FromFront) => void;
}

interface Site {
  mount: FrontMount;
  readonly dispatcher: Dispatcher;
}

export class Sites {
  readonly #options: SitesOptions;
  readonly #sites: readonly Site[];
  readonly #router: Router<Site>;
  /** Of requests that belong to nobody. */
  readonly #others = new Counters();

  constructor(options: SitesOptions) {
    this.#options = options;
    this.#sites = options.mounts.map((mount, index) => ({
      mount,
      dispatcher: this.#dispatcher(mount, index),
    }));
    this.#router = new Router(this.#sites.map((site) => ({ prefix: site.mount.prefix, target: site })));
  }

  #dispatcher({ settings, gateway }: FrontMount, mount: number): Dispatcher {
    return new Dispatcher({
      ...this.#options,
      mount,
      settings,
      stackFile: (worker) => join(dirname(gateway), `stack-${worker}`),
      random: Math.random,
    });
  }

  /** Workers can connect from now on. */
  async open(): Promise<void> {
    await Promise.all(this.#sites.map(openGateway));
  }

  /** Each application that is to have workers has one here. */
  get areServed(): boolean {
    return this.#sites.every(({ mount, dispatcher }) => {
      // With 0..N nobody is there before the first request.
      return mount.settings.workers.min === 0 || dispatcher.crew.isThere;
    });
  }

  handle(exchange: Exchange): void {
    const site = this.#router.find(exchange.head.path);
    if (site !== null) return site.dispatcher.handle(exchange);
    exchange.fail(new HttpError('nothing-mounted'));
    exchange.release();
  }

  /** A request has been answered, by whomever. */
  answered({ head, status }: Outcome): void {
    const site = head === null ? null : this.#router.find(head.path);
    (site?.dispatcher.counters ?? this.#others).answered(status);
  }

  /** What can change without a restart; the prefixes cannot. */
  configure(mounts: readonly FrontMount[]): void {
    for (const [i, site] of this.#sites.entries()) {
      site.mount = mounts[i] ?? site.mount;
      site.dispatcher.configure(site.mount.settings);
    }
  }

  /** Only scaling needs to know what each second was like. */
  get needsSeconds(): boolean {
    return this.#sites.some(scales);
  }

  /** A second has passed. */
  tellLoads(): void {
    for (const [mount, site] of this.#sites.entries()) {
      if (!scales(site)) continue;
      const { dispatcher } = site;
      const load = dispatcher.counters.second(dispatcher.oldestMs);
      if (load !== null) this.#options.tell({ type: 'load', mount, load });
      dispatcher.wish();
    }
  }

  /** Requests answered that belong to no application, by status. */
  get otherStatuses(): Record<string, number> {
    return this.#others.statuses;
  }

  report(): MountReport[] {
    return this.#sites.map(({ mount: { prefix }, dispatcher }) => {
      const { counters, waiting, oldestMs, crew } = dispatcher;
      return {
        prefix,
        waiting,
        oldestMs,
        statuses: counters.statuses,
        retried: counters.retried,
        queueWait: counters.queueWait.report(),
        service: counters.service.report(),
        workers: crew.report(),
      };
    });
  }

  // Workers have numbers of their own: whose they are need not be said.

  /** The arbiter's news that the process is dead. */
  gone(worker: number): void {
    for (const { dispatcher } of this.#sites) dispatcher.crew.gone(worker);
  }

  /** It gets nothing more, and leaves when it has nothing left. */
  drain(worker: number): void {
    for (const { dispatcher } of this.#sites) dispatcher.crew.drain(worker);
  }

  drainAll(): void {
    for (const { dispatcher } of this.#sites) dispatcher.crew.drainAll();
  }

  reopenLogs(): void {
    for (const { dispatcher } of this.#sites) dispatcher.crew.reopenLogs();
  }

  /** The stacks of every thread of a worker; empty when it has none to tell. */
  async stacks(worker: number): Promise<string> {
    const texts = await Promise.all(this.#sites.map(({ dispatcher }) => dispatcher.crew.stacks(worker)));
    return texts.join('');
  }
}

function scales({ mount }: Site): boolean {
  const { min, max } = mount.settings.workers;
  return min !== max;
}

/** Where the workers connect. A front that died has left its path behind. */
function openGateway({ mount: { gateway }, dispatcher }: Site): Promise<void> {
  try {
    unlinkSync(gateway);
  } catch {}
  const server = createServer((socket) => dispatcher.crew.connect(socket));
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(gateway, resolve);
  });
}

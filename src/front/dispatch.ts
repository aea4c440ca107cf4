import type { Settings } from '../config/options.ts';
import { HttpError } from '../errors.ts';
import type { Lane } from '../gateway/lane.ts';
import type { Exchange } from '../http/exchange.ts';
import { Counters } from './counters.ts';
import { Crew, type CrewOptions, type CrewSettings } from './crew.ts';
import type { DeadlineList } from './deadlines.ts';
import { Job, type JobEvents } from './job.ts';
import { Queue } from './queue.ts';

/** The settings of these names. */
export type DispatchSettings = CrewSettings & Pick<Settings, 'queueSize' | 'queueTimeout' | 'retry'>;

export interface DispatchOptions extends CrewOptions {
  readonly settings: DispatchSettings;
}

const SAFE: readonly string[] = ['GET', 'HEAD', 'OPTIONS', 'TRACE'];

/** Gives requests to workers: the queue, the lanes, and the deadlines between them. */
export class Dispatcher {
  readonly counters = new Counters();
  readonly crew: Crew;
  readonly #options: DispatchOptions;
  readonly #queue: Queue<Job, Lane>;
  readonly #waiting: DeadlineList<Job>;
  readonly #running: DeadlineList<Job>;
  readonly #jobEvents: JobEvents;
  #settings: DispatchSettings;
  #nextId = 1;

  constructor(options: DispatchOptions) {
    const { settings, deadlines, log } = options;
    this.#options = options;
    this.#settings = settings;
    this.#queue = new Queue(settings.queueSize);
    this.#waiting = deadlines.list(settings.queueTimeout * 1000, (job) => this.#refuse(job, 'queue-timeout'));
    this.#running = deadlines.list(settings.timeout * 1000, (job) => this.#onOverdue(job));
    this.crew = new Crew(options, {
      onFree: (lane, count) => this.#onFree(lane, count),
      onHeld: (lane) => this.#queue.retire(lane),
    });
    this.#jobEvents = {
      watch: (job) => this.#running.add(job),
      unwatch: (job) => this.#running.delete(job),
      onInvalid: (job, error) => log.error(`The answer to ${job.title} cannot be sent. ${error.message}`),
      retry: (job, unread) => this.#retry(job, unread),
      onEnd: (job, lost) => this.#onJobEnd(job, lost),
    };
  }

  /** Requests that wait for a lane. */
  get waiting(): number {
    return this.#queue.length;
  }

  /** How long the first of them has waited, in milliseconds. */
  get oldestMs(): number {
    const { since } = this.#queue;
    return since === null ? 0 : performance.now() - since;
  }

  /** Takes up changed settings; what runs keeps its deadline, moved by the difference. */
  configure(settings: DispatchSettings): void {
    this.#settings = settings;
    this.#queue.size = settings.queueSize;
    this.#waiting.delayMs = settings.queueTimeout * 1000;
    this.#running.delayMs = settings.timeout * 1000;
    this.crew.configure(settings);
  }

  /** Takes a whole request; it is answered by a worker, or refused. */
  handle(exchange: Exchange): void {
    const job = new Job(exchange, this.#jobEvents);
    exchange.waiting = true;
    exchange.onGone = () => this.#leave(job);
    if (!this.#queue.push(job, performance.now())) return this.#refuse(job, 'queue-full');
    this.#assign();
    if (job.place !== null) return;
    this.#waiting.add(job);
    if (this.#queue.length === 1) this.wish();
  }

  /** Tells the arbiter when requests wait and no worker is there at all. */
  wish(): void {
    if (this.#queue.length > 0 && !this.crew.isThere) this.#options.tell({ type: 'worker-wanted' });
  }

  #onFree(lane: Lane, count: number): void {
    for (let i = 0; i < count; i++) this.#queue.free(lane);
    this.#assign();
  }

  #assign(): void {
    for (;;) {
      const assignment = this.#queue.next(performance.now());
      if (assignment === null) return;
      const { request: job, lane } = assignment;
      this.#waiting.delete(job);
      this.counters.started(assignment.waitedMs);
      job.start({ id: this.#takeId(), lane, peer: this.crew.owner(lane) });
    }
  }

  #takeId(): number {
    const id = this.#nextId;
    this.#nextId = id === 0xffffffff ? 1 : id + 1;
    return id;
  }

  /** The client went while its request was waiting. */
  #leave(job: Job): void {
    this.#queue.remove(job);
    this.#waiting.delete(job);
    job.exchange.release();
  }

  #refuse(job: Job, code: 'queue-full' | 'queue-timeout'): void {
    this.#queue.remove(job);
    job.exchange.onGone = null;
    job.exchange.fail(new HttpError(code));
    job.exchange.release();
  }

  #onOverdue(job: Job): void {
    const { place } = job;
    if (place === null) return;
    // Its answer may be there and wait behind that of another, whose client lags behind.
    if (place.lane.paused) this.#running.add(job);
    else this.crew.overdue(job, place);
  }

  /** What no worker has seen may run elsewhere; of what one may have begun, only a safe request, and only once more. */
  #retry(job: Job, unread: boolean): boolean {
    if (job.place === null || !(unread || this.#mayRunAgain(job))) return false;
    const { id, pid } = job.place.peer;
    if (!unread) {
      const what = `Worker ${id} (pid ${pid}) died while it handled ${job.title}`;
      this.#options.log.warning(`${what}: it is tried once more`);
      this.counters.retried++;
    }
    this.#leavePlace(job, true);
    job.rewind(!unread);
    job.exchange.onGone = () => this.#leave(job);
    this.#queue.pushAgain(job, performance.now());
    this.#waiting.add(job);
    this.#assign();
    return true;
  }

  #mayRunAgain(job: Job): boolean {
    if (this.#settings.retry === 'off' || !SAFE.includes(job.exchange.head.method)) return false;
    if (job.attempt === 1) return true;
    this.#options.log.error(`${job.title} has killed two workers: it is answered 502 and not tried again`);
    return false;
  }

  #onJobEnd(job: Job, lost: boolean): void {
    const { place } = job;
    if (place !== null && lost && !job.dropped) {
      const { id, pid } = place.peer;
      this.#options.log.error(`Worker ${id} (pid ${pid}) died while it handled ${job.title}.`);
    }
    this.#leavePlace(job, lost);
  }

  #leavePlace(job: Job, lost: boolean): void {
    const { place } = job;
    if (place === null) return;
    this.counters.ended(performance.now() - job.startedAt);
    this.crew.ended(job, { ...place, lost });
  }
}

import type { Settings } from '../config/options.ts';
import { HttpError } from '../errors.ts';
import { encodeFrame, KIND } from '../gateway/frames.ts';
import type { Lane, LaneJob } from '../gateway/lane.ts';
import type { Exchange } from '../http/exchange.ts';
import { Counters } from './counters.ts';
import { Crew, type CrewOptions, type CrewSettings } from './crew.ts';
import type { DeadlineList, Deadlines, KeyedDeadlines, Single } from './deadlines.ts';
import { Job, type JobEvents } from './job.ts';
import { NamedFiles, type NamedFilesSettings } from './named-files.ts';
import { Queue, type QueueLimits, SLOW_MS, TRIAL_MS } from './queue.ts';
import type { Refusal } from './worker-file.ts';
import type { WorkerPeer } from './worker-peer.ts';

/** The settings of these names. */
export type DispatchSettings = CrewSettings &
  NamedFilesSettings &
  Pick<Settings, 'queueSize' | 'queueTimeout' | 'queueTarget' | 'retry'>;

export interface DispatchOptions extends CrewOptions {
  readonly settings: DispatchSettings;
  /** Number of the application, for the arbiter. */
  readonly mount: number;
}

/** How often those that wait are looked at for their age once that matters: who has waited too long hears of it within as much. */
const AGE_MS = 4;
/** And before, so that a queue whose every request is served soon costs next to nothing. */
const CALM_MS = 50;
/** A worker that leaves RECALL unanswered for so long is not to be trusted with more than one request. */
const RECALL_MS = 100;
/** OPENED leaves with the next request, which wakes the worker anyway; a file that nobody needs is held so long at most. */
const OPENED_MS = 10;

/** Gives requests to workers: the queue, the lanes, and the deadlines between them. */
export class Dispatcher {
  readonly counters = new Counters();
  readonly crew: Crew;
  readonly #options: DispatchOptions;
  readonly #queue: Queue<Job, Lane>;
  readonly #deadlines: Deadlines;
  /** Each runs while there is something to look at. */
  readonly #ages: Single;
  /** When the next suspect may have its turn. */
  readonly #trials: Single;
  readonly #heads: Single;
  /** Lanes that owe an answer to RECALL. */
  readonly #recalled: KeyedDeadlines<Lane>;
  /** Lanes whose worker holds a file that is open here already. */
  readonly #untold: KeyedDeadlines<Lane>;
  readonly #running: DeadlineList<Job>;
  readonly #jobEvents: JobEvents & { namedFiles: NamedFiles | null };
  /** Workers of which the log knows that they have to send a file themselves. */
  readonly #senders = new WeakSet<WorkerPeer>();
  #settings: DispatchSettings;
  #nextId = 1;
  /** Requests are given out when this turn of the event loop has brought all it brings. */
  #planned = false;

  constructor(options: DispatchOptions) {
    const { settings, deadlines, log } = options;
    this.#options = options;
    this.#settings = settings;
    this.#deadlines = deadlines;
    this.#queue = new Queue(queueLimits(settings));
    this.#ages = deadlines.single(AGE_MS, () => this.#expire());
    this.#heads = deadlines.single(SLOW_MS, () => this.#recall());
    this.#trials = deadlines.single(TRIAL_MS, () => this.#plan());
    this.#recalled = deadlines.keyed(RECALL_MS, (lane) => this.#onUnheard(lane));
    this.#untold = deadlines.keyed(OPENED_MS, (lane) => lane.flush());
    this.#running = deadlines.list(settings.timeout * 1000, (job) => this.#onOverdue(job));
    this.crew = new Crew(options, {
      onOpen: (lane) => {
        const { capacity, batch } = lane;
        this.#queue.open(lane, { capacity, batch, worker: this.crew.owner(lane) });
        this.#plan();
      },
      onHeld: (lane) => this.#queue.hold(lane),
      onGone: (lane) => {
        this.#queue.drop(lane);
        this.#recalled.delete(lane);
        this.#untold.delete(lane);
      },
      onAnswered: (lane, count) => this.#onAnswered(lane, count),
      onRecalled: (lane, jobs) => this.#onRecalled(lane, jobs),
    });
    this.#jobEvents = {
      namedFiles: NamedFiles.from(settings),
      onLeft: (job) => this.#leave(job),
      watch: (job) => this.#running.add(job.link),
      unwatch: (job) => this.#running.delete(job.link),
      onPart: ({ place }) => {
        if (place !== null) this.#queue.streams(place.lane);
      },
      onInvalid: (job, error) => log.error(`The answer to ${job.title} cannot be sent. ${error.message}`),
      onFile: (job, refusal) => this.#onFile(job, refusal),
      error: (message) => log.error(message),
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
    return since === null ? 0 : this.#deadlines.now() - since;
  }

  /** Takes up changed settings; what runs keeps its deadline, moved by the difference. */
  configure(settings: DispatchSettings): void {
    this.#settings = settings;
    this.#queue.limits = queueLimits(settings);
    this.#jobEvents.namedFiles = NamedFiles.from(settings);
    this.#running.delayMs = settings.timeout * 1000;
    this.crew.configure(settings);
  }

  /** Takes a whole request; it is answered by a worker, or refused. */
  handle(exchange: Exchange): void {
    const job = new Job(exchange, this.#jobEvents);
    if (!this.#queue.push(job, this.#deadlines.now())) return this.#refuse(job, 'queue-full');
    if (this.#queue.length === 1) this.wish();
    this.#plan();
  }

  /** Tells the arbiter when requests wait and no worker is there at all. */
  wish(): void {
    if (this.#queue.length > 0 && !this.crew.isThere) {
      this.#options.tell({ type: 'worker-wanted', mount: this.#options.mount });
    }
  }

  #plan(): void {
    if (this.#planned) return;
    this.#planned = true;
    setImmediate(() => {
      this.#planned = false;
      this.#assign();
    });
  }

  /** Gives out what can be given out, in one write for each lane. */
  #assign(): void {
    const now = this.#deadlines.now();
    const lanes: Lane[] = [];
    for (;;) {
      const assignment = this.#queue.next(now);
      if (assignment === null) break;
      const { request: job, lane } = assignment;
      this.counters.started(assignment.waitedMs);
      job.start({ id: this.#takeId(), lane, peer: this.crew.owner(lane) });
      if (!lanes.includes(lane)) lanes.push(lane);
    }
    for (const lane of lanes) lane.flush();
    this.#watchAges(now);
    if (this.#queue.shared) this.#heads.ensure();
    if (this.#queue.suspects > 0) this.#trials.ensure();
  }

  #expire(): void {
    const now = this.#deadlines.now();
    for (const job of this.#queue.expire(now)) this.#refuse(job, 'queue-timeout');
    this.#watchAges(now);
  }

  #watchAges(now: number): void {
    if (this.#queue.length > 0)
      this.#ages.ensure(Math.min(Math.max(this.#queue.calmMs(now), AGE_MS), CALM_MS));
  }

  #onAnswered(lane: Lane, count: number): void {
    this.#queue.done(lane, { count, now: this.#deadlines.now(), answered: true });
    this.#plan();
  }

  /** The worker learns what has become of the file that it holds. */
  #onFile(job: Job, refusal: Refusal | null): void {
    if (job.place === null) return;
    const { id, lane, peer } = job.place;
    if (refusal === null) {
      lane.tell(encodeFrame({ kind: KIND.OPENED, id }));
      this.#untold.ensure(lane);
      return;
    }
    this.#warnOfSender(peer, refusal);
    this.#queue.again(lane);
    const head = `refused\0${refusal.refused}`;
    lane.send(id, { job, frame: encodeFrame({ kind: KIND.OPENED, id, head }) });
    lane.flush();
  }

  #warnOfSender(peer: WorkerPeer, { why }: Refusal): void {
    if (why === '' || this.#senders.has(peer)) return;
    this.#senders.add(peer);
    this.#options.log.warning(
      `Worker ${peer.id} (pid ${peer.pid}) sends a file itself, which cannot be opened for it here: ${why}. ` +
        'It is not free until it has read the file to its end. A process that changes its user itself keeps others out.',
    );
  }

  /** A signal in the application's process: only where somebody waits behind a slow request. */
  #recall(): void {
    for (const lane of this.#queue.recalls(this.#deadlines.now())) {
      this.crew.owner(lane).recall(lane);
      this.#recalled.add(lane);
    }
    if (this.#queue.shared) this.#heads.start();
  }

  /** One that has answered everything meanwhile is alive: it may have missed the signal on its way to sleep. */
  #onUnheard(lane: Lane): void {
    if (lane.inFlight > 0) this.#queue.unbatch(lane);
  }

  #onRecalled(lane: Lane, jobs: readonly LaneJob[]): void {
    const now = this.#deadlines.now();
    this.#recalled.delete(lane);
    this.#queue.done(lane, { count: jobs.length, now, answered: false });
    if (jobs.length > 0 && lane.isParallel) this.crew.doubt(lane);
    for (const job of jobs) job.onLost({ error: null, unread: true });
    this.#plan();
  }

  #takeId(): number {
    const id = this.#nextId;
    this.#nextId = id === 0xffffffff ? 1 : id + 1;
    return id;
  }

  /** The client went while its request was waiting. */
  #leave(job: Job): void {
    this.#queue.leave(job);
    job.exchange.release();
  }

  #refuse(job: Job, code: 'queue-full' | 'queue-timeout'): void {
    job.exchange.onGone = null;
    job.exchange.fail(new HttpError(code));
    job.exchange.release();
  }

  #onOverdue(job: Job): void {
    const { place } = job;
    if (place === null) return;
    // Its answer may be there and wait behind that of another, whose client lags behind.
    if (place.lane.paused) this.#running.add(job.link);
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
    this.#queue.pushAgain(job, this.#deadlines.now());
    this.#plan();
    return true;
  }

  #mayRunAgain(job: Job): boolean {
    if (this.#settings.retry === 'off' || !job.isSafe) return false;
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
    this.counters.ended(lost ? null : performance.now() - job.startedAt);
    if (job.suspect) this.#queue.tried(job, place.peer);
    this.crew.ended(job, { peer: place.peer, lost });
  }
}

function queueLimits({ queueSize, queueTimeout, queueTarget }: DispatchSettings): QueueLimits {
  return { size: queueSize, timeoutMs: queueTimeout * 1000, targetMs: queueTarget * 1000 };
}

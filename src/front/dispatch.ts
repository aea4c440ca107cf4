import type { Socket } from 'node:net';
import type { Settings } from '../config/options.ts';
import { HttpError } from '../errors.ts';
import type { Lane } from '../gateway/lane.ts';
import type { Exchange } from '../http/exchange.ts';
import type { FromFront, LaneReport, PeerReport } from '../messages.ts';
import type { Logger } from '../observe/log.ts';
import { dumpStacks } from '../stack-file.ts';
import { Counters } from './counters.ts';
import type { DeadlineList, Deadlines } from './deadlines.ts';
import { Heartbeat } from './heartbeat.ts';
import { Job, type JobEvents } from './job.ts';
import { Overdue } from './overdue.ts';
import { Queue } from './queue.ts';
import { introduce, type Stack, WorkerPeer, type WorkerPeerEvents } from './worker-peer.ts';

/** The settings of these names. */
export type DispatchSettings = Pick<
  Settings,
  'queueSize' | 'queueTimeout' | 'timeout' | 'gracefulTimeout' | 'retry' | 'maxRequests' | 'maxRequestsJitter'
>;

export interface DispatchOptions {
  readonly settings: DispatchSettings;
  readonly deadlines: Deadlines;
  readonly log: Logger;
  /** Path of a worker's stack file. */
  readonly stackFile: (worker: number) => string;
  /** What the arbiter has to know. */
  readonly tell: (message: FromFront) => void;
  /** From 0 to 1. */
  readonly random: () => number;
}

const SAFE: readonly string[] = ['GET', 'HEAD', 'OPTIONS', 'TRACE'];
/** A worker that can be asked for its stacks answers sooner. */
const STACKS_MS = 300;

/** Gives requests to workers: the queue, the lanes, and the deadlines between them. */
export class Dispatcher {
  readonly counters = new Counters();
  readonly #options: DispatchOptions;
  readonly #queue: Queue<Job, Lane>;
  readonly #waiting: DeadlineList<Job>;
  readonly #running: DeadlineList<Job>;
  readonly #heartbeat: Heartbeat;
  readonly #overdue: Overdue;
  readonly #peers = new Map<number, WorkerPeer>();
  readonly #owners = new WeakMap<Lane, WorkerPeer>();
  readonly #jobEvents: JobEvents;
  readonly #peerEvents: WorkerPeerEvents;
  /** Requests after which a worker has served enough. */
  readonly #lives = new WeakMap<WorkerPeer, number>();
  /** Who waits for the stacks of a worker. */
  readonly #curious = new Map<WorkerPeer, (text: string) => void>();
  #settings: DispatchSettings;
  #nextId = 1;

  constructor(options: DispatchOptions) {
    const { settings, deadlines, log } = options;
    this.#options = options;
    this.#settings = settings;
    this.#queue = new Queue(settings.queueSize);
    this.#waiting = deadlines.list(settings.queueTimeout * 1000, (job) => this.#refuse(job, 'queue-timeout'));
    this.#running = deadlines.list(settings.timeout * 1000, (job) => this.#onOverdue(job));
    this.#overdue = new Overdue({
      ...options,
      onStuck: (worker, graceMs, cause) => options.tell({ type: 'worker-stuck', worker, graceMs, cause }),
    });
    this.#heartbeat = new Heartbeat({
      deadlines,
      timeout: settings.timeout,
      lanes: () => this.#usableLanes(),
      hold: (lane) => this.#queue.retire(lane),
      onDead: (lane) => this.#onDead(lane),
    });
    this.#jobEvents = {
      watch: (job) => this.#running.add(job),
      unwatch: (job) => this.#running.delete(job),
      onInvalid: (job, error) => log.error(`The answer to ${job.title} cannot be sent. ${error.message}`),
      retry: (job) => this.#retry(job),
      onEnd: (job, lost) => this.#onJobEnd(job, lost),
    };
    this.#peerEvents = {
      onConnected: (peer) => this.#onConnected(peer),
      onReady: (peer) => this.#onReady(peer),
      onPong: (peer, lane) => this.#onPong(peer, lane),
      onStack: (peer, stack) => this.#onStack(peer, stack),
      onLaneGone: (_peer, lane) => this.#onLaneGone(lane),
      onGone: (peer) => this.#onPeerGone(peer),
      warn: (message) => log.warning(message),
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
    this.#overdue.settings = settings;
    this.#queue.size = settings.queueSize;
    this.#waiting.delayMs = settings.queueTimeout * 1000;
    this.#running.delayMs = settings.timeout * 1000;
    this.#heartbeat.configure(settings.timeout);
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
    if (this.#queue.length === 0) return;
    for (const peer of this.#peers.values()) if (peer.usable) return;
    this.#options.tell({ type: 'worker-wanted' });
  }

  /** A process connects to the gateway: a lane or the control connection of a worker. */
  connect(socket: Socket): void {
    introduce(socket, (introduction) => {
      const id = Number(introduction.hello.get('worker'));
      let peer = this.#peers.get(id);
      if (peer === undefined) {
        peer = new WorkerPeer(id, this.#peerEvents);
        this.#peers.set(id, peer);
      }
      peer.attach(socket, introduction);
    });
  }

  /** The arbiter's news that the process is dead. */
  workerGone(id: number): void {
    this.#peers.get(id)?.gone();
    this.#peers.delete(id);
  }

  drainWorker(id: number): void {
    const peer = this.#peers.get(id);
    if (peer === undefined) return;
    for (const lane of peer.lanes) this.#queue.retire(lane);
    peer.drain();
  }

  drainAll(): void {
    for (const id of this.#peers.keys()) this.drainWorker(id);
  }

  reopenLogs(): void {
    for (const peer of this.#peers.values()) peer.reopenLogs();
  }

  /** The stacks of every thread of a worker; empty when it has none to tell. */
  async stacks(id: number): Promise<string> {
    const peer = this.#peers.get(id);
    if (peer === undefined) return '';
    const said = await new Promise<string>((resolve) => {
      const timer = setTimeout(() => resolve(''), STACKS_MS);
      this.#curious.set(peer, (text) => {
        clearTimeout(timer);
        resolve(text);
      });
      peer.dump(0);
    });
    this.#curious.delete(peer);
    return said || dumpStacks(peer.pid, this.#options.stackFile(id));
  }

  report(): readonly PeerReport[] {
    const now = performance.now();
    return [...this.#peers.values()].map((peer) => ({
      worker: peer.id,
      requests: peer.requests,
      lanes: [...peer.lanes].flatMap((lane) => reportLane(lane, now)),
    }));
  }

  // Workers

  #onConnected(peer: WorkerPeer): void {
    for (const lane of peer.lanes) {
      this.#owners.set(lane, peer);
      this.#heartbeat.ask(lane);
    }
  }

  #onReady(peer: WorkerPeer): void {
    const { maxRequests, maxRequestsJitter } = this.#settings;
    const jitter = Math.floor(this.#options.random() * (maxRequestsJitter + 1));
    this.#lives.set(peer, maxRequests === 0 ? Number.POSITIVE_INFINITY : maxRequests + jitter);
    for (const lane of peer.lanes) this.#welcome(lane);
    this.#options.tell({ type: 'worker-ready', worker: peer.id });
    this.#assign();
  }

  #onPong(peer: WorkerPeer, lane: Lane): void {
    if (!peer.usable) return this.#heartbeat.forget(lane);
    this.#welcome(lane);
    this.#assign();
  }

  #welcome(lane: Lane): void {
    this.#heartbeat.forget(lane);
    for (let i = lane.inFlight; i < lane.capacity; i++) this.#queue.free(lane);
  }

  *#usableLanes(): Generator<Lane> {
    for (const peer of this.#peers.values()) if (peer.usable) yield* peer.lanes;
  }

  /** It owes its PONG for too long. */
  #onDead(lane: Lane): void {
    const peer = this.#owners.get(lane);
    if (peer === undefined || !peer.lanes.has(lane)) return;
    this.#options.log.error(
      `Worker ${peer.id} (pid ${peer.pid}) does nothing and does not answer: it is replaced`,
    );
    this.drainWorker(peer.id);
    this.#options.tell({ type: 'worker-stuck', worker: peer.id, graceMs: 0, cause: 'unresponsive' });
  }

  #onLaneGone(lane: Lane): void {
    this.#queue.retire(lane);
    this.#heartbeat.forget(lane);
  }

  #onPeerGone(peer: WorkerPeer): void {
    for (const lane of peer.lanes) this.#queue.retire(lane);
    if (this.#peers.get(peer.id) !== peer) return;
    this.#peers.delete(peer.id);
    this.#options.tell({ type: 'worker-lost', worker: peer.id });
  }

  #onStack(peer: WorkerPeer, stack: Stack): void {
    if (stack.id === 0) this.#curious.get(peer)?.(stack.text);
    else this.#overdue.hear(peer, stack);
  }

  // Requests

  #assign(): void {
    for (;;) {
      const assignment = this.#queue.next(performance.now());
      if (assignment === null) return;
      const { request: job, lane } = assignment;
      const peer = this.#owners.get(lane);
      if (peer === undefined) throw new Error('A lane without a worker was idle.');
      this.#waiting.delete(job);
      this.counters.started(assignment.waitedMs);
      job.start({ id: this.#takeId(), lane, peer });
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
    if (place.lane.paused) return this.#running.add(job);
    this.drainWorker(place.peer.id);
    this.#overdue.begin(job, place);
  }

  /** A safe request may run once more, of which nothing has been seen. */
  #retry(job: Job): boolean {
    const { place } = job;
    if (place === null || this.#settings.retry === 'off' || !SAFE.includes(job.exchange.head.method))
      return false;
    const { id, pid } = place.peer;
    if (job.attempt > 1) {
      this.#options.log.error(`${job.title} has killed two workers: it is answered 502 and not tried again`);
      return false;
    }
    this.#options.log.warning(
      `Worker ${id} (pid ${pid}) died while it handled ${job.title}: it is tried once more`,
    );
    this.#leavePlace(job, true);
    this.counters.retried++;
    job.rewind();
    job.exchange.onGone = () => this.#leave(job);
    this.#queue.pushAgain(job, performance.now());
    this.#waiting.add(job);
    this.#assign();
    return true;
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
    const { lane, peer } = place;
    this.counters.ended(performance.now() - job.startedAt);
    if (!lost) this.#count(peer);
    if (!lost && peer.usable && peer.lanes.has(lane)) {
      this.#queue.free(lane);
      this.#assign();
    }
    peer.settle();
    this.#overdue.end(job, peer);
  }

  #count(peer: WorkerPeer): void {
    peer.requests++;
    if (peer.requests === this.#lives.get(peer)) this.#options.tell({ type: 'worker-worn', worker: peer.id });
  }
}

function reportLane(lane: Lane, now: number): LaneReport[] {
  const busy = [...lane.jobs].map(({ title, startedAt }) => ({ request: title, forMs: now - startedAt }));
  return busy.length === 0 ? [{ request: '', forMs: 0 }] : busy;
}

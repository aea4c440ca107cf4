import type { Socket } from 'node:net';
import { HttpError } from '../errors.ts';
import type { Lane } from '../gateway/lane.ts';
import type { Exchange } from '../http/exchange.ts';
import type { Logger } from '../observe/log.ts';
import type { DeadlineList, Deadlines } from './deadlines.ts';
import { Job, type JobEvents } from './job.ts';
import { Queue } from './queue.ts';
import { introduce, WorkerPeer, type WorkerPeerEvents } from './worker-peer.ts';

export interface DispatchOptions {
  readonly queueSize: number;
  /** Seconds; 0 means no limit. */
  readonly queueTimeout: number;
  readonly timeout: number;
  readonly gracefulTimeout: number;
  readonly deadlines: Deadlines;
  readonly log: Logger;
  readonly onReady: (worker: number) => void;
  readonly onStuck: (worker: number, graceMs: number) => void;
}

/** Gives requests to workers: the queue, the lanes, and the deadlines between them. */
export class Dispatcher {
  readonly #options: DispatchOptions;
  readonly #queue: Queue<Job, Lane>;
  readonly #waiting: DeadlineList<Job>;
  readonly #running: DeadlineList<Job>;
  readonly #peers = new Map<number, WorkerPeer>();
  readonly #owners = new WeakMap<Lane, WorkerPeer>();
  readonly #jobEvents: JobEvents;
  readonly #peerEvents: WorkerPeerEvents;
  /** Requests over their deadline, by the worker that still runs them. */
  readonly #stuck = new Map<WorkerPeer, Set<Job>>();
  #nextId = 1;

  constructor(options: DispatchOptions) {
    this.#options = options;
    this.#queue = new Queue(options.queueSize);
    this.#waiting = options.deadlines.list(options.queueTimeout * 1000, (job) =>
      this.#refuse(job, 'queue-timeout'),
    );
    this.#running = options.deadlines.list(options.timeout * 1000, (job) => this.#overdue(job));
    this.#jobEvents = {
      watch: (job) => this.#running.add(job),
      unwatch: (job) => this.#running.delete(job),
      onInvalid: (job, error) =>
        options.log.error(`The answer to ${job.title} cannot be sent. ${error.message}`),
      onEnd: (job, lost) => this.#onJobEnd(job, lost),
    };
    this.#peerEvents = {
      onReady: (peer) => this.#onReady(peer),
      onLaneGone: (_peer, lane) => this.#queue.retire(lane),
      onGone: (peer) => this.#onPeerGone(peer),
      warn: (message) => options.log.warning(message),
    };
  }

  /** Requests that wait for a lane. */
  get waiting(): number {
    return this.#queue.length;
  }

  /** Takes a whole request; it is answered by a worker, or refused. */
  handle(exchange: Exchange): void {
    const job = new Job(exchange, this.#jobEvents);
    exchange.waiting = true;
    exchange.onGone = () => this.#leave(job);
    if (!this.#queue.push(job, performance.now())) return this.#refuse(job, 'queue-full');
    this.#assign();
    if (job.place === null) this.#waiting.add(job);
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

  #onReady(peer: WorkerPeer): void {
    for (const lane of peer.lanes) {
      this.#owners.set(lane, peer);
      for (let i = 0; i < lane.capacity; i++) this.#queue.free(lane);
    }
    this.#options.onReady(peer.id);
    this.#assign();
  }

  #onPeerGone(peer: WorkerPeer): void {
    for (const lane of peer.lanes) this.#queue.retire(lane);
    if (this.#peers.get(peer.id) === peer) this.#peers.delete(peer.id);
  }

  #assign(): void {
    for (;;) {
      const assignment = this.#queue.next(performance.now());
      if (assignment === null) return;
      const { request: job, lane } = assignment;
      const peer = this.#owners.get(lane);
      if (peer === undefined) throw new Error('A lane without a worker was idle.');
      this.#waiting.delete(job);
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

  #overdue(job: Job): void {
    const place = job.place;
    if (place === null) return;
    const { peer, lane } = place;
    // Its answer may be there and wait behind that of another, whose client lags behind.
    if (lane.paused) return this.#running.add(job);
    this.#options.log.error(
      `Timeout: ${job.title} had no answer for ${this.#options.timeout} s. ` +
        `Worker ${peer.id} (pid ${peer.pid}) is replaced.`,
    );
    job.fail(new HttpError('worker-timeout'));
    for (const lane of peer.lanes) this.#queue.retire(lane);
    peer.drain();
    this.#stuck.set(peer, (this.#stuck.get(peer) ?? new Set()).add(job));
    this.#replace(peer);
  }

  /** Has the worker replaced: at once when nothing but overdue requests run in it, else after the others. */
  #replace(peer: WorkerPeer): void {
    const stuck = this.#stuck.get(peer)?.size ?? 0;
    const siblings = peer.inFlight > stuck;
    this.#options.onStuck(peer.id, siblings ? this.#options.gracefulTimeout * 1000 : 0);
  }

  #onJobEnd(job: Job, lost: boolean): void {
    const place = job.place;
    if (place === null) return;
    const { lane, peer } = place;
    if (lost && !job.dropped) {
      this.#options.log.error(`Worker ${peer.id} (pid ${peer.pid}) died while it handled ${job.title}.`);
    } else if (!lost && peer.usable && peer.lanes.has(lane)) {
      this.#queue.free(lane);
      this.#assign();
    }
    peer.settle();
    const stuck = this.#stuck.get(peer);
    if (stuck === undefined) return;
    stuck.delete(job);
    if (stuck.size === 0) this.#stuck.delete(peer);
    else if (peer.inFlight === stuck.size) this.#replace(peer);
  }
}

/** The workers of a front: who is there, who may be given something, and who is to be replaced. */
import type { Socket } from 'node:net';
import type { Settings } from '../config/options.ts';
import type { Lane, LaneJob } from '../gateway/lane.ts';
import type { FromFront, LaneReport, PeerReport } from '../messages.ts';
import type { Logger } from '../observe/log.ts';
import { dumpStacks, NODE_PATIENCE_MS } from '../stack-file.ts';
import type { Deadlines } from './deadlines.ts';
import { Heartbeat } from './heartbeat.ts';
import type { Job, Place } from './job.ts';
import { Overdue } from './overdue.ts';
import { introduce, type Stack, WorkerPeer, type WorkerPeerEvents } from './worker-peer.ts';

/** The settings of these names. */
export type CrewSettings = Pick<
  Settings,
  'timeout' | 'gracefulTimeout' | 'maxRequests' | 'maxRequestsJitter'
>;

export interface CrewOptions {
  readonly settings: CrewSettings;
  readonly deadlines: Deadlines;
  readonly log: Logger;
  /** Path of a worker's stack file. */
  readonly stackFile: (worker: number) => string;
  /** What the arbiter has to know. */
  readonly tell: (message: FromFront) => void;
  /** From 0 to 1. */
  readonly random: () => number;
}

export interface CrewEvents {
  /** The lane can be given requests. */
  readonly onOpen: (lane: Lane) => void;
  /** The lane takes nothing for now. */
  readonly onHeld: (lane: Lane) => void;
  /** The lane is no more. */
  readonly onGone: (lane: Lane) => void;
  readonly onAnswered: (lane: Lane, count: number) => void;
  readonly onRecalled: (lane: Lane, jobs: readonly LaneJob[]) => void;
}

/** A worker that can be asked for its stacks answers sooner. */
const STACKS_MS = 300;

export class Crew {
  readonly #options: CrewOptions;
  readonly #events: CrewEvents;
  readonly #heartbeat: Heartbeat;
  readonly #overdue: Overdue;
  readonly #peers = new Map<number, WorkerPeer>();
  readonly #owners = new WeakMap<Lane, WorkerPeer>();
  readonly #peerEvents: WorkerPeerEvents;
  /** Requests after which a worker has served enough. */
  readonly #lives = new WeakMap<WorkerPeer, number>();
  /** Who waits for the stacks of a worker. */
  readonly #curious = new Map<WorkerPeer, (text: string) => void>();
  #settings: CrewSettings;

  constructor(options: CrewOptions, events: CrewEvents) {
    const { settings, deadlines, log, tell } = options;
    this.#options = options;
    this.#events = events;
    this.#settings = settings;
    this.#overdue = new Overdue({
      ...options,
      onStuck: (worker, graceMs, cause) => tell({ type: 'worker-stuck', worker, graceMs, cause }),
    });
    this.#heartbeat = new Heartbeat({
      deadlines,
      timeout: settings.timeout,
      lanes: () => this.#usableLanes(),
      hold: events.onHeld,
      onDead: (lane) => this.#onDead(lane),
    });
    this.#peerEvents = {
      onConnected: (peer) => this.#onConnected(peer),
      onReady: (peer) => this.#onReady(peer),
      onPong: (peer, lane) => this.#onPong(peer, lane),
      onStack: (peer, stack) => this.#onStack(peer, stack),
      onAnswered: events.onAnswered,
      onRecalled: events.onRecalled,
      onLaneGone: (_peer, lane) => this.#onLaneGone(lane),
      onGone: (peer) => this.#onPeerGone(peer),
      warn: (message) => log.warning(message),
    };
  }

  configure(settings: CrewSettings): void {
    this.#settings = settings;
    this.#overdue.settings = settings;
    this.#heartbeat.configure(settings.timeout);
  }

  /** Whether anybody may be given requests. */
  get isThere(): boolean {
    for (const peer of this.#peers.values()) if (peer.usable) return true;
    return false;
  }

  /** Whose lane it is. */
  owner(lane: Lane): WorkerPeer {
    const peer = this.#owners.get(lane);
    if (peer === undefined) throw new Error('A lane without a worker was idle.');
    return peer;
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
  gone(id: number): void {
    this.#peers.get(id)?.gone();
    this.#peers.delete(id);
  }

  /** It gets nothing more, and leaves when it has nothing left. */
  drain(id: number): void {
    const peer = this.#peers.get(id);
    if (peer === undefined) return;
    for (const lane of peer.lanes) this.#events.onHeld(lane);
    peer.drain();
  }

  drainAll(): void {
    for (const id of this.#peers.keys()) this.drain(id);
  }

  reopenLogs(): void {
    for (const peer of this.#peers.values()) peer.reopenLogs();
  }

  /** The stacks of every thread of a worker; empty when it has none to tell. */
  async stacks(id: number): Promise<string> {
    const peer = this.#peers.get(id);
    if (peer === undefined) return '';
    const said = await new Promise<string>((resolve) => {
      const isParallel = [...peer.lanes].some((lane) => lane.isParallel);
      const timer = setTimeout(() => resolve(''), isParallel ? NODE_PATIENCE_MS : STACKS_MS);
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

  /**
   * A request ran over its deadline: its worker gets nothing more, and is replaced. One that runs many side by side goes
   * on, unless it is stuck: a promise that nobody waits for any more leaves nothing torn.
   */
  overdue(job: Job, place: Place): void {
    const { lane, peer } = place;
    if (lane.isParallel) {
      // Perhaps it is stuck: until it answers it gets nothing, and what it has not begun runs elsewhere.
      this.doubt(lane);
      if (lane.inFlight > 1) peer.recall(lane);
      return this.#overdue.begin(job, place);
    }
    this.drain(peer.id);
    // Nothing may be started where an exception has torn through; those behind it run elsewhere.
    if (lane.inFlight > lane.capacity) peer.recall(lane);
    this.#overdue.begin(job, place);
  }

  /** It seems not to read what it is sent: until it answers it gets nothing more. */
  doubt(lane: Lane): void {
    this.#events.onHeld(lane);
    if (!lane.pinged) lane.ping();
  }

  /** A request has left its lane: answered, or `lost`, with its worker or because it was taken back. */
  ended(job: Job, { peer, lost }: { readonly peer: WorkerPeer; readonly lost: boolean }): void {
    if (!lost) this.#count(peer);
    peer.settle();
    this.#overdue.end(job, peer);
  }

  #count(peer: WorkerPeer): void {
    peer.requests++;
    if (peer.requests === this.#lives.get(peer)) this.#options.tell({ type: 'worker-worn', worker: peer.id });
  }

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
    this.#options.tell({ type: 'worker-ready', worker: peer.id });
    for (const lane of peer.lanes) this.#welcome(lane);
  }

  #onPong(peer: WorkerPeer, lane: Lane): void {
    if (peer.usable) this.#welcome(lane);
    else this.#heartbeat.forget(lane);
  }

  #welcome(lane: Lane): void {
    this.#heartbeat.forget(lane);
    this.#events.onOpen(lane);
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
    this.drain(peer.id);
    this.#options.tell({ type: 'worker-stuck', worker: peer.id, graceMs: 0, cause: 'unresponsive' });
  }

  #onLaneGone(lane: Lane): void {
    this.#events.onGone(lane);
    this.#heartbeat.forget(lane);
  }

  #onPeerGone(peer: WorkerPeer): void {
    for (const lane of peer.lanes) this.#events.onHeld(lane);
    if (this.#peers.get(peer.id) !== peer) return;
    this.#peers.delete(peer.id);
    this.#options.tell({ type: 'worker-lost', worker: peer.id });
  }

  #onStack(peer: WorkerPeer, stack: Stack): void {
    if (stack.id === 0) this.#curious.get(peer)?.(stack.text);
    else this.#overdue.hear(peer, stack);
  }
}

function reportLane(lane: Lane, now: number): LaneReport[] {
  const busy = [...lane.jobs].map(({ title, startedAt }) => ({ request: title, forMs: now - startedAt }));
  return busy.length === 0 ? [{ request: '', forMs: 0 }] : busy;
}

import type { Socket } from 'node:net';
import { encodeFrame, type Frame, FrameDecoder, FrameError, KIND } from '../gateway/frames.ts';
import { Lane, type LaneJob } from '../gateway/lane.ts';

/** A dead worker's answer may still lie in its sockets: they get this long to say it before they are cut. */
const LAST_WORDS_MS = 10;

/** The answer to DUMP. */
export interface Stack {
  /** Of the request; 0 for all threads. */
  readonly id: number;
  readonly thread: string;
  readonly text: string;
}

export interface WorkerPeerEvents {
  /** Control and every lane are connected and the application is loaded: each lane is to be asked whether it answers. */
  readonly onConnected: (peer: WorkerPeer) => void;
  /** Every lane has answered PING: it may be given requests. */
  readonly onReady: (peer: WorkerPeer) => void;
  /** A lane of a ready worker has answered PING. */
  readonly onPong: (peer: WorkerPeer, lane: Lane) => void;
  readonly onStack: (peer: WorkerPeer, stack: Stack) => void;
  /** So many requests have been answered at once. */
  readonly onAnswered: (lane: Lane, count: number) => void;
  /** The worker has given these requests up; none when all had been started. */
  readonly onRecalled: (lane: Lane, jobs: readonly LaneJob[]) => void;
  /** This lane takes nothing more; its requests are told next. */
  readonly onLaneGone: (peer: WorkerPeer, lane: Lane) => void;
  /** Control has ended: the worker is gone, or is to reconnect. */
  readonly onGone: (peer: WorkerPeer) => void;
  readonly warn: (message: string) => void;
}

/** The front's view of one worker: its control connection and its lanes. */
export class WorkerPeer {
  readonly id: number;
  readonly lanes = new Set<Lane>();
  readonly #events: WorkerPeerEvents;
  #control: Socket | null = null;
  #pid = 0;
  #expected = 0;
  #loaded = false;
  #connected = false;
  #ready = false;
  /** It gets nothing more, and DRAIN once it has nothing left. */
  #draining = false;

  /** Requests that it has answered. */
  requests = 0;

  constructor(id: number, events: WorkerPeerEvents) {
    this.id = id;
    this.#events = events;
  }

  get pid(): number {
    return this.#pid;
  }

  /** It may be given requests. */
  get usable(): boolean {
    return this.#ready && !this.#draining;
  }

  get inFlight(): number {
    let count = 0;
    for (const lane of this.lanes) count += lane.inFlight;
    return count;
  }

  /** Takes over a connection whose first frame said that it is this worker's. */
  attach(socket: Socket, { hello, decoder, rest }: Introduction): void {
    if (hello.get('role') === 'control') return this.#attachControl(socket, { hello, decoder, rest });
    const lane = new Lane({
      socket,
      decoder,
      number: Number(hello.get('lane') ?? 0),
      capacity: Number(hello.get('capacity') ?? 1),
      batch: Number(hello.get('batch') ?? 1),
      order: hello.get('order') === 'any' ? 'any' : 'fifo',
      onPong: (answering) => this.#onPong(answering),
      onAnswered: (answering, count) => this.#events.onAnswered(answering, count),
      onClose: (closed, error) => this.#onLaneClosed(closed, error),
    });
    this.lanes.add(lane);
    this.#checkConnected();
  }

  #attachControl(socket: Socket, { hello, decoder, rest }: Introduction): void {
    this.#control = socket;
    this.#pid = Number(hello.get('pid') ?? 0);
    this.#expected = Number(hello.get('lanes') ?? 1);
    const take = (frame: Frame) => {
      if (frame.kind === KIND.STACK) return this.#events.onStack(this, toStack(frame));
      if (frame.kind === KIND.RECALLED) return this.#onRecalled(new Map(pairs(frame.head)));
      if (frame.kind !== KIND.READY) throw new FrameError(`Kind ${frame.kind} does not belong on control.`);
      this.#loaded = true;
      this.#checkConnected();
    };
    const takeAll = (frames: () => readonly Frame[]) => {
      try {
        for (const frame of frames()) take(frame);
      } catch (error) {
        if (!(error instanceof FrameError)) throw error;
        this.#events.warn(`Worker ${this.id} (pid ${this.#pid}): ${error.message}`);
        socket.destroy();
      }
    };
    socket.on('data', (chunk: Buffer) => takeAll(() => decoder.push(chunk)));
    socket.on('close', () => {
      if (this.#control !== socket) return;
      this.#control = null;
      this.#connected = this.#loaded = this.#ready = false;
      this.#events.onGone(this);
    });
    takeAll(() => rest);
  }

  #checkConnected(): void {
    // READY may be read before the last lane's HELLO: they come over different sockets.
    if (this.#connected || !this.#loaded || this.lanes.size < this.#expected) return;
    // Told to leave before it was there.
    if (this.#draining) return this.settle();
    this.#connected = true;
    this.#events.onConnected(this);
  }

  #onPong(lane: Lane): void {
    if (this.#ready) return this.#events.onPong(this, lane);
    if (this.#draining || [...this.lanes].some((each) => each.pinged)) return;
    this.#ready = true;
    this.#events.onReady(this);
  }

  #onRecalled(head: ReadonlyMap<string, string>): void {
    const ids = (head.get('ids') ?? '').split(' ').filter(Boolean).map(Number);
    for (const lane of this.lanes) {
      if (lane.number === Number(head.get('lane'))) this.#events.onRecalled(lane, lane.takeBack(ids));
    }
  }

  #onLaneClosed(lane: Lane, error: FrameError | null): void {
    this.lanes.delete(lane);
    if (error !== null) this.#events.warn(`Worker ${this.id} (pid ${this.#pid}): ${error.message}`);
    this.#events.onLaneGone(this, lane);
    this.settle();
  }

  /** Nobody waits for this request any longer. */
  abandon(id: number): void {
    this.#control?.write(encodeFrame({ kind: KIND.ABANDON, id }));
  }

  /** Asks for the answers that are finished on this lane, and for the requests that have not been started. */
  recall(lane: Lane): void {
    const ids = lane.isParallel ? `\0ids\0${lane.ids.join(' ')}` : '';
    this.#control?.write(encodeFrame({ kind: KIND.RECALL, id: 0, head: `lane\0${lane.number}${ids}` }));
  }

  /** Asks where this request is, and raises an exception there. */
  interrupt(id: number): void {
    this.dump(id);
    this.#control?.write(encodeFrame({ kind: KIND.INTERRUPT, id }));
  }

  /** Asks for the stack of one request, or with 0 of every thread. */
  dump(id: number): void {
    this.#control?.write(encodeFrame({ kind: KIND.DUMP, id }));
  }

  /** Its log files have been moved. */
  reopenLogs(): void {
    this.#control?.write(encodeFrame({ kind: KIND.REOPEN, id: 0 }));
  }

  /** Gives it nothing more, and lets it leave once it has nothing left. */
  drain(): void {
    this.#draining = true;
    this.settle();
  }

  /** Call it whenever a request has ended. */
  settle(): void {
    if (!this.#draining || this.#control === null || this.inFlight > 0) return;
    this.#control.end(encodeFrame({ kind: KIND.DRAIN, id: 0 }));
    this.#control = null;
  }

  /** The process is dead. */
  gone(): void {
    setTimeout(() => {
      this.#control?.destroy();
      for (const lane of this.lanes) lane.destroy();
    }, LAST_WORDS_MS).unref();
  }
}

export interface Introduction {
  /** Head of the HELLO frame. */
  readonly hello: ReadonlyMap<string, string>;
  readonly decoder: FrameDecoder;
  /** Frames that came with it. */
  readonly rest: readonly Frame[];
}

/** Waits for the HELLO frame of a new gateway connection. */
export function introduce(socket: Socket, callback: (introduction: Introduction) => void): void {
  const decoder = new FrameDecoder();
  const onData = (chunk: Buffer) => {
    let frames: Frame[];
    try {
      frames = decoder.push(chunk);
    } catch {
      socket.destroy();
      return;
    }
    const [first, ...rest] = frames;
    if (first === undefined) return;
    socket.off('data', onData);
    if (first.kind !== KIND.HELLO) return void socket.destroy();
    callback({ hello: new Map(pairs(first.head)), decoder, rest });
  };
  socket.on('data', onData);
  socket.on('error', () => {});
}

function toStack({ id, head, body }: Frame): Stack {
  return { id, thread: new Map(pairs(head)).get('thread') ?? '', text: body.toString('utf8') };
}

function* pairs(head: string): Generator<[string, string]> {
  const words = head.split('\0');
  for (let i = 0; i + 1 < words.length; i += 2) yield [words[i] ?? '', words[i + 1] ?? ''];
}

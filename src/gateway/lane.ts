import type { Socket } from 'node:net';
import { encodeFrame, FLAG, type Frame, type FrameDecoder, FrameError, KIND } from './frames.ts';

/** A request that is under way on a lane. */
export interface LaneJob {
  /** `GET /path`, for people. */
  readonly title: string;
  /** When it was sent, then when it came to the head of its lane, by `performance.now()`. */
  readonly startedAt: number;
  /** Nothing is before it on the lane any more. */
  onHead(): void;
  /** A frame of its answer. `done` with the last one: the lane has already given it up then. */
  onFrame(frame: Frame, done: boolean): void;
  /** The lane ended before the answer was complete. */
  onLost(loss: Loss): void;
}

export interface Loss {
  /** What came on it was no protocol. */
  readonly error: FrameError | null;
  /**
   * The worker died with bytes of ours unread, so the last request never reached it whole, and no code has seen it. Linux
   * tells by ECONNRESET in place of an end (unix_release_sock in net/unix/af_unix.c), or by EPIPE.
   */
  readonly unread: boolean;
}

export interface LaneOptions {
  readonly socket: Socket;
  readonly decoder: FrameDecoder;
  /** Which of its worker's. */
  readonly number: number;
  /** Requests it works on at once. */
  readonly capacity: number;
  /** Requests it can be sent at once. */
  readonly batch: number;
  /** `fifo`: answers come in the order of the requests; `any`: by their ids alone. */
  readonly order: 'fifo' | 'any';
  readonly onPong: (lane: Lane) => void;
  /** So many answers were completed by what has just been read. */
  readonly onAnswered: (lane: Lane, count: number) => void;
  readonly onClose: (lane: Lane, error: FrameError | null) => void;
}

/** The front's end of one lane: sends requests and gives each frame that comes back to the job it answers. */
export class Lane {
  readonly number: number;
  readonly capacity: number;
  readonly batch: number;
  readonly #socket: Socket;
  readonly #decoder: FrameDecoder;
  readonly #order: 'fifo' | 'any';
  /** What is under way, in the order in which it was sent, and its ids. Arrays: they are short, and leave no garbage. */
  readonly #jobs: LaneJob[] = [];
  readonly #ids: number[] = [];
  /** Jobs whose clients lag behind. */
  readonly #slow = new Set<LaneJob>();
  readonly #onPong: (lane: Lane) => void;
  readonly #onAnswered: (lane: Lane, count: number) => void;
  /** Frames of this turn of the event loop. */
  #out: Buffer[] = [];
  #answered = 0;
  #error: FrameError | null = null;
  #pinged = false;
  #unread = false;
  /** Id of the request whose frame was written last: should any bytes be unread, so is that. 0 after any other frame. */
  #last = 0;

  constructor(options: LaneOptions) {
    const { socket, decoder, order, onClose } = options;
    this.#socket = socket;
    this.#decoder = decoder;
    this.number = options.number;
    this.capacity = options.capacity;
    this.batch = options.batch;
    this.#order = order;
    this.#onPong = options.onPong;
    this.#onAnswered = options.onAnswered;
    socket.on('data', (chunk: Buffer) => this.#onData(chunk));
    socket.on('error', ({ code }: NodeJS.ErrnoException) => {
      this.#unread = code === 'ECONNRESET' || code === 'EPIPE';
    });
    socket.on('close', () => {
      const lost = this.#jobs.splice(0);
      const ids = this.#ids.splice(0);
      // One that was taken back may lie there unread, too, behind one that has begun.
      const unread = this.#unread && lost.length === 1 && ids[0] === this.#last;
      onClose(this, this.#error);
      for (const job of lost) job.onLost({ error: this.#error, unread });
    });
  }

  /** Requests under way. */
  get inFlight(): number {
    return this.#jobs.length;
  }

  /** Answers come in any order: what runs here runs side by side. */
  get isParallel(): boolean {
    return this.#order === 'any';
  }

  /** The ids of what is under way. */
  get ids(): readonly number[] {
    return this.#ids;
  }

  /** Takes a frame that is to be answered, which leaves with `flush`; `job` gets what comes back for `id`. */
  send(id: number, { job, frame }: { readonly job: LaneJob; readonly frame: Buffer }): void {
    this.#ids.push(id);
    this.#jobs.push(job);
    this.#out.push(frame);
    this.#last = id;
    if (this.#order === 'any' || this.#jobs.length === 1) job.onHead();
  }

  /** Takes a frame that is not answered, and leaves with the next one, or with `flush`. */
  tell(frame: Buffer): void {
    this.#out.push(frame);
    this.#last = 0;
  }

  /** Writes what was sent: one system call wakes the worker once for all of it. */
  flush(): void {
    const frames = this.#out;
    if (frames.length === 0) return;
    this.#out = [];
    this.#socket.write(frames.length === 1 ? (frames[0] as Buffer) : Buffer.concat(frames));
  }

  /** The worker has given these up. @returns those of them that were under way, in their order; nothing more comes for them. */
  takeBack(ids: readonly number[]): LaneJob[] {
    const head = this.#head;
    const taken = ids.flatMap((id) => this.#remove(this.#ids.indexOf(id)) ?? []);
    if (this.#order === 'fifo' && this.#head !== head) this.#head?.onHead();
    return taken;
  }

  /** The request that is answered next, on a lane of order `fifo`. */
  get #head(): LaneJob | undefined {
    return this.#jobs[0];
  }

  #remove(index: number): LaneJob | undefined {
    if (index < 0) return undefined;
    if (index > 0) this.#ids.splice(index, 1);
    else this.#ids.shift();
    return index > 0 ? this.#jobs.splice(index, 1)[0] : this.#jobs.shift();
  }

  /** Nothing is before it on this lane. */
  isHead(job: LaneJob): boolean {
    return this.#order === 'any' || this.#head === job;
  }

  /** What runs here. */
  get jobs(): Iterable<LaneJob> {
    return this.#jobs;
  }

  /** Its PONG is due: it should get no request before that. */
  get pinged(): boolean {
    return this.#pinged;
  }

  ping(): void {
    this.#pinged = true;
    this.#last = 0;
    this.#socket.write(encodeFrame({ kind: KIND.PING, id: 0 }));
  }

  /** No answers are read: all that run here wait for a client of one of them. */
  get paused(): boolean {
    return this.#order === 'fifo' && this.#slow.size > 0;
  }

  /**
   * Makes the worker wait with this answer until `resume` is called for the same job: where answers come in order by not
   * reading any, where they do not by asking for that.
   */
  pause(job: LaneJob): void {
    if (this.#slow.has(job)) return;
    this.#slow.add(job);
    if (this.#order === 'fifo') this.#socket.pause();
    else this.#ask(KIND.HOLD, job);
  }

  resume(job: LaneJob): void {
    if (!this.#slow.delete(job)) return;
    if (this.#order === 'any') this.#ask(KIND.GO, job);
    else if (this.#slow.size === 0) this.#socket.resume();
  }

  /** One whose last frame has come is not asked for anything any more. */
  #ask(kind: number, job: LaneJob): void {
    const id = this.#ids[this.#jobs.indexOf(job)];
    if (id === undefined || !this.#socket.writable) return;
    this.#last = 0;
    this.#socket.write(encodeFrame({ kind, id }));
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** Bytes that arrived together with HELLO, and every byte after it. */
  #onData(chunk: Buffer): void {
    try {
      for (const frame of this.#decoder.push(chunk)) this.take(frame);
    } catch (error) {
      if (!(error instanceof FrameError)) throw error;
      this.#error = error;
      this.#socket.destroy();
    }
    const count = this.#answered;
    this.#answered = 0;
    if (count > 0) this.#onAnswered(this, count);
  }

  /** Handles one frame from the worker. @throws {FrameError} when it answers nothing that was asked. */
  take(frame: Frame): void {
    if (frame.kind === KIND.PONG) {
      if (!this.#pinged) return;
      this.#pinged = false;
      return this.#onPong(this);
    }
    const index = this.#order === 'any' ? this.#ids.indexOf(frame.id) : this.#ids[0] === frame.id ? 0 : -1;
    const job = this.#jobs[index];
    if (job === undefined) {
      throw new FrameError(
        `A frame of kind ${frame.kind} answers request ${frame.id}, which is not its turn.`,
      );
    }
    switch (frame.kind) {
      case KIND.RESPONSE:
      case KIND.BODY:
      case KIND.FILE:
      case KIND.FAILED: {
        const done =
          (frame.flags & FLAG.LAST) !== 0 || frame.kind === KIND.FAILED || frame.kind === KIND.FILE;
        if (done) {
          this.#remove(index);
          this.#answered++;
        }
        job.onFrame(frame, done);
        if (done && this.#order === 'fifo') this.#head?.onHead();
        return;
      }
      case KIND.EARLY:
        return job.onFrame(frame, false);
      default:
        throw new FrameError(`A frame of kind ${frame.kind} does not belong on a lane.`);
    }
  }
}

import type { Socket } from 'node:net';
import { encodeFrame, FLAG, type Frame, FrameDecoder, FrameError, KIND } from '../gateway/frames.ts';
import { type Carrier, FrontCall } from './call.ts';
import type { Claims } from './claims.ts';

export interface WorkerLaneOptions {
  readonly socket: Socket;
  readonly claims: Claims;
  readonly logEnviron: readonly string[];
  /** `SCRIPT_NAME` of the application; empty for none. */
  readonly prefix: string;
  /** Runs the application; the call tells the lane when it is over. */
  readonly run: (call: FrontCall) => void;
  readonly onError: (message: string) => void;
  readonly onClose: () => void;
  /** Nothing runs any more. */
  readonly onIdle: () => void;
}

/** More than this in our own memory is more than the front takes at the moment: who streams has to wait. */
const FULL_BYTES = 1024 * 1024;

/** The worker's end of its lane: every request is begun when it is read, and answered when it is ready. */
export class WorkerLane implements Carrier {
  readonly #options: WorkerLaneOptions;
  readonly #socket: Socket;
  readonly #decoder = new FrameDecoder();
  readonly #calls = new Map<number, FrontCall>();
  /** Frames of this turn of the event loop: one system call wakes the front once for all of them. */
  #out: Buffer[] = [];

  constructor(options: WorkerLaneOptions) {
    const { socket } = options;
    this.#options = options;
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => this.#onData(chunk));
    socket.on('drain', () => this.#drain());
    socket.on('error', () => {});
    socket.on('close', () => this.#onClose());
  }

  get logEnviron(): readonly string[] {
    return this.#options.logEnviron;
  }

  get full(): boolean {
    return this.#socket.writableLength > FULL_BYTES;
  }

  /** Requests under way. */
  get size(): number {
    return this.#calls.size;
  }

  call(id: number): FrontCall | undefined {
    return this.#calls.get(id);
  }

  /** A block of an unfinished answer is on its way before the next is asked for (PEP 3333, "Buffering and Streaming"). */
  send(frame: Buffer, last: boolean): void {
    this.#out.push(frame);
    if (!last) this.#flush();
    else if (this.#out.length === 1) setImmediate(() => this.#flush());
  }

  ended(call: FrontCall): void {
    this.#calls.delete(call.id);
    if (this.#calls.size === 0) this.#options.onIdle();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** Writes what is there, then ends the connection. */
  end(): void {
    this.#flush();
    this.#socket.end();
  }

  #flush(): void {
    const frames = this.#out;
    if (frames.length === 0 || this.#socket.destroyed) return;
    this.#out = [];
    this.#socket.write(frames.length === 1 ? (frames[0] as Buffer) : Buffer.concat(frames));
  }

  #onData(chunk: Buffer): void {
    try {
      for (const frame of this.#decoder.push(chunk)) this.#take(frame);
    } catch (error) {
      if (!(error instanceof FrameError)) throw error;
      this.#options.onError(`The front sent what is no frame: ${error.message}`);
      this.#socket.destroy();
    }
  }

  #take(frame: Frame): void {
    switch (frame.kind) {
      case KIND.REQUEST:
        // What was given back while this thread was busy is run by another worker.
        if (this.#options.claims.begin(frame.id)) this.#begin(frame);
        return;
      case KIND.PING:
        return this.send(encodeFrame({ kind: KIND.PONG, id: frame.id }), true);
      case KIND.HOLD:
        return this.#calls.get(frame.id)?.hold();
      case KIND.GO:
        return this.#calls.get(frame.id)?.go();
    }
  }

  #begin(frame: Frame): void {
    let call: FrontCall;
    try {
      call = new FrontCall(frame, this);
    } catch (error) {
      this.#options.onError(`A request body cannot be read: ${(error as Error).message}`);
      const head = 'error\0Error\0message\0The request body cannot be read.';
      return this.send(encodeFrame({ kind: KIND.FAILED, id: frame.id, head }), true);
    }
    if (!call.shift(this.#options.prefix)) return this.#refusePath(frame.id);
    this.#calls.set(call.id, call);
    this.#options.run(call);
  }

  /** It was asked for what lies beside it: an error of the application's it is not. */
  #refusePath(id: number): void {
    const body = Buffer.from(
      `This application answers under ${this.#options.prefix} (environment variable SCRIPT_NAME).\n`,
      'latin1',
    );
    const head = [
      '404 Not Found',
      'Content-Type',
      'text/plain; charset=utf-8',
      'Content-Length',
      body.length,
    ];
    this.send(encodeFrame({ kind: KIND.RESPONSE, flags: FLAG.LAST, id, head: head.join('\0'), body }), true);
  }

  #drain(): void {
    for (const call of this.#calls.values()) call.drain();
  }

  #onClose(): void {
    for (const call of this.#calls.values()) call.abandon();
    this.#options.onClose();
  }
}

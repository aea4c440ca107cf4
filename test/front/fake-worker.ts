/** A worker of the test's own, which speaks frames over a real UNIX socket. */
import { connect, type Socket } from 'node:net';
import { encodeFrame, FLAG, type Frame, FrameDecoder, KIND } from '../../src/gateway/frames.ts';

export interface FakeWorkerOptions {
  readonly path: string;
  readonly id?: number;
  readonly pid?: number;
  readonly lanes?: number;
  readonly capacity?: number;
  readonly order?: 'fifo' | 'any';
  readonly batch?: number;
  /** What to do with each REQUEST; requests may wait for this worker already. */
  readonly onRequest?: (frame: Frame, wire: Wire) => void;
}

/** One connection, and the frames that came on it. */
export class Wire {
  readonly socket: Socket;
  readonly frames: Frame[] = [];
  /** What to do with each REQUEST. */
  onRequest: (frame: Frame, wire: Wire) => void = () => {};
  /** Whether it answers PING, which is then not among `frames`. */
  alive = true;
  readonly #decoder = new FrameDecoder();

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      for (const frame of this.#decoder.push(chunk)) {
        if (frame.kind === KIND.PING && this.alive) {
          this.send(KIND.PONG);
          continue;
        }
        this.frames.push(frame);
        if (frame.kind === KIND.REQUEST) this.onRequest(frame, this);
      }
    });
  }

  send(kind: number, { id = 0, flags = 0, head = [], body = '' }: SendOptions = {}): void {
    this.socket.write(encodeFrame({ kind, id, flags, head: head.join('\0'), body: Buffer.from(body) }));
  }

  /** A whole answer in one frame. */
  answer(id: number, body: string | Buffer, status = '200 OK'): void {
    this.send(KIND.RESPONSE, { id, flags: FLAG.LAST, head: [status], body });
  }

  kinds(): number[] {
    return this.frames.map((frame) => frame.kind);
  }
}

export interface SendOptions {
  readonly id?: number;
  readonly flags?: number;
  readonly head?: readonly string[];
  readonly body?: string | Buffer;
}

export class FakeWorker {
  readonly id: number;
  readonly control: Wire;
  readonly lanes: Wire[];
  readonly #options: FakeWorkerOptions;

  constructor(control: Wire, lanes: Wire[], options: FakeWorkerOptions) {
    this.id = options.id ?? 1;
    this.control = control;
    this.lanes = lanes;
    this.#options = options;
  }

  /** The first lane. */
  get lane(): Wire {
    return this.lanes[0] as Wire;
  }

  onRequest(handle: (frame: Frame, wire: Wire) => void): void {
    for (const lane of this.lanes) lane.onRequest = handle;
  }

  helloControl(): void {
    const { pid = 4711 } = this.#options;
    const head = [
      'role',
      'control',
      'worker',
      `${this.id}`,
      'pid',
      `${pid}`,
      'lanes',
      `${this.lanes.length}`,
    ];
    this.control.send(KIND.HELLO, { head });
  }

  helloLane(index: number): void {
    const { capacity = 1, order = 'fifo', batch = 1 } = this.#options;
    const head = [
      'role',
      'lane',
      'worker',
      `${this.id}`,
      'lane',
      `${index}`,
      'capacity',
      `${capacity}`,
      'order',
      order,
      'batch',
      `${batch}`,
    ];
    this.lanes[index]?.send(KIND.HELLO, { head });
  }

  ready(): void {
    this.control.send(KIND.READY);
  }

  /** All connections end, as when the process dies. */
  die(): void {
    for (const wire of [this.control, ...this.lanes]) wire.socket.destroy();
  }
}

/** Connects without saying anything. */
export async function dial(options: FakeWorkerOptions): Promise<FakeWorker> {
  const count = options.lanes ?? 1;
  const sockets = Array.from({ length: count + 1 }, () => connect(options.path));
  await Promise.all(sockets.map((socket) => new Promise((resolve) => socket.once('connect', resolve))));
  const [control, ...lanes] = sockets.map((socket) => new Wire(socket)) as [Wire, ...Wire[]];
  return new FakeWorker(control, lanes, options);
}

/** Connects, and says that it is ready. */
export async function startWorker(options: FakeWorkerOptions): Promise<FakeWorker> {
  const worker = await dial(options);
  if (options.onRequest !== undefined) worker.onRequest(options.onRequest);
  worker.helloControl();
  for (const index of worker.lanes.keys()) worker.helloLane(index);
  worker.ready();
  return worker;
}

/** The head of a REQUEST as a map. */
export function environOf(frame: Frame): Map<string, string> {
  const words = frame.head.split('\0');
  return new Map(words.flatMap((word, i) => (i % 2 === 0 ? [[word, words[i + 1] ?? '']] : [])));
}

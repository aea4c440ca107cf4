/**
 * A stand-in for the arbiter and the front around one real Python worker: a socket pair on descriptor 3, a
 * UNIX socket where lanes and control arrive, and promises for what the worker says.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { encodeFrame, FLAG, type Frame, FrameDecoder, KIND } from '../../src/gateway/frames.ts';
import type { FromZygote, WorkerStart } from '../../src/messages.ts';
import { python } from '../support/python.ts';

const script = join(import.meta.dirname, '../../python/tunicorn-worker.py');
const PATIENCE_MS = 20_000;

/** Fails with the text when the promise takes longer than a generous bound. */
export async function within<T>(promise: Promise<T>, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: nothing for ${PATIENCE_MS} ms`)), PATIENCE_MS);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** A list of things that arrive, and those who wait for one that fits. */
class Arrivals<T> {
  readonly all: T[] = [];
  #waiting: (() => void)[] = [];

  add(item: T): void {
    this.all.push(item);
    for (const wake of this.#waiting.splice(0)) wake();
  }

  async first<S extends T>(fits: (item: T) => item is S, what: string): Promise<S>;
  async first(fits: (item: T) => boolean, what: string): Promise<T>;
  async first(fits: (item: T) => boolean, what: string): Promise<T> {
    for (;;) {
      const item = this.all.find(fits);
      if (item !== undefined) return item;
      await within(new Promise<void>((resolve) => this.#waiting.push(resolve)), what);
    }
  }
}

/** A whole answer, put together from its frames. */
export interface Answer {
  readonly id: number;
  readonly status: string;
  readonly fields: readonly (readonly [string, string])[];
  readonly body: Buffer;
  /** Set when the answer ended in a FAILED frame. */
  readonly failed: { readonly error: string; readonly message: string; readonly traceback: string } | null;
  readonly frames: readonly Frame[];
}

/** One connection of the worker to the front. */
export class Connection {
  readonly hello: ReadonlyMap<string, string>;
  readonly socket: Socket;
  readonly frames = new Arrivals<Frame>();
  closed = false;
  #ends = new Arrivals<true>();

  constructor(socket: Socket, hello: Frame) {
    this.socket = socket;
    this.hello = toMap(hello.head);
    socket.on('close', () => {
      this.closed = true;
      this.#ends.add(true);
    });
  }

  get role(): string {
    return this.hello.get('role') ?? '';
  }

  async ended(): Promise<void> {
    await this.#ends.first(() => true, 'the end of a connection');
  }

  write(...bytes: Buffer[]): void {
    this.socket.write(Buffer.concat(bytes));
  }

  async answer(id: number): Promise<Answer> {
    const isEnd = (frame: Frame): boolean =>
      frame.id === id && (frame.kind === KIND.FAILED || (frame.flags & FLAG.LAST) !== 0);
    await this.frames.first(isEnd, `the answer to request ${id}`);
    return toAnswer(
      id,
      this.frames.all.filter((frame) => frame.id === id),
    );
  }
}

function toMap(head: string): Map<string, string> {
  const parts = head === '' ? [] : head.split('\0');
  return new Map(
    Array.from({ length: parts.length / 2 }, (_, at) => [parts[2 * at] ?? '', parts[2 * at + 1] ?? '']),
  );
}

function toAnswer(id: number, frames: readonly Frame[]): Answer {
  const response = frames.find((frame) => frame.kind === KIND.RESPONSE);
  const failure = frames.find((frame) => frame.kind === KIND.FAILED);
  const [status = '', ...rest] = response === undefined ? [] : response.head.split('\0');
  const fields = Array.from(
    { length: rest.length / 2 },
    (_, at) => [rest[2 * at] ?? '', rest[2 * at + 1] ?? ''] as const,
  );
  const said = toMap(failure?.head ?? '');
  return {
    id,
    status,
    fields,
    body: Buffer.concat(frames.filter((frame) => frame.kind !== KIND.FAILED).map((frame) => frame.body)),
    failed:
      failure === undefined
        ? null
        : {
            error: said.get('error') ?? '',
            message: said.get('message') ?? '',
            traceback: failure.body.toString('utf8'),
          },
    frames,
  };
}

/** What the front would send for `GET /`. */
export const BASE_HEAD: Readonly<Record<string, string>> = {
  REQUEST_METHOD: 'GET',
  SCRIPT_NAME: '',
  PATH_INFO: '/',
  QUERY_STRING: '',
  SERVER_NAME: '127.0.0.1',
  SERVER_PORT: '8000',
  SERVER_PROTOCOL: 'HTTP/1.1',
  REMOTE_ADDR: '127.0.0.1',
  REMOTE_PORT: '54321',
  RAW_URI: '/',
  REQUEST_URI: '/',
  'wsgi.url_scheme': 'http',
  HTTP_HOST: '127.0.0.1:8000',
};

export interface Request {
  readonly method?: string;
  readonly path?: string;
  readonly environ?: Readonly<Record<string, string>>;
  readonly body?: Buffer;
  /** Path of a file that holds the body. */
  readonly spool?: string;
}

/** A REQUEST frame. */
export function requestFrame(id: number, request: Request = {}): Buffer {
  const path = request.path ?? '/';
  const environ = {
    ...BASE_HEAD,
    REQUEST_METHOD: request.method ?? 'GET',
    PATH_INFO: path,
    RAW_URI: path,
    REQUEST_URI: path,
    ...request.environ,
  };
  const head = Object.entries(environ).flat().join('\0');
  if (request.spool !== undefined) {
    return encodeFrame({
      kind: KIND.REQUEST,
      flags: FLAG.SPOOLED,
      id,
      head,
      body: Buffer.from(request.spool),
    });
  }
  return encodeFrame({ kind: KIND.REQUEST, id, head, body: request.body ?? Buffer.alloc(0) });
}

export interface Options {
  /** Python source of `app.py`, which defines `application`. */
  readonly app?: string;
  /** Further files of the application's folder. */
  readonly files?: Readonly<Record<string, string>>;
  readonly start?: Partial<WorkerStart> | ((folder: string) => Partial<WorkerStart>);
  readonly python?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** A command in front of the worker's: it becomes the worker's parent. */
  readonly wrap?: readonly string[];
}

type OfWorker = Extract<FromZygote, { worker: number }>;

/** One worker, with the ends that arbiter and front hold. Give it back with `await using`, or `close()`. */
export class Harness {
  readonly folder = mkdtempSync(join(tmpdir(), 'tunicorn-'));
  readonly said = new Arrivals<FromZygote>();
  readonly connections = new Arrivals<Connection>();
  readonly start: WorkerStart;
  child: ChildProcess;
  exit: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  #server: Server | null = null;
  #next = 1;
  #stderr = '';

  private constructor(options: Options) {
    const files = { ...(options.app === undefined ? {} : { 'app.py': options.app }), ...options.files };
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(dirname(join(this.folder, 'site', name)), { recursive: true });
      writeFileSync(join(this.folder, 'site', name), text);
    }
    mkdirSync(join(this.folder, 'site'), { recursive: true });
    const log = openSync(join(this.folder, 'error.log'), 'a');
    const given = typeof options.start === 'function' ? options.start(this.folder) : options.start;
    const start = { ...this.#defaults(), ...given };
    this.start = start;
    const command = [...(options.wrap ?? []), options.python ?? python().path, script, 'name', start.app];
    this.child = spawn(command[0] ?? '', command.slice(1), {
      cwd: this.folder,
      env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1', ...options.env },
      stdio: ['ignore', 'pipe', 'pipe', 'pipe', log],
    });
    closeSync(log);
    this.child.stderr?.on('data', (data: Buffer) => {
      this.#stderr += data.toString();
    });
    this.exit = new Promise((resolve) =>
      this.child.once('exit', (code, signal) => resolve({ code, signal })),
    );
    this.#listenToWorker();
    this.arbiter.write(`${JSON.stringify(start)}\n`);
  }

  /** Starts a front and a worker, and waits for neither. */
  static async open(options: Options): Promise<Harness> {
    const harness = new Harness(options);
    await harness.listen();
    return harness;
  }

  /** Starts a worker that is ready to take requests. */
  static async ready(options: Options): Promise<Harness> {
    const harness = await Harness.open(options);
    await harness.control();
    return harness;
  }

  get gateway(): string {
    return join(this.folder, 'gateway');
  }

  /** Standard error of the worker so far. */
  get stderr(): string {
    return this.#stderr;
  }

  get errorLog(): string {
    return readFileSync(join(this.folder, 'error.log'), 'utf8');
  }

  /** The arbiter's end of descriptor 3. */
  get arbiter(): Socket {
    return this.child.stdio[3] as Socket;
  }

  get pid(): number {
    return this.child.pid ?? -1;
  }

  #defaults(): WorkerStart {
    return {
      mode: 'worker',
      worker: 1,
      generation: 1,
      app: 'app:application',
      gateway: this.gateway,
      threads: 1,
      control: 'signal',
      multiprocess: false,
      chdir: join(this.folder, 'site'),
      pythonpath: [],
      errorLog: 4,
      logLevel: 'info',
      logEnviron: [],
      serverSoftware: 'tunicorn/0.1.0',
      umask: 0o022,
      hooks: '',
      errorLogfile: '',
      captured: false,
      stackFile: '',
    };
  }

  #listenToWorker(): void {
    let text = '';
    this.arbiter.on('error', () => {});
    this.arbiter.on('data', (data: Buffer) => {
      text += data.toString();
      const lines = text.split('\n');
      text = lines.pop() ?? '';
      for (const line of lines) this.said.add(JSON.parse(line) as FromZygote);
    });
  }

  /** Listens on the gateway's path, as a front does. */
  async listen(): Promise<void> {
    rmSync(this.gateway, { force: true });
    const server = createServer((socket) => this.#accept(socket));
    this.#server = server;
    await new Promise<void>((resolve) => server.listen(this.gateway, resolve));
  }

  #accept(socket: Socket): void {
    const decoder = new FrameDecoder();
    let connection: Connection | undefined;
    socket.on('error', () => {});
    socket.on('data', (data) => {
      for (const frame of decoder.push(data)) {
        if (connection === undefined) {
          connection = new Connection(socket, frame);
          this.connections.add(connection);
        } else {
          connection.frames.add(frame);
        }
      }
    });
  }

  /** Ends the front: its listening socket and every connection. */
  async killFront(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    const closed = new Promise<void>((resolve) =>
      server === null ? resolve() : server.close(() => resolve()),
    );
    for (const connection of this.connections.all.splice(0)) connection.socket.destroy();
    await closed;
  }

  /** Asks a zygote for one more worker. @returns its pid. */
  async fork(worker: number, start: Partial<WorkerStart> = {}): Promise<number> {
    this.arbiter.write(`${JSON.stringify({ fork: { ...this.start, mode: 'worker', worker, ...start } })}\n`);
    const { pid } = await this.told('forked', worker);
    return pid;
  }

  /** What a zygote says of one of its workers. */
  async told<E extends OfWorker['event']>(
    event: E,
    worker: number,
  ): Promise<Extract<OfWorker, { event: E }>> {
    const isIt = (said: FromZygote): said is Extract<OfWorker, { event: E }> =>
      said.event === event && 'worker' in said && said.worker === worker;
    return this.said.first(isIt, `${event} of worker ${worker}`);
  }

  /** The control connection, once it has said READY. */
  async control(worker = this.start.worker): Promise<Connection> {
    const isIt = ({ role, hello }: Connection) =>
      role === 'control' && hello.get('worker') === String(worker);
    const arrival = this.connections.first(isIt, 'control');
    const connection = await Promise.race([arrival, this.#failure()]);
    await connection.frames.first((frame) => frame.kind === KIND.READY, 'READY');
    return connection;
  }

  async #failure(): Promise<never> {
    const { code, signal } = await this.exit;
    throw new Error(
      `The worker left with ${code ?? signal}: ${JSON.stringify(this.said.all)} ${this.#stderr}`,
    );
  }

  async lane(number = 0, worker = this.start.worker): Promise<Connection> {
    const isIt = ({ role, hello }: Connection): boolean =>
      role === 'lane' && hello.get('lane') === String(number) && hello.get('worker') === String(worker);
    return this.connections.first(isIt, `lane ${number}`);
  }

  /** Sends one request on a lane and waits for its whole answer. */
  async ask(request: Request = {}, lane = 0, worker = this.start.worker): Promise<Answer> {
    const id = this.#next++;
    const connection = await this.lane(lane, worker);
    connection.write(requestFrame(id, request));
    return connection.answer(id);
  }

  /** Sends a frame without parts on the control connection. */
  async order(kind: number, id = 0, worker = this.start.worker): Promise<void> {
    (await this.control(worker)).write(encodeFrame({ kind, id }));
  }

  /** Kills what is still there and removes the folder. */
  async close(): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill('SIGKILL');
    await within(this.exit, 'the end of the worker');
    this.arbiter.destroy();
    await this.killFront();
    rmSync(this.folder, { recursive: true, force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

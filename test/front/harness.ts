/** Client connections of the front on real sockets, with a handler of the test's own instead of workers. */
import { mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, vi } from 'vitest';
import type { Outcome } from '../../src/front/client-context.ts';
import { Clients, type ClientsOptions } from '../../src/front/clients.ts';
import { Deadlines } from '../../src/front/deadlines.ts';
import { Room } from '../../src/front/room.ts';
import type { Exchange } from '../../src/http/exchange.ts';
import type { Fields } from '../../src/http/types.ts';
import { type Connection, connect } from '../support/client.ts';

export interface StageOptions extends Partial<ClientsOptions> {
  readonly memoryLimit?: number;
  readonly spoolLimit?: number;
  readonly spoolDir?: string;
  /** Listen on a UNIX socket. */
  readonly unix?: boolean;
}

/** A listening server as the front makes it. Its end checks that nothing of a client is left. */
export class Stage implements AsyncDisposable {
  readonly clients: Clients;
  readonly room: Room;
  readonly server: Server;
  readonly outcomes: Outcome[] = [];
  readonly warnings: string[] = [];
  readonly folder = mkdtempSync(join(tmpdir(), 'tunicorn-front-'));
  readonly #connections: Connection[] = [];

  constructor({ unix = false, ...options }: StageOptions & Pick<ClientsOptions, 'handle'>) {
    const { memoryLimit = 256 * 1024 ** 2, spoolLimit = 8 * 1024 ** 3, spoolDir = this.folder } = options;
    const warn = (message: string) => this.warnings.push(message);
    this.room = new Room({ memoryLimit, spoolLimit, spoolDir, warn });
    this.clients = new Clients({
      limitRequestLine: 4094,
      limitRequestFields: 100,
      limitRequestFieldSize: 8190,
      limitRequestBody: 1024 ** 3,
      bodyMemory: 64 * 1024,
      keepAlive: 30,
      clientHeaderTimeout: 30,
      clientBodyTimeout: 30,
      sendTimeout: 30,
      deadlines: new Deadlines(),
      room: this.room,
      resolvePeer: (_fields, client) => client.origin,
      finished: (outcome) => this.outcomes.push(outcome),
      warn,
      ...options,
    });
    this.server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) =>
      this.clients.accept(socket, { host: '127.0.0.1', port: 80, unix }),
    );
  }

  get target(): { port: number } | { path: string } {
    const address = this.server.address() as AddressInfo | string;
    return typeof address === 'string' ? { path: address } : { port: address.port };
  }

  /** Statuses of the answers so far. */
  get statuses(): number[] {
    return this.outcomes.map((outcome) => outcome.status);
  }

  async connect(): Promise<Connection> {
    const connection = await connect(this.target);
    this.#connections.push(connection);
    return connection;
  }

  /** Spool files open now. */
  spoolFiles(): number {
    return readdirSync('/proc/self/fd').filter((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`).startsWith(`${this.folder}/tunicorn-`);
      } catch {
        return false;
      }
    }).length;
  }

  /** Waits until no client is connected, and checks that all of what they held has been given back. */
  async empty(): Promise<void> {
    await until(() => {
      expect(this.clients.clients.size).toBe(0);
      expect(this.spoolFiles()).toBe(0);
      expect(this.room.used).toEqual({ memory: 0, spooled: 0 });
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const connection of this.#connections) connection.close();
    this.server.close();
    await this.empty();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export async function openStage(
  handle: (exchange: Exchange) => void,
  options: StageOptions = {},
): Promise<Stage> {
  const stage = new Stage({ handle, ...options });
  await new Promise<void>((resolve, reject) => {
    stage.server.once('error', reject);
    if (options.unix === true) stage.server.listen(join(stage.folder, 's'), resolve);
    else stage.server.listen(0, '127.0.0.1', resolve);
  });
  return stage;
}

export interface ReplyOptions {
  readonly status?: string;
  readonly fields?: Fields;
}

/** Answers at once, with all of the body. */
export function reply(
  exchange: Exchange,
  body: string | Buffer,
  { status = '200 OK', fields = [] }: ReplyOptions = {},
): void {
  exchange.respond({ status, fields }, { body: Buffer.from(body), last: true });
  exchange.release();
}

/** Waits until `check` throws no more. */
export function until<T>(check: () => T | Promise<T>): Promise<T> {
  return vi.waitFor(check, { timeout: 20_000, interval: 5 });
}

/** Each byte tells its place, so that a lost, doubled or moved byte shows. */
export function pattern(length: number, from = 0): Buffer {
  const bytes = Buffer.alloc(length);
  for (let i = 0; i < length; i++) bytes[i] = ((i + from) * 31 + ((i + from) >> 8)) & 255;
  return bytes;
}

/** The request body, from memory or file, as a worker reads it. */
export async function bodyOf(exchange: Exchange): Promise<Buffer> {
  const { memory, file, length } = exchange.body;
  if (file === null) return memory;
  const { open } = await import('node:fs/promises');
  const handle = await open(file.path, 'r');
  const bytes = Buffer.alloc(length);
  let at = 0;
  while (at < length) {
    const { bytesRead } = await handle.read(bytes, at, length - at, at);
    if (bytesRead === 0) break;
    at += bytesRead;
  }
  await handle.close();
  return bytes.subarray(0, at);
}

/** A fixed sequence of numbers from 0 up to `below`, the same on every run. */
export function seeded(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return Math.floor((state / 2_147_483_648) * below);
  };
}

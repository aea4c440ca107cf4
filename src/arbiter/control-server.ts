/**
 * The control socket: the end of `tunicorn status` and its like in the arbiter. One connection is one order: a JSON object
 * on a line, answered by one such line. Who may open the socket (mode 0600) may give any order.
 */
import { chmodSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import type { Logger } from '../observe/log.ts';
import type { Controlled, Outcome, Status } from '../status.ts';

/** An order, as the command sends it. */
export type Order =
  | { readonly command: 'status' | 'upgrade' }
  /** `mount`: the prefix of one application; null for all of them, or the only one. */
  | { readonly command: 'reload'; readonly mount: string | null }
  | { readonly command: 'scale'; readonly order: string; readonly mount: string | null }
  | { readonly command: 'stacks'; readonly worker: number | null; readonly mount: string | null }
  | { readonly command: 'recycle'; readonly worker: number }
  | { readonly command: 'stop'; readonly quick: boolean };

/** The answer: `status` for that command, an outcome for the others. */
export type Answer = Outcome | (Outcome & { readonly status: Status });

/** No order is longer. */
const MOST_CHARS = 4096;
/** Who has connected and says nothing is in the way. */
const PATIENCE_MS = 5000;
const MOST_CONNECTIONS = 50;

export class ControlServer {
  readonly #server: Server;
  readonly #open: ReadonlySet<Socket>;

  private constructor(server: Server, open: ReadonlySet<Socket>) {
    this.#server = server;
    this.#open = open;
  }

  /** Listens on `path`. @throws {Error} with the system's code when that cannot be. */
  static open(
    path: string,
    { controlled, log }: { controlled: Controlled; log: Logger },
  ): Promise<ControlServer> {
    const open = new Set<Socket>();
    const server = createServer((socket) => {
      open.add(socket);
      socket.once('close', () => open.delete(socket));
      converse(socket, { controlled, log });
    });
    server.maxConnections = MOST_CONNECTIONS;
    // From its first moment: a umask, since a chmod afterwards would come too late for somebody quick.
    const umask = process.umask(0o177);
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(path, () => {
        chmodSync(path, 0o600);
        resolve(new ControlServer(server, open));
      });
      process.umask(umask);
    });
  }

  /** Whoever waits for the end of the server hears of it now. Nobody is waited for. */
  close(): void {
    this.#server.close();
    for (const socket of this.#open) socket.end().unref();
  }
}

interface Context {
  readonly controlled: Controlled;
  readonly log: Logger;
}

function converse(socket: Socket, context: Context): void {
  let text = '';
  const refuse = (why: string) => void socket.end(`${JSON.stringify({ ok: false, text: why })}\n`);
  const timer = setTimeout(() => refuse('No order came.'), PATIENCE_MS);
  socket.setEncoding('utf8');
  // A client that leaves changes nothing.
  socket.on('error', () => {});
  socket.on('close', () => clearTimeout(timer));
  const onData = (chunk: string) => {
    text += chunk;
    const end = text.indexOf('\n');
    if (end < 0 && text.length <= MOST_CHARS) return;
    clearTimeout(timer);
    socket.off('data', onData);
    socket.resume();
    const order = end < 0 ? null : parseOrder(text.slice(0, end));
    if (order === null) return refuse('This is no order that Tunicorn knows.');
    void answer(order, context).then((said) => {
      socket.write(`${JSON.stringify(said)}\n`);
      // The end of the process ends this connection, and so tells who waits for it.
      if (order.command !== 'stop' || !said.ok) socket.end();
    });
  };
  socket.on('data', onData);
}

async function answer(order: Order, { controlled, log }: Context): Promise<Answer> {
  try {
    return await obey(order, controlled);
  } catch (error) {
    // The arbiter goes on, whatever is wrong with one order.
    log.error(`tunicorn ${order.command} failed: ${error instanceof Error ? error.stack : error}`);
    return { ok: false, text: 'It failed for a reason that nobody foresaw; the error log has the details.' };
  }
}

async function obey(order: Order, controlled: Controlled): Promise<Answer> {
  switch (order.command) {
    case 'status':
      return { ok: true, text: '', status: await controlled.status() };
    case 'reload':
      return controlled.reload(order.mount);
    case 'upgrade':
      return controlled.upgrade();
    case 'scale':
      return controlled.scale(order.order, order.mount);
    case 'stacks':
      return controlled.stacks(order.worker, order.mount);
    case 'recycle':
      return controlled.recycle(order.worker);
    case 'stop':
      return controlled.stop(order.quick);
    default:
      return order satisfies never;
  }
}

/** Null for what is none. */
function parseOrder(line: string): Order | null {
  let value: Record<string, unknown>;
  try {
    value = { ...(JSON.parse(line) as object) };
  } catch {
    return null;
  }
  const { command, order, worker, quick } = value;
  const mount = typeof value.mount === 'string' ? value.mount : null;
  const isNumber = typeof worker === 'number' && Number.isSafeInteger(worker);
  if (command === 'status' || command === 'upgrade') return { command };
  if (command === 'reload') return { command, mount };
  if (command === 'scale' && typeof order === 'string') return { command, order, mount };
  if (command === 'stacks' && (worker === null || isNumber)) return { command, worker, mount };
  if (command === 'recycle' && isNumber) return { command, worker };
  if (command === 'stop' && typeof quick === 'boolean') return { command, quick };
  return null;
}

import { createServer, type Server, type Socket } from 'node:net';
import type { Listener } from '../messages.ts';

/**
 * Accepts on a socket that the arbiter bound. `{ fd }` as first argument and the backlog as second: a backlog
 * inside the object is ignored by Node. The arbiter's copy keeps the socket, and what waits in it, alive.
 */
export function listen(listener: Listener, options: ListenOptions): Promise<Accepting> {
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    accepting.accepted++;
    options.onConnection(socket, listener);
  });
  const accepting: Accepting = { server, backlog: options.backlog, accepted: 0 };
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ fd: listener.fd }, options.backlog, () => {
      server.off('error', reject);
      // A full file table ends an accept, not the server: the kernel keeps the connection in the backlog.
      server.on('error', (error) => options.warn(`Cannot accept a connection: ${error.message}`));
      resolve(accepting);
    });
  });
}

export interface ListenOptions {
  readonly backlog: number;
  readonly onConnection: (socket: Socket, listener: Listener) => void;
  readonly warn: (message: string) => void;
}

export interface Accepting {
  readonly server: Server;
  /** Connections that can wait to be accepted. */
  readonly backlog: number;
  /** Connections accepted so far. */
  accepted: number;
}

/** Where new connections never cease, this is when it ends all the same. */
const MOST_MS = 5000;

/**
 * Accepts until a whole turn of the event loop brings no connection, or as many have come as can have waited when it began:
 * so none of the backlog is lost. Node accepts one connection a turn, and with a hundred requests to read and answer
 * meanwhile a turn takes some milliseconds.
 */
export async function closeWhenQuiet(listeners: readonly Accepting[]): Promise<void> {
  const count = () => listeners.reduce((sum, { accepted }) => sum + accepted, 0);
  // The kernel lets one more wait than it is told.
  const most = listeners.reduce((sum, { accepted, backlog }) => sum + accepted + backlog + 1, 0);
  const deadline = performance.now() + MOST_MS;
  let before = -1;
  while (before !== count() && count() < most && performance.now() < deadline) {
    before = count();
    await turn();
    await turn();
  }
  for (const { server } of listeners) server.close();
}

/** A turn of the event loop, in which the sockets were polled once. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

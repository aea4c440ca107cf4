import type { Socket } from 'node:net';
import type { SecureContext, TLSSocket } from 'node:tls';
import type { DeadlineList, Deadlines } from './deadlines.ts';
import { Link } from './line.ts';

export interface HandshakesOptions {
  readonly context: SecureContext;
  readonly deadlines: Deadlines;
  /** How long a client may take to agree on keys, in seconds; 0 for as long as it likes. */
  readonly timeout: number;
  readonly onSecure: (socket: TLSSocket, raw: Socket) => void;
}

/** Loaded only by those who use it: it takes as long as all the rest of a small server. */
const tls = () => process.getBuiltinModule('node:tls');

/** Clients that are agreeing on keys (TLS): none may take for ever, and none that fails disturbs anybody. */
export class Handshakes {
  readonly #options: HandshakesOptions;
  readonly #late: DeadlineList<Socket>;
  readonly #open = new Set<Socket>();

  constructor(options: HandshakesOptions) {
    this.#options = options;
    this.#late = options.deadlines.list<Socket>(options.timeout * 1000, (raw) => raw.destroy());
  }

  accept(raw: Socket): void {
    const { context, onSecure } = this.#options;
    const link = new Link(raw);
    this.#open.add(raw);
    this.#late.add(link);
    const socket = new (tls().TLSSocket)(raw, {
      isServer: true,
      secureContext: context,
      ALPNProtocols: ['http/1.1'],
    });
    const over = () => {
      this.#open.delete(raw);
      this.#late.delete(link);
    };
    raw.once('close', over);
    // What the other end did wrong is its own affair: it is told by TLS, and scanners fail by the thousand.
    const refuse = () => raw.destroy();
    socket.on('error', refuse);
    socket.once('secure', () => {
      over();
      socket.off('error', refuse);
      onSecure(socket, raw);
    });
  }

  /** Nobody is waited for any longer. */
  destroy(): void {
    for (const raw of this.#open) raw.destroy();
  }
}

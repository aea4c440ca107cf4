import { createServer, type Socket } from 'node:net';
import { HttpError } from '../errors.ts';
import type { LocalEnd } from '../front/client.ts';
import { Clients } from '../front/clients.ts';
import { Deadlines } from '../front/deadlines.ts';
import { Handshakes } from '../front/handshakes.ts';
import { Room } from '../front/room.ts';
import type { Exchange } from '../http/exchange.ts';
import { SERVER_SOFTWARE } from '../version.ts';
import { callOf } from './call.ts';
import { CONNECTION_DEFAULTS, type ConnectionOptions } from './connection-options.ts';
import { secureContext, type TlsOptions } from './keys.ts';
import { listen } from './listen.ts';
import { runApplication } from './run.ts';
import type { Application } from './types.ts';

/** What `makeServer` can be told: how connections are treated, and: */
export interface ServerOptions extends Partial<ConnectionOptions> {
  /** Takes what the application writes to `wsgi.errors`, its failures, and warnings. Default: standard error. */
  readonly errors?: (text: string) => void;
  /** Speak TLS, with this key and certificate: `wsgi.url_scheme` is `https` then. */
  readonly tls?: TlsOptions;
}

/**
 * A server in this process, as `wsgiref.simple_server.make_server` gives: for development, tests, and embedding.
 * It speaks Tunicorn's own HTTP/1.1, starts no process, and handles no signal. It begins to listen at once;
 * requests that come before `handleRequest` or `serveForever` wait. A port that is taken is told by the promises
 * of `ready`, `serveForever` and `handleRequest`.
 *
 * ```ts
 * await makeServer('', 8000, app).serveForever();
 * ```
 *
 * @param host Address or name to listen on; empty for every address of this machine.
 * @param port Port, or 0 for any free one: then `serverPort` says which, once it is `ready`.
 * @throws {UserError} when `options.tls` holds no key and certificate that fit.
 */
export function makeServer(
  host: string,
  port: number,
  app: Application,
  options: ServerOptions = {},
): WsgiServer {
  return new AppServer({ host, port, app, settings: { ...CONNECTION_DEFAULTS, ...options } });
}

interface Parts {
  readonly host: string;
  readonly port: number;
  readonly app: Application;
  readonly settings: ConnectionOptions & ServerOptions;
}

/** Made by {@link makeServer}. */
export interface WsgiServer extends AsyncDisposable {
  /** Fulfilled when it listens. Rejected with a {@link UserError} when it cannot, which says what to do. */
  readonly ready: Promise<void>;
  /** The port it listens on. @throws {Error} for port 0 while it is not `ready`. */
  readonly serverPort: number;
  /** Answers one request, the next that comes; returns when the application is through with it. */
  handleRequest(): Promise<void>;
  /** Answers requests as they come, those of different clients side by side; returns after `shutdown`. */
  serveForever(): Promise<void>;
  /**
   * Accepts no more, finishes the answers under way, and closes every connection. `await using` calls it.
   * @param graceMs After so many milliseconds the connections that are left are cut. Default 30,000.
   */
  shutdown(graceMs?: number): Promise<void>;
}

class AppServer implements WsgiServer {
  readonly ready: Promise<void>;
  readonly #server = createServer({ allowHalfOpen: true, noDelay: true });
  readonly #host: string;
  readonly #port: number;
  readonly #app: Application;
  readonly #clients: Clients;
  readonly #deadlines = new Deadlines();
  /** Null when it does not speak TLS. */
  readonly #handshakes: Handshakes | null;
  readonly #errors: (text: string) => void;
  /** Requests that nobody has taken yet. */
  readonly #waiting = new Set<Exchange>();
  /** Calls of `handleRequest` that wait for a request. */
  readonly #takers: ((exchange: Exchange | null) => void)[] = [];
  #serving = false;
  #stopped: Promise<void> | null = null;
  #end: () => void = () => undefined;
  readonly #ended = new Promise<void>((resolve) => {
    this.#end = resolve;
  });

  constructor({ host, port, app, settings }: Parts) {
    this.#host = host;
    this.#port = port;
    this.#app = app;
    this.#errors = settings.errors ?? ((text) => process.stderr.write(text));
    this.#clients = this.#makeClients(settings);
    this.#handshakes = settings.tls === undefined ? null : this.#makeHandshakes(settings.tls, settings);
    this.#server.on('connection', (socket) => this.#accept(socket));
    this.ready = listen(this.#server, { host, port, backlog: settings.backlog }).then(() => {
      this.#server.on('error', (error) => this.#errors(`Cannot accept a connection: ${error.message}\n`));
    });
  }

  get serverPort(): number {
    const address = this.#server.address();
    if (typeof address === 'object' && address !== null) return address.port;
    if (this.#port !== 0) return this.#port;
    throw new Error('The port is not known: await `ready` first, and ask before `shutdown`.');
  }

  async handleRequest(): Promise<void> {
    await this.ready;
    const exchange = this.#take() ?? (await this.#next());
    if (exchange !== null) await this.#run(exchange);
  }

  async serveForever(): Promise<void> {
    await this.ready;
    this.#serving = true;
    for (let exchange = this.#take(); exchange !== null; exchange = this.#take()) void this.#run(exchange);
    await this.#ended;
  }

  shutdown(graceMs = 30_000): Promise<void> {
    this.#stopped ??= this.#stop(graceMs);
    return this.#stopped;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.shutdown();
  }

  async #stop(graceMs: number): Promise<void> {
    // A server that is closed before it listens would begin to listen afterwards.
    await this.ready.catch(() => undefined);
    this.#server.close();
    for (const taker of this.#takers.splice(0)) taker(null);
    const left = this.#clients.stop();
    for (let exchange = this.#take(); exchange !== null; exchange = this.#take()) {
      exchange.fail(new HttpError('stopping'));
      exchange.release();
    }
    for (const client of this.#clients.clients) client.closeIfIdle();
    this.#handshakes?.destroy();
    const late = setTimeout(() => this.#clients.destroy(), graceMs);
    await left;
    clearTimeout(late);
    this.#end();
  }

  #handle(exchange: Exchange): void {
    const taker = this.#serving ? undefined : this.#takers.shift();
    if (taker !== undefined) return taker(exchange);
    if (this.#serving) return void this.#run(exchange);
    // Until it is taken, a client that half-closes has given up.
    exchange.waiting = true;
    exchange.onGone = () => {
      this.#waiting.delete(exchange);
      exchange.release();
    };
    this.#waiting.add(exchange);
  }

  #take(): Exchange | null {
    for (const exchange of this.#waiting) {
      this.#waiting.delete(exchange);
      exchange.waiting = false;
      exchange.onGone = null;
      return exchange;
    }
    return null;
  }

  #next(): Promise<Exchange | null> {
    if (this.#stopped !== null) return Promise.resolve(null);
    return new Promise((resolve) => this.#takers.push(resolve));
  }

  #run(exchange: Exchange): Promise<void> {
    return runApplication(this.#app, callOf(exchange), {
      errors: this.#errors,
      serverSoftware: SERVER_SOFTWARE,
    });
  }

  #makeClients(settings: ConnectionOptions): Clients {
    const warn = (message: string) => this.#errors(`${message}\n`);
    return new Clients({
      ...settings,
      deadlines: this.#deadlines,
      room: new Room({ ...settings, warn }),
      // No proxy is trusted: what the socket says holds.
      resolvePeer: (_, client) => client.origin,
      handle: (exchange) => this.#handle(exchange),
      finished: () => undefined,
      warn,
    });
  }

  #makeHandshakes(tls: TlsOptions, { clientHeaderTimeout }: ConnectionOptions): Handshakes {
    return new Handshakes({
      context: secureContext(tls),
      deadlines: this.#deadlines,
      timeout: clientHeaderTimeout,
      onSecure: (socket, raw) => this.#clients.accept(socket, { ...this.#local(raw), raw }),
    });
  }

  #accept(socket: Socket): void {
    if (this.#handshakes === null) this.#clients.accept(socket, this.#local(socket));
    else this.#handshakes.accept(socket);
  }

  #local(socket: Socket): LocalEnd {
    const host = this.#host === '' ? plainAddress(socket.localAddress ?? '') : this.#host;
    return { host, port: socket.localPort ?? this.#port, unix: false };
  }
}

/** IPv4 clients of a socket that listens on every address come as `::ffff:127.0.0.1`. */
function plainAddress(address: string): string {
  return address.startsWith('::ffff:') ? address.slice('::ffff:'.length) : address;
}

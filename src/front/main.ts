/**
 * A front process: accepts clients, speaks HTTP with them, and hands their requests to workers. It does what the
 * arbiter says over IPC and nothing else: signals that reach it directly change nothing.
 */
import type { Settings } from '../config/options.ts';
import { UserError } from '../errors.ts';
import type { Exchange, Peer } from '../http/exchange.ts';
import type { Fields } from '../http/types.ts';
import type { FromFront, FrontReport, Listener, StaticMount, ToFront } from '../messages.ts';
import { AccessLog } from '../observe/access-log.ts';
import { createLogger, type LogFile, openLogFile } from '../observe/log.ts';
import type { Client } from './client.ts';
import type { Outcome } from './client-context.ts';
import { Clients } from './clients.ts';
import { Deadlines, type Single } from './deadlines.ts';
import { type Accepting, closeWhenQuiet, listen } from './listener.ts';
import { type ProxyOptions, resolvePeer, trustList } from './proxy-headers.ts';
import { Room } from './room.ts';
import { Sites } from './sites.ts';
import { StaticFiles } from './static.ts';

/** At a stop idle connections get this long to send the request that is on its way, or a tenth of the time there is. */
const IDLE_MS = 1000;

/** At the end of its time to stop a front is this much ahead of the arbiter, which kills the workers then. */
const LEAD_MS = 100;
/** How long the last answers may take to reach their clients. */
const LAST_WORDS_MS = 500;

type Start = Extract<ToFront, { type: 'start' }>;

class Front {
  readonly #start: Start;
  readonly #log: LogFile;
  readonly #accessLog: AccessLog | null;
  readonly #sites: Sites;
  readonly #clients: Clients;
  readonly #room: Room;
  readonly #seconds: Single;
  #settings: Settings;
  #proxies: ProxyOptions;
  #staticMounts: readonly StaticMount[];
  #onServed: () => void = () => {};
  readonly #served = new Promise<void>((resolve) => {
    this.#onServed = resolve;
  });
  #static: StaticFiles;
  #accepting: Accepting[] = [];
  #deadline: NodeJS.Timeout | null = null;

  constructor(start: Start) {
    const { settings, mounts } = start;
    const deadlines = new Deadlines();
    this.#start = start;
    this.#settings = settings;
    this.#staticMounts = start.staticMounts;
    this.#log = createLogger({ fd: start.errorLog, level: settings.logLevel });
    const warn = (message: string) => this.#log.warning(message);
    const format = settings.accessLogformat;
    this.#accessLog = start.accessLog < 0 ? null : new AccessLog({ fd: start.accessLog, format, warn });
    this.#proxies = proxiesOf(settings);
    this.#static = this.#staticFiles();
    this.#sites = new Sites({ mounts, deadlines, log: this.#log, tell: (message) => this.#tell(message) });
    this.#room = new Room({ ...settings, warn });
    this.#clients = new Clients({
      ...settings,
      deadlines,
      room: this.#room,
      resolvePeer: (fields, client) => this.#peer(fields, client),
      handle: (exchange) => this.#handle(exchange),
      finished: (outcome) => this.#finished(outcome),
      warn,
    });
    this.#seconds = deadlines.single(1000, () => this.#onSecond());
    this.#watchLoad();
  }

  async run(): Promise<void> {
    await this.#sites.open();
    if (this.#start.afterReady && !this.#sites.areServed) await this.#served;
    for (const listener of this.#start.listeners) {
      try {
        this.#accepting.push(await this.#listen(listener));
      } catch (error) {
        send({ type: 'listen-failed', listener, code: (error as NodeJS.ErrnoException).code ?? '' });
        return;
      }
    }
    send({ type: 'listening' });
  }

  #tell(message: FromFront): void {
    send(message);
    if (message.type === 'worker-ready' && this.#sites.areServed) this.#onServed();
  }

  onMessage(message: ToFront): void {
    switch (message.type) {
      case 'start':
        return;
      case 'static-mounts':
        this.#staticMounts = message.staticMounts;
        this.#static = this.#staticFiles();
        return;
      case 'settings':
        return this.#configure(message);
      case 'reopen-logs':
        return this.#reopenLogs();
      case 'report':
        return send({ type: 'report', report: this.#report() });
      case 'stacks':
        return void this.#stacks(message.worker);
      case 'worker-gone':
        return this.#sites.gone(message.worker);
      case 'drain-worker':
        return this.#sites.drain(message.worker);
      case 'stop':
        return this.#stop(message.graceMs);
    }
  }

  /** What can change without a restart. */
  #configure({ settings, mounts }: Extract<ToFront, { type: 'settings' }>): void {
    this.#settings = settings;
    this.#log.level = settings.logLevel;
    if (this.#accessLog !== null) this.#accessLog.format = settings.accessLogformat;
    this.#proxies = proxiesOf(settings);
    this.#static = this.#staticFiles();
    this.#room.configure(settings);
    this.#clients.configure(settings);
    this.#sites.configure(mounts);
    this.#watchLoad();
  }

  #reopenLogs(): void {
    const { errorLogfile, accessLogfile } = this.#settings;
    try {
      this.#log.reopen(errorLogfile);
      if (accessLogfile !== '-') this.#accessLog?.move(openLogFile(accessLogfile));
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      this.#log.error(`${error.message} The old file goes on.`);
    }
    this.#sites.reopenLogs();
  }

  #report(): FrontReport {
    const { memory, spooled } = this.#room.used;
    return {
      pid: process.pid,
      connections: this.#clients.clients.size,
      memory,
      spooled,
      statuses: this.#sites.otherStatuses,
      mounts: this.#sites.report(),
    };
  }

  async #stacks(worker: number): Promise<void> {
    send({ type: 'stacks', worker, text: await this.#sites.stacks(worker) });
  }

  #watchLoad(): void {
    if (this.#sites.needsSeconds) this.#seconds.start();
    else this.#seconds.stop();
  }

  #onSecond(): void {
    this.#seconds.start();
    this.#sites.tellLoads();
  }

  #listen(listener: Listener): Promise<Accepting> {
    return listen(listener, {
      backlog: this.#start.settings.backlog,
      onConnection: (socket, from) => this.#clients.accept(socket, from),
      warn: (message) => this.#log.error(message),
    });
  }

  #staticFiles(): StaticFiles {
    const named = this.#settings.static.map(({ prefix, folder }) => ({ prefix, folders: [folder] }));
    return new StaticFiles([...named, ...this.#staticMounts]);
  }

  #peer(fields: Fields, client: Client): Peer {
    return resolvePeer(fields, client.origin, this.#proxies);
  }

  #handle(exchange: Exchange): void {
    const match = this.#static.match(exchange.head.path);
    if (match === null) return this.#sites.handle(exchange);
    this.#static.serve(match, exchange);
  }

  #finished(outcome: Outcome): void {
    this.#sites.answered(outcome);
    this.#accessLog?.write(outcome);
  }

  /** The arbiter may say it again with less time. */
  #stop(graceMs: number): void {
    const again = this.#deadline !== null;
    if (this.#deadline !== null) clearTimeout(this.#deadline);
    this.#deadline = setTimeout(() => this.#giveUp(), Math.max(0, graceMs - LEAD_MS));
    // Who has little time to finish has none to wait for what idle connections may still ask.
    const idleMs = Math.min(IDLE_MS, graceMs / 10);
    void this.#clients.stop(again ? idleMs : null);
    if (!again) void this.#finish(idleMs);
  }

  /** Whoever has no answer yet gets one that says why; then every connection ends. */
  #giveUp(): void {
    const count = this.#clients.giveUp();
    if (count > 0) {
      const requests = count === 1 ? '1 request was' : `${count} requests were`;
      this.#log.warning(`${requests} not finished in time: answered 503, or cut where the answer had begun`);
    }
    this.#deadline = setTimeout(() => this.#clients.destroy(), LAST_WORDS_MS);
  }

  async #finish(idleMs: number): Promise<void> {
    await closeWhenQuiet(this.#accepting);
    await this.#clients.stop(idleMs);
    if (this.#deadline !== null) clearTimeout(this.#deadline);
    this.#sites.drainAll();
    await this.#accessLog?.flush();
    send({ type: 'stopped', requests: this.#clients.count });
    // The workers' DRAIN frames and the message above are still on their way.
    setImmediate(() => process.disconnect());
  }
}

function proxiesOf({ forwardedAllowIps, forwardedHeaders }: Settings): ProxyOptions {
  return { trusted: trustList(forwardedAllowIps), headers: forwardedHeaders };
}

function send(message: FromFront): void {
  process.send?.(message);
}

const UNMOVED = 'SIGTERM SIGINT SIGQUIT SIGHUP SIGUSR1 SIGUSR2 SIGTTIN SIGTTOU'.split(' ');
for (const signal of UNMOVED) process.on(signal, () => {});
// Without the arbiter nobody would replace a worker, or end this process.
process.on('disconnect', () => process.exit(0));

let front: Front | null = null;
process.on('message', (message: ToFront) => {
  if (message.type !== 'start') return front?.onMessage(message);
  process.title = `tunicorn: front [${message.settings.name}]`;
  front = new Front(message);
  void front.run();
});
send({ type: 'up' });

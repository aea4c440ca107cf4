/** Puts a server together: sockets, logs, the arbiter, and what takes orders for it. */
import { type Address, parseAddress } from '../config/address.ts';
import { compareSettings, reloadedSettings, restartNote } from '../config/change.ts';
import type { Loaded } from '../config/load.ts';
import { mountsOf } from '../config/mounts.ts';
import type { Mount, Settings } from '../config/options.ts';
import { count } from '../count.ts';
import { UserError } from '../errors.ts';
import type { LogFile } from '../observe/log.ts';
import { SERVER_SOFTWARE } from '../version.ts';
import { Arbiter } from './arbiter.ts';
import { workerEnvironment } from './children.ts';
import { runCommand } from './command.ts';
import { ControlServer } from './control-server.ts';
import { type Setup, title } from './fleet.ts';
import { type InheritedSocket, type Predecessor, takeInherited } from './inherited.ts';
import { Logs } from './logs.ts';
import { Notifier } from './notify.ts';
import { Orders } from './orders.ts';
import { PidFile } from './pidfile.ts';
import { Reloads } from './reload.ts';
import { type Rights, resolveRights } from './rights.ts';
import { anyPython, describeRuntime, findRuntime, runtimeEnvironment } from './runtime.ts';
import { RuntimeDir, removeLeftovers } from './runtime-dir.ts';
import { type Bound, bindAll } from './sockets.ts';
import { poolAt, readyWorkers } from './state.ts';
import { type Call, ownCall } from './successor.ts';
import { Upgrade } from './upgrade.ts';

export interface ServerOptions {
  readonly loaded: Loaded;
  readonly log: LogFile;
  /** Reads the configuration anew, for a reload. @throws {UserError} */
  readonly reread: () => Promise<Loaded>;
  /** Ends a command of `--on-start` when the server is told to stop while it runs. */
  readonly abort: AbortSignal;
  /** Takes what has to be undone at the end; the last is undone first. */
  readonly undo: (step: () => void) => void;
}

export class Server {
  readonly orders: Orders;
  readonly #options: ServerOptions;
  readonly #parts: Parts;
  readonly #arbiter: Arbiter;
  readonly #reloads: Reloads;
  readonly #upgrade: Upgrade;
  /** A predecessor still has the address. */
  #metricsWait = false;

  private constructor(options: ServerOptions, parts: Parts) {
    const { log } = options;
    const { settings, setups, rights, sockets, addresses, folder, logs } = parts;
    this.#options = options;
    this.#parts = parts;
    this.#arbiter = new Arbiter({
      settings,
      setups,
      log,
      sockets,
      addresses,
      gateway: (slot, pool) => folder.gateway(slot, pool),
      stackFile: (owner) => folder.stackFile(owner),
      accessLog: () => logs.access,
      rights,
      isSuccessor: () => parts.predecessor?.isGone === false,
      onReload: (pool, failure) => this.#reloads.end(pool, failure),
    });
    this.#reloads = new Reloads({
      log,
      pools: setups.length,
      read: () => this.#reread(),
      begin: (pool, setup) => this.#arbiter.renew(pool, setup),
      configure: (wanted) => this.#arbiter.fleet.configure(wanted),
      count: (pool) => count(poolAt(this.#arbiter.state, pool).target, 'worker'),
      of: (pool) => this.#arbiter.fleet.of(pool),
      onEnd: () => parts.notifier?.reloaded(this.#describe()),
    });
    this.#upgrade = new Upgrade({
      ...parts,
      log,
      onEnd: () => {
        if (this.#arbiter.state.stop === null) parts.notifier?.reloaded(this.#describe());
        this.orders.resume('The upgrade failed');
      },
    });
    this.orders = new Orders({
      arbiter: this.#arbiter,
      log,
      reloads: this.#reloads,
      listen: sockets.map((socket) => socket.url),
      onStop: () => this.#onStop(),
      reopenLogs: () => this.#reopenLogs(),
      upgrade: () => this.#upgrade.start(),
    });
  }

  /** @throws {UserError} for mistakes of the call and of the machine */
  static async open(options: ServerOptions): Promise<Server> {
    const parts = await prepare(options);
    const server = new Server(options, parts);
    const { log, undo } = options;
    const { folder, settings, notifier, predecessor } = parts;
    const control = await ControlServer.open(folder.control, { controlled: server.orders, log });
    undo(() => control.close());
    undo(() => server.#upgrade.release());
    folder.describe({ app: title(settings), folder: settings.chdir });
    await server.#openMetrics();
    if (notifier !== null) server.#arbiter.heart.also(() => notifier.watchdog(), { neverRests: true });
    if (predecessor !== null) server.#follow(predecessor);
    // It died before it could be followed.
    else for (const socket of parts.sockets) socket.handOver(false);
    server.#tellReadiness();
    return server;
  }

  #tellReadiness(): void {
    const { notifier, predecessor } = this.#parts;
    this.#arbiter.onServing = () => {
      // Until a successor is complete, its predecessor is the main process and may take over again.
      if (predecessor === null) notifier?.ready(this.#describe());
    };
    let complete = false;
    this.#arbiter.onReady = () => {
      if (!complete && predecessor !== null) {
        notifier?.ready(this.#describe());
        predecessor.sayReady();
        // At the end of a reload READY says it.
      } else if (!this.#reloads.active) notifier?.status(this.#describe());
      complete = true;
    };
  }

  /** Serves until it is told to stop; `onStarted`: from now on it takes orders. @returns the exit code. */
  async run({ onStarted }: { readonly onStarted: () => void }): Promise<number> {
    const { abort } = this.#options;
    try {
      await this.#command('--on-start', this.#parts.settings);
    } catch (error) {
      if (abort.aborted) return 0;
      throw error;
    }
    onStarted();
    const code = await this.#arbiter.run();
    await this.#command('--on-exit', this.#arbiter.fleet.settings).catch((error: Error) =>
      this.#options.log.error(error.message),
    );
    return code;
  }

  /** @throws {UserError} when the address cannot be had; one that a predecessor still has is tried again when it has gone */
  async #openMetrics(): Promise<void> {
    const { settings, predecessor } = this.#parts;
    const { metrics } = settings;
    const { log, undo } = this.#options;
    if (metrics === '') return;
    // Loaded only where it is wanted: it costs 2 MB.
    const { openMetrics } = await import('./metrics-server.ts');
    try {
      const server = await openMetrics(parseAddress(metrics), this.orders);
      undo(() => server.close());
      log.info(`Metrics at ${server.url}`);
    } catch (error) {
      if (predecessor === null || !(error instanceof UserError)) throw error;
      if (this.#metricsWait) log.error(error.message);
      this.#metricsWait = !this.#metricsWait;
    }
  }

  #describe(): string {
    const { state, fleet } = this.#arbiter;
    const parts = state.pools.map((pool) => {
      const { index, target, generation } = pool;
      const ready = readyWorkers(pool);
      const some = ready < target ? `${ready} of ` : '';
      return `${some}${count(target, 'worker')}${fleet.of(index)}, generation ${generation}`;
    });
    return parts.join('; ');
  }

  #onStop(): void {
    const { notifier, predecessor, sockets } = this.#parts;
    notifier?.stopping();
    // It may have gone since the last beat: then the path of a UNIX socket is ours to remove.
    if (predecessor?.isGone) for (const socket of sockets) socket.handOver(false);
  }

  #reopenLogs(): void {
    this.#parts.logs.reopen();
    this.#arbiter.fleet.tellAll({ type: 'reopen-logs' });
    this.#options.log.info('The log files have been opened anew');
  }

  // Reload

  async #reread() {
    const before = this.#arbiter.fleet.settings;
    this.#parts.notifier?.reloading();
    const { settings: wanted } = await this.#options.reread();
    const settings = reloadedSettings(before, wanted);
    const setups = await setUpAll(settings, this.#parts.rights);
    await this.#command('--on-reload', settings);
    return { settings, setups, restart: restartNote(compareSettings(before, wanted)) };
  }

  /** Runs the command of an option. @throws {UserError} when it fails */
  #command(option: '--on-start' | '--on-reload' | '--on-exit', settings: Settings): Promise<void> {
    const { onStart, onReload, onExit, chdir: cwd } = settings;
    const command = { '--on-start': onStart, '--on-reload': onReload, '--on-exit': onExit }[option];
    const { rights, logs, setups } = this.#parts;
    // Only at the start: afterwards a stop waits for what it runs.
    const signal = option === '--on-start' ? this.#options.abort : undefined;
    const env = environmentOf({ prefix: '/', settings });
    const python = anyPython(setups.map(({ runtime }) => runtime));
    return runCommand({ option, command, cwd, env, python, rights, output: logs.error.fd, signal });
  }

  /** As the successor of another one: its pid file becomes ours when it has gone. */
  #follow(predecessor: Predecessor): void {
    let gone = false;
    this.#arbiter.heart.also(() => {
      if (gone || !predecessor.isGone) return;
      gone = true;
      this.#parts.pidFile?.promote();
      for (const socket of this.#parts.sockets) socket.handOver(false);
      if (this.#metricsWait) void this.#openMetrics();
      this.#options.log.info(`The old Tunicorn with pid ${predecessor.pid} has ended`);
    });
  }
}

interface Parts {
  readonly settings: Settings;
  /** One for each application. */
  readonly setups: readonly Setup[];
  readonly rights: Rights | null;
  readonly sockets: readonly Bound[];
  readonly addresses: readonly Address[];
  readonly folder: RuntimeDir;
  readonly logs: Logs;
  readonly pidFile: PidFile | null;
  readonly notifier: Notifier | null;
  readonly predecessor: Predecessor | null;
  readonly call: Call;
}

async function prepare({ loaded, log, undo }: ServerOptions): Promise<Parts> {
  const { settings } = loaded;
  const { sockets: inherited, predecessor } = takeInherited(process.env);
  const call = ownCall();
  // For a successor, but not for the application, which could speak in our name.
  for (const name of ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID']) delete process.env[name];
  const rights = resolveRights(settings);
  const logs = new Logs(log, { settings, rights });
  const setups = await setUpAll(settings, rights);
  for (const text of new Set(setups.map(({ runtime }) => describeRuntime(runtime)))) log.info(text);
  const python = anyPython(setups.map(({ runtime }) => runtime));
  const notifier = Notifier.create({ env: call.env, python, log });
  if (notifier !== null) undo(() => notifier.close());
  const pidFile = settings.pid === '' ? null : PidFile.create(settings.pid, process.pid, predecessor?.pid);
  if (pidFile !== null) undo(() => pidFile.remove());
  const addresses = addressesOf(loaded, inherited);
  const sockets = await bindAll(addresses, { umask: settings.umask, rights, inherited, warn: log.warning });
  undo(() => {
    for (const socket of sockets) socket.close();
  });
  await removeLeftovers(rights);
  const folder = RuntimeDir.create(rights);
  undo(() => folder.remove());
  return { settings, setups, rights, sockets, addresses, folder, logs, pidFile, notifier, predecessor, call };
}

/** Those of `--bind`; without one, the sockets that systemd opened, for us or for the one that we follow. */
function addressesOf({ settings, sources }: Loaded, sockets: readonly InheritedSocket[]): Address[] {
  const isOurChoice = sources.bind === 'default' || sources.bind === 'PORT';
  const activated = sockets.filter(({ unit }) => unit !== null);
  if (!isOurChoice || activated.length === 0) return settings.bind.map(parseAddress);
  // After an upgrade the numbers are others: what counts is the name under which the first one had them.
  return activated.map(({ fd, address }) => (address === '' ? { kind: 'fd', fd } : parseAddress(address)));
}

/** What the workers of each application run with. @throws {UserError} when there is no interpreter for one */
function setUpAll(settings: Settings, rights: Rights | null): Promise<Setup[]> {
  return Promise.all(
    mountsOf(settings).map(async (mount) => {
      const env = environmentOf(mount);
      const { prefix, settings: own } = mount;
      const runtime = await findRuntime(own, { env, rights });
      return { prefix, settings: own, env: runtimeEnvironment(runtime, env), runtime };
    }),
  );
}

function environmentOf({ prefix, settings }: Pick<Mount, 'prefix' | 'settings'>): NodeJS.ProcessEnv {
  return workerEnvironment(process.env, { env: settings.env, serverSoftware: SERVER_SOFTWARE, prefix });
}

/** Puts a server together: sockets, logs, the arbiter, and what takes orders for it. */
import { type Address, parseAddress } from '../config/address.ts';
import { compareSettings, reloadedSettings, restartNote } from '../config/change.ts';
import type { Loaded } from '../config/load.ts';
import type { Settings } from '../config/options.ts';
import type { LogFile } from '../observe/log.ts';
import { SERVER_SOFTWARE } from '../version.ts';
import { Arbiter } from './arbiter.ts';
import { workerEnvironment } from './children.ts';
import { runCommand } from './command.ts';
import { ControlServer } from './control-server.ts';
import type { Setup } from './fleet.ts';
import { findInterpreter } from './interpreter.ts';
import { count } from './journal.ts';
import { Logs } from './logs.ts';
import { Orders } from './orders.ts';
import { PidFile } from './pidfile.ts';
import { Reloads } from './reload.ts';
import { type Rights, resolveRights } from './rights.ts';
import { RuntimeDir, removeLeftovers, type StackOwner } from './runtime-dir.ts';
import { type Bound, bindAll } from './sockets.ts';

export interface ServerOptions {
  readonly settings: Settings;
  readonly log: LogFile;
  /** Reads the configuration anew, for a reload. @throws {UserError} */
  readonly reread: () => Promise<Loaded>;
  /** Ends a command of `--on-start` that runs while the server is told to stop. */
  readonly abort: AbortSignal;
  /** Takes what has to be undone at the end; the last is undone first. */
  readonly undo: (step: () => void) => void;
}

export class Server {
  readonly orders: Orders;
  readonly #arbiter: Arbiter;
  readonly #options: ServerOptions;
  readonly #rights: Rights | null;

  private constructor(options: ServerOptions, parts: Parts) {
    const { log, reread } = options;
    const { setup, rights, sockets, addresses, folder, logs } = parts;
    const stackFile = (owner: StackOwner) => folder.stackFile(owner);
    this.#options = options;
    this.#rights = rights;
    const arbiter = new Arbiter({
      setup,
      log,
      sockets,
      addresses,
      gateway: (slot) => folder.gateway(slot),
      stackFile,
      accessLog: () => logs.access,
      rights,
      onReload: (failure) => reloads.end(failure),
    });
    const reloads = new Reloads({
      log,
      read: () => this.#reread(reread),
      begin: (next) => arbiter.renew(next),
      count: () => count(arbiter.state.target, 'worker'),
    });
    this.#arbiter = arbiter;
    this.orders = new Orders({
      arbiter,
      log,
      reloads,
      listen: sockets.map((socket) => socket.url),
      stackFile,
      reopenLogs: () => {
        logs.reopen();
        arbiter.fleet.tellAll({ type: 'reopen-logs' });
      },
      upgrade: () => Promise.resolve({ ok: false, text: '' }),
    });
  }

  /** @throws {UserError} for mistakes of the call and of the machine */
  static async open(options: ServerOptions): Promise<Server> {
    const server = new Server(options, await prepare(options));
    return server;
  }

  /** Serves until it is told to stop. @returns the exit code. */
  async run(): Promise<number> {
    const code = await this.#arbiter.run();
    return code;
  }

  async #reread(reread: () => Promise<Loaded>) {
    const before = this.#arbiter.setup.settings;
    const { settings: wanted } = await reread();
    const { setup } = await setUp(reloadedSettings(before, wanted), this.#rights);
    await this.command('--on-reload', setup);
    return { setup, restart: restartNote(compareSettings(before, wanted)) };
  }

  /** Runs the command of an option. @throws {UserError} when it fails */
  async command(option: '--on-start' | '--on-reload' | '--on-exit', { settings, env, python }: Setup) {
    const command = { '--on-start': settings.onStart, '--on-reload': settings.onReload, '--on-exit': settings.onExit };
    const { log } = this.#options;
    const where = { cwd: settings.chdir, env, python, rights: this.#rights, output: log.fd };
    await runCommand({ option, command: command[option], ...where });
  }
}

interface Parts {
  readonly setup: Setup;
  readonly rights: Rights | null;
  readonly sockets: readonly Bound[];
  readonly addresses: readonly Address[];
  readonly folder: RuntimeDir;
  readonly logs: Logs;
}

async function prepare({ settings, log, undo }: ServerOptions): Promise<Parts> {
  const rights = resolveRights(settings);
  const logs = new Logs(log, { settings, rights });
  const { setup, interpreter } = await setUp(settings, rights);
  log.info(`Python ${interpreter.version}, ${interpreter.path} (${interpreter.from})`);
  if (settings.pid !== '') {
    const pidFile = PidFile.create(settings.pid);
    undo(() => pidFile.remove());
  }
  const addresses: Address[] = settings.bind.map(parseAddress);
  const sockets = await bindAll(addresses, { umask: settings.umask, rights });
  undo(() => {
    for (const socket of sockets) socket.close();
  });
  await removeLeftovers(rights);
  const folder = RuntimeDir.create(rights);
  undo(() => folder.remove());
  return { setup, rights, sockets, addresses, folder, logs };
}

/** What children of these settings run with. @throws {UserError} when there is no interpreter for them. */
async function setUp(settings: Settings, rights: Rights | null) {
  const env = workerEnvironment(process.env, { env: settings.env, serverSoftware: SERVER_SOFTWARE });
  const interpreter = await findInterpreter({ ...settings, env, rights });
  const setup: Setup = { settings, env, python: interpreter.path };
  return { setup, interpreter };
}

export { ControlServer };

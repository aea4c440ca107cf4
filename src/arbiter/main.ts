/** `tunicorn APP`: prepares what the server needs, runs the arbiter, and leaves nothing behind. */
import { fchownSync } from 'node:fs';
import { type Address, parseAddress } from '../config/address.ts';
import { compareSettings, reloadedSettings, restartNote } from '../config/change.ts';
import type { Loaded } from '../config/load.ts';
import type { Settings } from '../config/options.ts';
import { UserError } from '../errors.ts';
import { createLogger, type Logger, openLogFile } from '../observe/log.ts';
import { SERVER_SOFTWARE, VERSION } from '../version.ts';
import { Arbiter } from './arbiter.ts';
import { workerEnvironment } from './children.ts';
import { type Setup, title } from './fleet.ts';
import { findInterpreter } from './interpreter.ts';
import { count } from './journal.ts';
import { Orders } from './orders.ts';
import { PidFile } from './pidfile.ts';
import { Reloads } from './reload.ts';
import { type Rights, resolveRights } from './rights.ts';
import { RuntimeDir, removeLeftovers, type StackOwner } from './runtime-dir.ts';
import { listenSignals, type SignalName } from './signals.ts';
import { bindAll } from './sockets.ts';

export interface RunOptions {
  /** Lines about settings, for the log: options without effect, and the like. */
  readonly notes: readonly string[];
  /** Reads the configuration anew, for a reload. @throws {UserError} */
  readonly reread: () => Promise<Loaded>;
}

/**
 * Serves until it is told to stop. Mistakes of the call and of the machine are told in the log.
 * @returns the exit code: 0 after a stop, 1 for our own failures, 3 when the application cannot be loaded.
 * @throws {UserError} when there is no log to write to yet.
 */
export async function runArbiter(settings: Settings, { notes, reread }: RunOptions): Promise<number> {
  process.title = `tunicorn: arbiter [${title(settings)}]`;
  const log = createLogger({ fd: openLogFile(settings.errorLogfile), level: settings.logLevel });
  const cleanup: (() => void)[] = [];
  // Signals that come during the preparations wait for the arbiter.
  const early: SignalName[] = [];
  let onSignal = (name: SignalName): void => {
    early.push(name);
  };
  // To the very end: a Ctrl-C that npm passes on a second time must not kill a process that is about to leave.
  listenSignals((name) => onSignal(name));
  try {
    log.info(`Tunicorn ${VERSION} starting, pid ${process.pid}`);
    for (const note of notes) log.info(note);
    const { arbiter, orders } = await prepare(settings, { log, cleanup, reread });
    onSignal = (name) => orders.signal(name);
    for (const name of early) orders.signal(name);
    return await arbiter.run();
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    log.error(error.message);
    if (settings.errorLogfile !== '-') process.stderr.write(`tunicorn: ${error.message}\n`);
    return error.exitCode;
  } finally {
    for (const undo of cleanup.reverse()) undo();
    leaveAtOnce();
  }
}

/**
 * At a natural end Node takes itself apart first: it lets go of signals, so that a second Ctrl-C would kill it,
 * and closes handles, which removes the path of a UNIX socket that may be another server's by now.
 */
function leaveAtOnce(): void {
  process.once('exit', () => process.exit());
}

interface Preparation {
  readonly log: Logger;
  /** What has to be undone at the end, last first. */
  readonly cleanup: (() => void)[];
  readonly reread: () => Promise<Loaded>;
}

interface Prepared {
  readonly arbiter: Arbiter;
  readonly orders: Orders;
}

async function prepare(settings: Settings, { log, cleanup, reread }: Preparation): Promise<Prepared> {
  const rights = resolveRights(settings);
  const accessLog = settings.accessLogfile === '' ? -1 : openLogFile(settings.accessLogfile, 1);
  giveLogs(rights, [settings.errorLogfile, log.fd], [settings.accessLogfile, accessLog]);
  const { setup, interpreter } = await setUp(settings, rights);
  log.info(`Python ${interpreter.version}, ${interpreter.path} (${interpreter.from})`);
  if (settings.pid !== '') {
    const pidFile = PidFile.create(settings.pid);
    cleanup.push(() => pidFile.remove());
  }
  const addresses: Address[] = settings.bind.map(parseAddress);
  const sockets = await bindAll(addresses, { umask: settings.umask, rights });
  cleanup.push(() => {
    for (const socket of sockets) socket.close();
  });
  await removeLeftovers(rights);
  const folder = RuntimeDir.create(rights);
  cleanup.push(() => folder.remove());
  const stackFile = (owner: StackOwner) => folder.stackFile(owner);
  const arbiter = new Arbiter({
    setup,
    log,
    sockets,
    addresses,
    gateway: (slot) => folder.gateway(slot),
    stackFile,
    accessLog: () => accessLog,
    rights,
    onReload: (failure) => reloads.end(failure),
  });
  const reloads = new Reloads({
    log,
    read: async () => {
      const before = arbiter.setup.settings;
      const { settings: wanted } = await reread();
      const next = await setUp(reloadedSettings(before, wanted), rights);
      await runCommand({ ...commandOf(next.setup, '--on-reload'), rights, output: log.fd });
      return { setup: next.setup, restart: restartNote(compareSettings(before, wanted)) };
    },
    begin: (next) => arbiter.renew(next),
    count: () => count(arbiter.state.target, 'worker'),
  });
  const orders = new Orders({
    arbiter,
    log,
    reloads,
    listen: sockets.map((socket) => socket.url),
    stackFile,
    reopenLogs: () => {},
    upgrade: () => Promise.resolve({ ok: false, text: '' }),
  });
  return { arbiter, orders };
}

/** What children of these settings run with. @throws {UserError} when there is no interpreter for them. */
async function setUp(settings: Settings, rights: Rights | null) {
  const env = workerEnvironment(process.env, { env: settings.env, serverSoftware: SERVER_SOFTWARE });
  const interpreter = await findInterpreter({ ...settings, env, rights });
  const setup: Setup = { settings, env, python: interpreter.path };
  return { setup, interpreter };
}

/** Log files belong to the workers' user, as with gunicorn, so that a later reopening can succeed. */
function giveLogs(rights: Rights | null, ...logs: readonly (readonly [path: string, fd: number])[]): void {
  if (rights === null) return;
  for (const [path, fd] of logs) if (path !== '' && path !== '-') fchownSync(fd, rights.uid, rights.gid);
}

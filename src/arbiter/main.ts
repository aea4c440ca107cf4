/** `tunicorn APP`: prepares what the server needs, runs the arbiter, and leaves nothing behind. */
import { fchownSync } from 'node:fs';
import { type Address, parseAddress } from '../config/address.ts';
import type { Settings } from '../config/options.ts';
import { UserError } from '../errors.ts';
import { createLogger, type Logger, openLogFile } from '../observe/log.ts';
import { SERVER_SOFTWARE, VERSION } from '../version.ts';
import { Arbiter } from './arbiter.ts';
import { workerEnvironment } from './children.ts';
import { title } from './fleet.ts';
import { findInterpreter } from './interpreter.ts';
import { PidFile } from './pidfile.ts';
import { type Rights, resolveRights } from './rights.ts';
import { RuntimeDir, removeLeftovers } from './runtime-dir.ts';
import { listenSignals, type SignalName } from './signals.ts';
import { bindAll } from './sockets.ts';

export interface RunOptions {
  /** Lines about settings, for the log: options without effect, and the like. */
  readonly notes: readonly string[];
}

/**
 * Serves until it is told to stop. Mistakes of the call and of the machine are told in the log.
 * @returns the exit code: 0 after a stop, 1 for our own failures, 3 when the application cannot be loaded.
 * @throws {UserError} when there is no log to write to yet.
 */
export async function runArbiter(settings: Settings, { notes }: RunOptions): Promise<number> {
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
    const arbiter = await prepare(settings, { log, cleanup });
    onSignal = (name) => arbiter.signal(name);
    for (const name of early) arbiter.signal(name);
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
}

async function prepare(settings: Settings, { log, cleanup }: Preparation): Promise<Arbiter> {
  const rights = resolveRights(settings);
  const accessLog = settings.accessLogfile === '' ? -1 : openLogFile(settings.accessLogfile, 1);
  giveLogs(rights, [settings.errorLogfile, log.fd], [settings.accessLogfile, accessLog]);
  const env = workerEnvironment(process.env, { env: settings.env, serverSoftware: SERVER_SOFTWARE });
  const python = await findInterpreter({ ...settings, env, rights });
  log.info(`Python ${python.version}, ${python.path} (${python.from})`);
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
  return new Arbiter({
    settings,
    log,
    sockets,
    addresses,
    gateway: (slot) => folder.gateway(slot),
    stackFile: (worker) => folder.stackFile(worker),
    accessLog,
    rights,
    python: python.path,
    env,
  });
}

/** Log files belong to the workers' user, as with gunicorn, so that a later reopening can succeed. */
function giveLogs(rights: Rights | null, ...logs: readonly (readonly [path: string, fd: number])[]): void {
  if (rights === null) return;
  for (const [path, fd] of logs) if (path !== '' && path !== '-') fchownSync(fd, rights.uid, rights.gid);
}

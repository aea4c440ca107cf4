/** `tunicorn APP`: runs a server as this process, and leaves nothing behind. */
import type { Loaded } from '../config/load.ts';
import { UserError } from '../errors.ts';
import { createLogger, openLogFile } from '../observe/log.ts';
import { VERSION } from '../version.ts';
import { title } from './fleet.ts';
import { Server } from './server.ts';
import { listenSignals, SIGNALS, type SignalName } from './signals.ts';

export interface RunOptions {
  /** Reads the configuration anew, for a reload. @throws {UserError} */
  readonly reread: () => Promise<Loaded>;
}

/**
 * Serves until it is told to stop. Mistakes of the call and of the machine are told in the log.
 * @returns the exit code: 0 after a stop, 1 for our own failures, 3 when the application cannot be loaded.
 * @throws {UserError} when there is no log to write to yet.
 */
export async function runArbiter(loaded: Loaded, { reread }: RunOptions): Promise<number> {
  const { settings, notes } = loaded;
  process.title = `tunicorn: arbiter [${title(settings)}]`;
  const log = createLogger({ fd: openLogFile(settings.errorLogfile), level: settings.logLevel });
  const steps: (() => void)[] = [];
  // Signals that come during the preparations wait for the server; those that stop it end a command of --on-start.
  const early: SignalName[] = [];
  const abort = new AbortController();
  let onSignal = (name: SignalName): void => {
    early.push(name);
    if (SIGNALS[name].verb === 'stop' || SIGNALS[name].verb === 'quick-stop') abort.abort();
  };
  // To the very end: a Ctrl-C that npm passes on a second time must not kill a process that is about to leave.
  listenSignals((name) => onSignal(name));
  try {
    log.info(`Tunicorn ${VERSION} starting, pid ${process.pid}`);
    for (const note of notes) log.info(note);
    const undo = (step: () => void) => void steps.push(step);
    const server = await Server.open({ loaded, log, reread, undo, abort: abort.signal });
    const serving = server.run({
      onStarted: () => {
        onSignal = (name) => server.orders.signal(name);
        for (const name of early) server.orders.signal(name);
      },
    });
    return await serving;
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    log.error(error.message);
    if (settings.errorLogfile !== '-') process.stderr.write(`tunicorn: ${error.message}\n`);
    return error.exitCode;
  } finally {
    for (const undo of steps.reverse()) undo();
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

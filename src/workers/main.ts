/**
 * A Node worker: loads an application in TypeScript or JavaScript and runs it for the fronts, as `python/tunicorn` does for
 * Python. Like every child it obeys the arbiter alone: signals that reach it directly change nothing.
 */
import '../typescript/register.ts';
import { readSync, writeSync } from 'node:fs';
import { inspect } from 'node:util';
import type { FromWorker, WorkerStart } from '../messages.ts';
import { createLogger, type LogFile, type LogLevel } from '../observe/log.ts';
import { type Entry, EntryError, loadEntry } from './entry.ts';
import { describeLoadFailure } from './load-failure.ts';
import { NodeWorker } from './node-worker.ts';
import { Watcher } from './watcher.ts';

/** Descriptor of the channel to the arbiter; the thread that takes orders reads what comes after the first line. */
const ARBITER = 3;
const UNMOVED = 'SIGTERM SIGINT SIGQUIT SIGHUP SIGUSR2 SIGTTIN SIGTTOU'.split(' ');

/** Waits for the one line that says what to do. */
function readStart(): WorkerStart {
  const byte = Buffer.alloc(1);
  const bytes: number[] = [];
  // Byte by byte: what follows is not ours to read.
  while (readSync(ARBITER, byte) === 1 && byte[0] !== 10) bytes.push(byte[0] as number);
  if (bytes.length === 0) process.exit(0);
  return JSON.parse(Buffer.from(bytes).toString()) as WorkerStart;
}

function say(message: FromWorker): void {
  writeSync(ARBITER, `${JSON.stringify(message)}\n`);
}

async function load(start: WorkerStart): Promise<Entry> {
  const began = performance.now();
  try {
    const entry = await loadEntry(start.app, start.chdir);
    say({
      event: 'loaded',
      app: entry.name,
      framework: entry.kind,
      ms: Math.round(performance.now() - began),
      found: '',
      mounts: [],
      mountsWhy: '',
      hooks: [],
    });
    return entry;
  } catch (error) {
    const known = error instanceof EntryError;
    const where = { spec: start.app, folder: start.chdir };
    say({
      event: 'failed',
      code: known ? error.code : 'import-failed',
      message: known ? error.message : `${start.app} cannot be loaded.`,
      traceback:
        known && error.cause === undefined ? '' : describeLoadFailure(known ? error.cause : error, where),
    });
    process.exit(3);
  }
}

/** Node prints the stack and ends the process, unless the application has a handler of its own: that stays so. */
function tellOfItsEnd({ worker, errorLogfile, captured, errorLog }: WorkerStart, log: LogFile): void {
  process.on('uncaughtExceptionMonitor', (error, origin) => {
    const what = origin === 'unhandledRejection' ? 'A promise was rejected and nobody caught it' : 'Uncaught';
    // On standard error it stands anyway; where that leads to a log, only until the log is moved.
    const isTold = errorLogfile === '' || (captured && log.fd === errorLog);
    log.error(`Worker ${worker}: ${what}: ${isTold ? String(error) : inspect(error)}`);
  });
}

async function main(): Promise<void> {
  for (const signal of UNMOVED) process.on(signal, () => {});
  const start = readStart();
  const [name = '', app = ''] = process.argv.slice(2);
  process.title = `tunicorn: worker [${name || app}]`;
  const log = createLogger({ fd: start.errorLog, level: start.logLevel as LogLevel });
  process.umask(start.umask);
  process.chdir(start.chdir);
  const watcher = new Watcher(start.stackFile);
  tellOfItsEnd(start, log);
  const entry = await load(start);
  if (start.mode === 'check') process.exit(0);
  new NodeWorker({ start, entry, watcher, log }).serve();
}

await main();

/**
 * Tells systemd how the server is (sd_notify(3)). Node has no UNIX datagram socket, so a helper of a few lines of Python
 * sends what it reads; it is started only where somebody listens. Without Python systemd's own command is called each time.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import type { Logger } from '../observe/log.ts';

export interface NotifierOptions {
  /** NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID are looked at. */
  readonly env: NodeJS.ProcessEnv;
  /** Path of an interpreter; empty when the application needs none. */
  readonly python: string;
  readonly log: Logger;
}

const HELPER = `
import json, socket, sys
path = sys.argv[1]
to = "\\0" + path[1:] if path.startswith("@") else path
out = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
for line in sys.stdin:
    try:
        out.sendto(json.loads(line).encode(), to)
    except OSError as error:
        sys.stderr.write("Cannot notify systemd at %s: %s\\n" % (path, error))
`.trim();

export class Notifier {
  readonly #options: NotifierOptions;
  readonly #path: string;
  /** How often systemd wants to hear that the loop turns, in milliseconds; 0 for not at all. */
  readonly #watchdogMs: number;
  #helper: ChildProcess | null = null;
  #barkedAt = Number.NEGATIVE_INFINITY;
  #isReady = false;
  #status = '';
  #silent = false;
  /** Calls of systemd's own command, one after the other: the last word must be heard last. */
  #calls = Promise.resolve();

  private constructor(options: NotifierOptions, path: string) {
    this.#options = options;
    this.#path = path;
    this.#watchdogMs = watchdogMs(options.env);
  }

  /** Null where nobody listens. */
  static create(options: NotifierOptions): Notifier | null {
    const { NOTIFY_SOCKET: path = '' } = options.env;
    return path.startsWith('/') || path.startsWith('@') ? new Notifier(options, path) : null;
  }

  /** The server serves: for the first time. */
  ready(status: string): void {
    this.#isReady = true;
    this.#send(['READY=1', `MAINPID=${process.pid}`, `STATUS=${status}`]);
    this.#status = status;
  }

  /** A reload has ended, well or not; `ready` when nothing had been ready before is for the first worker to say. */
  reloaded(status: string): void {
    if (this.#isReady) this.ready(status);
  }

  reloading(): void {
    if (!this.#isReady) return;
    this.#send(['RELOADING=1', `MONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`]);
  }

  stopping(): void {
    this.#send(['STOPPING=1']);
  }

  /** One line for `systemctl status`; said when it has changed. */
  status(text: string): void {
    if (text === this.#status) return;
    this.#status = text;
    this.#send([`STATUS=${text}`]);
  }

  /** To be called by the loop once a second. */
  watchdog(): void {
    const now = performance.now();
    if (this.#watchdogMs === 0 || now - this.#barkedAt < this.#watchdogMs) return;
    this.#barkedAt = now;
    this.#send(['WATCHDOG=1']);
  }

  /** Another process is the server now and speaks for it; or it has ended, and this one is the server again. */
  silence(silent: boolean): void {
    this.#silent = silent;
  }

  /** What was said is still sent. */
  close(): void {
    this.#helper?.stdin?.end();
    this.#helper?.unref();
    this.#helper = null;
  }

  #send(words: readonly string[]): void {
    if (this.#silent) return;
    if (this.#options.python === '') {
      this.#calls = this.#calls.then(() => this.#call(words));
      return;
    }
    this.#helper ??= this.#start();
    this.#helper.stdin?.write(`${JSON.stringify(words.join('\n'))}\n`);
  }

  #call(words: readonly string[]): Promise<void> {
    const env = { ...process.env, NOTIFY_SOCKET: this.#path };
    return new Promise((resolve) => {
      execFile('systemd-notify', [...words], { env }, (error) => {
        if (error !== null) this.#options.log.warning(`systemd cannot be notified: ${error.message}`);
        resolve();
      });
    });
  }

  #start(): ChildProcess {
    const { python, log } = this.#options;
    const helper = spawn(python, ['-I', '-S', '-c', HELPER, this.#path], {
      stdio: ['pipe', 'ignore', 'inherit'],
      detached: true,
    });
    helper.stdin?.on('error', () => {});
    helper.once('error', (error) => log.warning(`systemd cannot be notified: ${error.message}`));
    helper.once('exit', (code) => {
      if (this.#helper !== helper) return;
      // The next word starts another one.
      this.#helper = null;
      log.warning(`The helper that notifies systemd ended with status ${code}`);
    });
    return helper;
  }
}

/** Half of what systemd allows, less the second between two beats of the loop: WatchdogSec= should be 5 s at least. */
function watchdogMs({ WATCHDOG_USEC: usec = '', WATCHDOG_PID: pid }: NodeJS.ProcessEnv): number {
  const isOurs = pid === undefined || Number(pid) === process.pid;
  if (!/^\d+$/.test(usec) || !isOurs) return 0;
  return Math.max(1, Number(usec) / 2000 - 1000);
}

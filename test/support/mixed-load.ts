/** A load of mixed requests from a process of its own: see mixed-load.mjs for what it asks and what may become of it. */
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { MixedOptions } from './mixed-load.mjs';

const PROGRAM = fileURLToPath(new URL('mixed-load.mjs', import.meta.url));

/** By nonce, which counts from 0: what was asked (an index in KINDS), and a status or one of FATES. */
export interface MixedReport {
  readonly kinds: Uint8Array;
  readonly fates: Uint16Array;
  /** What went wrong, for people. */
  readonly faults: readonly string[];
}

type FromMixed =
  | { readonly type: 'progress'; readonly done: number }
  | { readonly type: 'report'; readonly report: MixedReport };

export class MixedLoad implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #report: Promise<MixedReport>;
  #done = 0;

  constructor(options: MixedOptions) {
    this.#child = fork(PROGRAM, [JSON.stringify(options)], { serialization: 'advanced', execArgv: [] });
    this.#report = new Promise((resolve, reject) => {
      this.#child.on('message', (message: FromMixed) => {
        if (message.type === 'report') resolve(message.report);
        else this.#done = message.done;
      });
      this.#child.once('exit', (code, signal) =>
        reject(new Error(`The load ended by itself (${code ?? signal}).`)),
      );
    });
    this.#report.catch(() => {});
  }

  /** Requests that have met their fate so far. */
  get done(): number {
    return this.#done;
  }

  /** Asks no more, waits for what is under way, and ends. */
  stop(): Promise<MixedReport> {
    if (this.#child.connected) this.#child.send('stop');
    return this.#report;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill('SIGKILL');
    await gone;
  }
}

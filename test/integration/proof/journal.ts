/** What the application of test/apps/journal.py says that it began and ended, and so what it was at when it died. */
import { closeSync, openSync, readSync } from 'node:fs';

export interface Run {
  readonly pid: number;
  readonly nonce: number;
  readonly method: string;
}

const CHUNK_BYTES = 1 << 20;

export class Journal {
  readonly #fd: number;
  readonly #buffer = Buffer.allocUnsafe(CHUNK_BYTES);
  /** By process: the run that has begun and not ended. A worker of one thread has one at most. */
  readonly #open = new Map<number, Run>();
  readonly #runs: Run[] = [];
  readonly #ended = new Set<Run>();
  #at = 0;
  #rest = '';

  constructor(path: string) {
    this.#fd = openSync(path, 'r');
  }

  /** Reads what has been written since. */
  read(): this {
    for (;;) {
      const count = readSync(this.#fd, this.#buffer, 0, CHUNK_BYTES, this.#at);
      if (count === 0) return this;
      this.#at += count;
      const lines = (this.#rest + this.#buffer.toString('latin1', 0, count)).split('\n');
      this.#rest = lines.pop() ?? '';
      for (const line of lines) this.#take(line.split(' '));
    }
  }

  #take([what, process, number, method = '']: readonly string[]): void {
    const pid = Number(process);
    const nonce = Number(number);
    const open = this.#open.get(pid);
    if (what === 'B' && open === undefined) {
      const run = { pid, nonce, method };
      this.#runs.push(run);
      this.#open.set(pid, run);
    } else if (what === 'E' && open?.nonce === nonce) {
      this.#open.delete(pid);
      this.#ended.add(open);
    } else throw new Error(`Process ${pid} says ${what} ${nonce} while ${open?.nonce ?? 'nothing'} runs.`);
  }

  /** What the process is at; of one that is dead: what it died in. */
  openIn(pid: number): Run | undefined {
    return this.#open.get(pid);
  }

  hasEnded(run: Run): boolean {
    return this.#ended.has(run);
  }

  /** Every run so far, by nonce. */
  byNonce(): Map<number, Run[]> {
    const all = new Map<number, Run[]>();
    for (const run of this.#runs) all.set(run.nonce, [...(all.get(run.nonce) ?? []), run]);
    return all;
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}

/** What the application of test/apps/journal.py (and journal.ts) says that it began and ended, and so what it was at when it died. */
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
  /** By process, then by nonce: the runs that have begun and not ended. A worker of one thread has one at most. */
  readonly #open = new Map<number, Map<number, Run>>();
  readonly #atOnce: number;
  readonly #runs: Run[] = [];
  readonly #ended = new Set<Run>();
  #at = 0;
  #rest = '';

  /** @param atOnce how many requests a worker may have begun and not ended */
  constructor(path: string, atOnce: number) {
    this.#fd = openSync(path, 'r');
    this.#atOnce = atOnce;
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
    const open = this.#open.get(pid) ?? new Map<number, Run>();
    this.#open.set(pid, open);
    const own = open.get(nonce);
    if (what === 'B' && own === undefined && open.size < this.#atOnce) {
      const run = { pid, nonce, method };
      this.#runs.push(run);
      open.set(nonce, run);
    } else if (what === 'E' && own !== undefined) {
      open.delete(nonce);
      this.#ended.add(own);
    } else throw new Error(`Process ${pid} says ${what} ${nonce} while [${[...open.keys()]}] run.`);
  }

  /** What the process is at; of one that is dead: what it died in. */
  openIn(pid: number): readonly Run[] {
    return [...(this.#open.get(pid)?.values() ?? [])];
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

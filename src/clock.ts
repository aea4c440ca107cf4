/**
 * Milliseconds of a monotonic clock that stands still while this process does: after the machine slept, or the process
 * was stopped (SIGSTOP) or starved, nobody may be found late for time in which nobody could do anything.
 *
 * It can only notice when it is read, so whoever has something due must read it at least every {@link HEARTBEAT_MS}.
 */
export const HEARTBEAT_MS = 1000;

/** A longer time between two readings is a gap, of which only a heartbeat counts. */
const GAP_MS = 2 * HEARTBEAT_MS;

export class Clock {
  readonly #source: () => number;
  #last: number;
  #skipped = 0;

  constructor(source: () => number = () => performance.now()) {
    this.#source = source;
    this.#last = source();
  }

  /** The time now; never goes back. */
  now(): number {
    const now = this.#source();
    const passed = now - this.#last;
    this.#last = now;
    if (passed > GAP_MS) this.#skipped += passed - HEARTBEAT_MS;
    return now - this.#skipped;
  }

  /** Milliseconds that were left out so far. */
  get skipped(): number {
    return this.#skipped;
  }
}

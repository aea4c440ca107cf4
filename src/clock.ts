/**
 * Milliseconds of a monotonic clock that stands still while this process does: after the machine slept, or the process
 * was stopped (SIGSTOP) or starved, nobody may be found late for time in which nobody could do anything.
 *
 * It can only notice when it is read, so whoever has something due must read it at least once a heartbeat.
 */
export const HEARTBEAT_MS = 1000;

export class Clock {
  readonly #source: () => number;
  readonly #heartbeatMs: number;
  #last: number;
  #skipped = 0;

  /** @param heartbeatMs how often it is read at least; twice as long between two readings is a gap, of which one counts */
  constructor(source: () => number = () => performance.now(), heartbeatMs = HEARTBEAT_MS) {
    this.#source = source;
    this.#heartbeatMs = heartbeatMs;
    this.#last = source();
  }

  /** The time now; never goes back. */
  now(): number {
    const now = this.#source();
    const passed = now - this.#last;
    this.#last = now;
    if (passed > 2 * this.#heartbeatMs) this.#skipped += passed - this.#heartbeatMs;
    return now - this.#skipped;
  }

  /** Milliseconds that were left out so far. */
  get skipped(): number {
    return this.#skipped;
  }
}

/**
 * Milliseconds of a monotonic clock that stands still while this process does: after the machine slept, or the process
 * was stopped (SIGSTOP) or starved, nobody may be found late for time in which nobody could do anything.
 *
 * It can only notice when it is read, so whoever has something due must read it at least once a heartbeat, and better
 * often: as long as it rests, a gap may be taken for time.
 */
export const HEARTBEAT_MS = 1000;
/** How late a busy machine may make a reading. What comes later comes after a gap. */
export const LATE_MS = 250;

export class Clock {
  /** How long it is left unread at most, as its reader sees it. */
  restMs: number = HEARTBEAT_MS;
  readonly #source: () => number;
  #last: number;
  #skipped = 0;

  constructor(source: () => number = () => performance.now()) {
    this.#source = source;
    this.#last = source();
  }

  /**
   * The time now; never goes back. Of a gap nothing counts: whoever was to do something in the time that was left when it
   * began has that time again.
   */
  now(): number {
    const now = this.#source();
    const passed = now - this.#last;
    this.#last = now;
    if (passed > this.restMs + LATE_MS) this.#skipped += passed;
    return now - this.#skipped;
  }

  /** Milliseconds that were left out so far. */
  get skipped(): number {
    return this.#skipped;
  }
}

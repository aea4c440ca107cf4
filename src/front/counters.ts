/** What the front counts. Adding is an array operation: nothing is allocated for a request. */
import type { HistogramReport, Load } from '../messages.ts';

/** Seconds; from a cached page to a report that somebody waits for. */
const BOUNDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

export class Histogram {
  readonly #counts = new Float64Array(BOUNDS.length + 1);
  #sumMs = 0;

  observe(ms: number): void {
    let at = 0;
    // Most requests are quick: the first bounds answer.
    while (at < BOUNDS.length && ms > (BOUNDS[at] ?? 0) * 1000) at++;
    this.#counts[at] = (this.#counts[at] ?? 0) + 1;
    this.#sumMs += ms;
  }

  report(): HistogramReport {
    return { bounds: BOUNDS, counts: [...this.#counts], sum: this.#sumMs / 1000 };
  }
}

export class Counters {
  readonly queueWait = new Histogram();
  readonly service = new Histogram();
  readonly #statuses = new Float64Array(1000);
  retried = 0;
  /** Requests that run now, the most of this second, and the longest that one waited in it. */
  #busy = 0;
  #peak = 0;
  #waitMs = 0;

  answered(status: number): void {
    this.#statuses[status] = (this.#statuses[status] ?? 0) + 1;
  }

  started(waitedMs: number): void {
    this.queueWait.observe(waitedMs);
    this.#waitMs = Math.max(this.#waitMs, waitedMs);
    this.#busy++;
    this.#peak = Math.max(this.#peak, this.#busy);
  }

  /** @param serviceMs null when nobody knows how long it ran, if at all */
  ended(serviceMs: number | null): void {
    if (serviceMs !== null) this.service.observe(serviceMs);
    this.#busy--;
  }

  get statuses(): Record<string, number> {
    const found: Record<string, number> = {};
    for (const [status, count] of this.#statuses.entries()) if (count > 0) found[status] = count;
    return found;
  }

  /** This second's load, and a new second begins; null when there was nothing. `oldestMs`: of those that wait still. */
  second(oldestMs: number): Load | null {
    const load = { waitMs: Math.max(this.#waitMs, oldestMs), busy: this.#peak };
    const isIdle = this.#peak === 0 && oldestMs === 0;
    this.#waitMs = 0;
    this.#peak = this.#busy;
    return isIdle ? null : load;
  }
}

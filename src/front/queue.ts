/**
 * Which request goes to which lane: a pure core, requests and lanes in, assignments out. First come, first
 * served; among idle lanes the one used last, whose caches are warm.
 */
export interface Assignment<R, L> {
  readonly request: R;
  readonly lane: L;
  /** Milliseconds that the request waited. */
  readonly waitedMs: number;
}

export class Queue<R, L> {
  /** Requests with the time of their arrival; insertion order is FIFO, and leaving early costs O(1). */
  readonly #waiting = new Map<R, number>();
  /** One entry for each request that a lane can take now; a lane of capacity n stands here up to n times. */
  #idle: L[] = [];
  /** Requests that go before all others, the first in front: their first worker died. */
  readonly #again = new Map<R, number>();
  #size: number;

  /** @param size requests that may wait at most (`queue-size`) */
  constructor(size: number) {
    this.#size = size;
  }

  get length(): number {
    return this.#waiting.size + this.#again.size;
  }

  set size(size: number) {
    this.#size = size;
  }

  /** When the first that waits was lined up; null when nothing waits. */
  get since(): number | null {
    for (const waiting of [this.#again, this.#waiting]) for (const since of waiting.values()) return since;
    return null;
  }

  get idle(): number {
    return this.#idle.length;
  }

  /** Lines a request up. @returns false when the queue is full. */
  push(request: R, now: number): boolean {
    // A request that an idle lane can take at once is never refused, whatever the size.
    if (this.#waiting.size >= this.#size && this.#idle.length === 0) return false;
    this.#waiting.set(request, now);
    return true;
  }

  /** Lines a request up in front, for its second try; there is always room, since it had a place before. */
  pushAgain(request: R, now: number): void {
    this.#again.set(request, now);
  }

  /** Takes a request out that need not be served any longer. @returns whether it was still waiting. */
  remove(request: R): boolean {
    return this.#waiting.delete(request) || this.#again.delete(request);
  }

  /** The lane can take one request more. */
  free(lane: L): void {
    this.#idle.push(lane);
  }

  /** The lane takes nothing more. */
  retire(lane: L): void {
    this.#idle = this.#idle.filter((idle) => idle !== lane);
  }

  /** The next assignment, or null when nothing waits or nobody is idle. */
  next(now: number): Assignment<R, L> | null {
    const waiting = this.#again.size > 0 ? this.#again : this.#waiting;
    if (waiting.size === 0) return null;
    const lane = this.#idle.pop();
    if (lane === undefined) return null;
    for (const [request, since] of waiting) {
      waiting.delete(request);
      return { request, lane, waitedMs: now - since };
    }
    return null;
  }
}

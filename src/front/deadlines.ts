import { Clock, HEARTBEAT_MS } from '../clock.ts';

/**
 * Deadlines without a timer each. Every list has one delay, so the order in which items are added is the
 * order in which they fall due, and adding or removing one is a Map operation. One timer serves all lists.
 *
 * While something is due the clock is looked at once a second, so that time in which this process was stopped counts
 * for nobody.
 */
export class Deadlines {
  readonly #lists: { readonly nextAt: number; expire(now: number): void }[] = [];
  readonly #clock: Clock;
  #timer: NodeJS.Timeout | null = null;
  #wakeAt = Number.POSITIVE_INFINITY;

  constructor(clock: Clock = new Clock()) {
    this.#clock = clock;
  }

  /** Milliseconds of the clock by which they fall due. */
  now(): number {
    return this.#clock.now();
  }

  /** A list whose items fall due `delayMs` after they were added; 0 means never. */
  list<T extends object>(delayMs: number, onDue: (item: T) => void): DeadlineList<T> {
    const arm = (at: number) => this.#arm(at);
    const list = new DeadlineList<T>({ delayMs, onDue, arm, now: () => this.#clock.now() });
    this.#lists.push(list);
    return list;
  }

  #arm(at: number): void {
    if (at >= this.#wakeAt) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    const now = this.#clock.now();
    this.#wakeAt = Math.min(at, now + HEARTBEAT_MS);
    this.#timer = setTimeout(() => this.#tick(), Math.max(1, Math.ceil(this.#wakeAt - now)));
    // Connections and children keep a process alive; its deadlines alone should not.
    this.#timer.unref();
  }

  #tick(): void {
    this.#timer = null;
    this.#wakeAt = Number.POSITIVE_INFINITY;
    const now = this.#clock.now();
    for (const list of this.#lists) list.expire(now);
    for (const list of this.#lists) this.#arm(list.nextAt);
  }
}

interface ListOptions<T> {
  readonly delayMs: number;
  readonly onDue: (item: T) => void;
  readonly arm: (at: number) => void;
  readonly now: () => number;
}

export class DeadlineList<T extends object> {
  readonly #due = new Map<T, number>();
  readonly #options: ListOptions<T>;
  #delayMs: number;

  constructor(options: ListOptions<T>) {
    this.#options = options;
    this.#delayMs = options.delayMs;
  }

  /** Changes the delay, also for the items that are in the list: they stay in the order in which they fall due. */
  set delayMs(delayMs: number) {
    const by = delayMs - this.#delayMs;
    this.#delayMs = delayMs;
    if (delayMs <= 0) this.#due.clear();
    for (const [item, at] of this.#due) this.#due.set(item, at + by);
    if (this.#due.size > 0) this.#options.arm(this.nextAt);
  }

  /** Starts or restarts the item's delay. */
  add(item: T): void {
    if (this.#delayMs <= 0) return;
    const at = this.#options.now() + this.#delayMs;
    this.#due.delete(item);
    this.#due.set(item, at);
    if (this.#due.size === 1) this.#options.arm(at);
  }

  delete(item: T): void {
    this.#due.delete(item);
  }

  has(item: T): boolean {
    return this.#due.has(item);
  }

  /** When the first item falls due; infinity when the list is empty. */
  get nextAt(): number {
    for (const at of this.#due.values()) return at;
    return Number.POSITIVE_INFINITY;
  }

  /** Removes what is due and tells its owner. */
  expire(now: number): void {
    for (const [item, at] of this.#due) {
      if (at > now) return;
      this.#due.delete(item);
      this.#options.onDue(item);
    }
  }
}

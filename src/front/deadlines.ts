import { Clock, HEARTBEAT_MS } from '../clock.ts';
import { Line, Link } from './line.ts';

/**
 * Deadlines without a timer each. Every list has one delay, so the order in which links are added is the
 * order in which they fall due. One timer serves all lists.
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
  list<T>(delayMs: number, onDue: (item: T) => void): DeadlineList<T> {
    const arm = (at: number) => this.#arm(at);
    const list = new DeadlineList<T>({ delayMs, onDue, arm, now: () => this.#clock.now() });
    this.#lists.push(list);
    return list;
  }

  /** A list for those that keep no link of their own, and are few. */
  keyed<T>(delayMs: number, onDue: (item: T) => void): KeyedDeadlines<T> {
    return new KeyedDeadlines<T>((forget) =>
      this.list(delayMs, (item: T) => {
        forget(item);
        onDue(item);
      }),
    );
  }

  /** A deadline by itself, set by `start`; 0 means never. */
  single(delayMs: number, onDue: () => void): Single {
    return new Single(this.list(delayMs, onDue));
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

export class DeadlineList<T> {
  readonly #line = new Line<T>();
  readonly #options: ListOptions<T>;
  #delayMs: number;

  constructor(options: ListOptions<T>) {
    this.#options = options;
    this.#delayMs = options.delayMs;
  }

  /** Changes the delay, also for those that are in the list: they stay in the order in which they fall due. */
  set delayMs(delayMs: number) {
    const by = delayMs - this.#delayMs;
    this.#delayMs = delayMs;
    for (let link = this.#line.first; link !== null; ) {
      const { after } = link;
      if (delayMs <= 0) this.#line.remove(link);
      else link.at += by;
      link = after;
    }
    if (this.#line.length > 0) this.#options.arm(this.nextAt);
  }

  /** Starts or restarts the delay of the link's item; its place in another list is given up. */
  add(link: Link<T>): void {
    if (this.#delayMs <= 0) return link.leave();
    const at = this.#options.now() + this.#delayMs;
    this.#line.push(link, at);
    if (this.#line.length === 1) this.#options.arm(at);
  }

  delete(link: Link<T>): void {
    this.#line.remove(link);
  }

  has(link: Link<T>): boolean {
    return link.line === this.#line;
  }

  /** When the first falls due; infinity when the list is empty. */
  get nextAt(): number {
    return this.#line.first?.at ?? Number.POSITIVE_INFINITY;
  }

  /** Removes what is due and tells its owner. */
  expire(now: number): void {
    // Those that are added meanwhile fall due later than now.
    for (let { first } = this.#line; first !== null && first.at <= now; { first } = this.#line) {
      this.#line.remove(first);
      this.#options.onDue(first.item);
    }
  }
}

export class KeyedDeadlines<T> {
  readonly #list: DeadlineList<T>;
  readonly #links = new Map<T, Link<T>>();

  constructor(makeList: (forget: (item: T) => void) => DeadlineList<T>) {
    this.#list = makeList((item) => this.#links.delete(item));
  }

  set delayMs(delayMs: number) {
    this.#list.delayMs = delayMs;
  }

  /** Starts or restarts the item's delay. */
  add(item: T): void {
    const link = this.#links.get(item) ?? new Link(item);
    this.#links.set(item, link);
    this.#list.add(link);
  }

  /** Starts the item's delay unless it runs already. */
  ensure(item: T): void {
    const link = this.#links.get(item);
    if (link === undefined || !this.#list.has(link)) this.add(item);
  }

  delete(item: T): void {
    const link = this.#links.get(item);
    if (link === undefined) return;
    this.#links.delete(item);
    this.#list.delete(link);
  }
}

/** A deadline that stands for itself. */
export class Single {
  readonly #list: DeadlineList<void>;
  readonly #link = new Link<void>(undefined);

  constructor(list: DeadlineList<void>) {
    this.#list = list;
  }

  set delayMs(delayMs: number) {
    this.#list.delayMs = delayMs;
  }

  /** Starts or restarts its delay. */
  start(): void {
    this.#list.add(this.#link);
  }

  /** Starts its delay unless it runs already; `delayMs`: a new one. */
  ensure(delayMs?: number): void {
    if (this.#list.has(this.#link)) return;
    if (delayMs !== undefined) this.#list.delayMs = delayMs;
    this.#list.add(this.#link);
  }

  stop(): void {
    this.#list.delete(this.#link);
  }
}

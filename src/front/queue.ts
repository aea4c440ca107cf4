import { Line, type Link } from './line.ts';

/**
 * Which request goes to which lane: a pure core, requests, lanes and the time in, assignments out.
 *
 * First come, first served. Among idle lanes the one used last, whose caches are warm. Only when none is idle does a
 * request line up behind others in a lane, and only when no harm can come of it: waking a process costs more than a
 * small request, so lanes of quick requests are filled ahead, by a millisecond or two of work.
 */
export interface Assignment<R, L> {
  readonly request: R;
  readonly lane: L;
  /** Milliseconds that the request waited. */
  readonly waitedMs: number;
}

export interface Waiter<R> {
  /** It may run behind or before others in one lane: it is safe, has no body, and was not taken back before. */
  readonly shares: boolean;
  /** A worker died that may have begun it: if the next one dies as well, it is taken for the cause. */
  readonly suspect: boolean;
  /** Its place here; the queue's from `push` or `pushAgain` until it is given out. */
  readonly link: Link<R>;
}

export interface QueueLimits {
  /** Requests that may wait at most (`queue-size`). */
  readonly size: number;
  /** Milliseconds that one may wait at most (`queue-timeout`); 0 for no limit. */
  readonly timeoutMs: number;
  /** The same under overload (`queue-target`), when the clients of older ones have given up; 0 for no such limit. */
  readonly targetMs: number;
}

export interface LaneLimits {
  /** Requests that it works on at once. */
  readonly capacity: number;
  /** Requests that it can be sent at once; those beyond `capacity` wait in it. */
  readonly batch: number;
  /** The process that works on them: it dies with all that its lanes hold. */
  readonly worker: object;
}

/**
 * Work that a lane is filled ahead by, in the time it takes of late, waiting for a processor included: with 1 ms, and all
 * processors busy, lanes of Django pages held two or three, and each cost a third more (docs/design.md).
 */
const AHEAD_MS = 2;
/** Requests in one lane at most. */
export const DEEPEST = 32;
/** Nothing is lined up behind a request that runs longer; what stands there is taken back. */
export const SLOW_MS = 5;
/** Under overload the first in the queue has waited so long, for so long; */
const LATE_MS = 100;
/** and meanwhile so many clients have given up, one for every four that were served. */
const LEAVERS = 10;
const SERVED_PER_LEAVER = 4;
/** A suspect that has run so long without harm no longer keeps another one from its worker. */
export const TRIAL_MS = 100;
/** Weight of the latest measurement in a lane's service time. */
const WEIGHT = 1 / 4;

/** What is known of a lane. */
interface Load extends LaneLimits {
  batch: number;
  running: number;
  held: boolean;
  /** What it runs shares the lane with nothing. */
  alone: boolean;
  /** The answer that it gives takes its time. */
  streams: boolean;
  /** When what it runs now came to its head, at the latest. */
  since: number;
  /** How long a request takes there, on average of late; null before the first. */
  serviceMs: number | null;
  /** What waits behind its head was asked back. */
  recalled: boolean;
}

export class Queue<R extends Waiter<R>, L> {
  /** Requests since their arrival: FIFO, and leaving early costs O(1). */
  readonly #waiting = new Line<R>();
  /** Requests that go before all others, the first in front: their lane failed them. */
  readonly #again = new Line<R>();
  /**
   * The same for suspects, the last in front: what began shortly before a worker died is the likeliest cause. Each worker
   * gets one at a time, so that a second death convicts no innocent one with it.
   */
  readonly #suspects = new Line<R>();
  /** All who wait, those that go first in front. */
  readonly #lines = [this.#suspects, this.#again, this.#waiting];
  /** Workers that run a suspect. */
  readonly #trials = new Map<object, { readonly suspect: R; readonly until: number }>();
  readonly #loads = new Map<L, Load>();
  /** Lanes that can take a request at once, the one used last at the end. */
  #idle: L[] = [];
  /** Since when the first in the queue is late, and who left and was served since; null when it is not. */
  #late: { readonly since: number; left: number; served: number; overloaded: boolean } | null = null;
  limits: QueueLimits;

  constructor(limits: QueueLimits) {
    this.limits = limits;
  }

  get length(): number {
    return this.#waiting.length + this.#again.length + this.#suspects.length;
  }

  /** Suspects that wait for a worker of their own. */
  get suspects(): number {
    return this.#suspects.length;
  }

  /** When the one that has waited longest was lined up; null when nothing waits. */
  get since(): number | null {
    let since = Number.POSITIVE_INFINITY;
    for (const { first } of this.#lines) since = Math.min(since, first?.at ?? since);
    return since === Number.POSITIVE_INFINITY ? null : since;
  }

  /** Requests that could be taken at once. */
  get idle(): number {
    let count = 0;
    for (const lane of this.#idle) count += this.#room(lane);
    return count;
  }

  /** Lines a request up. @returns false when the queue is full. */
  push(request: R, now: number): boolean {
    // A request that an idle lane can take at once is never refused, whatever the size.
    if (this.#waiting.length >= this.limits.size && this.#waiting.length >= this.limits.size + this.idle)
      return false;
    this.#waiting.push(request.link, now);
    return true;
  }

  /** Lines a request up in front, when its lane has failed it; there is always room, since it had a place before. */
  pushAgain(request: R, now: number): void {
    (request.suspect ? this.#suspects : this.#again).push(request.link, now);
  }

  /** The client has gone: nobody waits for this request any longer. @returns whether it was still waiting. */
  leave(request: R): boolean {
    const waited = this.#lines.some((line) => line.remove(request.link));
    if (waited && this.#late !== null) this.#late.left++;
    return waited;
  }

  /** The lane is there, or back from having been held. */
  open(lane: L, limits: LaneLimits): void {
    const load = this.#loads.get(lane) ?? newLoad(limits);
    this.#loads.set(lane, load);
    load.held = false;
    this.#offer(lane, load);
  }

  /** The lane takes nothing until it is opened again. */
  hold(lane: L): void {
    const load = this.#loads.get(lane);
    if (load === undefined) return;
    load.held = true;
    this.#idle = this.#idle.filter((idle) => idle !== lane);
  }

  /** The lane is gone. */
  drop(lane: L): void {
    this.hold(lane);
    const load = this.#loads.get(lane);
    if (load !== undefined) this.#trials.delete(load.worker);
    this.#loads.delete(lane);
  }

  /** The suspect has left its lane. */
  tried(suspect: R, worker: object): void {
    if (this.#trials.get(worker)?.suspect === suspect) this.#trials.delete(worker);
  }

  /** Nothing lines up behind another in this lane from now on. */
  unbatch(lane: L): void {
    const load = this.#loads.get(lane);
    if (load !== undefined) load.batch = load.capacity;
  }

  /** The answer at the head of the lane comes in parts: nothing should wait behind it. */
  streams(lane: L): void {
    const load = this.#loads.get(lane);
    if (load !== undefined) load.streams = true;
  }

  /** So many requests have left the lane at once: answered, or taken back. */
  done(
    lane: L,
    { count, now, answered }: { readonly count: number; readonly now: number; readonly answered: boolean },
  ): void {
    const load = this.#loads.get(lane);
    if (load === undefined) return;
    load.running -= count;
    if (answered) {
      measure(load, (now - load.since) / count);
      load.since = now;
      load.streams = load.recalled = false;
    }
    if (load.running === 0) load.alone = false;
    if (!load.held) this.#offer(lane, load);
  }

  /** A request that was answered is answered anew by the same lane: it is not over, and nothing lines up behind it. */
  again(lane: L): void {
    const load = this.#loads.get(lane);
    if (load === undefined) return;
    load.running++;
    load.alone = true;
    if (load.running >= load.capacity) this.#idle = this.#idle.filter((idle) => idle !== lane);
  }

  /** Lanes whose head is slow, and others behind it: each is given once for one head. */
  *recalls(now: number): Generator<L> {
    for (const [lane, load] of this.#loads) {
      if (load.recalled || now - load.since < SLOW_MS || !isShared(load)) continue;
      if (load.capacity > 1 && !this.#isFreerThan(load)) continue;
      load.recalled = true;
      yield lane;
    }
  }

  /** Whether any lane may come to be slow for those behind its head. */
  get shared(): boolean {
    for (const load of this.#loads.values()) {
      if (!load.recalled && isShared(load) && (load.capacity === 1 || this.#loads.size > 1)) return true;
    }
    return false;
  }

  /** Whether another lane would be a better place: one that is at half as much, at most, keeps up where this one does not. */
  #isFreerThan({ running }: Load): boolean {
    return this.#idle.some((lane) => (this.#loads.get(lane)?.running ?? running) * 2 <= running);
  }

  /** The next assignment, or null when nothing waits or nothing can be given out. */
  next(now: number): Assignment<R, L> | null {
    const suspect = this.#suspects.last;
    const court = suspect === null ? null : this.#freest((worker) => !this.#tries(worker, now));
    if (suspect !== null && court !== null) return this.#give(suspect, { lane: court, now });
    const link = this.#again.first ?? this.#waiting.first;
    if (link === null) return null;
    const lane = this.#freest() ?? (link.item.shares ? this.#roomiest(now) : null);
    // Those behind wait as well: lanes that are filled on and on never come to be idle.
    return lane === null ? null : this.#give(link, { lane, now });
  }

  #give(link: Link<R>, { lane, now }: { readonly lane: L; readonly now: number }): Assignment<R, L> {
    const { item: request, at: since } = link;
    link.leave();
    if (this.#late !== null) this.#late.served++;
    this.#take(lane, { request, now });
    return { request, lane, waitedMs: now - since };
  }

  /** Whether the worker runs a suspect of which nothing is known yet. */
  #tries(worker: object, now: number): boolean {
    return now < (this.#trials.get(worker)?.until ?? now);
  }

  /** For so many milliseconds nobody can come to have waited too long; infinity when nobody waits. */
  calmMs(now: number): number {
    const { since } = this;
    if (since === null) return Number.POSITIVE_INFINITY;
    const { timeoutMs } = this.limits;
    return since + (timeoutMs > 0 ? Math.min(timeoutMs, LATE_MS) : LATE_MS) - now;
  }

  /** Takes out those that have waited too long. */
  expire(now: number): R[] {
    const overloaded = this.#isOverloaded(now);
    const { timeoutMs, targetMs } = this.limits;
    const limit = timeoutMs === 0 ? Number.POSITIVE_INFINITY : timeoutMs;
    const target = overloaded && targetMs > 0 ? Math.min(limit, targetMs) : limit;
    return this.#lines.flatMap((line) => expired(line, now - (line === this.#waiting ? target : limit)));
  }

  /**
   * FIFO alone would serve only clients that have left already, once more come than can be served. That clients leave is
   * what tells it from a few that wait patiently for a slow page, of whom none is to be lost.
   */
  #isOverloaded(now: number): boolean {
    const oldest = this.#waiting.first?.at ?? now;
    if (now - oldest <= LATE_MS) this.#late = null;
    else this.#late ??= { since: now, left: 0, served: 0, overloaded: false };
    const late = this.#late;
    if (late === null || now - late.since < LATE_MS) return false;
    late.overloaded ||= late.left >= LEAVERS && late.left * SERVED_PER_LEAVER >= late.served;
    return late.overloaded;
  }

  #take(lane: L, { request, now }: { readonly request: R; readonly now: number }): void {
    const load = this.#loads.get(lane) as Load;
    if (load.running === 0) load.since = now;
    load.running++;
    // Side by side with those that have begun, it may be the first that has not.
    if (load.capacity > 1) load.recalled = false;
    load.alone = load.capacity === 1 && !request.shares;
    if (request.suspect) this.#trials.set(load.worker, { suspect: request, until: now + TRIAL_MS });
    if (load.running === load.capacity) this.#idle.splice(this.#idle.lastIndexOf(lane), 1);
  }

  #offer(lane: L, load: Load): void {
    if (load.running < load.capacity && !this.#idle.includes(lane)) this.#idle.push(lane);
  }

  /** Of the lanes that can take a request at once, in workers that will do, the one with the least to do; of those the one used last. */
  #freest(willDo?: (worker: object) => boolean): L | null {
    let best: L | null = null;
    let least = Number.POSITIVE_INFINITY;
    for (let i = this.#idle.length - 1; i >= 0 && least > 0; i--) {
      const lane = this.#idle[i] as L;
      const { running, worker } = this.#loads.get(lane) as Load;
      if (running < least && (willDo === undefined || willDo(worker))) [best, least] = [lane, running];
    }
    return best;
  }

  #room(lane: L): number {
    const load = this.#loads.get(lane);
    return load === undefined ? 0 : load.capacity - load.running;
  }

  /** The lane with the least in it of those to which one more may be given, though it is busy. */
  #roomiest(now: number): L | null {
    let best: L | null = null;
    let least = Number.POSITIVE_INFINITY;
    for (const [lane, load] of this.#loads) {
      if (load.running >= least || load.running >= depth(load) || load.held || load.alone) continue;
      if (load.streams || now - load.since > SLOW_MS) continue;
      best = lane;
      least = load.running;
    }
    return best;
  }
}

function newLoad(limits: LaneLimits): Load {
  return {
    ...limits,
    running: 0,
    held: false,
    alone: false,
    streams: false,
    since: 0,
    serviceMs: null,
    recalled: false,
  };
}

/** Others stand behind what it runs; or may, as far as one can tell, where many run side by side in one thread. */
function isShared({ running }: Load): boolean {
  return running > 1;
}

function measure(load: Load, ms: number): void {
  load.serviceMs = load.serviceMs === null ? ms : load.serviceMs + (ms - load.serviceMs) * WEIGHT;
}

/** How many requests a lane may hold. */
function depth({ serviceMs, batch, capacity }: Load): number {
  if (serviceMs === null || capacity > 1) return capacity;
  return Math.min(Math.max(1, Math.floor(AHEAD_MS / serviceMs)), DEEPEST, batch);
}

function expired<R>(waiting: Line<R>, before: number): R[] {
  const gone: R[] = [];
  for (let { first } = waiting; first !== null && first.at <= before; { first } = waiting) {
    waiting.remove(first);
    gone.push(first.item);
  }
  return gone;
}

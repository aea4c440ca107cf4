/**
 * A front in simulated time: the real queue, and around it lanes, workers and clients that do what they may do, by a
 * seeded random history. It notes what must never happen.
 */
import { Link } from '../../src/front/line.ts';
import { type Assignment, DEEPEST, Queue, type QueueLimits } from '../../src/front/queue.ts';

export interface Request {
  readonly id: number;
  readonly safe: boolean;
  readonly arrived: number;
  /** Milliseconds that the application takes. */
  readonly ms: number;
  /** When its client gives up. */
  readonly patience: number;
  /** It kills the worker that runs it. */
  readonly deadly: boolean;
  shares: boolean;
  readonly link: Link<Request>;
  /** Workers that may have begun it and died. */
  deaths: number;
  readonly suspect: boolean;
  recalls: number;
  starts: number;
  answers: number;
  fate: 'waits' | 'runs' | 'answered' | 'refused' | 'failed' | 'gone';
}

/** A process: it dies with all that its lanes hold. */
export interface Worker {
  readonly lanes: Lane[];
}

/** A lane, and the thread behind it. */
export interface Lane {
  readonly name: number;
  readonly worker: Worker;
  alive: boolean;
  /** The next order is that it leaves. */
  draining: boolean;
  /** What the front has sent and has no answer to. */
  readonly flight: Request[];
  /** What the worker has not begun. */
  readonly waiting: Request[];
  running: { readonly request: Request; readonly until: number } | null;
  /** RECALL is on its way to the worker until then. */
  recallAt: number | null;
  /** What it names is on its way back until then. */
  recalled: { readonly at: number; readonly requests: readonly Request[] } | null;
}

/** What a broken front does otherwise. */
export interface Rules {
  readonly makeQueue: (limits: QueueLimits) => Queue<Request, Lane>;
  /** Whether a request whose worker died is tried again. */
  readonly mayRunAgain: (request: Request) => boolean;
  /** What a request is that failed in company. */
  readonly afterwards: (request: Request) => void;
  /** Those of the requests named by RECALLED that are taken back. */
  readonly honour: (named: readonly Request[], flight: readonly Request[]) => readonly Request[];
  /** The client of a waiting request has gone. */
  readonly leaves: (queue: Queue<Request, Lane>, request: Request) => void;
}

export const RULES: Rules = {
  makeQueue: (limits) => new Queue(limits),
  mayRunAgain: (request) => request.safe && request.deaths < 2,
  afterwards: (request) => {
    request.shares = false;
  },
  honour: (named, flight) => named.filter((request) => flight.includes(request)),
  leaves: (queue, request) => void queue.leave(request),
};

const LIMITS: QueueLimits = { size: 40, timeoutMs: 400, targetMs: 150 };
/** Of simulated time, after which nothing new comes. */
const ARRIVALS_MS = 400;
const END_MS = 3000;
const TICK_MS = 0.25;

function linked(request: Omit<Request, 'link' | 'suspect'>): Request {
  const made = { ...request } as { -readonly [Key in keyof Request]: Request[Key] };
  Object.defineProperty(made, 'suspect', { get: () => made.deaths > 0 });
  made.link = new Link<Request>(made);
  return made;
}

export class World {
  readonly violations = new Set<string>();
  /** What happened, so that a run which showed nothing can be told from one that proves something. */
  readonly seen = { shared: 0, recalled: 0, retried: 0, convicted: 0, refused: 0, left: 0, raced: 0 };
  readonly #random: () => number;
  readonly #rules: Rules;
  readonly #queue: Queue<Request, Lane>;
  readonly #lanes: Lane[] = [];
  readonly #dead: Lane[] = [];
  readonly #requests: Request[] = [];
  /** Those that have no end yet. */
  readonly #open = new Set<Request>();
  #lastGiven = -1;
  readonly #load: number;
  readonly #slowShare: number;
  /** Lanes of each worker. */
  readonly #threads: number;
  /** When the first worker comes. */
  readonly #firstAt: number;
  #now = 0;
  #names = 0;

  constructor(random: () => number, rules: Rules) {
    this.#random = random;
    this.#rules = rules;
    this.#queue = rules.makeQueue(LIMITS);
    this.#load = 0.05 + random() * 2;
    this.#slowShare = random() < 0.5 ? 0.05 : 0;
    const lanes = 1 + Math.floor(random() * 4);
    this.#firstAt = random() < 0.05 ? 700 : 0;
    this.#threads = random() < 0.5 ? 1 : 2 + Math.floor(random() * 3);
    for (let i = 0; i < lanes && this.#firstAt === 0; i += this.#threads) this.#join();
  }

  run(): void {
    for (; this.#now < END_MS; this.#now += TICK_MS) {
      if (this.#now < ARRIVALS_MS) this.#mishap();
      if (this.#now === this.#firstAt) this.#join();
      this.#work();
      this.#front();
      if (this.#now > ARRIVALS_MS && this.#open.size === 0) break;
    }
    for (const request of this.#requests) {
      if (request.fate === 'waits' || request.fate === 'runs') this.#violated('a request without an end');
      if (request.answers > 1) this.#violated('two answers to one request');
      if (!request.safe && request.starts > 1) this.#violated('an unsafe request that ran twice');
      if (request.starts > 2) this.#violated('a request that ran three times');
      if (request.recalls > 1) this.#violated('a request that was taken back twice');
    }
  }

  #violated(what: string): void {
    this.violations.add(what);
  }

  #chance(share: number): boolean {
    return this.#random() < share;
  }

  #mishap(): void {
    for (let left = this.#load; left > 0; left--) if (this.#chance(Math.min(1, left))) this.#arrive();
    if (this.#chance(0.0005)) this.#die(this.#pick());
    // While its answer to RECALL is on the way.
    if (this.#chance(0.02)) this.#die(this.#lanes.find(({ recalled }) => recalled !== null));
    if (this.#chance(0.001)) this.#drain(this.#pick());
    if (this.#now > this.#firstAt && this.#chance(0.002) && this.#lanes.length < 6) this.#join();
  }

  #pick(): Lane | undefined {
    return this.#lanes[Math.floor(this.#random() * this.#lanes.length)];
  }

  #arrive(): void {
    const safe = this.#chance(0.8);
    const request = linked({
      id: this.#requests.length,
      safe,
      arrived: this.#now,
      ms: this.#chance(this.#slowShare) ? 20 + this.#random() * 60 : 0.05 + this.#random() * 0.4,
      patience: this.#chance(0.3) ? this.#random() * 200 : 10_000,
      deadly: this.#chance(0.002),
      shares: safe,
      deaths: 0,
      recalls: 0,
      starts: 0,
      answers: 0,
      fate: 'waits',
    });
    this.#requests.push(request);
    this.#open.add(request);
    if (this.#queue.push(request, this.#now)) {
      if (this.#queue.length > LIMITS.size + this.#lanes.length + DEEPEST)
        this.#violated('a queue beyond its size');
      return;
    }
    if (this.#queue.length < LIMITS.size) this.#violated('a refusal while there was room');
    request.fate = 'refused';
    this.seen.refused++;
  }

  #join(): void {
    const worker: Worker = { lanes: [] };
    for (let i = 0; i < this.#threads; i++) {
      const lane: Lane = {
        name: ++this.#names,
        worker,
        alive: true,
        draining: false,
        flight: [],
        waiting: [],
        running: null,
        recallAt: null,
        recalled: null,
      };
      worker.lanes.push(lane);
      this.#lanes.push(lane);
      this.#queue.open(lane, { capacity: 1, batch: DEEPEST, worker });
    }
  }

  #drain(lane: Lane | undefined): void {
    if (lane === undefined || this.#lanes.every(({ worker }) => worker === lane.worker)) return;
    for (const each of lane.worker.lanes) {
      each.draining = true;
      this.#queue.hold(each);
    }
  }

  /** The worker dies; another comes after a while, so that nothing waits for ever. */
  #die(one: Lane | undefined): void {
    if (one === undefined || !one.alive) return;
    const { lanes } = one.worker;
    // Those that drained and had nothing to do have left already.
    const left = lanes.filter((lane) => this.#lanes.includes(lane));
    for (const lane of lanes) lane.alive = false;
    for (const lane of left) this.#remove(lane);
    const lost = left.flatMap((lane) => lane.flight.splice(0));
    let convicted = 0;
    for (const request of lost) {
      if (request.fate !== 'runs') continue;
      request.deaths++;
      if (this.#rules.mayRunAgain(request)) {
        this.seen.retried++;
        this.#again(request);
        continue;
      }
      request.fate = 'failed';
      if (!request.safe) continue;
      this.seen.convicted++;
      convicted++;
      // With lanes of its own besides, an innocent suspect may have run beside another one's poison.
      if (this.#threads === 1 && !request.deadly && lost.length > 1)
        this.#violated('an innocent request convicted in company');
    }
    if (convicted > 1) this.#violated('two requests convicted by one death');
    // Their last words may be on their way.
    this.#dead.push(...left.filter(({ recalled }) => recalled !== null));
    this.#join();
  }

  #again(request: Request): void {
    this.#rules.afterwards(request);
    request.fate = 'waits';
    this.#queue.pushAgain(request, this.#now);
  }

  #remove(lane: Lane): void {
    this.#lanes.splice(this.#lanes.indexOf(lane), 1);
    this.#queue.drop(lane);
  }

  /** The workers. */
  #work(): void {
    for (const lane of [...this.#lanes]) {
      // With another lane of its worker, a moment ago.
      if (!lane.alive) continue;
      this.#hearRecall(lane);
      const { running } = lane;
      if (running !== null && running.until <= this.#now) {
        lane.running = null;
        this.#answer(lane, running.request);
      }
      if (lane.running === null && lane.alive) this.#begin(lane);
      if (lane.draining && lane.flight.length === 0 && lane.alive) this.#remove(lane);
    }
  }

  #begin(lane: Lane): void {
    const request = lane.waiting.shift();
    if (request === undefined) return;
    request.starts++;
    lane.running = { request, until: this.#now + request.ms };
    if (request.deadly) this.#die(lane);
  }

  #hearRecall(lane: Lane): void {
    if (lane.recallAt === null || lane.recallAt > this.#now) return;
    lane.recallAt = null;
    lane.recalled = { at: this.#now + this.#random() * 2, requests: lane.waiting.splice(0) };
  }

  #answer(lane: Lane, request: Request): void {
    const at = lane.flight.indexOf(request);
    if (at < 0) return this.#violated('an answer to a request that was given elsewhere');
    if (at > 0) this.#violated('an answer out of order');
    lane.flight.splice(at, 1);
    this.#queue.done(lane, { count: 1, now: this.#now, answered: true });
    if (request.suspect) this.#queue.tried(request, lane.worker);
    request.answers++;
    if (request.fate === 'runs') request.fate = 'answered';
  }

  /** What the front does in a turn of its event loop. */
  #front(): void {
    this.#hearRecalled();
    this.#notePatience();
    for (const request of this.#queue.expire(this.#now)) {
      if (this.#now - request.arrived < LIMITS.targetMs && request.deaths === 0)
        this.#violated('a refusal before its time');
      request.fate = 'refused';
      this.seen.refused++;
    }
    for (;;) {
      const assignment = this.#queue.next(this.#now);
      if (assignment === null) break;
      this.#assign(assignment);
    }
    for (const lane of this.#queue.recalls(this.#now)) {
      if (lane.flight.length < 2) this.#violated('a signal for nothing');
      lane.recallAt = this.#now + this.#random();
    }
    this.#checkWaiting();
  }

  #hearRecalled(): void {
    for (const lane of [...this.#lanes, ...this.#dead]) {
      const { recalled } = lane;
      if (recalled === null || recalled.at > this.#now) continue;
      lane.recalled = null;
      for (const request of this.#rules.honour(recalled.requests, lane.flight)) this.#takeBack(lane, request);
    }
  }

  #takeBack(lane: Lane, request: Request): void {
    const at = lane.flight.indexOf(request);
    if (at >= 0) {
      lane.flight.splice(at, 1);
      this.#queue.done(lane, { count: 1, now: this.#now, answered: false });
    } else this.seen.raced++;
    if (request.fate !== 'runs' && at >= 0) return;
    request.recalls++;
    this.seen.recalled++;
    this.#again(request);
  }

  #notePatience(): void {
    for (const request of this.#open) {
      if (request.fate !== 'waits' && request.fate !== 'runs') this.#open.delete(request);
      else if (this.#now - request.arrived >= request.patience) {
        if (request.fate === 'waits') this.#rules.leaves(this.#queue, request);
        request.fate = 'gone';
        this.seen.left++;
      }
    }
  }

  #assign({ request, lane, waitedMs }: Assignment<Request, Lane>): void {
    if (request.fate !== 'waits') return this.#violated(`a request given out that ${request.fate}`);
    if (!this.#lanes.includes(lane) || lane.draining) this.#violated('a request for a lane that takes none');
    if (waitedMs < 0) this.#violated('a wait of less than nothing');
    const company = lane.flight.length > 0;
    if (company && !(request.safe && lane.flight.every(({ safe }) => safe)))
      this.#violated('an unsafe request in company');
    if (
      company &&
      (request.deaths > 0 ||
        request.recalls > 0 ||
        lane.flight.some(({ deaths, recalls }) => deaths + recalls > 0))
    )
      this.#violated('a request in company that had failed in company');
    if (company && this.#lanes.some((each) => each.flight.length === 0 && !each.draining))
      this.#violated('a batch while a lane was idle');
    if (lane.flight.length >= DEEPEST) this.#violated('a lane too deep');
    if (company) this.seen.shared++;
    this.#checkOrder(request);
    request.fate = 'runs';
    lane.flight.push(request);
    lane.waiting.push(request);
  }

  /** First come, first served, but for those that come again. */
  #checkOrder(request: Request): void {
    if (request.deaths > 0 || request.recalls > 0) return;
    if (this.#lastGiven > request.id) this.#violated('a later request before an earlier one');
    this.#lastGiven = request.id;
  }

  #checkWaiting(): void {
    const idle = this.#lanes.filter((lane) => lane.flight.length === 0 && !lane.draining);
    const courts = idle.filter(({ worker }) => !worker.lanes.some(({ flight }) => flight.some(isSuspect)));
    const waits = (suspect: boolean) =>
      [...this.#open].some((request) => request.fate === 'waits' && request.suspect === suspect);
    if (idle.length > 0 && waits(false)) this.#violated('a request that waits while a lane is idle');
    if (courts.length > 0 && waits(true)) this.#violated('a suspect that waits while a worker has none');
    for (const request of this.#open) {
      const patience = LIMITS.timeoutMs * (1 + request.deaths + request.recalls) + 100;
      if (request.fate === 'waits' && this.#now - request.arrived > patience)
        this.#violated('a request that waits for ever');
    }
  }
}

function isSuspect({ suspect }: Request): boolean {
  return suspect;
}

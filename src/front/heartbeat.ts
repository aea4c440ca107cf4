/**
 * Asks idle lanes now and then whether they are alive, so that a worker which is stopped or deadlocked is found before a
 * request finds it. A lane gets nothing while its PONG is due.
 */
import type { Lane } from '../gateway/lane.ts';
import type { Deadlines, KeyedDeadlines, Single } from './deadlines.ts';

/** A worker that does nothing is asked at least this often. */
const LONGEST_MS = 10_000;
/** No worker is given up for being slow for less than this. */
const LEAST_PATIENCE_MS = 1000;

export interface HeartbeatOptions {
  readonly deadlines: Deadlines;
  /** Seconds; 0 for none. */
  readonly timeout: number;
  /** Every lane that may be given requests. */
  readonly lanes: () => Iterable<Lane>;
  /** It is to be given nothing for now; after its PONG it may again. */
  readonly hold: (lane: Lane) => void;
  readonly onDead: (lane: Lane) => void;
}

export class Heartbeat {
  readonly #options: HeartbeatOptions;
  readonly #beats: Single;
  readonly #pongs: KeyedDeadlines<Lane>;

  constructor(options: HeartbeatOptions) {
    this.#options = options;
    const { deadlines, timeout, onDead } = options;
    this.#beats = deadlines.single(intervalMs(timeout), () => this.#beat());
    this.#pongs = deadlines.keyed(patienceMs(timeout), onDead);
    this.#beats.start();
  }

  configure(timeout: number): void {
    this.#beats.delayMs = intervalMs(timeout);
    this.#pongs.delayMs = patienceMs(timeout);
  }

  /** Asks one lane now. */
  ask(lane: Lane): void {
    lane.ping();
    this.#pongs.add(lane);
  }

  /** It has answered, or is gone. */
  forget(lane: Lane): void {
    this.#pongs.delete(lane);
  }

  #beat(): void {
    this.#beats.start();
    for (const lane of this.#options.lanes()) {
      if (lane.inFlight > 0 || lane.pinged) continue;
      this.#options.hold(lane);
      this.ask(lane);
    }
  }
}

function intervalMs(timeout: number): number {
  return timeout === 0 ? LONGEST_MS : Math.min(LONGEST_MS, (timeout * 1000) / 2);
}

function patienceMs(timeout: number): number {
  return timeout === 0 ? LONGEST_MS : Math.max(LEAST_PATIENCE_MS, (timeout * 1000) / 2);
}

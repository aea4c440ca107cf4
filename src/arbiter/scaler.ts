/**
 * How many workers there should be between the bounds of `--workers MIN..MAX`: a pure function of what the seconds were like.
 *
 * More, when requests wait for several seconds in a row; fewer, when one worker has been spare for the whole of
 * `scale-idle`. What is looked at for fewer is the busiest moment of that time, so a load that comes and goes keeps
 * the workers that it needs at its height.
 */
import type { Load } from '../messages.ts';

/** A longer wait for a worker counts as pressure. */
const PRESSURE_MS = 100;
/** Seconds of pressure in a row before there are more. */
const PATIENCE = 3;
/** A worker is spare when the others would be used to no more than this part. */
const ROOM = 0.75;

export interface Second extends Load {
  /** Milliseconds of a monotonic clock. */
  readonly now: number;
  readonly target: number;
  readonly min: number;
  readonly max: number;
  /** Every worker that is wanted serves. */
  readonly settled: boolean;
  /** Requests that one worker runs at once. */
  readonly threads: number;
  readonly idleMs: number;
}

export class Scaler {
  #pressure = 0;
  /** Each is lower than the one before, so the first is the busiest of the time that counts. */
  #peaks: { readonly at: number; readonly busy: number }[] = [];
  /** Since when there is no reason to wait longer before there may be fewer. */
  #since = Number.NEGATIVE_INFINITY;

  /** To be called once a second. @returns the target for the next one. */
  next(second: Second): number {
    const { target, max, min, now } = second;
    this.#remember(second);
    this.#pressure = second.waitMs > PRESSURE_MS ? this.#pressure + 1 : 0;
    if (this.#pressure >= PATIENCE && second.settled && target < max)
      return this.#change(grown(target, max), now);
    if (target > min && this.#isSpare(second)) return this.#change(target - 1, now);
    return target;
  }

  #change(target: number, now: number): number {
    this.#pressure = 0;
    this.#since = now;
    return target;
  }

  #remember({ busy, now, idleMs }: Second): void {
    if (this.#since === Number.NEGATIVE_INFINITY) this.#since = now;
    while ((this.#peaks.at(-1)?.busy ?? Number.POSITIVE_INFINITY) <= busy) this.#peaks.pop();
    this.#peaks.push({ at: now, busy });
    while ((this.#peaks[0]?.at ?? now) < now - idleMs) this.#peaks.shift();
  }

  #isSpare({ now, target, threads, idleMs }: Second): boolean {
    // After a change the load spreads anew: only what came after it tells.
    if (now - this.#since < idleMs) return false;
    return (this.#peaks[0]?.busy ?? 0) <= (target - 1) * threads * ROOM;
  }
}

function grown(target: number, max: number): number {
  return Math.min(max, target + Math.max(1, Math.floor(target / 2)));
}

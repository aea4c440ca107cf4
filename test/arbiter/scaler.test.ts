import { describe, expect, test } from 'vitest';
import { Scaler, type Second } from '../../src/arbiter/scaler.ts';

const IDLE_MS = 30_000;
/** Seconds from the order for a worker until it serves. */
const BOOT = 2;

const QUIET: Second = {
  now: 0,
  target: 2,
  min: 1,
  max: 8,
  settled: true,
  threads: 1,
  idleMs: IDLE_MS,
  waitMs: 0,
  busy: 0,
};

/** Feeds one second after the other to a scaler, which starts with no worker to spare. */
function targets(seconds: readonly Partial<Second>[]): number[] {
  const scaler = new Scaler();
  return seconds.map((second, at) => scaler.next({ ...QUIET, busy: 2, now: at * 1000, ...second }));
}

const waiting = (waitMs: number, more: Partial<Second> = {}): Partial<Second> => ({ waitMs, ...more });

describe('more', () => {
  test.each<[string, Partial<Second>[], number[]]>([
    ['after three seconds of waiting in a row', Array(3).fill(waiting(101)), [2, 2, 3]],
    ['not for a wait that nobody notices', Array(4).fill(waiting(100)), [2, 2, 2, 2]],
    [
      'not when one second between was good',
      [101, 101, 0, 101, 101].map((ms) => waiting(ms)),
      [2, 2, 2, 2, 2],
    ],
    ['by half of what there is', Array(3).fill(waiting(500, { target: 6, busy: 6 })), [6, 6, 8]],
    ['never above the most', Array(3).fill(waiting(500, { target: 7, busy: 7 })), [7, 7, 8]],
    ['and there it stays', Array(6).fill(waiting(500, { target: 8, busy: 8 })), Array(6).fill(8)],
    ['not while one is still to come', Array(5).fill(waiting(500, { settled: false })), [2, 2, 2, 2, 2]],
    [
      'but at once when it has come, and did not help',
      [...Array(4).fill(waiting(500, { settled: false })), waiting(500)],
      [2, 2, 2, 2, 3],
    ],
    ['not again before it has waited anew', Array(5).fill(waiting(500)), [2, 2, 3, 2, 2]],
  ])('%s', (_name, seconds, expected) => {
    expect(targets(seconds)).toEqual(expected);
  });
});

describe('fewer', () => {
  /** The second, from 0, in which a fleet that was never busier than `busy` gets smaller; -1 for never. */
  function shrinksAt(second: Partial<Second>): number {
    const seconds = targets(Array(90).fill(second));
    return seconds.findIndex((target) => target < (second.target ?? QUIET.target));
  }

  test.each<[string, Partial<Second>, number]>([
    ['when one was spare for the whole time', { target: 4, busy: 1 }, 30],
    ['as soon as a shorter time is over', { target: 4, busy: 1, idleMs: 5000 }, 5],
    ['not when the others would be nearly full', { target: 4, busy: 2.5 }, -1],
    ['each thread is room', { target: 4, busy: 4, threads: 2 }, 30],
    ['never below the fewest', { target: 2, min: 2, busy: 0 }, -1],
    ['the last one goes when nothing at all was to do', { target: 1, min: 0, busy: 0 }, 30],
    ['and stays for anything', { target: 1, min: 0, busy: 1 }, -1],
  ])('%s', (_name, second, expected) => {
    expect(shrinksAt(second)).toBe(expected);
  });

  test('one busy moment counts until it is old', () => {
    const seconds = Array.from({ length: 60 }, (_, at) => ({ target: 4, busy: at === 20 ? 4 : 0 }));
    expect(targets(seconds).findIndex((target) => target < 4)).toBe(20 + IDLE_MS / 1000 + 1);
  });

  test('one at a time, each after a time of its own', () => {
    const scaler = new Scaler();
    let target = 4;
    const at: number[] = [];
    for (let second = 0; second < 120; second++) {
      const next = scaler.next({ ...QUIET, target, now: second * 1000 });
      if (next < target) at.push(second);
      target = next;
    }
    expect(at).toEqual([30, 60, 90]);
  });
});

/** What a day was like: the target and the workers that serve at the end of each second. */
interface Day {
  readonly targets: readonly number[];
  /** Seconds in which requests waited. */
  readonly pressed: number;
  /** How often the number went up after it had gone down, or down after it had gone up. */
  readonly turns: number;
}

/** Workers that take `BOOT` seconds to come, under a load that keeps so many lanes busy in each second. */
function live(
  load: readonly number[],
  { min, max, threads = 1 }: { min: number; max: number; threads?: number },
): Day {
  const scaler = new Scaler();
  const arrivals: number[] = [];
  const seen: number[] = [];
  let [target, serving, pressed, turns, trend] = [min, min, 0, 0, 0];
  for (const [second, wanted] of load.entries()) {
    while ((arrivals[0] ?? Number.POSITIVE_INFINITY) <= second) {
      arrivals.shift();
      serving++;
    }
    const room = serving * threads;
    const waitMs = wanted > room ? 300 : 0;
    if (waitMs > 0) pressed++;
    const state = { now: second * 1000, target, min, max, threads, idleMs: IDLE_MS };
    const next = scaler.next({
      ...state,
      waitMs,
      busy: Math.min(wanted, room),
      settled: arrivals.length === 0,
    });
    for (let more = target; more < next; more++) arrivals.push(second + BOOT);
    serving -= Math.max(0, target - next);
    const direction = Math.sign(next - target);
    if (direction !== 0 && direction === -trend) turns++;
    if (direction !== 0) trend = direction;
    target = next;
    seen.push(target);
  }
  return { targets: seen, pressed, turns };
}

const minutes = (count: number, load: (second: number) => number) =>
  Array.from({ length: count * 60 }, (_, second) => load(second));

describe('loads', () => {
  test('a step and its end: up in seconds, down to the fewest, and no way back between', () => {
    const { targets, turns, pressed } = live(
      minutes(10, (second) => (second >= 60 && second < 240 ? 6 : 0)),
      { min: 2, max: 8 },
    );
    expect(targets.slice(0, 60).every((target) => target === 2)).toBe(true);
    expect(targets.slice(90, 240).every((target) => target === targets[90])).toBe(true);
    expect(targets[90]).toBeGreaterThanOrEqual(6);
    expect(pressed).toBeLessThan(30);
    expect(targets.at(-1)).toBe(2);
    expect(turns).toBe(1);
  });

  test('waves that are shorter than the idle time keep what their height needs', () => {
    const { targets, turns } = live(
      minutes(10, (second) => (second % 20 < 10 ? 5 : 0)),
      { min: 1, max: 8 },
    );
    expect(turns).toBe(0);
    expect(Math.min(...targets.slice(180))).toBeGreaterThanOrEqual(5);
  });

  test('more than all can do: every one that may be, and no more', () => {
    const { targets } = live(
      minutes(5, () => 100),
      { min: 1, max: 8 },
    );
    expect(targets.at(-1)).toBe(8);
    expect(Math.max(...targets)).toBe(8);
  });

  test('a steady load that fits is left alone', () => {
    expect(
      new Set(
        live(
          minutes(10, () => 2),
          { min: 2, max: 8 },
        ).targets,
      ),
    ).toEqual(new Set([2]));
  });

  test('slow changes are followed without swinging', () => {
    const day = live(
      minutes(60, (second) => Math.round(4 + 3 * Math.sin(second / 290))),
      { min: 1, max: 16, threads: 1 },
    );
    // Two waves: up and down for each.
    expect(day.turns).toBeLessThanOrEqual(4);
    expect(day.pressed).toBeLessThan(60 * 60 * 0.05);
  });
});

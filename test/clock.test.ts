import { expect, test } from 'vitest';
import { Clock, HEARTBEAT_MS, LATE_MS } from '../src/clock.ts';

test('it goes on with its source, and stands still over a gap', () => {
  let time = 500;
  const clock = new Clock(() => time);
  const start = clock.now();
  time += HEARTBEAT_MS + LATE_MS;
  const late = clock.now() - start;
  expect(late).toBe(HEARTBEAT_MS + LATE_MS);
  time += 60_000;
  expect(clock.now() - start).toBe(late);
  expect(clock.skipped).toBe(60_000);
  time += 10;
  expect(clock.now() - start).toBe(late + 10);
});

test('one that is read more often notices shorter gaps', () => {
  let time = 0;
  const clock = new Clock(() => time);
  clock.restMs = 100;
  time += 100 + LATE_MS;
  expect(clock.now()).toBe(100 + LATE_MS);
  time += 100 + LATE_MS + 1;
  expect(clock.now()).toBe(100 + LATE_MS);
});

import { expect, test } from 'vitest';
import { Clock, HEARTBEAT_MS } from '../src/clock.ts';

test('it goes on with its source, and stands still over a gap', () => {
  let time = 500;
  const clock = new Clock(() => time);
  const start = clock.now();
  time += 2 * HEARTBEAT_MS;
  expect(clock.now() - start).toBe(2 * HEARTBEAT_MS);
  time += 60_000;
  expect(clock.now() - start).toBe(3 * HEARTBEAT_MS);
  expect(clock.skipped).toBe(60_000 - HEARTBEAT_MS);
  time += 10;
  expect(clock.now() - start).toBe(3 * HEARTBEAT_MS + 10);
});

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Queue } from '../../src/front/queue.ts';

test('first come, first served, by the lane used last', () => {
  const queue = new Queue<string, string>(10);
  expect(queue.next(0)).toBe(null);
  for (const lane of ['a', 'b', 'c']) queue.free(lane);
  queue.push('1', 100);
  queue.push('2', 110);
  expect(queue.next(130)).toEqual({ request: '1', lane: 'c', waitedMs: 30 });
  queue.free('c');
  expect(queue.next(130)).toEqual({ request: '2', lane: 'c', waitedMs: 20 });
  expect([queue.next(130), queue.length, queue.idle]).toEqual([null, 0, 2]);
});

test('no more than its size may wait', () => {
  const queue = new Queue<number, string>(2);
  expect([1, 2, 3].map((request) => queue.push(request, 0))).toEqual([true, true, false]);
  expect([queue.remove(1), queue.remove(1), queue.remove(3)]).toEqual([true, false, false]);
  expect([queue.push(4, 0), queue.length]).toEqual([true, 2]);
  queue.free('lane');
  expect(queue.next(0)?.request).toBe(2);
});

test('what an idle lane can take at once is never refused', () => {
  const queue = new Queue<number, string>(0);
  expect(queue.push(1, 0)).toBe(false);
  queue.free('lane');
  expect([queue.push(2, 0), queue.next(0)?.request, queue.push(3, 0)]).toEqual([true, 2, false]);
});

test('a lane that is retired takes nothing more, however many it could take', () => {
  const queue = new Queue<number, string>(5);
  for (const lane of ['a', 'b', 'b', 'b']) queue.free(lane);
  queue.retire('b');
  for (const request of [1, 2]) queue.push(request, 0);
  expect([queue.next(0)?.lane, queue.next(0)]).toEqual(['a', null]);
});

test('does as a plain list would', () => {
  const step = fc.oneof(
    fc.record({ push: fc.nat(30) }),
    fc.record({ remove: fc.nat(30) }),
    fc.record({ free: fc.nat(4) }),
    fc.record({ retire: fc.nat(4) }),
    fc.constant('next' as const),
  );
  fc.assert(
    fc.property(fc.nat(6), fc.array(step, { maxLength: 100 }), (size, steps) => {
      const queue = new Queue<number, number>(size);
      let waiting: number[] = [];
      let idle: number[] = [];
      for (const given of steps) {
        if (given === 'next') {
          const expected = waiting.length > 0 && idle.length > 0 ? [waiting.shift(), idle.pop()] : null;
          const got = queue.next(0);
          expect(got && [got.request, got.lane]).toEqual(expected);
        } else if ('push' in given) {
          if (waiting.includes(given.push)) continue;
          const fits = waiting.length < size || idle.length > 0;
          expect(queue.push(given.push, 0)).toBe(fits);
          if (fits) waiting.push(given.push);
        } else if ('remove' in given) {
          expect(queue.remove(given.remove)).toBe(waiting.includes(given.remove));
          waiting = waiting.filter((request) => request !== given.remove);
        } else if ('free' in given) {
          queue.free(given.free);
          idle.push(given.free);
        } else {
          queue.retire(given.retire);
          idle = idle.filter((lane) => lane !== given.retire);
        }
        expect([queue.length, queue.idle]).toEqual([waiting.length, idle.length]);
      }
    }),
    { seed: 11, numRuns: 500 },
  );
});

test('leaving early and being served cost the same however many wait', () => {
  const time = (count: number) => {
    const queue = new Queue<number, string>(count);
    for (let i = 0; i < count; i++) queue.push(i, 0);
    const started = performance.now();
    // From the middle outwards, so that neither end is favoured.
    for (let i = 0; i < 2000; i++) queue.remove(count / 2 + (i % 2 ? i : -i));
    for (let i = 0; i < 2000; i++) {
      queue.free('lane');
      queue.next(0);
    }
    return performance.now() - started;
  };
  time(5000);
  const small = time(5000);
  expect(time(500_000)).toBeLessThan(20 * small + 50);
});

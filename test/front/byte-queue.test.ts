import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ByteQueue } from '../../src/front/byte-queue.ts';

test('gives out what was put in, in order, however it is cut', () => {
  const push = fc.record({ length: fc.oneof(fc.nat(700), fc.nat(5000)), seed: fc.nat(255) });
  const step = fc.oneof(push, fc.record({ take: fc.integer({ min: 1, max: 4000 }) }));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const queue = new ByteQueue();
      let model = Buffer.alloc(0);
      for (const given of steps) {
        if ('take' in given) {
          const taken = queue.take(given.take);
          expect(taken.length).toBeLessThanOrEqual(given.take);
          expect(taken.length > 0).toBe(model.length > 0);
          expect(taken.equals(model.subarray(0, taken.length))).toBe(true);
          model = model.subarray(taken.length);
        } else {
          const chunk = Buffer.from(
            Array.from({ length: given.length }, (_, i) => (i * 7 + given.seed) % 256),
          );
          queue.push(chunk);
          model = Buffer.concat([model, chunk]);
        }
        expect(queue.length).toBe(model.length);
      }
      expect(queue.join().equals(model)).toBe(true);
    }),
    { seed: 41, numRuns: 300 },
  );
});

test('what was taken stays as it is while more is put in', () => {
  const queue = new ByteQueue();
  for (const text of ['first', 'a', 'b']) queue.push(Buffer.from(text));
  const taken = [queue.take(100), queue.take(100)];
  for (let i = 0; i < 3000; i++) queue.push(Buffer.from('x'));
  expect(taken.map(String)).toEqual(['first', 'ab']);
});

test('single bytes do not cost a Buffer each', () => {
  const queues = Array.from({ length: 20 }, () => new ByteQueue());
  const before = process.memoryUsage();
  for (let i = 0; i < 65_536; i++) for (const queue of queues) queue.push(Buffer.from([i % 256]));
  const after = process.memoryUsage();
  const used = after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers;
  // 20 times 64 KiB are 1.3 MB; as single Buffers they are some 150 MB. What was not collected yet counts, too.
  expect(queues.every((queue) => queue.length === 65_536)).toBe(true);
  expect(used).toBeLessThan(100_000_000);
});

test('forgets everything', () => {
  const queue = new ByteQueue();
  for (const text of ['a', 'b', 'c']) queue.push(Buffer.from(text));
  queue.clear();
  expect([queue.length, queue.take(10).length, queue.join().length]).toEqual([0, 0, 0]);
  queue.push(Buffer.from('d'));
  queue.push(Buffer.from('e'));
  expect(queue.join().toString()).toBe('de');
});

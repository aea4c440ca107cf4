import { expect, test } from 'vitest';
import { Counters, Histogram } from '../../src/front/counters.ts';
import { until } from './harness.ts';
import { openTheatre } from './theatre.ts';

test('a histogram counts up to each bound, and what is beyond', () => {
  const histogram = new Histogram();
  for (const ms of [0, 1, 1.1, 30_000, 90_000]) histogram.observe(ms);
  const { bounds, counts, sum } = histogram.report();
  expect(counts.length).toBe(bounds.length + 1);
  expect([counts[0], counts[1], counts[bounds.indexOf(30)], counts.at(-1)]).toEqual([2, 1, 1, 1]);
  expect(sum).toBeCloseTo(120.0021);
});

test('a second tells the longest wait and the most that ran at once', () => {
  const counters = new Counters();
  expect(counters.second(0)).toBeNull();
  for (const waited of [3, 70, 5]) counters.started(waited);
  counters.ended(10);
  expect(counters.second(0)).toEqual({ waitMs: 70, busy: 3 });
  // Two still run; one waits.
  expect(counters.second(900)).toEqual({ waitMs: 900, busy: 2 });
  for (let i = 0; i < 2; i++) counters.ended(10);
  expect(counters.second(0)).toEqual({ waitMs: 0, busy: 2 });
  expect(counters.second(0)).toBeNull();
});

test('the dispatcher tells who runs what, who has served enough, and that a worker is wanted', async () => {
  await using theatre = await openTheatre({ maxRequests: 2, maxRequestsJitter: 1 });
  const client = await theatre.ask('/first');
  await until(() => expect(theatre.told).toEqual([{ type: 'worker-wanted', mount: 0 }]));
  const worker = await theatre.worker({ id: 7, lanes: 2 });
  await until(() => expect(worker.lanes.some((lane) => lane.frames.length === 1)).toBe(true));
  const [report] = theatre.dispatcher.crew.report();
  expect(report).toMatchObject({ worker: 7, requests: 0 });
  expect(report?.lanes.map((lane) => lane.request).sort()).toEqual(['', 'GET /first']);
  for (const lane of worker.lanes) for (const { id } of lane.frames) lane.answer(id, 'x');
  expect((await client.read()).status).toBe(200);
  worker.onRequest((frame, wire) => wire.answer(frame.id, 'y'));
  // The jitter is half of 2, rounded down: 1.
  await client.request('GET', '/');
  expect(theatre.told.some((message) => message.type === 'worker-worn')).toBe(false);
  await client.request('GET', '/');
  await client.request('GET', '/');
  expect(theatre.told.filter((message) => message.type === 'worker-worn')).toEqual([
    { type: 'worker-worn', worker: 7 },
  ]);
  expect(theatre.dispatcher.crew.report()[0]?.requests).toBe(4);
});

test('settings may change while it serves', async () => {
  await using theatre = await openTheatre({ timeout: 20, queueTimeout: 20 });
  await theatre.worker();
  const running = await theatre.ask('/runs');
  const waiting = await theatre.ask('/waits');
  await until(() => expect(theatre.dispatcher.waiting).toBe(1));
  theatre.configure({ queueSize: 1, queueTimeout: 0.1, timeout: 0.2 });
  expect((await waiting.read()).status).toBe(503);
  expect((await running.read()).status).toBe(504);
});

test('a worker whose control ends is told as lost, unless its death is known', async () => {
  await using theatre = await openTheatre();
  const worker = await theatre.worker({ id: 1 });
  worker.control.socket.destroy();
  await until(() => expect(theatre.told).toContainEqual({ type: 'worker-lost', worker: 1 }));
  const dead = await theatre.worker({ id: 2 });
  theatre.dispatcher.crew.gone(2);
  dead.die();
  await until(() => expect(dead.control.socket.destroyed).toBe(true));
  expect(theatre.told).not.toContainEqual({ type: 'worker-lost', worker: 2 });
});

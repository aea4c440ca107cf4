/** Idle lanes are asked whether they are alive, and get nothing until they have said so. */
import { expect, test } from 'vitest';
import { KIND } from '../../src/gateway/frames.ts';
import type { Wire } from './fake-worker.ts';
import { until } from './harness.ts';
import { openTheatre } from './theatre.ts';

const pings = (wire: Wire) => wire.frames.filter((frame) => frame.kind === KIND.PING).length;

test('a worker is ready when each lane has answered', async () => {
  await using theatre = await openTheatre();
  const worker = await theatre.silent({ lanes: 2 });
  for (const lane of worker.lanes) lane.alive = false;
  worker.helloControl();
  worker.helloLane(0);
  worker.helloLane(1);
  worker.ready();
  await until(() => expect(worker.lanes.map(pings)).toEqual([1, 1]));
  worker.lanes[0]?.send(KIND.PONG);
  const client = await theatre.ask('/');
  await until(() => expect(theatre.dispatcher.waiting).toBe(1));
  expect(theatre.ready).toEqual([]);
  worker.onRequest((frame, wire) => wire.answer(frame.id, 'hello'));
  worker.lanes[1]?.send(KIND.PONG);
  expect(String((await client.read()).body)).toBe('hello');
  expect(theatre.ready).toEqual([1]);
});

test('an idle lane is asked every half of the timeout, and serves on', async () => {
  await using theatre = await openTheatre({ timeout: 0.2 });
  const worker = await theatre.worker({ onRequest: (frame, wire) => wire.answer(frame.id, 'fine') });
  worker.lane.alive = false;
  for (let round = 1; round <= 3; round++) {
    await until(() => expect(pings(worker.lane)).toBe(round));
    worker.lane.send(KIND.PONG);
  }
  expect((await (await theatre.ask('/')).read()).status).toBe(200);
  expect(theatre.stuck).toEqual([]);
});

test('while its answer is due a lane gets no request; when none comes the worker is given up', async () => {
  await using theatre = await openTheatre({ timeout: 0.2 });
  const dead = await theatre.worker({ id: 1 });
  dead.lane.alive = false;
  await until(() => expect(pings(dead.lane)).toBe(1));
  const client = await theatre.ask('/');
  await until(() => expect(theatre.dispatcher.waiting).toBe(1));
  await theatre.worker({ id: 2, onRequest: (frame, wire) => wire.answer(frame.id, 'second') });
  expect(String((await client.read()).body)).toBe('second');
  await until(() =>
    expect(theatre.told).toContainEqual({
      type: 'worker-stuck',
      worker: 1,
      graceMs: 0,
      cause: 'unresponsive',
    }),
  );
  expect(theatre.log).toEqual(['Worker 1 (pid 4711) does nothing and does not answer: it is replaced']);
  expect(dead.lane.frames.some((frame) => frame.kind === KIND.REQUEST)).toBe(false);
});

test('a busy lane is not asked', async () => {
  await using theatre = await openTheatre({ timeout: 0.6 });
  const worker = await theatre.worker();
  worker.lane.alive = false;
  const client = await theatre.ask('/');
  await until(() => expect(worker.lane.frames.length).toBe(1));
  await new Promise((resolve) => setTimeout(resolve, 400));
  expect(pings(worker.lane)).toBe(0);
  worker.lane.answer(worker.lane.frames[0]?.id ?? 0, 'late');
  expect(String((await client.read()).body)).toBe('late');
});

/** Requests over their deadline: what the log is told, and how much time their worker gets. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { KIND } from '../../src/gateway/frames.ts';
import { until } from './harness.ts';
import { openTheatre } from './theatre.ts';

const STACK = '  File "app.py", line 3, in view\n    lock.acquire()\n';

test('the log tells method, URL, worker, thread and stack, once', async () => {
  await using theatre = await openTheatre({ timeout: 0.2 });
  const worker = await theatre.worker();
  const client = await theatre.ask('/slow?x=1');
  expect((await client.read()).status).toBe(504);
  await until(() => expect(worker.control.kinds()).toEqual([KIND.DUMP, KIND.INTERRUPT]));
  const id = worker.control.frames[0]?.id ?? 0;
  worker.control.send(KIND.STACK, { id, head: ['thread', 'lane-0'], body: STACK });
  await until(() => expect(theatre.log.length).toBe(1));
  expect(theatre.log[0]).toBe(
    `Timeout: GET /slow?x=1 had no answer for 0.2 s. Worker 1 (pid 4711), thread lane-0, is replaced. It was here:\n${STACK.trimEnd()}`,
  );
  // It has heard of it, so it is not called unresponsive when it takes its time.
  await new Promise((resolve) => setTimeout(resolve, 1200));
  expect(theatre.log.length).toBe(1);
  expect(theatre.told.filter((message) => message.type === 'worker-stuck')).toEqual([
    { type: 'worker-stuck', worker: 1, graceMs: expect.any(Number), cause: 'timeout' },
  ]);
});

test('a worker that hears nothing is asked by a signal, and given up after a second', async () => {
  await using theatre = await openTheatre({ timeout: 0.2 });
  // The signal goes to this very process, which has nothing to write; the file stands for faulthandler's.
  const path = join(theatre.stage.folder, 'stack-1');
  process.once('SIGURG', () => writeFileSync(path, 'Thread 0x1 (most recent call first):\n  in regex\n'));
  await theatre.worker({ pid: process.pid, lanes: 2 });
  const clients = [await theatre.ask('/stuck'), await theatre.ask('/sibling')];
  expect((await clients[0]?.read())?.status).toBe(504);
  await until(() => expect(theatre.log.some((line) => line.includes('in regex'))).toBe(true));
  expect(theatre.log.join('\n')).toMatch(
    /GET \/stuck .* It answers nothing .*Its threads were here:\nThread/,
  );
  await until(() =>
    expect(theatre.told).toContainEqual({
      type: 'worker-stuck',
      worker: 1,
      graceMs: 0,
      cause: 'unresponsive',
    }),
  );
});

test('where nothing can be had the log says that', async () => {
  await using theatre = await openTheatre({ timeout: 0.2 });
  await theatre.worker({ pid: 0x3fffff });
  expect((await (await theatre.ask('/gone')).read()).status).toBe(504);
  await until(() => expect(theatre.log[0]).toMatch(/is replaced\. Where it was could not be had\.$/));
});

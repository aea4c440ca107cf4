/** Several requests at once on one lane: their answers, and taking back what has not begun. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { encodeFrame, FLAG, type Frame, KIND } from '../../src/gateway/frames.ts';
import { pythons } from '../support/python.ts';
import { type Connection, Harness, type Options, requestFrame } from './harness.ts';

const app = readFileSync(join(import.meta.dirname, 'stuck.py'), 'utf8');
const TIMEOUT = { timeout: 20_000, interval: 5 };
const RECALL = encodeFrame({ kind: KIND.RECALL, id: 0, head: 'lane\u00000' });

let open: Harness[] = [];
afterEach(async () => {
  for (const harness of open.splice(0)) await harness.close();
});

async function ready(options: Options): Promise<{ harness: Harness; lane: Connection; control: Connection }> {
  const harness = await Harness.open({ app, ...options });
  open = [...open, harness];
  const control = await harness.control();
  return { harness, lane: await harness.lane(0), control };
}

/** The ids of each RECALLED so far. */
function recalled(control: Connection): number[][] {
  return control.frames.all
    .filter(({ kind }) => kind === KIND.RECALLED)
    .map(({ head }) => (head.split('\0')[3] ?? '').split(' ').filter(Boolean).map(Number));
}

async function recall(control: Connection): Promise<number[]> {
  const before = recalled(control).length;
  control.write(RECALL);
  await expect.poll(() => recalled(control).length, TIMEOUT).toBeGreaterThan(before);
  return recalled(control).slice(before).flat();
}

/** A request that says when it has begun, and then does not end. */
function stuck(harness: Harness, id: number, place = 'asleep') {
  const gate = join(harness.folder, `gate-${id}`);
  const frame = requestFrame(id, { path: `/${place}`, environ: { HTTP_X_GATE: gate } });
  return { frame, begun: () => expect.poll(() => existsSync(`${gate}.begun`), TIMEOUT).toBe(true) };
}

const isAnswer = ({ kind }: Frame): boolean => kind === KIND.RESPONSE || kind === KIND.FAILED;

function get(id: number, path = '/well'): Buffer {
  return requestFrame(id, { path });
}

describe.each(pythons())('Python $version', ({ path: python }) => {
  const start = (options: Options = {}) => ready({ ...options, python });

  test('a lane controlled by a signal takes 32 at once, one controlled by a thread takes one', async () => {
    const batches = [];
    for (const told of [{}, { control: 'thread' as const }, { threads: 2 }])
      batches.push((await start({ start: told })).lane.hello.get('batch'));
    expect(batches).toEqual(['32', '1', '1']);
  });

  test('many requests in one write are answered in order, in few writes', async () => {
    const { lane } = await start();
    let writes = 0;
    lane.socket.on('data', () => writes++);
    const ids = Array.from({ length: 32 }, (_, i) => i + 1);
    lane.write(...ids.map((id) => get(id)));
    await lane.answer(32);
    expect(lane.frames.all.filter(isAnswer).map(({ id }) => id)).toEqual(ids);
    expect(writes).toBeLessThan(16);
  });

  test.each(['asleep', 'busy', 'in_recv', 'in_lock'])(
    'RECALL sends what is finished and gives up what waits: %s',
    async (place) => {
      const { harness, lane, control } = await start();
      const { frame, begun } = stuck(harness, 2, place);
      lane.write(get(1), frame, get(3), get(4));
      await begun();
      // This one is still in the socket.
      lane.write(get(5));
      expect(await recall(control)).toEqual([3, 4, 5]);
      expect(`${(await lane.answer(1)).body}`).toBe('well');
      expect(await recall(control)).toEqual([]);
      control.write(encodeFrame({ kind: KIND.INTERRUPT, id: 2 }));
      await lane.answer(2);
      lane.write(get(6));
      await lane.answer(6);
      expect(lane.frames.all.filter(isAnswer).map(({ id }) => id)).toEqual([1, 2, 6]);
      expect(harness.errorLog).toBe('');
    },
  );

  test('an idle lane has nothing to give up', async () => {
    const { lane, control } = await start();
    expect(await recall(control)).toEqual([]);
    lane.write(get(1));
    expect(`${(await lane.answer(1)).body}`).toBe('well');
  });

  test('what waits behind a write to a front that does not read can be taken back', async () => {
    const { harness, lane, control } = await start({
      app: `def application(environ, start_response):
    write = start_response("200 OK", [])
    if environ["PATH_INFO"] == "/large":
        write(b"x" * 5_000_000)
        write(b"y" * 5_000_000)
    return [b"well"]`,
    });
    lane.socket.pause();
    lane.write(get(1, '/large'), get(2), get(3));
    await expect.poll(() => lane.socket.readableLength, TIMEOUT).toBeGreaterThan(0);
    expect(await recall(control)).toEqual([2, 3]);
    lane.socket.resume();
    expect((await lane.answer(1)).body.length).toBe(10_000_004);
    expect(harness.errorLog).toBe('');
  });

  test('recalls at any moment: each request is answered or given up, and only one of them', async () => {
    const { harness, lane, control } = await start();
    let id = 1;
    let given = 0;
    // Until it has struck often enough.
    for (let round = 0; round < 150 || (given < 50 && round < 3000); round++) {
      const ids = Array.from({ length: 1 + (round % 9) }, () => id++);
      lane.write(...ids.map((each) => get(each, each % 4 === 0 ? '/stream' : '/short')));
      for (let turn = 0; turn < round % 5; turn++) await new Promise(setImmediate);
      const back = new Set(await recall(control));
      given += back.size;
      for (const each of ids) if (!back.has(each)) await lane.answer(each);
      const answered = new Set(lane.frames.all.filter(isAnswer).map((frame) => frame.id));
      expect(ids.filter((each) => answered.has(each) === back.has(each))).toEqual([]);
    }
    expect(given).toBeGreaterThanOrEqual(50);
    expect(harness.errorLog).toBe('');
  });

  test('an application that takes SIGIO for itself: a thread gives up what waits', async () => {
    const { harness, lane, control } = await start();
    lane.write(get(1, '/own_sigio'));
    await lane.answer(1);
    const { frame, begun } = stuck(harness, 2);
    lane.write(frame, get(3));
    await begun();
    expect(await recall(control)).toEqual([3]);
    expect(harness.errorLog).toContain('The application uses SIGIO');
  });

  test('a child that the application forks answers none of what waits', async () => {
    const { harness, lane } = await start({
      app: `import os
def application(environ, start_response):
    child = environ["PATH_INFO"] == "/fork" and os.fork() == 0
    start_response("200 OK", [])
    return [b"child" if child else b"%d" % os.getpid()]`,
    });
    lane.write(get(1, '/fork'), get(2), get(3));
    for (const each of [1, 2, 3]) expect(`${(await lane.answer(each)).body}`).toBe(`${harness.pid}`);
    lane.write(get(4));
    await lane.answer(4);
    expect(lane.frames.all.filter(isAnswer).map(({ id }) => id)).toEqual([1, 2, 3, 4]);
  });

  test('without a signal a worker answers and hears of orders all the same', async () => {
    const { harness, lane, control } = await start({ start: { control: 'thread' } });
    const { frame, begun } = stuck(harness, 1);
    lane.write(frame);
    await begun();
    control.write(encodeFrame({ kind: KIND.DUMP, id: 1 }));
    await expect
      .poll(() => control.frames.all.find(({ kind }) => kind === KIND.STACK)?.body.toString(), TIMEOUT)
      .toContain('in asleep');
    lane.write(get(2));
    expect(await recall(control)).toEqual([]);
    expect((FLAG.LAST & (lane.frames.all[0]?.flags ?? 0)) !== 0).toBe(false);
  });
});

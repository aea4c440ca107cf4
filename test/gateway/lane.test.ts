import { readFileSync } from 'node:fs';
import { type AddressInfo, createServer, connect as dial, type Socket } from 'node:net';
import { afterEach, expect, test, vi } from 'vitest';
import { encodeFrame, FLAG, type Frame, FrameDecoder, KIND } from '../../src/gateway/frames.ts';
import { Lane, type LaneJob } from '../../src/gateway/lane.ts';

const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

/** A lane, and the worker's end of it. */
async function open(
  order: 'fifo' | 'any',
  rest: Buffer = Buffer.alloc(0),
  { onRead }: { readonly onRead?: () => boolean } = {},
) {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve));
  const { port } = server.address() as AddressInfo;
  // Only such a socket leaves bytes with the kernel when it is to stop.
  const worker =
    onRead === undefined
      ? dial(port)
      : dial({ port, onread: { buffer: Buffer.alloc(4096), callback: onRead } });
  worker.on('error', () => {});
  const socket = await accepted;
  socket.on('error', () => {});
  ends.push(() => {
    worker.destroy();
    socket.destroy();
    server.close();
  });
  const closed: (Error | null)[] = [];
  const decoder = new FrameDecoder();
  decoder.push(rest);
  const lane = new Lane({
    socket,
    decoder,
    number: 0,
    capacity: 9,
    batch: 9,
    order,
    onAnswered: () => {},
    onPong: () => {},
    onClose: (_lane, error) => closed.push(error),
  });
  return { lane, worker, closed };
}

/** Notes what happens to it. */
class Note implements LaneJob {
  readonly title = 'GET /';
  readonly startedAt = 0;
  readonly seen: string[] = [];
  heads = 0;
  onHead(): void {
    this.heads++;
  }
  onFrame(frame: Frame, done: boolean): void {
    this.seen.push(`${frame.kind}:${frame.body}${done ? '!' : ''}`);
  }
  onLost({ unread }: { readonly unread: boolean }): void {
    this.seen.push(unread ? 'unread' : 'lost');
  }
}

function frame(kind: number, id: number, body = '', flags = 0): Buffer {
  return encodeFrame({
    kind,
    id,
    flags,
    head: kind === KIND.RESPONSE ? '200 OK' : '',
    body: Buffer.from(body),
  });
}

const until = (check: () => void) => vi.waitFor(check, { timeout: 10_000, interval: 2 });
const { RESPONSE, BODY, FAILED, PONG, PING, REQUEST, HELLO } = KIND;

test('frames go to the job they answer, however they are cut', async () => {
  const { lane, worker } = await open('any');
  const jobs = [new Note(), new Note(), new Note()];
  for (const [i, job] of jobs.entries()) lane.send(i + 1, { job, frame: frame(REQUEST, i + 1) });
  expect(lane.inFlight).toBe(3);
  const bytes = Buffer.concat([
    frame(RESPONSE, 3, 'a'),
    frame(RESPONSE, 1, 'b', FLAG.LAST),
    frame(PONG, 0),
    frame(BODY, 3, 'c'),
    frame(FAILED, 2, 'd'),
    frame(BODY, 3, '', FLAG.LAST),
  ]);
  for (const byte of bytes) worker.write(Buffer.from([byte]));
  await until(() => expect(lane.inFlight).toBe(0));
  expect(jobs.map((job) => job.seen)).toEqual([['3:b!'], ['5:d!'], ['3:a', '4:c', '4:!']]);
});

test('requests and pings arrive as they were sent', async () => {
  const { lane, worker } = await open('fifo');
  const decoder = new FrameDecoder();
  const frames: Frame[] = [];
  worker.on('data', (chunk) => frames.push(...decoder.push(chunk)));
  lane.ping();
  lane.send(7, { job: new Note(), frame: frame(REQUEST, 7, 'body') });
  lane.flush();
  await until(() =>
    expect(frames.map(({ kind, id, body }) => [kind, id, String(body)])).toEqual([
      [PING, 0, ''],
      [REQUEST, 7, 'body'],
    ]),
  );
});

test.each([
  ['to nobody', 'any', frame(RESPONSE, 9)],
  ['out of turn', 'fifo', frame(RESPONSE, 2)],
  ['that is a question', 'any', frame(REQUEST, 1)],
  ['of another connection', 'any', frame(HELLO, 1)],
  ['that is no frame', 'any', Buffer.alloc(16, 0x7f)],
  ['after its last', 'any', Buffer.concat([frame(RESPONSE, 1, '', FLAG.LAST), frame(BODY, 1)])],
] as const)(
  'an answer %s ends the lane: its jobs are lost, after the owner has heard',
  async (_what, order, bytes) => {
    const { lane, worker, closed } = await open(order);
    const jobs = [new Note(), new Note()];
    const lost = vi.spyOn(jobs[1] as Note, 'onLost').mockImplementation(() => expect(closed.length).toBe(1));
    for (const [i, job] of jobs.entries()) lane.send(i + 1, { job, frame: frame(REQUEST, i + 1) });
    worker.write(bytes);
    await until(() => expect(closed).toEqual([expect.objectContaining({ name: 'FrameError' })]));
    await until(() => expect(lost).toHaveBeenCalledOnce());
    expect(lane.inFlight).toBe(0);
  },
);

test('a worker that ends the connection is no error, and what it said before counts', async () => {
  const { lane, worker, closed } = await open('fifo');
  const jobs = [new Note(), new Note()];
  for (const [i, job] of jobs.entries()) lane.send(i + 1, { job, frame: frame(REQUEST, i + 1) });
  // The second answer is not whole.
  worker.end(
    Buffer.concat([frame(RESPONSE, 1, 'x', FLAG.LAST), frame(RESPONSE, 2, 'y', FLAG.LAST).subarray(0, 20)]),
  );
  await until(() => expect(closed).toEqual([null]));
  expect(jobs.map((job) => job.seen)).toEqual([['3:x!'], ['lost']]);
});

test('bytes that came with HELLO are not lost', async () => {
  const answer = frame(RESPONSE, 1, 'x', FLAG.LAST);
  const { lane, worker } = await open('fifo', answer.subarray(0, 10));
  const job = new Note();
  lane.send(1, { job, frame: frame(REQUEST, 1) });
  worker.write(answer.subarray(10));
  await until(() => expect(job.seen).toEqual(['3:x!']));
});

test('is paused until every job that asked for it can go on', async () => {
  const { lane, worker } = await open('fifo');
  const jobs = [new Note(), new Note()] as const;
  for (const [i, job] of jobs.entries()) lane.send(i + 1, { job, frame: frame(REQUEST, i + 1) });
  lane.pause(jobs[0]);
  lane.pause(jobs[1]);
  lane.pause(jobs[1]);
  worker.write(frame(RESPONSE, 1, 'x', FLAG.LAST));
  lane.resume(jobs[1]);
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect([lane.paused, jobs[0].seen]).toEqual([true, []]);
  lane.resume(jobs[0]);
  lane.resume(jobs[0]);
  await until(() => expect([lane.paused, jobs[0].seen]).toEqual([false, ['3:x!']]));
});

test('with answers in any order the worker is asked to wait with one of them, once, and the others go on', async () => {
  const { lane, worker } = await open('any');
  const jobs = [new Note(), new Note()] as const;
  for (const [i, job] of jobs.entries()) lane.send(i + 1, { job, frame: frame(REQUEST, i + 1) });
  const heard: string[] = [];
  const decoder = new FrameDecoder();
  worker.on('data', (chunk) => heard.push(...decoder.push(chunk).map(({ kind, id }) => `${kind}:${id}`)));
  lane.pause(jobs[0]);
  lane.pause(jobs[0]);
  await until(() => expect([lane.paused, heard]).toEqual([false, [`${KIND.HOLD}:1`]]));
  worker.write(frame(RESPONSE, 2, 'y', FLAG.LAST));
  await until(() => expect(jobs[1].seen).toEqual(['3:y!']));
  lane.resume(jobs[0]);
  lane.resume(jobs[0]);
  // One that is over is not asked for anything.
  lane.pause(jobs[1]);
  lane.pause(jobs[0]);
  const held = [`${KIND.HOLD}:1`, `${KIND.GO}:1`, `${KIND.HOLD}:1`];
  await until(() => expect(heard).toEqual(held));
});

test('a file is a whole answer, also without LAST; what it is told leaves with the next request', async () => {
  const { lane, worker } = await open('fifo');
  const [one, two] = [new Note(), new Note()];
  const decoder = new FrameDecoder();
  const arrived: string[] = [];
  worker.on('data', (chunk: Buffer) => {
    for (const { kind, id } of decoder.push(chunk)) arrived.push(`${kind}:${id}`);
  });
  lane.send(1, { job: one, frame: frame(REQUEST, 1) });
  lane.flush();
  worker.write(frame(KIND.FILE, 1, 'where'));
  await until(() => expect(one.seen).toEqual([`${KIND.FILE}:where!`]));
  expect(lane.inFlight).toBe(0);
  lane.tell(frame(KIND.OPENED, 1));
  lane.send(2, { job: two, frame: frame(REQUEST, 2) });
  lane.flush();
  await until(() => expect(arrived).toEqual([`${REQUEST}:1`, `${KIND.OPENED}:1`, `${REQUEST}:2`]));
});

test.each([
  ['the request itself', () => {}, 'unread'],
  [
    'one behind it, which was taken back',
    (lane: Lane) => {
      lane.send(2, { job: new Note(), frame: frame(KIND.REQUEST, 2) });
      lane.flush();
      lane.takeBack([2]);
    },
    'lost',
  ],
  ['a question whether it answers', (lane: Lane) => lane.ping(), 'lost'],
])(
  'a worker dies and has not read %s: only that tells that the request was not begun',
  async (_what, more, fate) => {
    let hasRead = () => {};
    const read = new Promise<void>((resolve) => {
      hasRead = resolve;
    });
    // It stops after what it reads first: the request, or something before it.
    const onRead = () => {
      hasRead();
      return false;
    };
    const { lane, worker, closed } = await open('any', Buffer.alloc(0), { onRead });
    const note = new Note();
    if (fate === 'unread') {
      lane.tell(frame(KIND.DRAIN, 0));
      lane.flush();
      await read;
    }
    lane.send(1, { job: note, frame: frame(KIND.REQUEST, 1) });
    lane.flush();
    if (fate === 'lost') await read;
    more(lane);
    // Its bytes must have come to the kernel there, or nothing is unread.
    await vi.waitFor(() => expect(unreadBytes(worker)).toBeGreaterThan(0));
    worker.destroy();
    await vi.waitFor(() => expect(closed).toHaveLength(1));
    expect(note.seen).toEqual([fate]);
  },
);

/** What the kernel holds for this end of a connection (/proc/net/tcp). */
function unreadBytes({ localPort = 0 }: Socket): number {
  const local = `:${localPort.toString(16).toUpperCase().padStart(4, '0')}`;
  const lines = readFileSync('/proc/net/tcp', 'utf8').split('\n');
  const [, , , , queues = ':0'] =
    lines
      .find((line) => line.trim().split(/\s+/)[1]?.endsWith(local))
      ?.trim()
      .split(/\s+/) ?? [];
  return Number.parseInt(queues.split(':')[1] ?? '0', 16);
}

/** A safe request whose worker died runs once more; nothing else does. */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { encodeFrame, FLAG, type Frame, KIND } from '../../src/gateway/frames.ts';
import { formatRequest, Incomplete } from '../support/client.ts';
import { python } from '../support/python.ts';
import { environOf, type FakeWorker, type Wire } from './fake-worker.ts';
import { pattern, until } from './harness.ts';
import { openTheatre, type Theatre } from './theatre.ts';

const bodyOf = (frame: Frame): Buffer =>
  frame.flags === FLAG.SPOOLED ? readFileSync(frame.body.toString()) : Buffer.from(frame.body);

/** Says which try it is, and how long the body was. */
function tell(frame: Frame, wire: Wire): void {
  const attempt = environOf(frame).get('tunicorn.attempt') ?? '1';
  wire.answer(
    frame.id,
    `try ${attempt} of ${environOf(frame).get('RAW_URI')}, ${bodyOf(frame).length} bytes`,
  );
}

/** A worker that dies of its first request, and the arbiter that says so. */
function mortal(theatre: Theatre, id: number): Promise<FakeWorker> {
  return theatre.worker({
    id,
    onRequest: (_frame, wire) => {
      wire.socket.destroy();
      theatre.dispatcher.crew.gone(id);
    },
  });
}

async function send(theatre: Theatre, method: string, body: Buffer | string = '') {
  const client = await theatre.stage.connect();
  await client.send(formatRequest(method, '/x', { body }));
  return client;
}

test.each(['GET', 'OPTIONS'])('%s runs once more, and is told so', async (method) => {
  await using theatre = await openTheatre({ retry: 'safe' });
  await mortal(theatre, 1);
  const client = await send(theatre, method);
  await until(() => expect(theatre.dispatcher.waiting).toBe(1));
  await theatre.worker({ id: 2, onRequest: tell });
  expect(String((await client.read()).body)).toBe('try 2 of /x, 0 bytes');
  expect(theatre.log).toEqual([
    `Worker 1 (pid 4711) died while it handled ${method} /x: it is tried once more`,
  ]);
  expect(theatre.dispatcher.counters.retried).toBe(1);
  await until(() => expect(theatre.stage.outcomes[0]?.exchange?.trace?.attempt).toBe(2));
});

test('with its body, also from the disk', async () => {
  await using theatre = await openTheatre({ retry: 'safe', bodyMemory: 1000 });
  for (const [id, length] of [
    [1, 500],
    [3, 50_000],
  ] as const) {
    await mortal(theatre, id);
    const client = await send(theatre, 'GET', pattern(length));
    await until(() => expect(theatre.dispatcher.waiting).toBe(1));
    const next = await theatre.worker({ id: id + 1, onRequest: tell });
    expect(String((await client.read()).body)).toBe(`try 2 of /x, ${length} bytes`);
    next.die();
    theatre.dispatcher.crew.gone(id + 1);
  }
});

test('it goes before those that wait', async () => {
  await using theatre = await openTheatre({ retry: 'safe', queueSize: 1 });
  const worker = await theatre.worker({ id: 1 });
  const first = await send(theatre, 'GET');
  await until(() => expect(worker.lane.frames.length).toBe(1));
  const second = await theatre.ask('/second');
  await until(() => expect(theatre.dispatcher.waiting).toBe(1));
  worker.die();
  theatre.dispatcher.crew.gone(1);
  await until(() => expect(theatre.dispatcher.waiting).toBe(2));
  const order: string[] = [];
  await theatre.worker({
    id: 2,
    onRequest: (frame, wire) => {
      order.push(environOf(frame).get('RAW_URI') ?? '');
      tell(frame, wire);
    },
  });
  await Promise.all([first.read(), second.read()]);
  expect(order).toEqual(['/x', '/second']);
});

test('a second death is a 502, and the log names the request', async () => {
  await using theatre = await openTheatre({ retry: 'safe' });
  await mortal(theatre, 1);
  const client = await send(theatre, 'GET');
  await until(() => expect(theatre.dispatcher.waiting).toBe(1));
  await mortal(theatre, 2);
  expect((await client.read()).status).toBe(502);
  expect(theatre.log.join('\n')).toContain(
    'GET /x has killed two workers: it is answered 502 and not tried again',
  );
});

test.each([
  ['POST', 'safe'],
  ['DELETE', 'safe'],
  ['GET', 'off'],
] as const)('%s with --retry %s is a 502', async (method, retry) => {
  await using theatre = await openTheatre({ retry });
  const other = await theatre.worker({ id: 2, onRequest: tell });
  await mortal(theatre, 1);
  expect((await (await send(theatre, method)).read()).status).toBe(502);
  expect(other.lane.frames).toEqual([]);
});

test('nothing is tried again of which the client has seen something', async () => {
  await using theatre = await openTheatre({ retry: 'safe' });
  await theatre.worker({ id: 2, onRequest: tell });
  const worker = await theatre.worker({ id: 1 });
  worker.onRequest((frame, wire) => {
    wire.send(KIND.RESPONSE, { id: frame.id, head: ['200 OK', 'Content-Length', '9'], body: 'half' });
    setImmediate(() => worker.die());
  });
  await expect((await send(theatre, 'GET')).read()).rejects.toThrow(Incomplete);
});

test('one that ran into its deadline is not tried again', async () => {
  await using theatre = await openTheatre({ retry: 'safe', timeout: 0.2 });
  const worker = await theatre.worker({ id: 1 });
  expect((await (await send(theatre, 'GET')).read()).status).toBe(504);
  worker.die();
  theatre.dispatcher.crew.gone(1);
  expect(theatre.dispatcher.counters.retried).toBe(0);
  expect(theatre.dispatcher.waiting).toBe(0);
});

test('whoever leaves in between is not tried again', async () => {
  await using theatre = await openTheatre({ retry: 'safe' });
  await mortal(theatre, 1);
  const client = await send(theatre, 'GET');
  await until(() => expect(theatre.dispatcher.waiting).toBe(1));
  client.close();
  await until(() => expect(theatre.dispatcher.waiting).toBe(0));
  const worker = await theatre.worker({ id: 2, onRequest: tell });
  expect(worker.lane.frames).toEqual([]);
});

/** A process that says it is worker 1, answers one PING, and reads nothing more. */
const DEAF = `
import socket, sys, time
def dial(*frames):
    s = socket.socket(socket.AF_UNIX)
    s.connect(sys.argv[1])
    for frame in frames:
        s.sendall(bytes.fromhex(frame))
    return s
lane, control = dial(sys.argv[2]), dial(sys.argv[3], sys.argv[4])
lane.recv(16)
lane.sendall(bytes.fromhex(sys.argv[5]))
time.sleep(60)
`;

test.each(['POST', 'GET'])(
  'what its worker never read is given to another one as new: %s',
  async (method) => {
    await using theatre = await openTheatre({ retry: 'off' });
    const hello = (...head: string[]) => encodeFrame({ kind: KIND.HELLO, id: 0, head: head.join('\0') });
    const frames = [
      hello('role', 'lane', 'worker', '1', 'lane', '0', 'capacity', '1', 'order', 'fifo'),
      hello('role', 'control', 'worker', '1', 'pid', '4711', 'lanes', '1'),
      encodeFrame({ kind: KIND.READY, id: 0 }),
      encodeFrame({ kind: KIND.PONG, id: 0 }),
    ];
    const args = ['-c', DEAF, theatre.path, ...frames.map((frame) => frame.toString('hex'))];
    const deaf = spawn(python().path, args, { stdio: 'ignore' });
    await until(() => expect(theatre.ready).toEqual([1]));
    const client = await send(theatre, method, 'x');
    await until(() => expect(theatre.dispatcher.crew.report()[0]?.lanes[0]?.request).toBe(`${method} /x`));
    deaf.kill('SIGKILL');
    await until(() => expect(theatre.dispatcher.waiting).toBe(1));
    await theatre.worker({ id: 2, onRequest: tell });
    expect(String((await client.read()).body)).toBe('try 1 of /x, 1 bytes');
    expect(theatre.log).toEqual([]);
  },
);

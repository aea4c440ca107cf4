/** Several requests in one lane: who shares one, who is taken back from it, and what becomes of them when it ends. */
import { expect, test } from 'vitest';
import { type Frame, KIND } from '../../src/gateway/frames.ts';
import { formatRequest } from '../support/client.ts';
import { environOf, type FakeWorker, type Wire } from './fake-worker.ts';
import { until } from './harness.ts';
import { openTheatre, type Theatre } from './theatre.ts';

function requests(worker: FakeWorker): Frame[] {
  return worker.lane.frames.filter(({ kind }) => kind === KIND.REQUEST);
}

function paths(worker: FakeWorker): string[] {
  return requests(worker).map((frame) => environOf(frame).get('RAW_URI') ?? '');
}

function answer(frame: Frame, wire: Wire): void {
  wire.answer(frame.id, environOf(frame).get('RAW_URI') ?? '');
}

/** The RECALL frames that have come, and an answer to the last. */
function recalls(worker: FakeWorker): number {
  return worker.control.kinds().filter((kind) => kind === KIND.RECALL).length;
}

function giveBack(worker: FakeWorker, ids: readonly number[]): void {
  worker.control.send(KIND.RECALLED, { head: ['lane', '0', 'ids', ids.join(' ')] });
}

/** All in one turn of the event loop, on connections of their own. */
async function askAll(theatre: Theatre, targets: readonly string[]) {
  const clients = await Promise.all(targets.map(() => theatre.stage.connect()));
  await Promise.all(clients.map((client, i) => client.send(asked(targets[i] ?? ''))));
  return clients;
}

function asked(target: string): Buffer {
  const [method = '', path = ''] = target.includes(' ') ? target.split(' ') : ['GET', target];
  return formatRequest(method, path, { body: method === 'POST' ? 'x' : '' });
}

/** Sends all of them, and again until they lie in one lane: on a busy machine it may be taken for a slow one. */
async function fill(theatre: Theatre, worker: FakeWorker, targets: readonly string[]) {
  const visitor = await theatre.stage.connect();
  for (;;) {
    worker.onRequest(answer);
    for (let i = 0; i < 20; i++) await visitor.request('GET', '/warm');
    worker.onRequest(() => {});
    worker.lane.frames.length = 0;
    worker.control.frames.length = 0;
    const clients = await askAll(theatre, targets);
    await until(() => expect(requests(worker).length).toBeGreaterThan(0));
    await new Promise((resolve) => setTimeout(resolve, 2));
    if (requests(worker).length === targets.length) return clients;
    worker.onRequest(answer);
    for (const frame of requests(worker)) answer(frame, worker.lane);
    giveBack(worker, []);
    await Promise.all(
      clients.map((client, i) => client.read({ head: targets[i]?.startsWith('HEAD') ?? false })),
    );
  }
}

test('quick safe requests share a lane, and are answered in order', async () => {
  await using theatre = await openTheatre();
  const worker = await theatre.worker({ batch: 32 });
  const clients = await fill(theatre, worker, ['/1', 'HEAD /2', 'OPTIONS /3']);
  await until(() => expect(requests(worker).length).toBe(3));
  for (const frame of requests(worker)) answer(frame, worker.lane);
  const bodies = await Promise.all(
    clients.map(async (client, i) => String((await client.read({ head: i === 1 })).body)),
  );
  expect(bodies).toEqual(['/1', '', '/3']);
});

test('what is unsafe, or has a body, travels alone', async () => {
  await using theatre = await openTheatre();
  const worker = await theatre.worker({ batch: 32 });
  const inFlight = () => worker.lane.frames.filter(({ kind }) => kind === KIND.REQUEST).length;
  await askAll(theatre, ['POST /1', '/2', 'DELETE /3', '/4']);
  await until(() => expect(inFlight()).toBe(1));
  for (let answered = 0; answered < 4; answered++) {
    await until(() => expect(inFlight()).toBeGreaterThan(answered));
    const sent = requests(worker).slice(answered);
    const methods = sent.map((frame) => environOf(frame).get('REQUEST_METHOD'));
    if (methods.some((method) => method !== 'GET')) expect(methods.length).toBe(1);
    answer(sent[0] as Frame, worker.lane);
  }
});

test('what waits behind a slow head is asked for once, and runs elsewhere', async () => {
  await using theatre = await openTheatre();
  const slow = await theatre.worker({ id: 1, batch: 32 });
  const clients = await fill(theatre, slow, ['/slow', '/2', '/3']);
  await until(() => expect(requests(slow).length).toBe(3));
  await until(() => expect(recalls(slow)).toBe(1));
  const other = await theatre.worker({ id: 2, batch: 32 });
  other.onRequest(answer);
  const [head, second, third] = requests(slow) as [Frame, Frame, Frame];
  giveBack(slow, [second.id, third.id]);
  const names = [environOf(second).get('RAW_URI'), environOf(third).get('RAW_URI')];
  await until(() => expect(paths(other)).toEqual(names));
  answer(head, slow.lane);
  expect(await Promise.all(clients.map(async (client) => (await client.read()).status))).toEqual([
    200, 200, 200,
  ]);
  expect([recalls(slow), theatre.log]).toEqual([1, []]);
  // The second try of what never ran is its first.
  expect(requests(other).map((frame) => environOf(frame).get('tunicorn.attempt'))).toEqual([
    undefined,
    undefined,
  ]);
});

test('RECALLED for what has been answered meanwhile, or is of nobody, changes nothing', async () => {
  await using theatre = await openTheatre();
  const worker = await theatre.worker({ batch: 32 });
  const clients = await fill(theatre, worker, ['/1', '/2']);
  await until(() => expect(recalls(worker)).toBe(1));
  const [first, second] = requests(worker) as [Frame, Frame];
  for (const frame of [first, second]) answer(frame, worker.lane);
  for (const client of clients) expect((await client.read()).status).toBe(200);
  giveBack(worker, [second.id, 4711]);
  worker.onRequest(answer);
  const again = await theatre.ask('/again');
  expect(String((await again.read()).body)).toBe('/again');
  expect(requests(worker).length).toBe(3);
});

test('a worker that leaves RECALL unanswered is given one request at a time from then on', async () => {
  await using theatre = await openTheatre();
  const worker = await theatre.worker({ batch: 32 });
  await fill(theatre, worker, ['/1', '/2']);
  await until(() => expect(recalls(worker)).toBe(1));
  await new Promise((resolve) => setTimeout(resolve, 200));
  worker.onRequest(() => {});
  for (const frame of requests(worker)) answer(frame, worker.lane);
  await askAll(theatre, ['/3', '/4', '/5']);
  for (let expected = 3; expected <= 5; expected++) {
    await until(() => expect(requests(worker).length).toBe(expected));
    answer(requests(worker)[expected - 1] as Frame, worker.lane);
  }
});

test('when the lane ends, each of them is tried once more, alone; a second death is a 502', async () => {
  await using theatre = await openTheatre({ retry: 'safe' });
  const first = await theatre.worker({ id: 1, batch: 32 });
  const clients = await fill(theatre, first, ['/1', '/2', '/3']);
  await until(() => expect(requests(first).length).toBe(3));
  const second = await theatre.worker({ id: 2, batch: 32 });
  first.die();
  await until(() => expect(requests(second).length).toBe(1));
  expect(environOf(requests(second)[0] as Frame).get('tunicorn.attempt')).toBe('2');
  const convicted = environOf(requests(second)[0] as Frame).get('RAW_URI');
  await theatre.worker({ id: 3, batch: 32, onRequest: answer });
  second.die();
  const statuses = await Promise.all(clients.map(async (client) => (await client.read()).status));
  expect(statuses.toSorted()).toEqual([200, 200, 502]);
  expect(theatre.log.join('\n')).toContain(`GET ${convicted} has killed two workers`);
});

test('a client that leaves from behind the head costs no signal', async () => {
  await using theatre = await openTheatre();
  const worker = await theatre.worker({ batch: 32 });
  const clients = await fill(theatre, worker, ['/1', '/2']);
  await until(() => expect(requests(worker).length).toBe(2));
  const behind = environOf(requests(worker)[1] as Frame).get('RAW_URI') === '/1' ? 0 : 1;
  clients[behind]?.socket.resetAndDestroy();
  await until(() => expect(theatre.stage.outcomes.at(-1)?.status).toBe(499));
  for (const frame of requests(worker)) answer(frame, worker.lane);
  expect((await clients[1 - behind]?.read())?.status).toBe(200);
  expect(worker.control.kinds()).not.toContain(KIND.ABANDON);
});

test('one that turns out to stream is abandoned then', async () => {
  await using theatre = await openTheatre();
  const worker = await theatre.worker({ batch: 32 });
  const clients = await fill(theatre, worker, ['/1', '/2']);
  await until(() => expect(requests(worker).length).toBe(2));
  const [head, behind] = requests(worker) as [Frame, Frame];
  const gone = environOf(behind).get('RAW_URI') === '/1' ? 0 : 1;
  clients[gone]?.socket.resetAndDestroy();
  await until(() => expect(theatre.stage.outcomes.at(-1)?.status).toBe(499));
  answer(head, worker.lane);
  for (const body of ['a', 'b'])
    worker.lane.send(body === 'a' ? KIND.RESPONSE : KIND.BODY, {
      id: behind.id,
      head: body === 'a' ? ['200 OK'] : [],
      body,
    });
  await until(() =>
    expect(worker.control.frames.filter(({ kind }) => kind === KIND.ABANDON).map(({ id }) => id)).toEqual([
      behind.id,
    ]),
  );
});

test('at its deadline the head is answered 504, and what waits behind it is asked for first', async () => {
  await using theatre = await openTheatre({ timeout: 0.3 });
  const worker = await theatre.worker({ batch: 32 });
  const clients = await fill(theatre, worker, ['/1', '/2']);
  await until(() => expect(requests(worker).length).toBe(2));
  const [head, behind] = requests(worker) as [Frame, Frame];
  const name = environOf(head).get('RAW_URI') === '/1' ? 0 : 1;
  expect((await clients[name]?.read())?.status).toBe(504);
  const kinds = worker.control.kinds();
  expect(kinds.lastIndexOf(KIND.RECALL)).toBeLessThan(kinds.indexOf(KIND.INTERRUPT));
  await theatre.worker({ id: 2, onRequest: answer });
  giveBack(worker, [behind.id]);
  expect((await clients[1 - name]?.read())?.status).toBe(200);
});

test('while clients give up waiting, the old ones are refused, and the young ones served', async () => {
  await using theatre = await openTheatre({ queueTarget: 0.3 });
  const leavers = await askAll(
    theatre,
    Array.from({ length: 12 }, (_, i) => `/leaver/${i}`),
  );
  await until(() => expect(theatre.dispatcher.waiting).toBe(12));
  await until(() => expect(theatre.dispatcher.oldestMs).toBeGreaterThan(150));
  const [old] = await askAll(theatre, ['/old']);
  await until(() => expect(theatre.dispatcher.waiting).toBe(13));
  for (const client of leavers.slice(1)) client.socket.resetAndDestroy();
  expect((await leavers[0]?.read())?.status).toBe(503);
  expect((await old?.read())?.status).toBe(503);
});

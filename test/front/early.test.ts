/** Early hints (EARLY, 103): what a client gets of them, and what they change of its request: nothing. */
import { describe, expect, test } from 'vitest';
import { FLAG, type Frame, KIND } from '../../src/gateway/frames.ts';
import { type Connection, formatRequest } from '../support/client.ts';
import { environOf, type Wire } from './fake-worker.ts';
import { until } from './harness.ts';
import { openTheatre } from './theatre.ts';

const LINK = ['Link', '</a.css>; rel=preload'];

function hint({ id }: Frame, wire: Wire, head: readonly string[] = LINK): void {
  wire.send(KIND.EARLY, { id, head });
}

/** Two hints, and the path as the answer. */
function hintAndAnswer(frame: Frame, wire: Wire): void {
  hint(frame, wire);
  hint(frame, wire, ['Link', '</b.js>; rel=preload', 'X-More', '1']);
  wire.answer(frame.id, environOf(frame).get('RAW_URI') ?? '');
}

/** The statuses of what comes, up to the answer. */
async function statuses(client: Connection, head = false): Promise<number[]> {
  const seen: number[] = [];
  while ((seen.at(-1) ?? 100) < 200) seen.push((await client.read({ interim: true, head })).status);
  return seen;
}

test('each goes out at once, before the answer, and the connection goes on', async () => {
  await using theatre = await openTheatre();
  const worker = await theatre.worker();
  const frames: Frame[] = [];
  worker.onRequest((frame, wire) => {
    frames.push(frame);
    hint(frame, wire);
  });
  const client = await theatre.ask('/1');
  expect(await client.read({ interim: true })).toMatchObject({
    status: 103,
    reason: 'Early Hints',
    fields: [LINK],
  });
  hintAndAnswer(frames[0] as Frame, worker.lane);
  expect(await statuses(client)).toEqual([103, 103, 200]);
  worker.onRequest(hintAndAnswer);
  await client.send(Buffer.concat(['/2', '/3'].map((path) => formatRequest('GET', path))));
  expect([...(await statuses(client)), ...(await statuses(client))]).toEqual([103, 103, 200, 103, 103, 200]);
  await client.send(formatRequest('HEAD', '/4'));
  expect(await statuses(client, true)).toEqual([103, 103, 200]);
  // The access log hears of the answers alone.
  expect(theatre.stage.outcomes.map(({ status, bytes, fields }) => [status, bytes, fields])).toEqual(
    [2, 2, 2, 0].map((bytes) => [200, bytes, []]),
  );
});

test('an HTTP/1.0 client gets none', async () => {
  await using theatre = await openTheatre();
  await theatre.worker({ onRequest: hintAndAnswer });
  const client = await theatre.stage.connect();
  await client.send('GET /old HTTP/1.0\r\n\r\n');
  expect(await statuses(client)).toEqual([200]);
});

test('the answers to others in the same lane stay in order', async () => {
  await using theatre = await openTheatre();
  await theatre.worker({ batch: 32, onRequest: hintAndAnswer });
  const clients = await Promise.all(Array.from({ length: 20 }, () => theatre.stage.connect()));
  for (let round = 0; round < 10; round++) {
    for (const [i, client] of clients.entries()) void client.send(formatRequest('GET', `/${round}/${i}`));
    const bodies = await Promise.all(clients.map(async (client) => String((await client.read()).body)));
    expect(bodies).toEqual(clients.map((_, i) => `/${round}/${i}`));
  }
});

test.each([
  ['a line break', ['Link', '<a>\r\nSet-Cookie: b=1']],
  ['a name without a value', ['Link']],
  ['a length', ['Content-Length', '5']],
])('%s in them is a 500, and nothing of them is sent', async (_what, head) => {
  await using theatre = await openTheatre();
  const worker = await theatre.worker({ onRequest: (frame, wire) => hint(frame, wire, head) });
  const client = await theatre.ask('/');
  expect(await statuses(client)).toEqual([500]);
  expect(theatre.log.join()).toContain('The answer to GET / cannot be sent');
  // The worker still ends its answer, which is for nobody.
  worker.onRequest(hintAndAnswer);
  worker.lane.answer(1, 'late');
  expect(await statuses(await theatre.ask('/next'))).toEqual([103, 103, 200]);
});

test('behind the head of the answer they cut it', async () => {
  await using theatre = await openTheatre();
  await theatre.worker({
    onRequest: (frame, wire) => {
      wire.send(KIND.RESPONSE, { id: frame.id, head: ['200 OK'], body: 'one' });
      hint(frame, wire);
      wire.send(KIND.BODY, { id: frame.id, flags: FLAG.LAST, body: 'two' });
    },
  });
  await expect((await theatre.ask('/')).read()).rejects.toThrow(/cut|reset/);
});

test('nobody is told of a client that left', async () => {
  await using theatre = await openTheatre();
  const worker = await theatre.worker();
  const client = await theatre.ask('/');
  await until(() => expect(worker.lane.kinds()).toEqual([KIND.REQUEST]));
  client.socket.resetAndDestroy();
  await until(() => expect(theatre.stage.outcomes.at(-1)?.status).toBe(499));
  hintAndAnswer(worker.lane.frames[0] as Frame, worker.lane);
  worker.onRequest(hintAndAnswer);
  expect(await statuses(await theatre.ask('/next'))).toEqual([103, 103, 200]);
  expect(worker.control.kinds()).toEqual([]);
});

test('a client that reads nothing is sent a few, not all of them', async () => {
  await using theatre = await openTheatre();
  const long = ['Link', `<${'a'.repeat(10_000)}>; rel=preload`];
  await theatre.worker({
    onRequest: (frame, wire) => {
      for (let i = 0; i < 2000; i++) hint(frame, wire, long);
      wire.answer(frame.id, 'answer');
    },
  });
  const client = await theatre.stage.connect();
  client.socket.pause();
  await client.send(formatRequest('GET', '/'));
  await until(() => expect(theatre.stage.outcomes.length).toBe(1));
  client.socket.resume();
  const seen = await statuses(client);
  expect([seen.at(-1), seen.length < 1500]).toEqual([200, true]);
});

describe('as if nothing had been said', () => {
  test('a safe request whose worker dies is tried once more', async () => {
    await using theatre = await openTheatre({ retry: 'safe' });
    const worker = await theatre.worker({ id: 1, onRequest: hint });
    const client = await theatre.ask('/');
    expect((await client.read({ interim: true })).status).toBe(103);
    await theatre.worker({ id: 2, onRequest: hintAndAnswer });
    worker.die();
    expect(await statuses(client)).toEqual([103, 103, 200]);
  });

  test('the deadline runs on: 504', async () => {
    await using theatre = await openTheatre({ timeout: 0.5 });
    const worker = await theatre.worker();
    const client = await theatre.ask('/');
    await until(() => expect(worker.lane.kinds()).toEqual([KIND.REQUEST]));
    const more = setInterval(() => hint(worker.lane.frames[0] as Frame, worker.lane), 50);
    const seen = await statuses(client);
    clearInterval(more);
    expect([seen[0], seen.at(-1)]).toEqual([103, 504]);
  });

  test('a failure is a 500', async () => {
    await using theatre = await openTheatre();
    await theatre.worker({
      onRequest: (frame, wire) => {
        hint(frame, wire);
        wire.send(KIND.FAILED, { id: frame.id, head: ['error', 'X', 'message', 'y'] });
      },
    });
    expect(await statuses(await theatre.ask('/'))).toEqual([103, 500]);
  });
});

/** Clients and workers that do anything at any time: whoever behaves is served right, and nothing stays behind. */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { FLAG, type Frame, KIND } from '../../src/gateway/frames.ts';
import { formatRequest, Incomplete } from '../support/client.ts';
import { environOf, type FakeWorker, type Wire } from './fake-worker.ts';
import { pattern, seeded, until } from './harness.ts';
import { openTheatre, type Theatre } from './theatre.ts';

type Random = (below: number) => number;
const BODY = pattern(1_500_000);

/** Answers with the body, in parts, sooner or later; for `/bad` it does its worst. */
function play(die: () => void, random: Random): (frame: Frame, wire: Wire) => void {
  return (frame, wire) => {
    const bad = environOf(frame).get('RAW_URI') === '/bad';
    const body = frame.flags === FLAG.SPOOLED ? readFileSync(frame.body.toString()) : Buffer.from(frame.body);
    const { id } = frame;
    const respond = () => {
      const cut = random(body.length + 1);
      wire.send(KIND.RESPONSE, { id, head: ['200 OK'], body: body.subarray(0, cut) });
      wire.send(KIND.BODY, { id, flags: FLAG.LAST, body: body.subarray(cut) });
    };
    const worst: (() => void)[] = [
      respond,
      () => wire.send(KIND.FAILED, { id, head: ['error', 'X', 'message', 'y'] }),
      () =>
        wire.send(KIND.RESPONSE, {
          id,
          flags: FLAG.LAST,
          head: ['200 OK', 'Content-Length', '9'],
          body: 'short',
        }),
      () => wire.send(KIND.RESPONSE, { id, flags: FLAG.LAST, head: ['nonsense'] }),
      () => {
        wire.send(KIND.RESPONSE, { id, head: ['200 OK'], body: 'part' });
        wire.send(KIND.FAILED, { id });
      },
      die,
    ];
    const act = bad ? (worst[random(worst.length)] ?? respond) : respond;
    if (random(2) === 0) act();
    else setTimeout(act, random(20));
  };
}

/** Asks properly and checks every byte; 502 or a cut answer is the fault of a worker that died of another request. */
async function behave(theatre: Theatre, random: Random): Promise<number> {
  let client = await theatre.stage.connect();
  let served = 0;
  for (let i = 0; i < 8; i++) {
    const body = BODY.subarray(0, random(6) === 0 ? random(BODY.length) : random(5000));
    const fields = { 'Content-Length': String(body.length) };
    try {
      const answer = await client.request('POST', '/good', { body, fields });
      if (answer.status === 200) {
        expect(answer.body.equals(body)).toBe(true);
        served++;
      } else expect(answer.status).toBe(502);
    } catch (error) {
      if (!(error instanceof Incomplete)) throw error;
      client.close();
      client = await theatre.stage.connect();
    }
    await sleep(random(10));
  }
  client.close();
  return served;
}

/** Does something that a client should not, and leaves. */
async function misbehave(theatre: Theatre, random: Random): Promise<void> {
  const client = await theatre.stage.connect();
  const { socket } = client;
  const request = formatRequest('POST', '/bad', {
    body: BODY.subarray(0, random(2) ? random(BODY.length) : random(2000)),
  });
  const junk = [
    request,
    Buffer.concat([request, request, request]),
    request.subarray(0, random(request.length)),
    Buffer.from('nonsense\r\n\r\n'),
    Buffer.from(`${'GET /bad HTTP/1.1\r\nHost: t\r\n\r\n'.repeat(200)}`),
    Buffer.alloc(0),
  ];
  if (random(2) === 0) socket.pause();
  socket.write(junk[random(junk.length)] ?? request);
  await sleep(random(60));
  if (random(3) === 0) socket.end();
  if (random(2) === 0) socket.resume();
  await sleep(random(60));
  if (random(2) === 0) socket.resetAndDestroy();
  else socket.destroy();
}

test.each([1, 2, 3])('seed %d', async (seed) => {
  const random = seeded(seed);
  const staff = new Map<number, FakeWorker>();
  let on = true;
  let next = 1;
  await using theatre = await openTheatre({
    memoryLimit: 300_000,
    spoolLimit: 40_000_000,
    bodyMemory: 3000,
    queueSize: 2000,
    queueTimeout: 15,
    timeout: 5,
    sendTimeout: 5,
    retry: random(2) === 0 ? 'safe' : 'off',
  });
  // As the arbiter does.
  theatre.onTold = (message) => {
    if (message.type === 'worker-stuck') staff.get(message.worker)?.die();
  };
  const hire = async () => {
    const id = next++;
    // A request may come before the worker is known here.
    const die = () => void (staff.has(id) ? staff.get(id)?.die() : setTimeout(die, 1));
    const worker = await theatre.worker({ id, lanes: 1 + random(3), onRequest: play(die, random) });
    staff.set(id, worker);
    worker.control.socket.once('close', () => {
      theatre.dispatcher.crew.gone(id);
      if (on) void hire();
    });
  };
  for (let i = 0; i < 3; i++) await hire();
  const served = Promise.all(Array.from({ length: 12 }, () => behave(theatre, random)));
  const troubled = Promise.all(
    Array.from({ length: 25 }, async () => {
      for (let i = 0; i < 5; i++) await misbehave(theatre, random);
    }),
  );
  await troubled;
  const count = (await served).reduce((sum, each) => sum + each, 0);
  on = false;
  expect(count).toBeGreaterThan(12 * 8 * 0.6);
  // What is left of them: nothing, once their requests have ended.
  await until(() => expect(theatre.dispatcher.waiting).toBe(0));
  await theatre.stage.empty();
});

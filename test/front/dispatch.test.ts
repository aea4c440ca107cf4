/** Requests from real clients, through the queue, to workers of the test's own on a real UNIX socket. */
import { readFileSync } from 'node:fs';
import { connect as dialSocket } from 'node:net';
import { describe, expect, test } from 'vitest';
import { FLAG, type Frame, KIND } from '../../src/gateway/frames.ts';
import { field, formatRequest, Incomplete } from '../support/client.ts';
import { environOf, type FakeWorker, type Wire } from './fake-worker.ts';
import { pattern, type Stage, seeded, until } from './harness.ts';
import { openTheatre } from './theatre.ts';

/** Answers with the request's target and body. */
function echo(frame: Frame, wire: Wire): void {
  wire.answer(frame.id, `${environOf(frame).get('RAW_URI')} ${frame.body}`);
}

function requests(worker: FakeWorker): Frame[] {
  return worker.lanes.flatMap((lane) => lane.frames.filter((frame) => frame.kind === KIND.REQUEST));
}

describe('the way of a request', () => {
  test('goes out as one frame, and its answer comes back', async () => {
    await using theatre = await openTheatre();
    const worker = await theatre.worker({ pid: 77 });
    worker.onRequest((frame, wire) => {
      const head = ['201 Created', 'X-A', '1', ':environ.user', 'me'];
      wire.send(KIND.RESPONSE, { id: frame.id, flags: FLAG.LAST, head, body: 'fine' });
    });
    const client = await theatre.ask('/a?b=1', 'the body');
    const answer = await client.read();
    expect([answer.status, String(answer.body), field(answer, 'X-A')]).toEqual([201, 'fine', '1']);
    expect(answer.fields.some(([name]) => name.includes('environ'))).toBe(false);
    const [frame] = requests(worker) as [Frame];
    expect(frame).toMatchObject({ flags: 0, body: Buffer.from('the body') });
    expect(Object.fromEntries(environOf(frame))).toMatchObject({
      REQUEST_METHOD: 'POST',
      QUERY_STRING: 'b=1',
    });
    const trace = theatre.stage.outcomes[0]?.exchange?.trace;
    expect([trace?.pid, trace?.environ?.get('user')]).toEqual([77, 'me']);
  });

  test('a long body travels as the path of a file', async () => {
    await using theatre = await openTheatre();
    const worker = await theatre.worker();
    const body = pattern(500_000);
    worker.onRequest((frame, wire) => {
      expect(frame.flags).toBe(FLAG.SPOOLED);
      wire.answer(frame.id, readFileSync(frame.body.toString()));
    });
    const client = await theatre.ask('/', body);
    expect((await client.read()).body.equals(body)).toBe(true);
    await until(() => expect(theatre.stage.spoolFiles()).toBe(0));
  });

  test('an answer in parts, and a failure before and after the head', async () => {
    await using theatre = await openTheatre();
    const worker = await theatre.worker();
    worker.onRequest(({ id, head }, wire) => {
      if (head.includes('/early'))
        return wire.send(KIND.FAILED, { id, head: ['error', 'X', 'message', 'y'], body: 'trace' });
      wire.send(KIND.RESPONSE, { id, head: ['200 OK'], body: 'one ' });
      wire.send(KIND.BODY, { id, body: 'two' });
      if (head.includes('/late')) return wire.send(KIND.FAILED, { id, head: ['error', 'X', 'message', 'y'] });
      wire.send(KIND.BODY, { id, flags: FLAG.LAST, body: ' three' });
    });
    expect(String((await (await theatre.ask('/')).read()).body)).toBe('one two three');
    const client = await theatre.ask('/early');
    expect((await client.read()).status).toBe(500);
    expect(String((await client.request('GET', '/')).body)).toBe('one two three');
    await expect((await theatre.ask('/late')).read()).rejects.toThrow(Incomplete);
    expect(String((await (await theatre.ask('/')).read()).body)).toBe('one two three');
  });

  test('each idle lane takes one, the rest wait their turn', async () => {
    await using theatre = await openTheatre();
    const workers = [await theatre.worker({ id: 1, lanes: 2 }), await theatre.worker({ id: 2, lanes: 1 })];
    const clients = [];
    for (let i = 0; i < 6; i++) clients.push(await theatre.ask(`/${i}`));
    await until(() => expect(workers.flatMap(requests).length).toBe(3));
    await until(() => expect(theatre.dispatcher.waiting).toBe(3));
    for (const worker of workers) {
      worker.onRequest(echo);
      for (const lane of worker.lanes)
        for (const frame of lane.frames) if (frame.kind === KIND.REQUEST) echo(frame, lane);
    }
    for (const [i, client] of clients.entries()) expect(String((await client.read()).body)).toBe(`/${i} `);
    expect(theatre.dispatcher.waiting).toBe(0);
  });

  test('a lane of capacity 3 and any order takes three, and answers as it likes', async () => {
    await using theatre = await openTheatre();
    const worker = await theatre.worker({ capacity: 3, order: 'any' });
    const clients = [];
    for (let i = 0; i < 4; i++) clients.push(await theatre.ask(`/${i}`));
    await until(() => expect(requests(worker).length).toBe(3));
    for (const frame of requests(worker).reverse()) echo(frame, worker.lane);
    await until(() => expect(requests(worker).length).toBe(4));
    echo(requests(worker)[3] as Frame, worker.lane);
    for (const [i, client] of clients.entries()) expect(String((await client.read()).body)).toBe(`/${i} `);
  });

  test('2,000 requests with random bodies over 3 workers that answer when they like', async () => {
    await using theatre = await openTheatre({ queueSize: 5000 });
    const random = seeded(9);
    for (const id of [1, 2, 3]) {
      const worker = await theatre.worker({ id, lanes: id });
      worker.onRequest((frame, wire) => {
        const body =
          frame.flags === FLAG.SPOOLED ? readFileSync(frame.body.toString()) : Buffer.from(frame.body);
        const half = random(body.length + 1);
        const go = () => {
          wire.send(KIND.RESPONSE, { id: frame.id, head: ['200 OK'], body: body.subarray(0, half) });
          wire.send(KIND.BODY, { id: frame.id, flags: FLAG.LAST, body: body.subarray(half) });
        };
        if (random(3) === 0) setTimeout(go, random(5));
        else go();
      });
    }
    const body = pattern(200_000);
    const one = async (client: Awaited<ReturnType<Stage['connect']>>) => {
      const size = random(20) === 0 ? random(200_000) : random(2000);
      const part = body.subarray(0, size);
      const answer = await client.request('POST', '/', { body: part });
      if (answer.status !== 200 || !answer.body.equals(part))
        throw new Error(`${answer.status}: ${answer.body.length}`);
    };
    await Promise.all(
      Array.from({ length: 20 }, async () => {
        const client = await theatre.stage.connect();
        for (let i = 0; i < 100; i++) await one(client);
      }),
    );
    expect(theatre.stage.clients.count).toBe(2000);
  });
});

describe('a worker connects', () => {
  test('READY may come before the last HELLO, and HELLO in pieces', async () => {
    await using theatre = await openTheatre();
    const worker = await theatre.silent({ lanes: 2 });
    worker.helloLane(1);
    worker.helloControl();
    worker.ready();
    const client = await theatre.ask('/');
    await until(() => expect(theatre.dispatcher.waiting).toBe(1));
    expect(theatre.ready).toEqual([]);
    const lane = worker.lanes[0] as Wire;
    worker.onRequest(echo);
    const write = lane.socket.write.bind(lane.socket);
    lane.socket.write = ((bytes: Buffer) => {
      for (const byte of bytes) write(Buffer.from([byte]));
      return true;
    }) as typeof write;
    worker.helloLane(0);
    lane.socket.write = write;
    expect((await client.read()).status).toBe(200);
    expect(theatre.ready).toEqual([1]);
  });

  test('what is no worker is shown the door, and harms nobody', async () => {
    await using theatre = await openTheatre();
    await theatre.worker({ onRequest: echo });
    const junk = [
      Buffer.from('GET / HTTP/1.1\r\n\r\n'),
      Buffer.alloc(64, 0xff),
      Buffer.from([9, 0, 0, 0, ...Array(12).fill(0)]),
    ];
    for (const bytes of junk) {
      const socket = dialSocket(theatre.path);
      socket.on('error', () => {});
      socket.write(bytes);
      await new Promise((resolve) => socket.once('close', resolve));
    }
    expect((await (await theatre.ask('/')).read()).status).toBe(200);
  });

  test('junk behind HELLO on control ends that connection, with a word in the log', async () => {
    await using theatre = await openTheatre();
    const worker = await theatre.silent({ id: 5 });
    worker.control.socket.cork();
    worker.helloControl();
    worker.control.send(KIND.PONG);
    worker.control.socket.uncork();
    await new Promise((resolve) => worker.control.socket.once('close', resolve));
    expect(theatre.log).toEqual([expect.stringMatching(/Worker 5 \(pid 4711\): Kind 6 does not belong/)]);
  });
});

describe('a worker that fails', () => {
  test.each([
    ['a frame of no kind', (lane: Wire) => void lane.socket.write(Buffer.alloc(16, 0xee))],
    ['an answer to another id', (lane: Wire, id: number) => lane.answer(id + 1, 'x')],
    ['a frame that does not belong here', (lane: Wire, id: number) => lane.send(KIND.DRAIN, { id })],
  ])('%s: 502, the lane is given up, and the log says why', async (_what, misbehave) => {
    await using theatre = await openTheatre();
    const worker = await theatre.worker();
    worker.onRequest((frame, wire) => misbehave(wire, frame.id));
    const client = await theatre.ask('/');
    expect((await client.read()).status).toBe(502);
    expect(theatre.log[0]).toMatch(/Worker 1 \(pid 4711\): /);
    // The connection to the client is as good as before.
    const replacement = await theatre.worker({ id: 2 });
    replacement.onRequest(echo);
    expect((await client.request('GET', '/')).status).toBe(200);
    expect(requests(worker).length).toBe(1);
  });

  test('answers on a lane in order must come in order', async () => {
    await using theatre = await openTheatre();
    const worker = await theatre.worker({ capacity: 2, order: 'fifo' });
    const clients = [await theatre.ask('/1'), await theatre.ask('/2')];
    await until(() => expect(requests(worker).length).toBe(2));
    echo(requests(worker)[1] as Frame, worker.lane);
    for (const client of clients) expect((await client.read()).status).toBe(502);
  });

  test.each([
    ['a head that may not be sent', ['200 OK', 'X', 'a\r\nb'], /holds a character/],
    ['a hop-by-hop field', ['200 OK', 'Connection', 'close'], /hop-by-hop/],
    ['a status of its own', ['20 OK'], /status/],
    ['half a field', ['200 OK', 'X'], /no valid head/],
  ])('%s is a 500 and a line in the log; the lane goes on', async (_what, head, why) => {
    await using theatre = await openTheatre();
    const worker = await theatre.worker();
    worker.onRequest((frame, wire) => {
      if (!environOf(frame).get('RAW_URI')?.startsWith('/bad')) return echo(frame, wire);
      wire.send(KIND.RESPONSE, { id: frame.id, head });
      wire.send(KIND.BODY, { id: frame.id, flags: FLAG.LAST });
    });
    const client = await theatre.ask('/bad');
    expect((await client.read()).status).toBe(500);
    expect((await client.request('GET', '/')).status).toBe(200);
    expect(theatre.log).toEqual([expect.stringMatching(why)]);
    expect(theatre.log[0]).toMatch(/The answer to GET \/bad cannot be sent\./);
  });

  test('a body before its head is a 500, a second head cuts', async () => {
    await using theatre = await openTheatre();
    const worker = await theatre.worker();
    worker.onRequest(({ id, head }, wire) => {
      if (head.includes('/twice')) wire.send(KIND.RESPONSE, { id, head: ['200 OK'] });
      if (head.includes('/twice')) wire.send(KIND.RESPONSE, { id, head: ['200 OK'] });
      wire.send(KIND.BODY, { id, flags: FLAG.LAST, body: 'x' });
    });
    expect((await (await theatre.ask('/none')).read()).status).toBe(500);
    await expect((await theatre.ask('/twice')).read()).rejects.toThrow(Incomplete);
    expect(theatre.log.length).toBe(2);
  });

  test('death in the middle of a request: 502 at once; after the head the client is cut', async () => {
    await using theatre = await openTheatre();
    for (const id of [1, 2]) {
      const worker = await theatre.worker({ id });
      worker.onRequest((frame, wire) => {
        if (id === 2)
          wire.send(KIND.RESPONSE, { id: frame.id, head: ['200 OK', 'Content-Length', '5'], body: 'abc' });
        setImmediate(() => worker.die());
      });
      const client = await theatre.ask(`/${id}`);
      const started = performance.now();
      if (id === 1) {
        expect((await client.read()).status).toBe(502);
        expect(performance.now() - started).toBeLessThan(1000);
      } else await expect(client.read()).rejects.toThrow(Incomplete);
      expect(theatre.log.at(-1)).toMatch(`Worker ${id} (pid 4711) died while it handled GET /${id}.`);
      theatre.dispatcher.crew.gone(id);
    }
    expect(theatre.stage.statuses).toEqual([502, 200]);
  });

  test('an answer that was said before death counts', async () => {
    await using theatre = await openTheatre();
    const body = pattern(150_000);
    for (let id = 1; id <= 20; id++) {
      const worker = await theatre.worker({ id });
      worker.onRequest((frame, wire) => {
        wire.answer(frame.id, body);
        wire.socket.end();
        worker.control.socket.destroy();
        theatre.dispatcher.crew.gone(id);
      });
      expect((await (await theatre.ask('/')).read()).body.equals(body)).toBe(true);
    }
    expect(theatre.log).toEqual([]);
  });

  test('children of a dead worker may keep its lane open: the word of the arbiter is enough', async () => {
    await using theatre = await openTheatre();
    const worker = await theatre.worker();
    const client = await theatre.ask('/');
    await until(() => expect(requests(worker).length).toBe(1));
    theatre.dispatcher.crew.gone(1);
    expect((await client.read()).status).toBe(502);
  });
});

describe('waiting', () => {
  test('more than the queue takes gets 503 at once', async () => {
    await using theatre = await openTheatre({ queueSize: 2 });
    const clients = [];
    for (let i = 0; i < 2; i++) clients.push(await theatre.ask('/'));
    await until(() => expect(theatre.dispatcher.waiting).toBe(2));
    const refused = await (await theatre.ask('/')).read();
    expect([refused.status, field(refused, 'Retry-After')]).toEqual([503, '1']);
    await theatre.worker({ onRequest: echo });
    for (const client of clients) expect((await client.read()).status).toBe(200);
  });

  test('whoever waits too long gets 503, and keeps the connection', async () => {
    await using theatre = await openTheatre({ queueTimeout: 0.2 });
    const worker = await theatre.worker();
    const served = await theatre.ask('/held');
    await until(() => expect(requests(worker).length).toBe(1));
    const client = await theatre.ask('/late', pattern(100_000));
    const answer = await client.read();
    expect([answer.status, field(answer, 'Retry-After')]).toEqual([503, '1']);
    echo(requests(worker)[0] as Frame, worker.lane);
    expect((await served.read()).status).toBe(200);
    worker.onRequest(echo);
    expect((await client.request('GET', '/')).status).toBe(200);
    expect(requests(worker).length).toBe(2);
  });

  test('whoever leaves while waiting is never given to a worker', async () => {
    await using theatre = await openTheatre();
    const [left, stays] = [await theatre.ask('/left', pattern(100_000)), await theatre.ask('/stays')];
    await until(() => expect(theatre.dispatcher.waiting).toBe(2));
    left.socket.end();
    await until(() => expect(theatre.dispatcher.waiting).toBe(1));
    const worker = await theatre.worker({ onRequest: echo });
    expect((await stays.read()).status).toBe(200);
    expect(requests(worker).length).toBe(1);
  });
});

describe('deadlines', () => {
  test('no answer in time: 504, the worker is to be replaced, and its late answer goes nowhere', async () => {
    await using theatre = await openTheatre({ timeout: 0.3 });
    const worker = await theatre.worker();
    const client = await theatre.ask('/slow');
    expect((await client.read()).status).toBe(504);
    expect(theatre.stuck).toEqual([[1, 1000]]);
    // It is asked where it is, and told to let go of it. It gets nothing more, and may leave only when it is through.
    const next = await theatre.ask('/next');
    await until(() => expect(theatre.dispatcher.waiting).toBe(1));
    await until(() => expect(worker.control.kinds()).toEqual([KIND.DUMP, KIND.INTERRUPT]));
    echo(requests(worker)[0] as Frame, worker.lane);
    await until(() => expect(worker.control.kinds()).toEqual([KIND.DUMP, KIND.INTERRUPT, KIND.DRAIN]));
    await theatre.worker({ id: 2, onRequest: echo });
    expect(String((await next.read()).body)).toBe('/next ');
    expect(String((await client.request('GET', '/again')).body)).toBe('/again ');
    expect(requests(worker).length).toBe(1);
  });

  test('its other requests may finish; then it is replaced at once', async () => {
    await using theatre = await openTheatre({ timeout: 0.5 });
    const worker = await theatre.worker({ lanes: 2 });
    const slow = await theatre.ask('/slow');
    await until(() => expect(requests(worker).length).toBe(1));
    await new Promise((resolve) => setTimeout(resolve, 300));
    const sibling = await theatre.ask('/sibling');
    expect((await slow.read()).status).toBe(504);
    expect(theatre.stuck).toEqual([[1, 5000]]);
    const wire = worker.lanes.find((lane) =>
      lane.frames.some((frame) => frame.head.includes('/sibling')),
    ) as Wire;
    echo(wire.frames[0] as Frame, wire);
    expect(String((await sibling.read()).body)).toBe('/sibling ');
    expect(theatre.stuck).toEqual([
      [1, 5000],
      [1, 1000],
    ]);
  });

  test('after the head it holds for each gap, and cuts', async () => {
    await using theatre = await openTheatre({ timeout: 0.4 });
    const worker = await theatre.worker();
    const client = await theatre.ask('/');
    await until(() => expect(requests(worker).length).toBe(1));
    const id = requests(worker)[0]?.id ?? 0;
    worker.lane.send(KIND.RESPONSE, { id, head: ['200 OK'], body: 'x' });
    const started = performance.now();
    for (let i = 0; i < 6; i++) {
      await new Promise((resolve) => setTimeout(resolve, 120));
      worker.lane.send(KIND.BODY, { id, body: 'x' });
    }
    expect(performance.now() - started).toBeGreaterThan(600);
    expect(theatre.stuck).toEqual([]);
    await expect(client.read()).rejects.toThrow(Incomplete);
    expect(theatre.stuck).toEqual([[1, 1000]]);
  });

  test('do not run while it is the client who is waited for', async () => {
    await using theatre = await openTheatre({ timeout: 0.3, spoolLimit: 100_000 });
    const worker = await theatre.worker();
    const body = pattern(9_000_000);
    worker.onRequest(({ id }, wire) => {
      wire.send(KIND.RESPONSE, { id, head: ['200 OK'] });
      for (let at = 0; at < body.length; at += 60_000)
        wire.send(KIND.BODY, { id, body: body.subarray(at, at + 60_000) });
      wire.send(KIND.BODY, { id, flags: FLAG.LAST });
    });
    const client = await theatre.stage.connect();
    client.socket.pause();
    await client.send(formatRequest('GET', '/'));
    await until(() => expect(theatre.stage.warnings.length).toBe(1));
    await new Promise((resolve) => setTimeout(resolve, 600));
    expect([theatre.stuck, theatre.log]).toEqual([[], []]);
    expect(worker.lane.socket.writableLength).toBeGreaterThan(0);
    client.socket.resume();
    expect((await client.read()).body.equals(body)).toBe(true);
    worker.onRequest(echo);
    expect((await client.request('GET', '/')).status).toBe(200);
  });
});

describe('a client that leaves', () => {
  test('is told to the worker with its first block, and the lane is used again when it has ended', async () => {
    await using theatre = await openTheatre();
    const worker = await theatre.worker();
    const client = await theatre.ask('/', pattern(100_000));
    await until(() => expect(requests(worker).length).toBe(1));
    const { id } = requests(worker)[0] as Frame;
    client.socket.resetAndDestroy();
    await until(() => expect(theatre.stage.outcomes.at(-1)?.status).toBe(499));
    // Before that there is nothing to leave out, and a signal for nothing.
    expect(worker.control.kinds()).toEqual([]);
    worker.lane.send(KIND.RESPONSE, { id, head: ['200 OK'], body: 'first' });
    await until(() => expect(worker.control.frames).toMatchObject([{ kind: KIND.ABANDON, id }]));
    const next = await theatre.ask('/next');
    await until(() => expect(theatre.dispatcher.waiting).toBe(1));
    // The worker may still be reading the body.
    expect(theatre.stage.spoolFiles()).toBe(1);
    worker.onRequest(echo);
    worker.lane.send(KIND.FAILED, { id });
    expect((await next.read()).status).toBe(200);
    await until(() => expect(theatre.stage.spoolFiles()).toBe(0));
    expect(theatre.stage.statuses.sort()).toEqual([200, 499]);
  });

  test('while the worker waits for it, lets the worker go on', async () => {
    await using theatre = await openTheatre({ spoolLimit: 100_000 });
    const worker = await theatre.worker();
    const client = await theatre.stage.connect();
    client.socket.pause();
    await client.send(formatRequest('GET', '/'));
    await until(() => expect(requests(worker).length).toBe(1));
    const { id } = requests(worker)[0] as Frame;
    worker.lane.send(KIND.RESPONSE, { id, head: ['200 OK'] });
    for (let i = 0; i < 150; i++) worker.lane.send(KIND.BODY, { id, body: pattern(60_000) });
    await until(() => expect(theatre.stage.warnings.length).toBe(1));
    client.socket.resetAndDestroy();
    worker.lane.send(KIND.BODY, { id, flags: FLAG.LAST });
    worker.onRequest(echo);
    expect((await (await theatre.ask('/next')).read()).status).toBe(200);
    expect(worker.control.kinds()).toEqual([KIND.ABANDON]);
  });

  test('and a worker that dies while it waits for a client are both noticed', async () => {
    await using theatre = await openTheatre({ spoolLimit: 100_000 });
    const worker = await theatre.worker();
    const client = await theatre.stage.connect();
    client.socket.pause();
    await client.send(formatRequest('GET', '/'));
    await until(() => expect(requests(worker).length).toBe(1));
    const { id } = requests(worker)[0] as Frame;
    worker.lane.send(KIND.RESPONSE, { id, head: ['200 OK'] });
    for (let i = 0; i < 150; i++) worker.lane.send(KIND.BODY, { id, body: pattern(60_000) });
    await until(() => expect(theatre.stage.warnings.length).toBe(1));
    worker.die();
    theatre.dispatcher.crew.gone(1);
    await until(() => expect(theatre.stage.clients.clients.size).toBe(0));
    client.socket.resume();
    await expect(client.read()).rejects.toThrow(Incomplete);
    expect(theatre.log).toEqual([expect.stringMatching(/died while it handled GET \//)]);
  });
});

describe('draining', () => {
  test('a worker is let go when it has nothing left, and not before', async () => {
    await using theatre = await openTheatre();
    const worker = await theatre.worker({ lanes: 2 });
    const clients = [await theatre.ask('/1'), await theatre.ask('/2')];
    await until(() => expect(requests(worker).length).toBe(2));
    theatre.dispatcher.crew.drain(1);
    const waits = await theatre.ask('/3');
    const [first, second] = worker.lanes as [Wire, Wire];
    echo(first.frames[0] as Frame, first);
    await until(() => expect(theatre.stage.clients.count).toBe(1));
    expect(worker.control.kinds()).toEqual([]);
    echo(second.frames[0] as Frame, second);
    for (const client of clients) expect((await client.read()).status).toBe(200);
    await until(() => expect(worker.control.kinds()).toEqual([KIND.DRAIN]));
    expect(requests(worker).length).toBe(2);
    await theatre.worker({ id: 2, onRequest: echo });
    expect((await waits.read()).status).toBe(200);
  });

  test('an idle worker is let go at once, one that is not there yet as soon as it is', async () => {
    await using theatre = await openTheatre();
    const idle = await theatre.worker();
    theatre.dispatcher.crew.drainAll();
    await until(() => expect(idle.control.kinds()).toEqual([KIND.DRAIN]));
    const booting = await theatre.silent({ id: 2 });
    booting.helloLane(0);
    await theatre.ask('/waits');
    await until(() => expect(theatre.dispatcher.waiting).toBe(1));
    theatre.dispatcher.crew.drain(2);
    booting.helloControl();
    booting.ready();
    await until(() => expect(booting.control.kinds()).toEqual([KIND.DRAIN]));
    expect([theatre.ready, requests(booting)]).toEqual([[1], []]);
  });
});

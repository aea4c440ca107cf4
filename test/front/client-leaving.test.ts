/** Clients that leave, or half-close, in every state: nothing of theirs may stay behind. */
import { describe, expect, test } from 'vitest';
import type { Exchange } from '../../src/http/exchange.ts';
import { formatRequest } from '../support/client.ts';
import { openStage, pattern, reply, until } from './harness.ts';

const GET = 'GET / HTTP/1.1\r\nHost: t\r\n\r\n';
const BIG = formatRequest('POST', '/', { body: pattern(300_000) });

const STATES: readonly [string, Buffer | string, (exchange: Exchange) => void][] = [
  ['idle, new', '', () => {}],
  ['idle, after an answer', GET, (exchange) => reply(exchange, 'fine')],
  ['in the head', 'GET / HT', () => {}],
  ['in the body, in memory', BIG.subarray(0, 20_000), () => {}],
  ['in the body, spooled', BIG.subarray(0, 250_000), () => {}],
  ['queued', GET, () => {}],
  ['queued, with a body in memory', formatRequest('POST', '/', { body: 'x' }), () => {}],
  ['queued, with a spooled body', BIG, () => {}],
  [
    'responding',
    GET,
    (exchange) => {
      exchange.respond({ status: '200 OK', fields: [] }, { body: Buffer.from('x'), last: false });
    },
  ],
  ['responding, with more than it took', GET, (exchange) => respondBig(exchange, false)],
  ['closing, with more than it took', GET.replace('1.1', '1.0'), (exchange) => respondBig(exchange, true)],
  ['closing, refused', 'nonsense\r\n\r\n', () => {}],
];

function respondBig(exchange: Exchange, last: boolean): void {
  exchange.respond({ status: '200 OK', fields: [] }, { body: pattern(20_000_000), last });
}

/** A close looks like a half-close as long as nothing is written, so that a request under way is answered first. */
const SEEN_ONLY_BY_WRITING = /^queued|^responding$/;

describe.each(['a reset', 'a close'])('%s', (how) => {
  const states = STATES.filter(([state]) => how === 'a reset' || !SEEN_ONLY_BY_WRITING.test(state));
  test.each(states)('%s', async (_state, bytes, handle) => {
    const exchanges: Exchange[] = [];
    let gone = 0;
    await using stage = await openStage((exchange) => {
      exchanges.push(exchange);
      exchange.onGone = () => gone++;
      handle(exchange);
    });
    for (let i = 0; i < 5; i++) {
      const client = await stage.connect();
      client.socket.pause();
      await client.send(bytes);
      await until(() => expect([...stage.clients.clients][0]?.socket.bytesRead).toBe(bytes.length));
      if (how === 'a reset') client.socket.resetAndDestroy();
      else client.close();
      await until(() => expect(stage.clients.clients.size).toBe(0));
    }
    // The handler still has the body, as a worker may be reading it.
    for (const exchange of exchanges) exchange.release();
    await stage.empty();
    for (const exchange of exchanges) {
      expect(exchange.gone).toBe(true);
      expect(exchange.respond({ status: '200 OK', fields: [] }, { body: Buffer.alloc(9), last: false })).toBe(
        true,
      );
      expect(exchange.write(Buffer.alloc(9), true)).toBe(true);
    }
    expect(gone).toBe(
      exchanges.length - stage.statuses.filter((status) => status === 200 && gone === 0).length,
    );
  });
});

test('a client that closed is noticed when its answer cannot be delivered', async () => {
  const exchanges: Exchange[] = [];
  await using stage = await openStage((exchange) => exchanges.push(exchange));
  const client = await stage.connect();
  await client.send(GET);
  await until(() => expect(exchanges.length).toBe(1));
  client.close();
  await until(() => expect([...stage.clients.clients][0]?.lastAnswer).toBe(true));
  let gone = 0;
  for (const exchange of exchanges) {
    exchange.onGone = () => gone++;
    respondBig(exchange, false);
    exchange.release();
  }
  await stage.empty();
  expect([gone, stage.statuses]).toEqual([1, [200]]);
});

test('what the log is told of a client that left: 499 without an answer, its status with part of one', async () => {
  await using stage = await openStage((exchange) => {
    if (exchange.head.target === '/part') respondBig(exchange, false);
  });
  for (const target of ['/none', '/part']) {
    const client = await stage.connect();
    await client.send(formatRequest('GET', target));
    await until(() => expect([...stage.clients.clients][0]?.idle).toBe(false));
    client.socket.resetAndDestroy();
    await stage.empty();
  }
  expect(stage.statuses).toEqual([499, 200]);
});

describe('a client that half-closes', () => {
  const later = (exchange: Exchange) => setTimeout(() => reply(exchange, `for ${exchange.head.target}`), 50);

  test('is answered, and then the connection is closed', async () => {
    await using stage = await openStage(later);
    const client = await stage.connect();
    client.socket.end(GET);
    expect(String((await client.read()).body)).toBe('for /');
    expect((await client.ended()).how).toBe('cut');
    await stage.empty();
  });

  test('is answered for all it has pipelined', async () => {
    await using stage = await openStage(later);
    const client = await stage.connect();
    client.socket.end(['/1', '/2', '/3'].map((target) => formatRequest('GET', target)).join(''));
    for (const target of ['/1', '/2', '/3']) expect(String((await client.read()).body)).toBe(`for ${target}`);
    await client.ended();
  });

  test('is answered for a body that the disk is slow to take', async () => {
    await using stage = await openStage((exchange) => reply(exchange, String(exchange.body.length)));
    for (let round = 0; round < 10; round++) {
      const client = await stage.connect();
      client.socket.end(formatRequest('POST', '/', { body: pattern(3_000_000) }));
      expect(String((await client.read()).body)).toBe('3000000');
      await client.ended();
    }
    await stage.empty();
  });

  test('gets the answers before a request that is not whole, and none for that', async () => {
    await using stage = await openStage(later);
    const client = await stage.connect();
    client.socket.end(`${GET}POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\n123`);
    expect((await client.read()).status).toBe(200);
    expect((await client.ended()).rest.length).toBe(0);
    await stage.empty();
  });

  test('counts as gone while its request waits for its turn', async () => {
    let gone = 0;
    await using stage = await openStage((exchange) => {
      exchange.waiting = true;
      exchange.onGone = () => gone++;
    });
    const client = await stage.connect();
    client.socket.end(GET);
    await until(() => expect(gone).toBe(1));
    expect((await client.ended()).rest.length).toBe(0);
    await stage.empty();
    expect(stage.statuses).toEqual([499]);
  });

  test('in the middle of an answer that could have kept the connection gets all of it', async () => {
    let exchange: Exchange | null = null;
    await using stage = await openStage((given) => {
      exchange = given;
      given.respond({ status: '200 OK', fields: [] }, { body: Buffer.from('first '), last: false });
    });
    const client = await stage.connect();
    await client.send(GET);
    await until(() => expect(client.pending().length).toBeGreaterThan(0));
    client.socket.end();
    await until(() => expect([...stage.clients.clients][0]?.lastAnswer).toBe(true));
    (exchange as Exchange | null)?.write(Buffer.from('second'), true);
    expect(String((await client.read()).body)).toBe('first second');
    await client.ended();
    await stage.empty();
  });
});

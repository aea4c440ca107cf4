import { describe, expect, test } from 'vitest';
import { HttpError } from '../../src/errors.ts';
import type { Exchange } from '../../src/http/exchange.ts';
import { exchangeRaw, field, formatRequest } from '../support/client.ts';
import { bodyOf, openStage, pattern, reply, seeded, until } from './harness.ts';

/** Says what was asked, and with which body. */
async function echo(exchange: Exchange): Promise<void> {
  const body = await bodyOf(exchange);
  reply(exchange, Buffer.concat([Buffer.from(`${exchange.head.method} ${exchange.head.target} `), body]));
}

function echoAtOnce(exchange: Exchange): void {
  reply(exchange, `${exchange.head.method} ${exchange.head.target} ${exchange.body.memory}`);
}

/** Answers in chunks that come later. */
function stream(exchange: Exchange, parts: readonly string[], fields: string[] = []): void {
  const send = (at: number) => {
    const last = at === parts.length - 1;
    const body = Buffer.from(parts[at] ?? '');
    if (at === 0) exchange.respond({ status: '200 OK', fields }, { body, last });
    else exchange.write(body, last);
    if (last) exchange.release();
    else setImmediate(send, at + 1);
  };
  send(0);
}

const GET = 'GET / HTTP/1.1\r\nHost: test\r\n\r\n';

describe('requests and answers', () => {
  test('one connection for many requests', async () => {
    await using stage = await openStage(echo);
    const client = await stage.connect();
    for (let i = 0; i < 20; i++) {
      const answer = await client.request(i % 2 ? 'POST' : 'GET', `/${i}`, {
        body: i % 2 ? `body ${i}` : '',
      });
      expect(answer.body.toString()).toBe(i % 2 ? `POST /${i} body ${i}` : `GET /${i} `);
      expect([field(answer, 'Connection'), field(answer, 'Server')]).toEqual([undefined, 'tunicorn']);
      expect(Math.abs(Date.parse(field(answer, 'Date') ?? '') - Date.now())).toBeLessThan(60_000);
    }
    expect([stage.clients.count, stage.clients.clients.size]).toEqual([20, 1]);
    expect(stage.outcomes[1]).toMatchObject({ requestLine: 'POST /1 HTTP/1.1', status: 200, bytes: 14 });
    expect(stage.outcomes[1]?.peer.address).toBe('127.0.0.1');
  });

  test('pipelined requests are answered in order, also when the first takes longest', async () => {
    const waiting: Exchange[] = [];
    await using stage = await openStage((exchange) => {
      if (exchange.head.target === '/slow') waiting.push(exchange);
      else echoAtOnce(exchange);
    });
    const client = await stage.connect();
    const slow = formatRequest('GET', '/slow');
    await client.send(
      Buffer.concat([slow, formatRequest('GET', '/a'), formatRequest('POST', '/b', { body: 'xyz' })]),
    );
    await until(() => expect(waiting.length).toBe(1));
    expect(client.pending().length).toBe(0);
    for (const exchange of waiting) echoAtOnce(exchange);
    const bodies = [await client.read(), await client.read(), await client.read()].map((each) =>
      String(each.body),
    );
    expect(bodies).toEqual(['GET /slow ', 'GET /a ', 'POST /b xyz']);
  });

  test.each([
    ['at once', echoAtOnce],
    ['later', (exchange: Exchange) => setImmediate(echoAtOnce, exchange)],
  ])(
    '5,000 pipelined requests in one write, answered %s',
    async (_when, handle) => {
      await using stage = await openStage(handle);
      const client = await stage.connect();
      const count = 5_000;
      const all = Array.from({ length: count }, (_, i) => `GET /${i} HTTP/1.1\r\nHost: t\r\n\r\n`).join('');
      void client.send(all);
      for (let i = 0; i < count; i++) {
        const answer = await client.read();
        if (String(answer.body) !== `GET /${i} `) expect(String(answer.body)).toBe(`GET /${i} `);
      }
      expect(stage.clients.count).toBe(count);
    },
    30_000,
  );

  test('a client is read no further than it is ahead of its answers', async () => {
    await using stage = await openStage(() => {});
    const client = await stage.connect();
    client.socket.write(GET.repeat(400_000));
    const [server] = stage.clients.clients;
    await until(() => expect(server?.socket.isPaused()).toBe(true));
    expect(server?.socket.bytesRead).toBeLessThan(400_000);
    expect(stage.clients.count).toBe(0);
    stage.clients.destroy();
  });

  test('a client that asks again and again and reads nothing is not asked for more', async () => {
    let handled = 0;
    const body = pattern(50_000);
    await using stage = await openStage((exchange) => {
      handled++;
      reply(exchange, body);
    });
    const client = await stage.connect();
    client.socket.pause();
    // Each in a packet of its own: it must be the answers that stop it, not the parser.
    for (let i = 0; i < 1000; i++) await client.send(GET);
    await until(() => expect([...stage.clients.clients][0]?.outgoing.blocked).toBe(true));
    const before = handled;
    for (let i = 0; i < 100; i++) await client.send(GET);
    expect(handled - before).toBeLessThan(5);
    expect(stage.room.used.memory).toBeLessThan(500_000);
    client.socket.resume();
    for (let i = 0; i < 1100; i++) expect((await client.read()).body.equals(body)).toBe(true);
  });

  test('HTTP/1.0: closes, unless asked to keep alive', async () => {
    await using stage = await openStage(echo);
    const { rest } = await exchangeRaw(stage.target, 'GET /a HTTP/1.0\r\n\r\n');
    expect(String(rest)).toMatch(/^HTTP\/1\.1 200 OK\r\n(.*\r\n)*Connection: close\r\n\r\nGET \/a $/);
    const client = await stage.connect();
    for (const target of ['/1', '/2']) {
      await client.send(`GET ${target} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n`);
      const answer = await client.read();
      expect([String(answer.body), field(answer, 'Connection')]).toEqual([`GET ${target} `, 'keep-alive']);
    }
  });

  test('an answer of unknown length: chunked on 1.1, until the end on 1.0', async () => {
    await using stage = await openStage((exchange) => stream(exchange, ['one', '', 'two', '']));
    const client = await stage.connect();
    const answer = await client.request('GET', '/');
    expect([answer.framing, String(answer.body)]).toEqual(['chunked', 'onetwo']);
    const again = await client.request('GET', '/');
    expect(String(again.body)).toBe('onetwo');
    await client.send('GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n');
    const old = await client.read();
    expect([old.framing, String(old.body), field(old, 'Connection')]).toEqual(['close', 'onetwo', 'close']);
  });

  test('chunked request bodies, with trailers, byte by byte and at once', async () => {
    await using stage = await openStage(echo);
    const client = await stage.connect();
    const request = Buffer.from(
      'POST /c HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\nX-T: 1\r\n\r\n',
    );
    await client.send(request);
    expect(String((await client.read()).body)).toBe('POST /c abc0123456789');
    for (const byte of request) await client.send(Buffer.from([byte]));
    expect(String((await client.read()).body)).toBe('POST /c abc0123456789');
  });

  test('HEAD, 204 and 304 have no body, and the connection goes on', async () => {
    await using stage = await openStage((exchange) => {
      const status = exchange.head.target.slice(1) || '200';
      reply(exchange, 'text', { status: `${status} Status` });
    });
    const client = await stage.connect();
    const head = await client.request('HEAD', '/200');
    expect([head.status, field(head, 'Content-Length')]).toEqual([200, '4']);
    for (const status of [204, 304]) {
      expect(await client.request('GET', `/${status}`)).toMatchObject({ status, framing: 'none' });
    }
    expect(String((await client.request('GET', '/200')).body)).toBe('text');
    // Four bytes for a 204 or 304 are a mistake of the application, for HEAD they are not.
    expect(stage.warnings.length).toBe(2);
    expect(stage.outcomes.map((outcome) => outcome.bytes)).toEqual([0, 0, 0, 4]);
  });

  test('requests cut anywhere, with pauses, are understood', async () => {
    await using stage = await openStage(echo);
    const random = seeded(3);
    const body = pattern(150_000);
    const client = await stage.connect();
    for (let round = 0; round < 30; round++) {
      const size = random(2) ? random(300) : random(body.length);
      const request = formatRequest('PUT', `/${round}`, { body: body.subarray(0, size) });
      for (let at = 0; at < request.length; ) {
        const length = 1 + random(random(2) ? 20 : 40_000);
        await client.send(request.subarray(at, at + length));
        if (random(8) === 0) await new Promise(setImmediate);
        at += length;
      }
      const answer = await client.read();
      expect(answer.body.subarray(`PUT /${round} `.length).equals(body.subarray(0, size))).toBe(true);
    }
  });

  test('an empty line between requests is overlooked', async () => {
    await using stage = await openStage(echo);
    const client = await stage.connect();
    await client.send(`${formatRequest('POST', '/', { body: 'a' })}\r\n`);
    expect(String((await client.read()).body)).toBe('POST / a');
    expect(String((await client.request('GET', '/b')).body)).toBe('GET /b ');
  });

  test('with keep-alive off every answer is the last', async () => {
    await using stage = await openStage(echo, { keepAlive: 0 });
    const client = await stage.connect();
    await client.send(GET + GET);
    expect(field(await client.read(), 'Connection')).toBe('close');
    expect((await client.ended()).rest.length).toBe(0);
  });
});

describe('Expect: 100-continue (RFC 9110 §10.1.1)', () => {
  const expecting = (length: number) =>
    `POST /up HTTP/1.1\r\nHost: t\r\nContent-Length: ${length}\r\nExpect: 100-continue\r\n\r\n`;

  test('is told to go on, before the handler hears of it', async () => {
    await using stage = await openStage(echo);
    const client = await stage.connect();
    for (let i = 0; i < 2; i++) {
      await client.send(expecting(4));
      expect((await client.read({ interim: true })).status).toBe(100);
      expect(stage.clients.count).toBe(i);
      await client.send('data');
      expect(String((await client.read({ interim: true })).body)).toBe('POST /up data');
    }
  });

  test('is not told to go on when it has begun, or has nothing to send', async () => {
    await using stage = await openStage(echo);
    const client = await stage.connect();
    await client.send(`${expecting(4)}data`);
    expect((await client.read({ interim: true })).status).toBe(200);
    await client.send(expecting(0));
    expect((await client.read({ interim: true })).status).toBe(200);
    await client.send(expecting(1).replace('HTTP/1.1', 'HTTP/1.0'));
    await client.send('x');
    expect((await client.read({ interim: true })).status).toBe(200);
  });

  test('is refused at once when the body is too large, or something else is expected', async () => {
    await using stage = await openStage(echo, { limitRequestBody: 10 });
    const big = await stage.connect();
    await big.send(expecting(11));
    expect((await big.read({ interim: true })).status).toBe(413);
    await big.ended();
    const other = await stage.connect();
    await other.send(expecting(4).replace('100-continue', 'tea'));
    expect((await other.read({ interim: true })).status).toBe(417);
    expect(stage.statuses).toEqual([413, 417]);
  });
});

describe('refusals', () => {
  test.each([
    ['no Host', 'GET / HTTP/1.1\r\n\r\n', 400],
    ['two spaces', 'GET  / HTTP/1.1\r\nHost: t\r\n\r\n', 400],
    ['bare LF', 'GET / HTTP/1.1\nHost: t\n\n', 400],
    ['%00', 'GET /%00 HTTP/1.1\r\nHost: t\r\n\r\n', 400],
    [
      'both lengths',
      'POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n',
      400,
    ],
    ['a bad chunk', 'POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n', 400],
    ['a large chunk', 'POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFF\r\n', 413],
    ['a long line', `GET /${'a'.repeat(9000)} HTTP/1.1\r\nHost: t\r\n\r\n`, 414],
    ['a long field', `GET / HTTP/1.1\r\nHost: t\r\nX: ${'a'.repeat(9000)}\r\n\r\n`, 431],
    ['gzip', 'POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: gzip, chunked\r\n\r\n', 501],
    ['HTTP/2.0', 'GET / HTTP/2.0\r\nHost: t\r\n\r\n', 505],
  ])('%s', async (_name, bytes, status) => {
    await using stage = await openStage(echo, { limitRequestBody: 1e6 });
    const client = await stage.connect();
    // What it has asked for before is answered first; what stands behind is not looked at.
    await client.send(formatRequest('HEAD', '/before'));
    expect((await client.read({ head: true })).status).toBe(200);
    await client.send(`${bytes}${GET}`);
    const answer = await client.read();
    expect([answer.status, field(answer, 'Connection')]).toEqual([status, 'close']);
    expect(String(answer.body)).toContain(`<h1>${status} `);
    expect((await client.ended()).how).toBe('cut');
    expect(stage.outcomes[1]?.status).toBe(status);
    // The log must not give this request the fields or the line of the one before.
    expect(stage.outcomes[1]?.head?.target).not.toBe('/before');
    expect(bytes.startsWith(stage.outcomes[1]?.requestLine ?? '?')).toBe(true);
  });

  test('the answer arrives whole while the client goes on sending', async () => {
    await using stage = await openStage(echo, { limitRequestBody: 1000 });
    for (let round = 0; round < 10; round++) {
      const client = await stage.connect();
      client.socket.pause();
      await client.send('POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 900000\r\n\r\n');
      await client.send(pattern(500_000));
      await client.send(pattern(400_000));
      client.socket.resume();
      const answer = await client.read();
      expect([answer.status, String(answer.body).endsWith('</html>\n')]).toEqual([413, true]);
      expect((await client.ended()).how).toBe('cut');
    }
  });

  test('a client that never stops sending is read for 1 MiB and cut after 2 s', async () => {
    await using stage = await openStage(echo);
    const client = await stage.connect();
    await client.send('nonsense\r\n\r\n');
    const [server] = stage.clients.clients;
    const pump = () => {
      while (client.socket.writable && client.socket.write(pattern(65_536)));
    };
    client.socket.on('drain', pump);
    pump();
    expect((await client.read()).status).toBe(400);
    await stage.empty();
    expect(server?.socket.bytesRead).toBeLessThan(2 * 1024 * 1024);
  });

  test('a client that neither sends nor closes is cut after 2 s', async () => {
    await using stage = await openStage(echo);
    const client = await stage.connect();
    client.socket.allowHalfOpen = true;
    const started = performance.now();
    await client.send('nonsense\r\n\r\n');
    expect((await client.read()).status).toBe(400);
    await stage.empty();
    expect(performance.now() - started).toBeGreaterThan(1900);
  });

  test('a failed request leaves the connection usable', async () => {
    await using stage = await openStage((exchange) => {
      if (exchange.head.target === '/fail') exchange.fail(new HttpError('application-error'));
      else if (exchange.head.target === '/bad') {
        const fields = ['X-Bad', 'a\r\nSet-Cookie: b'];
        expect(() =>
          exchange.respond({ status: '200 OK', fields }, { body: Buffer.alloc(0), last: true }),
        ).toThrow();
        exchange.fail(new HttpError('worker-lost'));
      } else reply(exchange, 'fine');
      exchange.release();
    });
    const client = await stage.connect();
    const statuses = [];
    for (const target of ['/fail', '/', '/bad', '/'])
      statuses.push((await client.request('GET', target)).status);
    expect(statuses).toEqual([500, 200, 502, 200]);
    expect((await client.request('HEAD', '/fail')).status).toBe(500);
    expect(stage.statuses).toEqual([500, 200, 502, 200, 500]);
  });

  test('a scheme in doubt is refused with the peer as the socket says', async () => {
    await using stage = await openStage(echo, {
      resolvePeer: (fields) => {
        if (fields.includes('x-bad')) throw new HttpError('bad-scheme');
        return { address: '10.0.0.1', port: 1, scheme: 'http', serverName: 's', serverPort: 80 };
      },
    });
    const client = await stage.connect();
    expect((await client.request('GET', '/', { fields: { 'X-Bad': '1' } })).status).toBe(400);
    expect(stage.outcomes[0]).toMatchObject({ status: 400, requestLine: 'GET / HTTP/1.1' });
  });
});

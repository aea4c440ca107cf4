import net, { type AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { BadAnswer, type Connection, connect, exchangeRaw, fetchOnce, field, Incomplete } from './client.ts';

const servers: net.Server[] = [];

afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

/** A server that answers every connection's first bytes with `answer`, then does `end`. */
async function answering(answer: string, end: (socket: net.Socket) => void = (socket) => socket.end()) {
  const server = net.createServer((socket) => {
    socket.once('data', () => socket.write(answer, 'latin1', () => end(socket)));
    socket.on('error', () => {});
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

async function opened(answer: string, end?: (socket: net.Socket) => void): Promise<Connection> {
  const connection = await connect({ port: await answering(answer, end) });
  await connection.send('GET / HTTP/1.1\r\nHost: test\r\n\r\n');
  return connection;
}

test('a body by length, and the next answer behind it', async () => {
  using connection = await opened(
    'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-A: 1\r\nx-a: 2\r\n\r\nabcHTTP/1.1 204 No Content\r\n\r\n',
  );
  const first = await connection.read();
  expect([first.status, first.body.toString(), field(first, 'X-a')]).toEqual([200, 'abc', '1, 2']);
  expect(await connection.read()).toMatchObject({ status: 204, framing: 'none' });
});

test('a chunked body with trailers', async () => {
  const answer = await fetchOnce(
    {
      port: await answering(
        'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=1\r\n0123456789\r\n0\r\nT: v\r\n\r\n',
      ),
    },
    '/',
  );
  expect([answer.body.toString(), answer.trailers]).toEqual(['abc0123456789', [['T', 'v']]]);
});

test('a body until the end of the connection', async () => {
  using connection = await opened('HTTP/1.0 200 OK\r\n\r\nall of it');
  const answer = await connection.read();
  expect([answer.framing, answer.body.toString()]).toEqual(['close', 'all of it']);
});

test.each([
  ['cut', (socket: net.Socket) => socket.end()],
  ['reset', (socket: net.Socket) => socket.resetAndDestroy()],
] as const)('an answer that was %s is no answer', async (how, end) => {
  for (const head of ['Content-Length: 9', 'Transfer-Encoding: chunked']) {
    using connection = await opened(`HTTP/1.1 200 OK\r\n${head}\r\n\r\n`, (socket) =>
      setTimeout(end, 50, socket),
    );
    const error = await connection.read().catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(Incomplete);
    expect((error as Incomplete).how).toBe(how);
  }
});

test.each([
  'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na',
  'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\na',
  'HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n',
  'HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n',
  'HTTP/1.1 200 OK\r\nBad Name: 0\r\n\r\n',
  'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n',
  'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n',
])('breaks the rules: %j', async (answer) => {
  using connection = await opened(answer);
  await expect(connection.read()).rejects.toBeInstanceOf(BadAnswer);
});

test('raw bytes out, raw bytes in', async () => {
  const { how, rest } = await exchangeRaw({ port: await answering('anything') }, '\0');
  expect([how, rest.toString()]).toEqual(['cut', 'anything']);
});

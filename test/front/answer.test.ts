import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { HttpError } from '../../src/errors.ts';
import type { Exchange } from '../../src/http/exchange.ts';
import { Incomplete } from '../support/client.ts';
import { openStage, pattern, reply, until } from './harness.ts';

const GET = 'GET / HTTP/1.1\r\nHost: t\r\n\r\n';
const GET_1_0 = 'GET / HTTP/1.0\r\n\r\n';

/** How an HTTP/1.0 answer ends for a client in Python. To Node a reset behind data that it has not read yet is an end. */
async function pythonReads(port: number): Promise<string> {
  const code = `
import socket
client = socket.create_connection(("127.0.0.1", ${port}))
client.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
count, how = 0, "end"
try:
    while (block := client.recv(65536)):
        count += len(block)
except OSError as error:
    how = type(error).__name__
print(how, "after", count)`;
  return (await promisify(execFile)('python3', ['-c', code])).stdout;
}

function begin(exchange: Exchange, body: string | Buffer, fields: string[] = []): void {
  exchange.respond({ status: '200 OK', fields }, { body: Buffer.from(body), last: false });
}

describe.each([false, true])('an answer that breaks off, on a UNIX socket: %s', (unix) => {
  test.each([
    ['chunked', [] as string[]],
    ['by length', ['Content-Length', '9']],
  ])('%s, cannot pass for whole', async (coding, fields) => {
    await using stage = await openStage(
      (exchange) => {
        begin(exchange, 'part', fields);
        setTimeout(() => {
          exchange.fail(new HttpError('application-error'));
          exchange.release();
        }, 20);
      },
      { unix },
    );
    const client = await stage.connect();
    await client.send(GET);
    const error = await client.read().catch((error: unknown) => error);
    expect(error).toBeInstanceOf(Incomplete);
    expect((error as Incomplete).how).toBe(unix ? 'cut' : 'reset');
    if (coding === 'by length') expect(String((error as Incomplete).received)).toContain('part');
    await stage.empty();
    expect(stage.outcomes[0]).toMatchObject({ status: 200, bytes: 4 });
  });

  test('until the end of the connection: a reset on TCP, a clean 500 on a UNIX socket', async () => {
    await using stage = await openStage(
      (exchange) => {
        begin(exchange, 'part');
        setTimeout(() => {
          exchange.write(pattern(1_000_000), false);
          exchange.fail(new HttpError('application-error'));
          exchange.release();
        }, 20);
      },
      { unix },
    );
    if ('port' in stage.target) {
      expect(await pythonReads(stage.target.port)).toMatch(/^ConnectionResetError after [1-9]/);
    } else {
      const client = await stage.connect();
      await client.send(GET_1_0);
      const answer = await client.read();
      expect([answer.status, String(answer.body).endsWith('</html>\n')]).toEqual([500, true]);
    }
    await stage.empty();
    expect(stage.statuses).toEqual([unix ? 500 : 200]);
  });
});

describe('an answer of unknown length to HTTP/1.0 on a UNIX socket', () => {
  test('is held until it is whole', async () => {
    const body = pattern(2_000_000);
    let finish = () => {};
    await using stage = await openStage(
      (exchange) => {
        begin(exchange, body.subarray(0, 10));
        finish = () => {
          exchange.write(body.subarray(10), true);
          exchange.release();
        };
        exchange.write(Buffer.alloc(0), false);
      },
      { unix: true, sendTimeout: 0.2 },
    );
    const client = await stage.connect();
    await client.send(GET_1_0);
    await until(() => expect(stage.clients.clients.size).toBe(1));
    // Longer than a reader may stall: it is not the reader who is waited for.
    await new Promise((resolve) => setTimeout(resolve, 400));
    expect([client.pending().length, stage.warnings]).toEqual([0, []]);
    finish();
    const answer = await client.read();
    expect([answer.status, answer.framing, answer.body.equals(body)]).toEqual([200, 'close', true]);
    await stage.empty();
  });

  test('waits for nobody: with no room to hold it, it is a 503', async () => {
    await using stage = await openStage(
      (exchange) => {
        begin(exchange, 'x');
        while (!exchange.gone) exchange.write(pattern(100_000), false);
        exchange.release();
      },
      { unix: true, spoolLimit: 1_000_000 },
    );
    const client = await stage.connect();
    await client.send(GET_1_0);
    expect((await client.read()).status).toBe(503);
    await stage.empty();
    expect(stage.warnings).toEqual([expect.stringMatching(/spool-limit/)]);
  });
});

test('bytes beyond Content-Length are cut off, told, and the connection goes on', async () => {
  await using stage = await openStage((exchange) => {
    begin(exchange, 'fine', ['Content-Length', '6']);
    exchange.write(Buffer.from('ly and more'), true);
    exchange.release();
  });
  const client = await stage.connect();
  for (let i = 0; i < 2; i++) expect(String((await client.request('GET', '/long')).body)).toBe('finely');
  expect(stage.warnings).toEqual(
    Array(2).fill(expect.stringMatching(/sent 9 bytes more than its Content-Length for GET \/long/)),
  );
  expect(stage.outcomes[0]?.bytes).toBe(6);
});

test.each([true, false])(
  'bytes missing to Content-Length cut the connection, and are told; at once: %s',
  async (once) => {
    await using stage = await openStage((exchange) => {
      if (once) reply(exchange, 'four', { fields: ['Content-Length', '9'] });
      else {
        begin(exchange, 'fo', ['Content-Length', '9']);
        exchange.write(Buffer.from('ur'), true);
        exchange.release();
      }
    });
    const client = await stage.connect();
    await client.send(GET + GET);
    await expect(client.read()).rejects.toThrow(Incomplete);
    expect(stage.warnings).toEqual([
      expect.stringMatching(/sent 5 bytes less than its Content-Length for GET \//),
    ]);
    expect(stage.statuses).toEqual([200]);
  },
);

test('nothing of an answer reaches the next one', async () => {
  const late: Exchange[] = [];
  await using stage = await openStage((exchange) => {
    late.push(exchange);
    reply(exchange, 'whole');
  });
  const client = await stage.connect();
  await client.request('GET', '/');
  for (const exchange of late) {
    expect([exchange.gone, exchange.write(Buffer.from('late'), true)]).toEqual([true, true]);
    exchange.fail(new HttpError('worker-lost'));
    exchange.respond({ status: '200 OK', fields: [] }, { body: Buffer.from('late'), last: true });
  }
  expect(String((await client.request('GET', '/')).body)).toBe('whole');
  expect(stage.clients.count).toBe(2);
});

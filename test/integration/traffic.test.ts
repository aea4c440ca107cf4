import { describe, expect, test } from 'vitest';
import { pattern, seeded } from '../front/harness.ts';
import { type Connection, connect, field } from '../support/client.ts';
import { appArgs, KINDS } from '../support/kinds.ts';
import { startTunicorn } from '../support/tunicorn.ts';

const BODY = pattern(300_000);

interface Asked {
  readonly bytes: Buffer;
  readonly head: boolean;
  readonly tag: string;
  readonly expected: Buffer;
}

/** A request of random kind, and what must come back. */
function makeRequest(random: (below: number) => number, tag: string): Asked {
  const method = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE'][random(5)] ?? 'GET';
  const withBody = method === 'POST' || method === 'PUT';
  const size = withBody ? random(random(50) === 0 ? BODY.length : 3000) : 0;
  const body = BODY.subarray(random(1000)).subarray(0, size);
  const query = random(3) === 0 ? `parts=${1 + random(5)}` : `q=${random(1000)}`;
  const path = `/echo/${'p'.repeat(random(40))}`;
  const head = [`${method} ${path}?${query} HTTP/1.1`, 'Host: test', `X-Tag: ${tag}`];
  const chunked = withBody && random(2) === 0;
  if (withBody) head.push(chunked ? 'Transfer-Encoding: chunked' : `Content-Length: ${body.length}`);
  const start = Buffer.from(`${head.join('\r\n')}\r\n\r\n`);
  return {
    bytes: Buffer.concat([start, chunked ? inChunks(body, random) : body]),
    head: method === 'HEAD',
    tag,
    expected: Buffer.concat([Buffer.from(`${method} ${path}?${query}\n`), body]),
  };
}

function inChunks(body: Buffer, random: (below: number) => number): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < body.length; ) {
    const chunk = body.subarray(at, at + 1 + random(4000));
    parts.push(Buffer.from(`${chunk.length.toString(16)}\r\n`), chunk, Buffer.from('\r\n'));
    at += chunk.length;
  }
  return Buffer.concat([...parts, Buffer.from('0\r\n\r\n')]);
}

/** Writes in pieces of random length, some of them after a pause. */
async function write(client: Connection, bytes: Buffer, random: (below: number) => number): Promise<void> {
  const whole = random(3) === 0;
  for (let at = 0; at < bytes.length; ) {
    const piece = whole ? bytes : bytes.subarray(at, at + 1 + random(random(4) === 0 ? 50 : 20_000));
    await client.send(piece);
    at += piece.length;
    if (random(10) === 0) await new Promise((resolve) => setTimeout(resolve, random(8)));
  }
}

async function converse(port: number, { seed, count }: { seed: number; count: number }): Promise<void> {
  const random = seeded(seed);
  using client = await connect({ port });
  for (let done = 0; done < count; ) {
    const depth = Math.min(count - done, random(2) === 0 ? 1 : 1 + random(6));
    const batch = Array.from({ length: depth }, (_, i) => makeRequest(random, `${seed}-${done + i}`));
    const writing = write(client, Buffer.concat(batch.map((asked) => asked.bytes)), random);
    for (const asked of batch) {
      const answer = await client.read({ head: asked.head });
      const expected = asked.head ? Buffer.alloc(0) : asked.expected;
      if (answer.status !== 200 || field(answer, 'X-Tag') !== asked.tag || !answer.body.equals(expected)) {
        throw new Error(
          `Seed ${seed}, request ${asked.tag}: ${answer.status}, ${field(answer, 'X-Tag')}, ` +
            `${answer.body.length} of ${expected.length} bytes`,
        );
      }
    }
    await writing;
    if (random(20) === 0) await new Promise((resolve) => setTimeout(resolve, random(100)));
    done += depth;
  }
}

/** A Node worker runs as many at once as it wants; half the requests tell as much of the front. */
const CASES = KINDS.map((kind) => ({
  kind,
  conversations: kind === 'python' ? 100 : 50,
  threads: kind === 'python' ? 2 : 100,
}));

describe.each(CASES)('$kind workers', ({ kind, conversations, threads }) => {
  test('100 requests over each of many keep-alive connections, with pauses, pipelining and split writes: every byte right', async () => {
    const args = ['-w', '2', '--threads', String(threads), '--keep-alive', '20'];
    const all = [...args, '--access-logfile', '/dev/null', ...appArgs(kind, 'traffic')];
    await using server = await startTunicorn({ args: all });
    const { port } = server;
    await Promise.all(
      Array.from({ length: conversations }, (_, seed) => converse(port, { seed, count: 100 })),
    );
    const { code } = await server.stop();
    const finished = /Stopped: (\d+) requests/.exec(server.log())?.[1];
    expect([code, finished]).toEqual([0, String(conversations * 100)]);
    expect(server.log()).not.toMatch(/\[(WARNING|ERROR)\]/);
  });
});

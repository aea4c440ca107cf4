/** The mixed load must not be kinder than it says: what a server does wrong stands in its report. */
import net from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { FATES, KINDS } from './mixed-load.mjs';
import { MixedLoad, type MixedReport } from './mixed-load.ts';

interface Asked {
  readonly method: string;
  readonly nonce: string;
  readonly blocks: number;
  readonly body: string;
}

type Answer = (asked: Asked, socket: net.Socket) => string;

const servers: net.Server[] = [];

afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

function right({ method, nonce, blocks }: Asked): string {
  const head = `HTTP/1.1 200 OK\r\nX-Nonce: ${nonce}\r\n`;
  if (blocks === 0) return `${head}Content-Length: ${nonce.length}\r\n\r\n${method === 'HEAD' ? '' : nonce}`;
  const text = Array.from({ length: blocks }, (_, i) => `${nonce}.${i};`).join('');
  return `${head}Transfer-Encoding: chunked\r\n\r\n${text.length.toString(16)}\r\n${text}\r\n0\r\n\r\n`;
}

const REQUEST = /^(\w+) \/\?n=(\d+)&\S* HTTP\/1\.1\r\n(?:[^\r]+\r\n)*?(?:Content-Length: (\d+)\r\n)?\r\n/;

/** Asks a server that answers by `answer` for 500 requests. */
async function ask(answer: Answer): Promise<MixedReport> {
  const server = net.createServer((socket) => {
    let text = '';
    socket.on('error', () => {});
    socket.on('data', (data) => {
      text += data.toString('latin1');
      for (let found = REQUEST.exec(text); found !== null; found = REQUEST.exec(text)) {
        const [head, method = '', nonce = '', length = '0'] = found;
        if (text.length < head.length + Number(length)) return;
        const body = text.slice(head.length, head.length + Number(length));
        text = text.slice(head.length + Number(length));
        const blocks = Number(/blocks=(\d+)/.exec(head)?.[1] ?? 0);
        socket.write(answer({ method, nonce, blocks, body }, socket));
      }
    });
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as net.AddressInfo;
  await using load = new MixedLoad({ port, connections: 4, seed: 3 });
  await expect.poll(() => load.done, { timeout: 20_000 }).toBeGreaterThan(500);
  return await load.stop();
}

const fatesOf = ({ fates }: MixedReport) => [...new Set(fates)].sort((a, b) => a - b);

test('a server without fault: every kind is asked, every request is answered', async () => {
  const bodies = new Map<string, string>();
  const report = await ask((asked) => {
    bodies.set(asked.nonce, asked.body);
    return right(asked);
  });
  expect([report.faults, fatesOf(report)]).toEqual([[], [200]]);
  expect(new Set(report.kinds).size).toBe(KINDS.length);
  // Nothing is asked twice.
  expect(bodies.size).toBe(report.fates.length);
  expect(Math.max(...[...bodies.values()].map((body) => body.length))).toBeGreaterThan(64 * 1024);
});

test.each<[string, Answer, RegExp]>([
  [
    'the answer to another request',
    (asked) => right({ ...asked, nonce: `${Number(asked.nonce) + 1}` }),
    /got \d+/,
  ],
  ['two answers', (asked) => right(asked) + (asked.method === 'POST' ? right(asked) : ''), /stray bytes|got/],
  ['no HTTP', () => 'hello\r\n\r\n', /bad status line/],
  ['another framing', (asked) => right(asked).replace(/Content-Length: \d+/, 'X: y'), /Content-Length/],
])('%s is a fault', async (_what, answer, fault) => {
  const report = await ask(answer);
  expect(report.faults.filter((text) => fault.test(text)).length).toBeGreaterThan(0);
});

test('a connection that ends: before the answer, and in the middle of one that comes in parts', async () => {
  const report = await ask((asked, socket) => {
    if (asked.method === 'POST') socket.resetAndDestroy();
    if (asked.blocks > 0) socket.end(right(asked).slice(0, -5));
    return asked.blocks > 0 ? '' : right(asked);
  });
  expect(fatesOf(report)).toEqual([FATES.cut, FATES.reset, 200]);
  const kindsOf = (fate: number) =>
    new Set(
      [...report.kinds].filter((_, nonce) => report.fates[nonce] === fate).map((kind) => KINDS[kind]?.name),
    );
  expect(kindsOf(FATES.cut)).toEqual(new Set(['stream']));
  expect(report.faults.every((text) => text.includes(`fate ${FATES.reset}`))).toBe(true);
});

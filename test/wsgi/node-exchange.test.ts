/** The same listeners through `fromNode` and through Node's own server: what comes of them must be the same. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, test } from 'vitest';
import { fromNode, type NodeListener } from '../../src/wsgi/from-node.ts';
import { type Answer, connect, type RequestOptions } from '../support/client.ts';
import { Signal, serve } from './adapters.ts';

async function serveByNode(listener: NodeListener) {
  const server = createServer((request, response) => void listener(request, response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    port,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

const SERVERS = [
  ["Node's own server", serveByNode],
  ['fromNode', (listener: NodeListener) => serve(fromNode(listener))],
] as const;

type Asked = RequestOptions & { readonly method?: string; readonly target?: string };

async function askBoth(listener: NodeListener, { method = 'GET', target = '/', ...rest }: Asked = {}) {
  const answers: Answer[] = [];
  for (const [, start] of SERVERS) {
    await using server = await start(listener);
    using connection = await connect({ port: server.port });
    answers.push(await connection.request(method, target, rest));
  }
  return answers.map(told);
}

/** What a client sees, without what each server says of itself and of the connection. */
function told({ status, reason, fields, body }: Answer) {
  const ofServer = /^(date|server|connection|keep-alive|transfer-encoding|content-length)$/i;
  const own = fields.filter(([name]) => !ofServer.test(name));
  return { status, reason, fields: own.map((each) => each.join(': ')).sort(), body: body.toString('latin1') };
}

const reply = (response: ServerResponse, act: () => unknown) => {
  act();
  // With a string Node writes the head in UTF-8, and not in latin-1.
  if (!response.writableEnded) response.end(Buffer.from('body'));
};

describe('the head', () => {
  const cases: Record<string, (response: ServerResponse) => unknown> = {
    'fields of writeHead win over those set before': (res) => {
      res.setHeader('X-A', 'before').setHeader('X-B', 'b');
      res.writeHead(201, { 'x-a': 'after' });
    },
    'a reason that is left out': (res) => res.writeHead(202, undefined, { 'X-A': 'a' }),
    'a reason of its own': (res) => res.writeHead(299, 'Very Fine', { 'X-A': 'a' }),
    'a status without a reason': (res) => res.writeHead(299),
    'a flat list': (res) => res.writeHead(200, ['X-A', 'a', 'X-B', 'b']),
    'a flat list, with one set before': (res) => {
      res.setHeader('X-A', 'before').setHeader('X-C', 'c');
      res.writeHead(200, ['X-A', 'after', 'X-B', 'b']);
    },
    'a flat list with repeated names': (res) => res.writeHead(200, ['X-A', '1', 'X-B', 'b', 'X-A', '2']),
    'a list of pairs': (res) =>
      res.writeHead(200, [
        ['X-A', '1'],
        ['X-B', 'b'],
      ] as unknown as string[]),
    'several values': (res) => {
      res.setHeader('Set-Cookie', ['a=1', 'b=2']);
      res.appendHeader('X-A', '1').appendHeader('X-A', '2');
      res.writeHead(200, { Vary: ['A', 'B'], 'X-N': 5 });
    },
    'latin-1': (res) => res.setHeader('X-A', 'caf\u00e9'),
    'statusMessage and statusCode': (res) => {
      res.statusCode = 404;
      res.statusMessage = 'Gone Fishing';
    },
    'one that is removed again': (res) => {
      res.setHeader('X-A', 'a');
      res.removeHeader('x-a');
      res.setHeaders(new Map([['X-B', 'b']]));
    },
  };
  test.each(Object.entries(cases))('%s', async (_, act) => {
    const [own, ours] = await askBoth((_, response) => reply(response, () => act(response)));
    expect(ours).toEqual(own);
    expect(own?.status).toBeGreaterThan(199);
  });
});

describe('the body', () => {
  const cases: Record<string, (response: ServerResponse) => unknown> = {
    'in several encodings': (res) => {
      res.write('68c3bc', 'hex');
      res.write('\u00fc', 'latin1');
      res.write('\u00fc');
      res.end('aGk=', 'base64');
    },
    'a buffer that is changed once it has been taken': (res) => {
      const piece = Buffer.from('one ');
      res.write(piece, () => {
        piece.write('two ');
        res.write(piece, () => {
          piece.write('BAD ');
          res.end();
        });
      });
      // It has not ended yet.
      return res;
    },
    'corked, and uncorked when all that was written has been taken': (res) => {
      res.write('a', () => {
        res.cork();
        res.write('b', () => res.end('c'));
        setImmediate(() => setImmediate(() => res.uncork()));
      });
    },
    'after a write that was refused': (res) => {
      res.write('a', () => {
        expect(() => res.write(5 as unknown as string)).toThrow('The "chunk" argument');
        setImmediate(() => res.write('b', () => res.end()));
      });
    },
    'corked and uncorked': (res) => {
      res.cork();
      res.write('a');
      res.write('b');
      res.uncork();
      res.end('c');
    },
    'none for a 204': (res) => void res.writeHead(204).end('not to be sent'),
    'none for a 304': (res) => void res.writeHead(304, { ETag: '"a"' }).end('not to be sent'),
    'as long as was said': (res) => void res.writeHead(200, { 'Content-Length': 5 }).end('hello'),
    'with trailers, which go nowhere': (res) => {
      res.writeHead(200, { Trailer: 'X-T' });
      res.write('a');
      res.addTrailers({ 'X-T': 't' });
      res.end();
    },
  };
  const plain = (answer: ReturnType<typeof told> | undefined) => ({
    ...answer,
    fields: answer?.fields.filter((each) => !each.startsWith('Trailer')),
  });
  test.each(Object.entries(cases))('%s', async (_, act) => {
    const [own, ours] = await askBoth((_, response) => void act(response));
    expect(plain(ours)).toEqual(plain(own));
    expect(own?.body).not.toContain('BAD');
  });

  test('none for HEAD', async () => {
    const [own, ours] = await askBoth((_, res) => void res.setHeader('X-A', 'a').end('hello'), {
      method: 'HEAD',
      head: true,
    });
    expect(ours).toEqual(own);
  });
});

test('what the request says', async () => {
  const fields = { 'X-A': 'caf\u00e9', Cookie: 'a=1', 'Content-Type': 'text/plain', Accept: 'a, b' };
  const [own, ours] = await askBoth(
    async (request, response) => {
      const { method, url, headers, headersDistinct, httpVersion, trailers, complete, aborted } = request;
      let text = '';
      for await (const part of request.setEncoding('utf8')) text += part;
      const { length } = request.rawHeaders;
      const after = [request.readableEnded, request.complete];
      const seen = {
        method,
        url,
        headers,
        headersDistinct,
        httpVersion,
        trailers,
        aborted,
        text,
        length,
        after,
      };
      response.end(JSON.stringify({ ...seen, isComplete: complete || method === 'POST' }));
    },
    { method: 'POST', target: '/a%2Fb?c=d%20e', fields, body: 'gr\u00fcn' },
  );
  expect(JSON.parse(ours?.body ?? '')).toEqual(JSON.parse(own?.body ?? ''));
});

/** The names of the events until the response is closed, those of the request and those of the response by themselves. */
async function eventsOf(
  start: (listener: NodeListener) => Promise<{ readonly port: number } & AsyncDisposable>,
  { act, leave = false, body = '' }: { act: NodeListener; leave?: boolean; body?: string },
) {
  const [seen, begun] = [{ request: [] as string[], response: [] as string[] }, new Signal()];
  const closed = [new Signal(), new Signal()];
  await using server = await start((request, response) => {
    watch(request, response, seen);
    request.once('close', () => closed[0]?.tell());
    response.once('close', () => closed[1]?.tell());
    begun.tell();
    return act(request, response);
  });
  using connection = await connect({ port: server.port });
  await connection.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
  await begun.heard;
  if (leave) connection.socket.resetAndDestroy();
  else await connection.read();
  await Promise.all(closed.map(({ heard }) => heard));
  return seen;
}

function watch(
  request: IncomingMessage,
  response: ServerResponse,
  seen: { readonly request: string[]; readonly response: string[] },
): void {
  for (const name of ['aborted', 'close', 'end']) request.on(name, () => seen.request.push(name));
  const state = () => `${response.writableEnded} ${response.writableFinished} ${response.destroyed}`;
  for (const name of ['finish', 'close', 'error']) {
    response.on(name, () => seen.response.push(`${name} ${state()}`));
  }
}

test.each<[string, { act: NodeListener; leave?: boolean; body?: string }]>([
  ['answered, with the body unread', { act: (_, res) => void res.end('a'), body: 'unread' }],
  ['answered, without a body', { act: (_, res) => void res.end('a') }],
  [
    'answered after the body',
    { act: (req, res) => void req.resume().on('end', () => res.end('a')), body: 'b' },
  ],
  ['answered in parts', { act: (_, res) => void res.write('a', () => res.end('b')) }],
  ['left before the head', { act: (req) => void req.resume(), leave: true, body: 'b' }],
  [
    'left in the middle',
    { act: (req, res) => void req.resume().on('end', () => res.write('a')), leave: true, body: 'b' },
  ],
])('the events of a request that is %s', async (_, story) => {
  const [own, ours] = [await eventsOf(SERVERS[0][1], story), await eventsOf(SERVERS[1][1], story)];
  expect(ours).toEqual(own);
});

test.each<[string, NodeListener]>([
  ['before the head', (request) => void request.resume()],
  ['in the middle', (_, response) => void response.write('a')],
  ['after the head', (_, response) => void response.flushHeaders()],
])('a client that leaves %s is no error of the application', async (_, act) => {
  const [begun, closed] = [new Signal(), new Signal()];
  await using server = await serve(
    fromNode((request, response) => {
      response.on('close', () => setImmediate(() => setImmediate(() => closed.tell())));
      begun.tell();
      return act(request, response);
    }),
  );
  using connection = await connect({ port: server.port });
  await connection.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  await begun.heard;
  connection.socket.resetAndDestroy();
  await closed.heard;
  expect(server.errors()).toBe('');
});

test.each(SERVERS)('by %s a head that is flushed arrives before there is a body', async (_, start) => {
  const next = new Signal();
  await using server = await start(async (_, response) => {
    response.setHeader('X-A', 'a').flushHeaders();
    await next.heard;
    response.end('body');
  });
  const answer = await fetch(`http://127.0.0.1:${server.port}/`, { signal: AbortSignal.timeout(10_000) });
  expect(answer.headers.get('x-a')).toBe('a');
  next.tell();
  expect(await answer.text()).toBe('body');
});

test('what destroys the response is told', async () => {
  await using server = await serve(
    fromNode((_, response) => void response.destroy(new Error('the disk is full'))),
  );
  using connection = await connect({ port: server.port });
  expect((await connection.request('GET', '/')).status).toBe(500);
  await expect.poll(() => server.errors()).toContain('the disk is full');
});

import net from 'node:net';
import { buffer } from 'node:stream/consumers';
import { describe, expect, test } from 'vitest';
import { defaultSettings } from '../../src/config/load.ts';
import { UserError } from '../../src/errors.ts';
import { CONNECTION_DEFAULTS } from '../../src/wsgi/connection-options.ts';
import { makeServer, type ServerOptions } from '../../src/wsgi/make-server.ts';
import type { Application } from '../../src/wsgi/types.ts';
import { connect, fetchOnce } from '../support/client.ts';

const hello: Application = (environ, startResponse) => {
  startResponse('200 OK', [['Content-Type', 'text/plain']]);
  return [`hello ${environ.PATH_INFO}`];
};

async function serve(app: Application, options: ServerOptions = {}) {
  const server = makeServer('127.0.0.1', 0, app, options);
  const served = server.serveForever();
  await server.ready;
  return Object.assign(server, { served });
}

test('the defaults are those of the command', () => {
  const settings = defaultSettings('/') as unknown as Record<string, unknown>;
  const same = Object.keys(CONNECTION_DEFAULTS).map((key) => [key, settings[key]]);
  expect(CONNECTION_DEFAULTS).toEqual(Object.fromEntries(same));
});

test('serves until it is shut down', async () => {
  const server = await serve(hello);
  const answer = await fetchOnce({ port: server.serverPort }, '/you');
  expect([answer.status, answer.body.toString()]).toEqual([200, 'hello /you']);
  const { serverPort } = server;
  await server.shutdown();
  await server.served;
  await expect(connect({ port: serverPort })).rejects.toThrow('ECONNREFUSED');
});

test('several requests on one connection, in order', async () => {
  await using server = await serve(hello);
  using connection = await connect({ port: server.serverPort });
  await connection.send('GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n');
  expect((await connection.read()).body.toString()).toBe('hello /1');
  expect((await connection.read()).body.toString()).toBe('hello /2');
});

test('an asynchronous application answers clients side by side', async () => {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  await using server = await serve(async (environ, startResponse) => {
    if (environ.PATH_INFO === '/slow') await opened;
    else open();
    return hello(environ, startResponse);
  });
  const slow = fetchOnce({ port: server.serverPort }, '/slow');
  expect((await fetchOnce({ port: server.serverPort }, '/fast')).status).toBe(200);
  expect((await slow).body.toString()).toBe('hello /slow');
});

test('a client that leaves ends the generator', async () => {
  let tidy: () => void = () => undefined;
  const tidied = new Promise<void>((resolve) => {
    tidy = resolve;
  });
  await using server = await serve(async function* (_, startResponse) {
    startResponse('200 OK', []);
    try {
      for (;;) {
        yield 'tick\n';
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
    } finally {
      tidy();
    }
  });
  const connection = await connect({ port: server.serverPort });
  await connection.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  connection.socket.once('data', () => connection.close());
  await tidied;
});

test('a client that reads slowly stops the generator, and gets every byte', async () => {
  let made = 0;
  const parts = 200;
  await using server = await serve(
    function* (_, startResponse) {
      startResponse('200 OK', [['Content-Length', String(parts * 100_000)]]);
      for (; made < parts; made += 1) yield Buffer.alloc(100_000, made);
    },
    { spoolLimit: 0, memoryLimit: 1_000_000, errors: () => undefined },
  );
  const socket = net.connect(server.serverPort, '127.0.0.1');
  socket.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
  await expect.poll(() => made, { timeout: 20_000 }).toBeGreaterThan(0);
  expect(made).toBeLessThan(parts);
  const answer = await buffer(socket);
  const body = answer.subarray(answer.indexOf('\r\n\r\n') + 4);
  const whole = Buffer.concat(Array.from({ length: parts }, (_, part) => Buffer.alloc(100_000, part)));
  expect(body.equals(whole)).toBe(true);
});

describe('handleRequest', () => {
  test('answers one request, and others wait for the next call', async () => {
    await using server = makeServer('127.0.0.1', 0, hello);
    await server.ready;
    const first = fetchOnce({ port: server.serverPort }, '/1');
    await server.handleRequest();
    expect((await first).body.toString()).toBe('hello /1');
    let answered = false;
    const second = fetchOnce({ port: server.serverPort }, '/2').finally(() => {
      answered = true;
    });
    using other = await connect({ port: server.serverPort });
    await other.send('GET /bad HTTP/3.0\r\n\r\n');
    expect((await other.read()).status).toBe(505);
    expect(answered).toBe(false);
    await server.handleRequest();
    expect((await second).body.toString()).toBe('hello /2');
  });

  test('does not answer a client that has given up', async () => {
    const paths: string[] = [];
    await using server = makeServer('127.0.0.1', 0, (environ, startResponse) => {
      paths.push(environ.PATH_INFO);
      return hello(environ, startResponse);
    });
    await server.ready;
    const impatient = await connect({ port: server.serverPort });
    await impatient.send('GET /gone HTTP/1.1\r\nHost: a\r\n\r\n');
    impatient.socket.end();
    await impatient.ended();
    const patient = fetchOnce({ port: server.serverPort }, '/here');
    await server.handleRequest();
    await patient;
    expect(paths).toEqual(['/here']);
  });

  test('ends when the server is shut down', async () => {
    const server = makeServer('127.0.0.1', 0, hello);
    const handled = server.handleRequest();
    await server.ready;
    await server.shutdown();
    await handled;
    await server.handleRequest();
  });
});

describe('shutdown', () => {
  test('finishes what is under way, and closes idle connections at once', async () => {
    let finish: () => void = () => undefined;
    let begun: () => void = () => undefined;
    const running = new Promise<void>((resolve) => {
      begun = resolve;
    });
    const server = await serve(async (environ, startResponse) => {
      if (environ.PATH_INFO === '/slow') {
        begun();
        await new Promise<void>((resolve) => {
          finish = resolve;
        });
      }
      return hello(environ, startResponse);
    });
    using idle = await connect({ port: server.serverPort });
    await idle.request('GET', '/');
    const slow = fetchOnce({ port: server.serverPort }, '/slow');
    await running;
    const stopped = server.shutdown();
    await idle.ended();
    finish();
    expect((await slow).body.toString()).toBe('hello /slow');
    await stopped;
    expect(await Promise.all([server.served, server.shutdown()])).toEqual([undefined, undefined]);
  });

  test('cuts what does not end in time', async () => {
    const server = await serve(() => new Promise(() => undefined));
    using connection = await connect({ port: server.serverPort });
    await connection.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await connection.send('');
    await server.shutdown(50);
    await connection.ended();
  });

  test('requests that nobody took get 503', async () => {
    const server = makeServer('127.0.0.1', 0, hello);
    await server.ready;
    using connection = await connect({ port: server.serverPort });
    await connection.send('GET /untaken HTTP/1.1\r\nHost: a\r\n\r\n');
    using other = await connect({ port: server.serverPort });
    // Once the refusal of the second has come, the first has been read.
    await other.send('bad\r\n\r\n');
    await other.read();
    await server.shutdown();
    expect((await connection.read()).status).toBe(503);
  });
});

describe('the address', () => {
  test('a port that is taken is told in a sentence', async () => {
    await using first = await serve(hello);
    const second = makeServer('127.0.0.1', first.serverPort, hello);
    const error = await second.serveForever().catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(UserError);
    expect(String(error)).toBe(
      `UserError: Cannot listen on 127.0.0.1:${first.serverPort}: another program listens there. ` +
        'Stop it, or choose another port (0 takes any free one).',
    );
    await expect(second.ready).rejects.toBe(error);
    await second.shutdown();
  });

  test('the port is not known before', async () => {
    await using server = makeServer('127.0.0.1', 0, hello);
    expect(() => server.serverPort).toThrow('await `ready` first');
    await server.ready;
    expect(server.serverPort).toBeGreaterThan(0);
  });

  test('no host is every address, and SERVER_NAME the one that was asked', async () => {
    await using server = makeServer('', 0, (environ, startResponse) => {
      startResponse('200 OK', []);
      return [`${environ.SERVER_NAME} ${environ.SERVER_PORT} ${environ.REMOTE_ADDR}`];
    });
    void server.serveForever();
    await server.ready;
    const answer = await fetchOnce({ port: server.serverPort }, '/');
    expect(answer.body.toString()).toBe(`127.0.0.1 ${server.serverPort} 127.0.0.1`);
  });

  test('shut down before it listens, it never does', async () => {
    const server = makeServer('127.0.0.1', 0, hello);
    await server.shutdown();
    await server.ready;
    expect(() => server.serverPort).toThrow('is not known');
  });
});

test('failures and warnings go to the sink', async () => {
  let errors = '';
  const sink = (text: string) => {
    errors += text;
  };
  await using server = await serve(
    (environ, startResponse) => {
      environ['wsgi.errors'].write('told\n');
      if (environ.PATH_INFO === '/fail') throw new Error('oops');
      startResponse('200 OK', [['Content-Length', '9']]);
      return ['short'];
    },
    { errors: sink },
  );
  expect((await fetchOnce({ port: server.serverPort }, '/fail')).status).toBe(500);
  await expect(fetchOnce({ port: server.serverPort }, '/short')).rejects.toThrow('after 5 bytes');
  expect(errors).toMatch(/^told\nError in the application for GET \/fail:\nError: oops\n/);
  expect(errors).toContain('bytes less than its Content-Length');
});

test('settings of the command hold here too', async () => {
  await using server = await serve(hello, { limitRequestBody: 3 });
  const answer = await fetchOnce({ port: server.serverPort }, '/', { method: 'POST', body: 'four' });
  expect(answer.status).toBe(413);
});

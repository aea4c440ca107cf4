import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { request } from 'node:https';
import net from 'node:net';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { expect, test } from 'vitest';
import { UserError } from '../../src/errors.ts';
import { makeServer, type ServerOptions } from '../../src/wsgi/make-server.ts';
import type { Application } from '../../src/wsgi/types.ts';

/** A certificate for localhost that signs itself, and is worth nothing outside of tests. */
const CORPUS = join(import.meta.dirname, '../corpus/tls');
const keys = {
  key: readFileSync(join(CORPUS, 'localhost.key'), 'utf8'),
  cert: readFileSync(join(CORPUS, 'localhost.crt'), 'utf8'),
};

function otherKey(): string {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
}

const app: Application = (environ, startResponse) => {
  startResponse('200 OK', [['Content-Type', 'text/plain']]);
  return [`${environ['wsgi.url_scheme']} ${environ.PATH_INFO} ${environ['wsgi.input'].read().length}`];
};

async function serve(application: Application, options: Partial<ServerOptions> = {}) {
  const server = makeServer('localhost', 0, application, { tls: keys, ...options });
  void server.serveForever();
  await server.ready;
  return server;
}

function dial(port: number): TLSSocket {
  return connectTls({ port, host: 'localhost', ca: keys.cert, ALPNProtocols: ['h2', 'http/1.1'] });
}

function ask(port: number, path: string, body = ''): Promise<string> {
  return new Promise((resolve, reject) => {
    const asked = request(
      { port, host: 'localhost', ca: keys.cert, path, method: body === '' ? 'GET' : 'POST' },
      (answer) => buffer(answer).then((bytes) => resolve(bytes.toString()), reject),
    );
    asked.on('error', reject);
    asked.end(body);
  });
}

test('requests over TLS, small and large', async () => {
  await using server = await serve(app);
  expect(await ask(server.serverPort, '/a')).toBe('https /a 0');
  expect(await ask(server.serverPort, '/b', 'x'.repeat(3_000_000))).toBe('https /b 3000000');
});

test('HTTP/1.1 is agreed on, whatever else the client offers, and its connection is kept', async () => {
  await using server = await serve(app);
  const socket = dial(server.serverPort);
  await new Promise((resolve) => socket.once('secureConnect', resolve));
  expect(socket.alpnProtocol).toBe('http/1.1');
  let text = '';
  socket.on('data', (chunk) => (text += chunk));
  for (const path of ['/1', '/2']) {
    socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    await expect.poll(() => text).toContain(`https ${path} 0`);
  }
  socket.destroy();
});

test('an answer of many megabytes arrives whole', async () => {
  const part = Buffer.alloc(1_000_000, 'x');
  await using server = await serve(function* (_, startResponse) {
    startResponse('200 OK', []);
    for (let i = 0; i < 30; i++) yield part;
  });
  expect((await ask(server.serverPort, '/')).length).toBe(30_000_000);
});

test('an application that fails in the middle: the client cannot take what it got for whole', async () => {
  await using server = await serve(
    function* (_, startResponse) {
      startResponse('200 OK', []);
      yield 'one';
      throw new Error('two');
    },
    { errors: () => {} },
  );
  await expect(ask(server.serverPort, '/')).rejects.toThrow();
});

test('plain HTTP, garbage and silence end, and disturb nobody', async () => {
  const told: string[] = [];
  await using server = await serve(app, { clientHeaderTimeout: 0.3, errors: (text) => told.push(text) });
  const ends = ['GET / HTTP/1.1\r\nHost: a\r\n\r\n', '\0\0\0\0', ''].map((bytes) => {
    const socket = net.connect(server.serverPort, 'localhost');
    socket.on('error', () => {});
    socket.resume();
    if (bytes !== '') socket.write(bytes);
    return new Promise((resolve) => socket.once('close', resolve));
  });
  await Promise.all(ends);
  expect(await ask(server.serverPort, '/still')).toBe('https /still 0');
  expect(told).toEqual([]);
});

test('a client that agrees on keys and says nothing more is cut by the same deadline', async () => {
  await using server = await serve(app, { clientHeaderTimeout: 0.3 });
  const socket = dial(server.serverPort);
  socket.resume();
  await new Promise((resolve) => socket.once('close', resolve));
});

test('shutdown does not wait for those that still agree on keys', async () => {
  const server = await serve(app);
  const socket = net.connect(server.serverPort, 'localhost');
  const closed = new Promise((resolve) => socket.on('error', () => {}).once('close', resolve));
  await new Promise((resolve) => socket.once('connect', resolve));
  await server.shutdown();
  await closed;
});

test.each<[string, () => object, RegExp]>([
  ['no key', () => ({ cert: keys.cert }), /^tls: key \(the private key\) is missing/],
  ['no certificate', () => ({ key: keys.key }), /^tls: cert \(the certificate chain\) is missing/],
  ['nothing', () => ({}), /^tls: cert/],
  ['another key', () => ({ ...keys, key: otherKey() }), /the key is not the one of the certificate/],
  [
    'a path',
    () => ({ key: '/etc/key.pem', cert: keys.cert }),
    /are the text of the PEM files, not their paths/,
  ],
])('%s is refused at once', (_, tls, message) => {
  const attempt = () => makeServer('localhost', 0, app, { tls: tls() });
  expect(attempt).toThrow(UserError);
  expect(attempt).toThrow(message);
});

/** What is refused before the application hears of it, end to end: the answer, and the line in the access log. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connect, field } from '../support/client.ts';
import { appArgs, KINDS } from '../support/kinds.ts';
import { type Server, startTunicorn } from '../support/tunicorn.ts';

describe.each(KINDS)('%s worker', (kind) => {
  let server: Server;
  beforeAll(async () => {
    // No forwarded header may count, though the client is at 127.0.0.1: what reaches the application is what it sent.
    const args = [
      '--access-logfile',
      '-',
      '--limit-request-body',
      '1000',
      '--forwarded-allow-ips',
      '',
      ...appArgs(kind, 'traffic'),
    ];
    server = await startTunicorn({ args });
  });
  afterAll(async () => {
    await server[Symbol.asyncDispose]();
  });

  /** Sends bytes, and reads answers until the server closes. */
  async function converse(bytes: string): Promise<number[]> {
    using client = await connect({ port: server.port });
    const statuses: number[] = [];
    await client.send(bytes);
    client.socket.end();
    for (;;) {
      try {
        statuses.push((await client.read({ timeoutMs: 10_000 })).status);
      } catch {
        return statuses;
      }
    }
  }

  /** The environ that the application sees of a request with these header lines. */
  async function environOf(lines: readonly string[], target = '/environ/'): Promise<Map<string, string>> {
    using client = await connect({ port: server.port });
    await client.send(
      `GET ${target} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`,
    );
    const answer = await client.read();
    expect(answer.status).toBe(200);
    return new Map(
      answer.body
        .toString('latin1')
        .split('\n')
        .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
    );
  }

  const HOST = 'Host: test\r\n';
  const post = (fields: string, body = '') => `POST /echo/ID HTTP/1.1\r\n${HOST}${fields}\r\n\r\n${body}`;
  const get = (fields: string) => `GET /echo/ID HTTP/1.1\r\n${HOST}${fields}\r\n\r\n`;

  /** Name, bytes (ID stands for a number of its own), status. */
  const REFUSED: readonly (readonly [string, string, number])[] = [
    ['bare LF', `GET /echo/ID HTTP/1.1\n${HOST}\r\n`, 400],
    ['bare LF in the fields', get('X: a\nY: b'), 400],
    ['bare CR', get('X: a\rb'), 400],
    ['NUL in a field', get('X: a\0b'), 400],
    ['a control in a field', get('X: a\x01b'), 400],
    ['a control in the target', `GET /echo/ID\x7f HTTP/1.1\r\n${HOST}\r\n`, 400],
    ['%00 in the path', `GET /echo/ID%00 HTTP/1.1\r\n${HOST}\r\n`, 400],
    ['space before the colon', get('X : a'), 400],
    ['obs-fold', get('X: a\r\n b'), 400],
    ['no Host', 'GET /echo/ID HTTP/1.1\r\n\r\n', 400],
    ['two Hosts', get('Host: other'), 400],
    ['an invalid Host', 'GET /echo/ID HTTP/1.1\r\nHost: a b\r\n\r\n', 400],
    [
      'Content-Length and Transfer-Encoding',
      post('Content-Length: 3\r\nTransfer-Encoding: chunked', '0\r\n\r\n'),
      400,
    ],
    ['two Content-Lengths', post('Content-Length: 3\r\nContent-Length: 4', 'abcd'), 400],
    ['a list of lengths', post('Content-Length: 3, 3', 'abc'), 400],
    ['a signed length', post('Content-Length: +3', 'abc'), 400],
    ['a hexadecimal length', post('Content-Length: 0x3', 'abc'), 400],
    ['an unknown coding', post('Transfer-Encoding: gzip, chunked', '0\r\n\r\n'), 501],
    ['chunked twice', post('Transfer-Encoding: chunked, chunked', '0\r\n\r\n'), 400],
    ['chunked not last', post('Transfer-Encoding: chunked, gzip', '0\r\n\r\n'), 400],
    ['chunked with a vertical tab', post('Transfer-Encoding: \x0bchunked', '0\r\n\r\n'), 400],
    [
      'chunked on HTTP/1.0',
      `POST /echo/ID HTTP/1.0\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
      400,
    ],
    ['a chunk size that overflows', post('Transfer-Encoding: chunked', 'fffffffffffffffff\r\n'), 400],
    ['junk in a chunk size', post('Transfer-Encoding: chunked', '3 x\r\nabc\r\n0\r\n\r\n'), 400],
    ['junk behind a chunk', post('Transfer-Encoding: chunked', '3\r\nabcd\r\n0\r\n\r\n'), 400],
    ['a forbidden trailer', post('Transfer-Encoding: chunked', '0\r\nContent-Length: 5\r\n\r\n'), 400],
    ['HTTP/0.9', 'GET /echo/ID\r\n', 400],
    ['HTTP/2.0', `GET /echo/ID HTTP/2.0\r\n${HOST}\r\n`, 505],
    ['HTTP/3.7', `GET /echo/ID HTTP/3.7\r\n${HOST}\r\n`, 505],
    ['a long request line', `GET /echo/ID?${'q'.repeat(8190)} HTTP/1.1\r\n${HOST}\r\n`, 414],
    ['a long field', get(`X: ${'x'.repeat(8190)}`), 431],
    ['many fields', get(Array(100).fill('X: y').join('\r\n')), 431],
    ['a large body by length', post('Content-Length: 1001', 'x'.repeat(1001)), 413],
    [
      'a large body in chunks',
      post('Transfer-Encoding: chunked', `3e9\r\n${'x'.repeat(1001)}\r\n0\r\n\r\n`),
      413,
    ],
    ['a large body that waits to be wanted', post('Content-Length: 1001\r\nExpect: 100-continue'), 413],
    ['an expectation of something else', post('Content-Length: 1\r\nExpect: 200-maybe', 'x'), 417],
  ];

  test.each(REFUSED)('%s', async (name, bytes, status) => {
    const id = String(1000 + REFUSED.findIndex((row) => row[0] === name));
    // A request behind it must not be run: whether it is one is what is in doubt.
    const smuggled = `GET /echo/smuggled HTTP/1.1\r\n${HOST}\r\n`;
    expect(await converse(bytes.replace('ID', id) + smuggled)).toEqual([status]);
    const method = bytes.startsWith('POST') ? 'POST' : 'GET';
    await server.waitForLog(new RegExp(`^127\\.0\\.0\\.1 .*"${method} /echo/${id}.*" ${status} `, 'm'), 5000);
    expect(server.log()).not.toMatch(/smuggled/);
  });

  describe('at their limits', () => {
    const line = `GET /echo/${'a'.repeat(4094 - 'GET /echo/ HTTP/1.1'.length)} HTTP/1.1`;
    test.each([
      ['a request line of 4094 bytes', `${line}\r\n${HOST}\r\n`, [200]],
      ['one of 4095', `${line.replace('/echo/', '/echo/b')}\r\n${HOST}\r\n`, [414]],
      ['a field of 8190 bytes', get(`X: ${'x'.repeat(8187)}`), [200]],
      ['one of 8191', get(`X: ${'x'.repeat(8188)}`), [431]],
      ['100 fields', get(Array(99).fill('X: y').join('\r\n')), [200]],
      ['101', get(Array(100).fill('X: y').join('\r\n')), [431]],
      ['a body of 1000 bytes', post('Content-Length: 1000', 'x'.repeat(1000)), [200]],
      [
        '1000 bytes in chunks',
        post('Transfer-Encoding: chunked', `3e8\r\n${'x'.repeat(1000)}\r\n0\r\n\r\n`),
        [200],
      ],
    ])('%s', async (_name, bytes, statuses) => {
      expect(await converse(bytes)).toEqual(statuses);
    });
  });

  describe('what must not reach the application', () => {
    test('names with underscores cannot pose as dashed ones, whichever comes first', async () => {
      const dashed = 'X-User: nobody';
      for (const lines of [
        ['X_User: admin', dashed],
        [dashed, 'X_User: admin'],
        [dashed, 'x_uSER: admin'],
      ]) {
        expect((await environOf(lines)).get('HTTP_X_USER')).toBe('nobody');
      }
      const alone = await environOf([
        'X_User: admin',
        'Content_Length: 99',
        'Transfer_Encoding: chunked',
        'Host_: b',
      ]);
      expect([...alone.keys()].filter((key) => /X_USER|TRANSFER|HTTP_HOST_/.test(key))).toEqual([]);
      expect([undefined, '', '0']).toContain(alone.get('CONTENT_LENGTH'));
    });

    test('Proxy (httpoxy)', async () => {
      const environ = await environOf(['Proxy: http://evil', 'proxy: http://evil', 'X-Fine: yes']);
      expect([environ.has('HTTP_PROXY'), environ.get('HTTP_X_FINE')]).toEqual([false, 'yes']);
    });

    test('forwarded headers of somebody who is not trusted change nothing', async () => {
      const environ = await environOf([
        'X-Forwarded-For: 1.2.3.4',
        'X-Forwarded-Proto: https',
        'X-Forwarded-Host: evil',
        'X-Forwarded-Port: 99',
        'Forwarded: for=1.2.3.4;proto=https;host=evil',
        'X-Forwarded-Ssl: on',
      ]);
      expect(Object.fromEntries(environ)).toMatchObject({
        REMOTE_ADDR: '127.0.0.1',
        'wsgi.url_scheme': 'http',
        SERVER_NAME: '127.0.0.1',
        SERVER_PORT: String(server.port),
        HTTP_HOST: 'test',
      });
    });

    test('an absolute target names the host, whatever Host says', async () => {
      const environ = await environOf([], 'http://other:81/environ/');
      expect([environ.get('HTTP_HOST'), environ.get('PATH_INFO')]).toEqual(['other:81', '/environ/']);
    });

    test('upgrades are ignored', async () => {
      expect(
        (await environOf(['Upgrade: h2c, websocket', 'HTTP2-Settings: AAMAAABk'])).get('REQUEST_METHOD'),
      ).toBe('GET');
    });
  });

  test('after a good request a refused one still closes, and its line is its own', async () => {
    using client = await connect({ port: server.port });
    await client.send(get('User-Agent: the-good-one').replace('ID', 'good'));
    expect((await client.read()).status).toBe(200);
    await client.send('GET /echo/bad HTTP/1.1\r\nHost: a b\r\n\r\n');
    const answer = await client.read();
    expect([answer.status, field(answer, 'Connection')]).toEqual([400, 'close']);
    await client.ended();
    const [line] = await server.waitForLog(/^.*\/echo\/bad.*$/m);
    expect(line).toMatch(/ 400 /);
    expect(line).not.toMatch(/the-good-one/);
  });

  test('the server has logged nothing worse, and stops', async () => {
    expect((await server.stop()).code).toBe(0);
    expect(server.log()).not.toMatch(/\[(WARNING|ERROR|CRITICAL)\]|Traceback/);
  });
});

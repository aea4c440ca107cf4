import { describe, expect, test } from 'vitest';
import { ERRORS, type ErrorCode, HttpError } from '../../src/errors.ts';
import {
  type Asked,
  earlyHead,
  errorResponse,
  type Framing,
  frameResponse,
} from '../../src/http/response.ts';

const DATE = 'Sun, 06 Nov 1994 08:49:37 GMT';
const GET: Asked = { method: 'GET', minor: 1, keepAlive: true };
const HEAD: Asked = { ...GET, method: 'HEAD' };
const OLD: Asked = { method: 'GET', minor: 0, keepAlive: false };
const OLD_KEPT: Asked = { method: 'GET', minor: 0, keepAlive: true };

interface Sending {
  readonly status?: string;
  readonly fields?: string[];
  /** The parts of the body; the last one is marked so. */
  readonly parts?: readonly string[];
  readonly close?: boolean;
  readonly server?: string;
}

function send(asked: Asked, sending: Sending): { bytes: string; framing: Framing } {
  const { status = '200 OK', fields = [], parts = [''], close = false, server = 'tunicorn' } = sending;
  const buffers = parts.map((part) => Buffer.from(part, 'latin1'));
  const body = buffers[0] ?? Buffer.alloc(0);
  const framing = frameResponse(
    asked,
    { status, fields },
    { body, last: parts.length === 1, date: DATE, server, close },
  );
  const sent = buffers.flatMap((part, index) => framing.encode(part, index === buffers.length - 1));
  return { bytes: framing.head + Buffer.concat(sent).toString('latin1'), framing };
}

function refusal(sending: Sending): HttpError {
  try {
    send(GET, sending);
  } catch (error) {
    if (error instanceof HttpError) return error;
    throw error;
  }
  throw new Error('It was sent.');
}

const TAIL = `Date: ${DATE}\r\nServer: tunicorn\r\n`;

describe('framing (RFC 9112 §6)', () => {
  test('a whole body gets its length', () => {
    const { bytes, framing } = send(GET, { fields: ['Content-Type', 'text/plain'], parts: ['hello'] });
    expect(bytes).toBe(
      `HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n${TAIL}Content-Length: 5\r\n\r\nhello`,
    );
    expect(framing).toMatchObject({ keepAlive: true, bodyless: false, status: 200, overrun: 0, missing: 0 });
  });

  test('an empty body has length 0', () => {
    expect(send(GET, {}).bytes).toBe(`HTTP/1.1 200 OK\r\n${TAIL}Content-Length: 0\r\n\r\n`);
  });

  test('a body in parts is chunked on HTTP/1.1', () => {
    const { bytes, framing } = send(GET, { parts: ['hello', '', 'x'.repeat(17), ''] });
    expect(bytes).toBe(
      `HTTP/1.1 200 OK\r\n${TAIL}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n11\r\n${'x'.repeat(17)}\r\n0\r\n\r\n`,
    );
    expect(framing.keepAlive).toBe(true);
  });

  test('the last part of a chunked body carries the terminator', () => {
    expect(send(GET, { parts: ['a', 'b'] }).bytes).toContain('\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n');
  });

  test('an empty part sends nothing, for it would be the last chunk', () => {
    const { framing } = send(GET, { parts: ['', 'x', ''] });
    expect(framing.encode(Buffer.alloc(0), false)).toEqual([]);
  });

  test('a long part is not copied', () => {
    const long = Buffer.alloc(10_000, 'x');
    const framing = frameResponse(
      GET,
      { status: '200 OK', fields: [] },
      { body: long, last: false, date: DATE, server: '', close: false },
    );
    const parts = framing.encode(long, true);
    expect(parts).toContain(long);
    expect(Buffer.concat(parts).toString()).toBe(`2710\r\n${'x'.repeat(10_000)}\r\n0\r\n\r\n`);
  });

  test('a body in parts ends with the connection on HTTP/1.0, even with keep-alive', () => {
    const { bytes, framing } = send(OLD_KEPT, { parts: ['hello', 'x'] });
    expect(bytes).toBe(`HTTP/1.1 200 OK\r\n${TAIL}Connection: close\r\n\r\nhellox`);
    expect(framing.keepAlive).toBe(false);
  });

  test("the application's Content-Length is kept, once", () => {
    const { bytes } = send(GET, { fields: ['content-length', '6'], parts: ['hello', 'x'] });
    expect(bytes).toBe(`HTTP/1.1 200 OK\r\n${TAIL}Content-Length: 6\r\n\r\nhellox`);
  });

  test('a Content-Length is never sent together with chunks', () => {
    for (const parts of [['a'], ['a', 'b']]) {
      for (const fields of [[], ['Content-Length', '2']]) {
        const { head } = send(GET, { fields, parts }).framing;
        expect(/content-length/i.test(head) && /transfer-encoding/i.test(head)).toBe(false);
      }
    }
  });
});

describe('a body that does not fit its Content-Length', () => {
  test('too many bytes are cut and counted', () => {
    const { bytes, framing } = send(GET, { fields: ['Content-Length', '3'], parts: ['hello', 'xy'] });
    expect(bytes).toMatch(/\r\n\r\nhel$/);
    expect(framing).toMatchObject({ overrun: 4, missing: 0, keepAlive: true });
  });

  test('too many bytes in one part are cut and counted', () => {
    const { bytes, framing } = send(GET, { fields: ['Content-Length', '3'], parts: ['hello'] });
    expect(bytes).toMatch(/\r\n\r\nhel$/);
    expect(framing).toMatchObject({ overrun: 2, missing: 0, keepAlive: true });
  });

  test('too few are counted when the body ends', () => {
    const { framing } = send(GET, { fields: ['Content-Length', '9'], parts: ['hello', ''] });
    expect(framing).toMatchObject({ overrun: 0, missing: 4 });
  });

  test('nothing is missing before the body ends', () => {
    const body = Buffer.from('hello');
    const framing = frameResponse(
      GET,
      { status: '200 OK', fields: ['Content-Length', '9'] },
      { body, last: false, date: DATE, server: '', close: false },
    );
    framing.encode(body, false);
    expect(framing.missing).toBe(0);
  });

  test('when it is known at once, the head says that the connection closes', () => {
    const { bytes, framing } = send(GET, { fields: ['Content-Length', '9'], parts: ['hello'] });
    expect(bytes).toBe(`HTTP/1.1 200 OK\r\n${TAIL}Content-Length: 9\r\nConnection: close\r\n\r\nhello`);
    expect(framing).toMatchObject({ missing: 4, keepAlive: false });
  });
});

describe('answers without a body (RFC 9112 §6.3)', () => {
  test("HEAD keeps the application's length and sends no body", () => {
    const { bytes, framing } = send(HEAD, { fields: ['Content-Length', '5'], parts: ['hello'] });
    expect(bytes).toBe(`HTTP/1.1 200 OK\r\n${TAIL}Content-Length: 5\r\n\r\n`);
    expect(framing).toMatchObject({ bodyless: true, overrun: 0, missing: 0, keepAlive: true });
  });

  test('HEAD says the length of the body that it leaves out', () => {
    expect(send(HEAD, { parts: ['hello'] }).bytes).toBe(
      `HTTP/1.1 200 OK\r\n${TAIL}Content-Length: 5\r\n\r\n`,
    );
  });

  test('HEAD without a body or a length says none: GET may have one', () => {
    expect(send(HEAD, {}).bytes).toBe(`HTTP/1.1 200 OK\r\n${TAIL}\r\n`);
  });

  test('HEAD of a body in parts is neither chunked nor the end of the connection', () => {
    expect(send(HEAD, { parts: ['a', 'b'] }).bytes).toBe(`HTTP/1.1 200 OK\r\n${TAIL}\r\n`);
    expect(send({ ...OLD_KEPT, method: 'HEAD' }, { parts: ['a', 'b'] }).framing.keepAlive).toBe(true);
  });

  test('204 has no Content-Length, not even the 0 of Django (RFC 9110 §8.6)', () => {
    const { bytes, framing } = send(GET, { status: '204 No Content', fields: ['Content-Length', '0'] });
    expect(bytes).toBe(`HTTP/1.1 204 No Content\r\n${TAIL}\r\n`);
    expect(framing).toMatchObject({ bodyless: true, overrun: 0, keepAlive: true });
  });

  test('the body of a 204 is dropped and counted', () => {
    const { bytes, framing } = send(GET, { status: '204 No Content', parts: ['hello', 'x'] });
    expect(bytes).toBe(`HTTP/1.1 204 No Content\r\n${TAIL}\r\n`);
    expect(framing.overrun).toBe(6);
  });

  test('304 may tell a length and sends no body', () => {
    expect(send(GET, { status: '304 Not Modified', fields: ['ETag', '"a"'] }).bytes).toBe(
      `HTTP/1.1 304 Not Modified\r\nETag: "a"\r\n${TAIL}\r\n`,
    );
    expect(
      send(GET, { status: '304 Not Modified', fields: ['Content-Length', '5'], parts: ['hello'] }).bytes,
    ).toBe(`HTTP/1.1 304 Not Modified\r\n${TAIL}Content-Length: 5\r\n\r\n`);
  });
});

test('304 to HEAD does not take its dropped body for a length', () => {
  expect(send(HEAD, { status: '304 Not Modified', parts: ['hello'] }).bytes).toBe(
    `HTTP/1.1 304 Not Modified\r\n${TAIL}\r\n`,
  );
});

describe('fields of the server', () => {
  test('Date and Server are not added twice', () => {
    const { bytes } = send(GET, { fields: ['date', 'then', 'SERVER', 'mine'] });
    expect(bytes).toBe('HTTP/1.1 200 OK\r\ndate: then\r\nSERVER: mine\r\nContent-Length: 0\r\n\r\n');
  });

  test('Server can be left out', () => {
    expect(send(GET, { server: '' }).bytes).toBe(
      `HTTP/1.1 200 OK\r\nDate: ${DATE}\r\nContent-Length: 0\r\n\r\n`,
    );
  });

  test('repeated fields stay apart and in order', () => {
    expect(send(GET, { fields: ['Set-Cookie', 'a=1', 'X', '', 'Set-Cookie', 'b=2'] }).framing.head).toContain(
      '\r\nSet-Cookie: a=1\r\nX: \r\nSet-Cookie: b=2\r\n',
    );
  });

  test.each([
    ['1.1, kept', GET, false, ''],
    ['1.1, the client closes', { ...GET, keepAlive: false }, false, 'Connection: close\r\n'],
    ['1.1, the server closes', GET, true, 'Connection: close\r\n'],
    ['1.0, kept', OLD_KEPT, false, 'Connection: keep-alive\r\n'],
    ['1.0', OLD, false, 'Connection: close\r\n'],
    ['1.0, the server closes', OLD_KEPT, true, 'Connection: close\r\n'],
  ])('Connection on HTTP/%s (RFC 9112 §9.3)', (_, asked, close, line) => {
    const { bytes, framing } = send(asked, { close });
    expect(bytes).toBe(`HTTP/1.1 200 OK\r\n${TAIL}Content-Length: 0\r\n${line}\r\n`);
    expect(framing.keepAlive).toBe(!line.includes('close'));
  });
});

describe('what an application may not send', () => {
  test.each([
    'Connection',
    'keep-alive',
    'Proxy-Authenticate',
    'Proxy-Authorization',
    'Proxy-Connection',
    'TE',
    'Trailer',
    'TRAILERS',
    'Transfer-Encoding',
    'Upgrade',
  ])('the hop-by-hop field %s (RFC 9110 §7.6.1)', (name) => {
    const error = refusal({ fields: [name, 'x'] });
    expect(error.code).toBe('application-error');
    expect(error.detail).toContain('hop-by-hop');
    // The spelling is remembered as what it is.
    expect(refusal({ fields: [name, 'x'] }).code).toBe('application-error');
  });

  test.each(['\r\nSet-Cookie: a=b', '\r', '\n', '\0', '\x01', '\x0b', '\x7f', '\u0100', '…'])(
    '%j in a value (RFC 9110 §5.5)',
    (bad) => {
      for (const value of [bad, `a${bad}`, `${bad}b`])
        expect(refusal({ fields: ['X', value] }).code).toBe('application-error');
    },
  );

  test('the neighbours of these values are sent', () => {
    for (const value of ['', 'a\tb', 'a b', '\x80\xff', '~']) {
      expect(send(GET, { fields: ['X', value] }).bytes).toContain(`X: ${value}\r\n`);
    }
  });

  test.each(['', 'X ', 'X:', 'X\r\nY', 'X\0', 'X\n', 'X Y', 'Xé', '"X"'])(
    'the name %j (RFC 9110 §5.1)',
    (name) => {
      expect(refusal({ fields: [name, 'a'] }).code).toBe('application-error');
    },
  );

  test.each([
    '200',
    'OK',
    '',
    '20 OK',
    '2000 OK',
    '199 Early',
    '100 Continue',
    '101 Switching Protocols',
    '600 What',
    '099 No',
    '200OK',
    ' 200 OK',
    '200\tOK',
    '200 OK\r\nX: y',
    '200 O\nK',
    '200 \0',
    '200 \x7f',
    '200 …',
  ])('the status %j (RFC 9112 §4)', (status) => {
    expect(refusal({ status }).code).toBe('application-error');
  });

  test.each(['200 OK', '200 ', '599 Ours', '418 I am a\tteapot', '404 Introuvable \xe9'])(
    'but the status %j',
    (status) => {
      expect(send(GET, { status }).bytes.startsWith(`HTTP/1.1 ${status}\r\n`)).toBe(true);
    },
  );

  test.each(['', '-1', '+1', '1,1', '1 1', '0x1', '1.0', 'one', ' 1', '9999999999999999'])(
    'Content-Length %j (RFC 9110 §8.6)',
    (length) => {
      expect(refusal({ fields: ['Content-Length', length] }).code).toBe('application-error');
    },
  );

  test('two Content-Length, even of one mind', () => {
    expect(refusal({ fields: ['Content-Length', '0', 'content-length', '0'] }).code).toBe(
      'application-error',
    );
  });

  test('the detail for the log is escaped and short', () => {
    const { detail } = refusal({ fields: ['X', `a\r\n${'b'.repeat(500)}`] });
    expect(detail).not.toMatch(/[\r\n]/);
    expect(detail.length).toBeLessThan(250);
  });
});

describe('error pages', () => {
  test.each(Object.keys(ERRORS) as ErrorCode[])('%s names its status and no detail', (code) => {
    const { status, fields, body } = errorResponse(new HttpError(code, 'secret <detail>'));
    expect(status).toMatch(new RegExp(`^${ERRORS[code].status} [A-Z][A-Za-z ]+$`));
    // The word for a status that the table of reasons does not know.
    expect(status).not.toMatch(/^\d+ Error$/);
    const page = body.toString();
    expect(page).toContain(`<h1>${status}</h1>`);
    expect(page).not.toContain('secret');
    expect(page).not.toMatch(/\bat .*:\d+/);
    expect(fields.includes('Retry-After')).toBe(ERRORS[code].status === 503);
    expect(() => send(GET, { status, fields, parts: [page] })).not.toThrow();
  });

  test('a whole one', () => {
    const { status, fields, body } = errorResponse(new HttpError('bad-host'));
    expect(send({ ...GET, keepAlive: false }, { status, fields, parts: [body.toString()] }).bytes).toBe(
      `HTTP/1.1 400 Bad Request\r\nContent-Type: text/html; charset=utf-8\r\n${TAIL}Content-Length: 155\r\nConnection: close\r\n\r\n` +
        '<!doctype html>\n<html lang="en">\n<title>400 Bad Request</title>\n<h1>400 Bad Request</h1>\n' +
        '<p>The Host header is missing, repeated or malformed.</p>\n</html>\n',
    );
  });
});

describe('early hints (RFC 8297)', () => {
  test('are a head of their own', () => {
    expect(earlyHead(['Link', '</a.css>; rel=preload', 'X-A', '1'])).toBe(
      'HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nX-A: 1\r\n\r\n',
    );
    expect(earlyHead([])).toBe('HTTP/1.1 103 Early Hints\r\n\r\n');
  });

  test.each([
    ['a line break in a value', ['Link', '<a>\r\nSet-Cookie: b=1']],
    ['a control character', ['Link', '<a>\x01']],
    ['no field name', ['Li nk', '<a>']],
    ['a hop-by-hop field', ['Transfer-Encoding', 'chunked']],
    ['a length', ['content-length', '5']],
  ])('%s is refused', (_what, fields) => {
    expect(() => earlyHead(fields)).toThrow(HttpError);
  });
});

import { describe, expect, test } from 'vitest';
import { HttpError } from '../../src/errors.ts';
import type { Peer } from '../../src/http/exchange.ts';
import type { RequestHead } from '../../src/http/types.ts';
import { environEntries, environHead } from '../../src/wsgi/environ.ts';

const peer: Peer = {
  address: '127.0.0.1',
  port: 51234,
  scheme: 'http',
  serverName: '127.0.0.1',
  serverPort: 8000,
};

function makeHead(given: Partial<RequestHead> = {}): RequestHead {
  return {
    method: 'GET',
    target: '/',
    path: '/',
    query: '',
    host: 'example.com',
    minor: 1,
    fields: ['host', 'example.com'],
    keepAlive: true,
    body: 0,
    expectContinue: false,
    ...given,
  };
}

function environ(given: Partial<RequestHead> = {}, more: { peer?: Peer; bodyLength?: number } = {}) {
  const entries = environEntries({
    head: makeHead(given),
    peer: more.peer ?? peer,
    bodyLength: more.bodyLength ?? 0,
  });
  const keys = entries.filter((_, i) => i % 2 === 0);
  expect(new Set(keys).size, 'no key twice').toBe(keys.length);
  return Object.fromEntries(keys.map((key, i) => [key, entries[i * 2 + 1]]));
}

const withFields = (...fields: string[]) => environ({ fields: ['host', 'example.com', ...fields] });

test('a plain request, every key', () => {
  expect(environ({ target: '/a?b=%20', path: '/a', query: 'b=%20' })).toEqual({
    REQUEST_METHOD: 'GET',
    SCRIPT_NAME: '',
    PATH_INFO: '/a',
    QUERY_STRING: 'b=%20',
    RAW_URI: '/a?b=%20',
    REQUEST_URI: '/a?b=%20',
    SERVER_PROTOCOL: 'HTTP/1.1',
    'wsgi.url_scheme': 'http',
    REMOTE_ADDR: '127.0.0.1',
    REMOTE_PORT: '51234',
    SERVER_NAME: '127.0.0.1',
    SERVER_PORT: '8000',
    HTTP_HOST: 'example.com',
  });
});

test('the head is the entries joined by NUL', () => {
  const parts = { head: makeHead({ fields: ['host', 'example.com', 'x-a', '1'] }), peer, bodyLength: 0 };
  expect(environHead(parts).split('\0')).toEqual(environEntries(parts));
});

describe('PATH_INFO (PEP 3333, URL reconstruction; RFC 3875 §4.1.5)', () => {
  test.each([
    ['/a%2Fb', '/a/b'],
    ['/caf%C3%A9', '/caf\u00c3\u00a9'],
    ['/caf\u00c3\u00a9', '/caf\u00c3\u00a9'],
    ['/%25zz%zz%2', '/%zz%zz%2'],
    ['/a+b', '/a+b'],
    ['', '/'],
    ['*', ''],
  ])('%s becomes %s', (path, expected) => {
    expect(environ({ path }).PATH_INFO).toBe(expected);
  });

  test('%00 is refused', () => {
    expect(() => environ({ path: '/a%00b' })).toThrow(HttpError);
  });
});

describe('fields', () => {
  test('names are mapped, in any number', () => {
    expect(withFields('x-one-two', '1', 'accept', '*/*')).toMatchObject({
      HTTP_X_ONE_TWO: '1',
      HTTP_ACCEPT: '*/*',
    });
  });

  test('repeated ones are joined, cookies by a semicolon', () => {
    const seen = withFields('x-a', '1', 'cookie', 'a=1', 'x-a', '2', 'cookie', 'b=2', 'x-a', '3');
    expect(seen).toMatchObject({ HTTP_X_A: '1,2,3', HTTP_COOKIE: 'a=1; b=2' });
  });

  test('what one request repeated does not touch the next', () => {
    withFields('x-a', '1', 'x-a', '2');
    expect(withFields('x-a', '3')).toMatchObject({ HTTP_X_A: '3' });
  });

  test('underscores and Proxy are dropped', () => {
    const seen = withFields(
      'x_forwarded_for',
      '6.6.6.6',
      'content_length',
      '9',
      'proxy',
      'http://evil/',
      'x-forwarded-for',
      '1',
    );
    expect(Object.keys(seen).filter((key) => /HTTP_|CONTENT/.test(key))).toEqual([
      'HTTP_HOST',
      'HTTP_X_FORWARDED_FOR',
    ]);
    expect(seen).toMatchObject({ HTTP_X_FORWARDED_FOR: '1' });
  });

  test('a flood of names fills no memory and still joins', () => {
    for (let i = 0; i < 5000; i += 1) withFields(`x-flood-${i}`, '1');
    expect(withFields('x-late', '1', 'x-late', '2', `x-${'y'.repeat(300)}`, '3')).toMatchObject({
      HTTP_X_LATE: '1,2',
      [`HTTP_X_${'Y'.repeat(300)}`]: '3',
    });
  });

  test('an absolute-form target names the host (RFC 9112 §3.2.2)', () => {
    const seen = environ({ target: 'http://real.example/', host: 'real.example', fields: ['host', 'other'] });
    expect(seen).toMatchObject({ HTTP_HOST: 'real.example', RAW_URI: 'http://real.example/' });
    expect(environ({ host: 'real.example', minor: 0, fields: [] })).toMatchObject({
      HTTP_HOST: 'real.example',
    });
  });

  test('HTTP/1.0 without a Host has no HTTP_HOST', () => {
    expect(environ({ host: '', minor: 0, fields: [] })).not.toHaveProperty('HTTP_HOST');
  });
});

describe('the body', () => {
  test('no body: neither key', () => {
    expect(environ()).not.toHaveProperty('CONTENT_LENGTH');
    expect(environ()).not.toHaveProperty('CONTENT_TYPE');
  });

  test('type and length as given, without HTTP_', () => {
    const fields = ['host', 'a', 'content-type', 'text/plain', 'content-length', '0005'];
    const seen = environ({ method: 'POST', body: 5, fields }, { bodyLength: 5 });
    expect(seen).toMatchObject({ CONTENT_TYPE: 'text/plain', CONTENT_LENGTH: '5' });
    expect(Object.keys(seen).filter((key) => key.startsWith('HTTP_CONTENT'))).toEqual([]);
  });

  test('a chunked body has its decoded length', () => {
    const fields = ['host', 'a', 'transfer-encoding', 'chunked'];
    const seen = environ({ method: 'POST', body: 'chunked', fields }, { bodyLength: 11 });
    expect(seen).toMatchObject({ CONTENT_LENGTH: '11' });
    expect(seen).not.toHaveProperty('HTTP_TRANSFER_ENCODING');
  });
});

describe('SERVER_NAME and SERVER_PORT on a UNIX socket are never empty', () => {
  const unix: Peer = { address: '', port: 0, scheme: 'http', serverName: '/run/a.sock', serverPort: 0 };
  test.each([
    ['example.com', 'example.com', '80'],
    ['example.com:81', 'example.com', '81'],
    ['[::1]:81', '[::1]', '81'],
    ['', '/run/a.sock', '80'],
  ])('Host %s', (host, name, port) => {
    expect(environ({ host }, { peer: unix })).toMatchObject({
      SERVER_NAME: name,
      SERVER_PORT: port,
      REMOTE_ADDR: '',
    });
  });

  test('https has port 443, and REMOTE_PORT is unknown', () => {
    const seen = environ({}, { peer: { ...unix, scheme: 'https' } });
    expect(seen).toMatchObject({ SERVER_PORT: '443', 'wsgi.url_scheme': 'https' });
    expect(seen).not.toHaveProperty('REMOTE_PORT');
  });
});

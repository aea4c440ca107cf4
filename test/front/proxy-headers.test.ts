import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { HttpError, UserError } from '../../src/errors.ts';
import { resolvePeer, type SocketPeer, trustList } from '../../src/front/proxy-headers.ts';
import type { Fields } from '../../src/http/types.ts';

const PROXY: SocketPeer = {
  address: '127.0.0.1',
  port: 50_000,
  unix: false,
  scheme: 'http',
  serverName: '127.0.0.1',
  serverPort: 8000,
};
const UNIX: SocketPeer = { ...PROXY, address: '', port: 0, unix: true };
const DEFAULT = ['x-forwarded-for', 'x-forwarded-proto'];
const trusted = trustList(['127.0.0.1', '::1', '10.0.0.0/8', 'fd00::/8']);

function resolve(fields: Fields, options: { socket?: SocketPeer; headers?: readonly string[] } = {}) {
  return resolvePeer(fields, options.socket ?? PROXY, { trusted, headers: options.headers ?? DEFAULT });
}

function address(forwardedFor: string): string {
  return resolve(['host', 'example.com', 'x-forwarded-for', forwardedFor]).address;
}

describe('trustList', () => {
  test.each([
    [['127.0.0.1'], '127.0.0.1', true],
    [['127.0.0.1'], '127.0.0.2', false],
    [['127.0.0.1'], '::ffff:127.0.0.1', true],
    [['::1'], '0:0:0:0:0:0:0:1', true],
    [['10.0.0.0/8'], '10.255.0.1', true],
    [['10.0.0.0/8'], '::ffff:10.255.0.1', true],
    [['10.0.0.0/8'], '11.0.0.1', false],
    [['2001:db8::/32'], '2001:db8:1::1', true],
    [['2001:db8::/32'], '2001:db9::1', false],
    [['::ffff:192.168.0.0/112'], '192.168.0.7', true],
    [['fe80::/10'], 'fe80::1%eth0', true],
    [['0.0.0.0/0'], '203.0.113.9', true],
    [[], '127.0.0.1', false],
    [['127.0.0.1'], '', false],
    [['*'], '203.0.113.9', true],
  ])('%j and %s: %s', (entries, peer, expected) => {
    expect(trustList(entries)(peer)).toBe(expected);
  });

  test('* trusts every peer, but no address that a list names', () => {
    const everyPeer = trustList(['*', '10.0.0.0/8']);
    expect(everyPeer('203.0.113.9')).toBe(true);
    expect(everyPeer('203.0.113.9', 'hop')).toBe(false);
    expect(everyPeer('10.1.2.3', 'hop')).toBe(true);
  });

  test.each([
    '',
    'localhost',
    '10.0.0',
    '10.0.0.0/33',
    '10.0.0.0/',
    '10.0.0.0/8/8',
    '::/129',
    '010.0.0.1',
    'fe80::1%eth0',
  ])('refuses %j', (entry) => {
    expect(() => trustList([entry])).toThrow(UserError);
  });
});

describe('a request that no proxy wrote on', () => {
  test('leaves the socket as it is, without a new object', () => {
    expect(resolve(['host', 'example.com', 'x-real-ip', '1.2.3.4', 'from', 'a@b'])).toBe(PROXY);
  });

  test('from a peer that is not trusted changes nothing', () => {
    const stranger = { ...PROXY, address: '203.0.113.9' };
    const fields = ['x-forwarded-for', '1.2.3.4', 'x-forwarded-proto', 'https', 'x-forwarded-proto', 'http'];
    expect(resolve(fields, { socket: stranger })).toBe(stranger);
  });

  test.each([
    'x-forwarded-host',
    'x-forwarded-port',
    'forwarded',
    'x-forwarded-ssl',
    'x_forwarded_for',
    'x-real-ip',
  ])('%s does not count unless it is named', (name) => {
    expect(resolve([name, 'for=1.2.3.4;proto=https'])).toBe(PROXY);
  });
});

describe('X-Forwarded-For', () => {
  test.each([
    ['203.0.113.9', '203.0.113.9'],
    ['6.6.6.6, 203.0.113.9', '203.0.113.9'],
    ['203.0.113.9, 10.0.0.1, 10.0.0.2', '203.0.113.9'],
    ['6.6.6.6, 203.0.113.9, 10.0.0.2', '203.0.113.9'],
    ['10.0.0.1, 10.0.0.2', '10.0.0.1'],
    ['<script>, 203.0.113.9', '203.0.113.9'],
    ['203.0.113.9, junk, 10.0.0.2', '10.0.0.2'],
    ['203.0.113.9, unknown', '127.0.0.1'],
    ['203.0.113.9, _hidden', '127.0.0.1'],
    ['203.0.113.9,, ,', '203.0.113.9'],
    ['', '127.0.0.1'],
    [',,,', '127.0.0.1'],
    ['2001:db8::1', '2001:db8::1'],
    ['[2001:db8::1]', '2001:db8::1'],
    ['2001:db8::1, fd00::1', '2001:db8::1'],
    ['::ffff:203.0.113.9', '203.0.113.9'],
    ['203.0.113.9, ::ffff:10.0.0.1', '203.0.113.9'],
    ['2001:db8::1%eth0', '127.0.0.1'],
    ['203.0.113.009', '127.0.0.1'],
    ['203.0.113.9:', '127.0.0.1'],
    ['203.0.113.9:99999', '127.0.0.1'],
    ['[203.0.113.9]', '127.0.0.1'],
    ['[2001:db8::1', '127.0.0.1'],
    ['203.0.113.9 10.0.0.1', '127.0.0.1'],
  ])('%j is %s', (value, expected) => {
    expect(address(value)).toBe(expected);
  });

  test('several fields are one list', () => {
    const peer = resolve([
      'x-forwarded-for',
      '6.6.6.6',
      'a',
      'b',
      'x-forwarded-for',
      '203.0.113.9, 10.0.0.1',
    ]);
    expect(peer.address).toBe('203.0.113.9');
  });

  test('the port is unknown unless the field gives one', () => {
    expect(resolve(['x-forwarded-for', '203.0.113.9'])).toMatchObject({ port: 0 });
    expect(resolve(['x-forwarded-for', '203.0.113.9:4711'])).toMatchObject({
      address: '203.0.113.9',
      port: 4711,
    });
    expect(resolve(['x-forwarded-for', '[2001:db8::1]:4711'])).toMatchObject({ port: 4711 });
    expect(resolve(['x-forwarded-for', 'junk'])).toMatchObject({ port: 50_000 });
  });

  test('leaves the scheme and the server as they are', () => {
    const { scheme, serverName, serverPort } = resolve(['x-forwarded-for', '203.0.113.9']);
    expect({ scheme, serverName, serverPort }).toEqual({
      scheme: 'http',
      serverName: '127.0.0.1',
      serverPort: 8000,
    });
  });

  test('counts from a UNIX socket', () => {
    expect(resolve(['x-forwarded-for', '6.6.6.6, 203.0.113.9'], { socket: UNIX }).address).toBe(
      '203.0.113.9',
    );
  });

  test('with * the nearest proxy alone is believed', () => {
    const options = { trusted: trustList(['*']), headers: DEFAULT };
    const stranger = { ...PROXY, address: '198.51.100.1' };
    expect(resolvePeer(['x-forwarded-for', '6.6.6.6, 203.0.113.9'], stranger, options).address).toBe(
      '203.0.113.9',
    );
  });

  test('whatever a client sends, the proxy in front has the last word', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (forged) => {
        expect(address(`${forged}, 203.0.113.9`)).toBe('203.0.113.9');
      }),
    );
  });

  test('gives an address or the socket, whatever the fields hold', () => {
    const part = fc.constantFrom(
      '10.0.0.1',
      '203.0.113.9',
      '[',
      ']',
      ':',
      '::1',
      ',',
      ' ',
      '"',
      '80',
      'x',
      ';for=',
      '\\',
    );
    fc.assert(
      fc.property(fc.array(part), fc.constantFrom('x-forwarded-for', 'forwarded'), (parts, name) => {
        const peer = resolve([name, parts.join('')], { headers: [name] });
        expect(peer.address).toMatch(/^[0-9a-f.:]+$/);
      }),
    );
  });

  test('100 KB of trusted hops are read in little time', () => {
    const start = performance.now();
    address(Array.from({ length: 10_000 }, () => '10.0.0.1').join(','));
    expect(performance.now() - start).toBeLessThan(2000);
  });
});

describe('X-Forwarded-Proto', () => {
  test.each([
    [['https'], 'https'],
    [['HTTPS'], 'https'],
    [['http'], 'http'],
    [['wss'], 'https'],
    [['https', 'https'], 'https'],
    [['https, https'], 'https'],
    [['gopher'], 'http'],
    [[''], 'http'],
  ])('%j is %s', (values, expected) => {
    const fields = values.flatMap((value) => ['x-forwarded-proto', value]);
    expect(resolve(fields).scheme).toBe(expected);
  });

  test.each([[['https', 'http']], [['https, http']], [['http,https']], [['https', 'gopher']]])(
    '%j is refused',
    (values) => {
      const fields = values.flatMap((value) => ['x-forwarded-proto', value]);
      expect(() => resolve(fields)).toThrow(HttpError);
      expect(() => resolve(fields)).toThrow(expect.objectContaining({ code: 'bad-scheme' }));
    },
  );

  test('leaves address and port of the client alone', () => {
    expect(resolve(['x-forwarded-proto', 'https'])).toMatchObject({ address: '127.0.0.1', port: 50_000 });
  });
});

describe('X-Forwarded-Host and X-Forwarded-Port', () => {
  const headers = [...DEFAULT, 'x-forwarded-host', 'x-forwarded-port'];
  test.each([
    [['x-forwarded-host', 'example.com'], 'example.com', 80],
    [['x-forwarded-host', 'example.com', 'x-forwarded-proto', 'https'], 'example.com', 443],
    [['x-forwarded-host', 'example.com:8443'], 'example.com', 8443],
    [['x-forwarded-host', 'example.com:'], 'example.com', 80],
    [['x-forwarded-host', 'example.com:0'], 'example.com', 80],
    [['x-forwarded-host', '[2001:db8::1]:81'], '[2001:db8::1]', 81],
    [['x-forwarded-host', '[2001:db8::1]'], '[2001:db8::1]', 80],
    [['x-forwarded-host', 'evil.example, example.com'], 'example.com', 80],
    [['x-forwarded-host', 'evil.example', 'x-forwarded-host', 'example.com'], 'example.com', 80],
    [['x-forwarded-host', 'a b'], '127.0.0.1', 8000],
    [['x-forwarded-port', '444'], '127.0.0.1', 444],
    [['x-forwarded-port', '1, 444'], '127.0.0.1', 444],
    [['x-forwarded-port', '0'], '127.0.0.1', 8000],
    [['x-forwarded-port', '65536'], '127.0.0.1', 8000],
    [['x-forwarded-port', '4e2'], '127.0.0.1', 8000],
    [['x-forwarded-host', 'example.com:1', 'x-forwarded-port', '444'], 'example.com', 444],
  ])('%j is %s, %i', (fields, serverName, serverPort) => {
    expect(resolve(fields, { headers })).toMatchObject({ serverName, serverPort });
  });
});

describe('Forwarded (RFC 7239)', () => {
  const headers = ['forwarded'];
  const forwarded = (...values: string[]) =>
    resolve(
      values.flatMap((value) => ['forwarded', value]),
      { headers },
    );

  test.each([
    ['for=203.0.113.9', '203.0.113.9', 0],
    ['For="203.0.113.9:4711"', '203.0.113.9', 4711],
    ['for="[2001:db8:cafe::17]:4711"', '2001:db8:cafe::17', 4711],
    ['for="[2001:db8:cafe::17]"', '2001:db8:cafe::17', 0],
    ['for="203.0.113.9:_port"', '203.0.113.9', 0],
    ['for="203\\.0.113.9"', '203.0.113.9', 0],
    ['for=6.6.6.6, for=203.0.113.9', '203.0.113.9', 0],
    ['for=203.0.113.9, for=10.0.0.1', '203.0.113.9', 0],
    [' for=203.0.113.9 ; proto=http ;; by=10.0.0.1 ', '203.0.113.9', 0],
    ['for="unclosed, for=203.0.113.9', '203.0.113.9', 0],
    ['for=6.6.6.6;x="a,b", for=203.0.113.9', '203.0.113.9', 0],
    ['for=203.0.113.9;ext="a, for=6.6.6.6"', '203.0.113.9', 0],
    ['for=203.0.113.9;ext="a\\", for=6.6.6.6"', '203.0.113.9', 0],
    ['for=203.0.113.9;ext="\\\\"', '203.0.113.9', 0],
    ['for=203.0.113.9, for=_hidden, for=10.0.0.1', '10.0.0.1', 0],
    ['for=unknown', '127.0.0.1', 50_000],
    ['for=_gazonk', '127.0.0.1', 50_000],
    ['for=203.0.113.9;for=6.6.6.6', '127.0.0.1', 50_000],
    ['for=[2001:db8::1]', '127.0.0.1', 50_000],
    ['for="2001:db8::1"', '127.0.0.1', 50_000],
    ['for=203.0.113.9 proto=https', '127.0.0.1', 50_000],
    ['for = 203.0.113.9', '127.0.0.1', 50_000],
    ['203.0.113.9', '127.0.0.1', 50_000],
    ['', '127.0.0.1', 50_000],
  ])('%j is %s', (value, expected, port) => {
    expect(forwarded(value)).toMatchObject({ address: expected, port });
  });

  test('several fields are one list', () => {
    expect(forwarded('for=6.6.6.6', 'for=203.0.113.9').address).toBe('203.0.113.9');
  });

  test('the outermost trusted proxy says scheme and host', () => {
    expect(
      forwarded('for=203.0.113.9;proto=https;host="example.com:8443", for=10.0.0.1;proto=http;host=inner'),
    ).toMatchObject({ scheme: 'https', serverName: 'example.com', serverPort: 8443 });
  });

  test('what stands left of the client is not read', () => {
    expect(forwarded('for=10.0.0.9;proto=https;host=evil, for=203.0.113.9')).toMatchObject({
      scheme: 'http',
      serverName: '127.0.0.1',
    });
  });

  test('does not count beside another family', () => {
    const peer = resolve(['forwarded', 'for=6.6.6.6;proto=https', 'x-forwarded-for', '203.0.113.9'], {
      headers: ['forwarded', ...DEFAULT],
    });
    expect(peer).toMatchObject({ address: '203.0.113.9', scheme: 'http' });
  });

  test('whatever a client sends, the proxy in front has the last word', () => {
    const text = fc.string({
      unit: fc.constantFrom('"', '\\', ',', ';', '=', 'for', '6.6.6.6', ' ', 'proto=https'),
    });
    fc.assert(
      fc.property(text, fc.boolean(), (forged, isQuoted) => {
        const own = isQuoted ? 'for="203.0.113.9:1";proto=http' : 'for=203.0.113.9;proto=http';
        expect(forwarded(`${forged}, ${own}`)).toMatchObject({ address: '203.0.113.9', scheme: 'http' });
      }),
    );
  });
});

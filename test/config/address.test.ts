import { describe, expect, it } from 'vitest';
import { formatAddress, formatUrl, parseAddress } from '../../src/config/address.ts';
import { UserError } from '../../src/errors.ts';

describe('parseAddress', () => {
  it.each([
    ['127.0.0.1:8000', { kind: 'tcp', host: '127.0.0.1', port: 8000 }],
    ['localhost:80', { kind: 'tcp', host: 'localhost', port: 80 }],
    ['LocalHost', { kind: 'tcp', host: 'localhost', port: 8000 }],
    ['tcp://10.0.0.1:81', { kind: 'tcp', host: '10.0.0.1', port: 81 }],
    [':8000', { kind: 'tcp', host: '0.0.0.0', port: 8000 }],
    ['*:8000', { kind: 'tcp', host: '0.0.0.0', port: 8000 }],
    ['0.0.0.0:0', { kind: 'tcp', host: '0.0.0.0', port: 0 }],
    ['[::1]:8000', { kind: 'tcp', host: '::1', port: 8000 }],
    ['[::]', { kind: 'tcp', host: '::', port: 8000 }],
    ['[fe80::1%eth0]:65535', { kind: 'tcp', host: 'fe80::1%eth0', port: 65535 }],
    ['unix:/run/site.sock', { kind: 'unix', path: '/run/site.sock' }],
    ['unix:///run/site.sock', { kind: 'unix', path: '/run/site.sock' }],
    ['unix:site.sock', { kind: 'unix', path: 'site.sock' }],
    [`unix:/${'x'.repeat(106)}`, { kind: 'unix', path: `/${'x'.repeat(106)}` }],
    ['fd://3', { kind: 'fd', fd: 3 }],
  ])('reads %s', (text, address) => {
    expect(parseAddress(text)).toEqual(address);
  });

  it.each([
    ['', '127.0.0.1:8000, [::1]:8000, :8000, unix:/run/site.sock, fd://3'],
    ['8000', 'Write 127.0.0.1:8000 for this machine alone, or :8000 for every address'],
    ['127.0.0.1:65536', '"65536" in "127.0.0.1:65536" is not a port number. Ports go from 0'],
    ['127.0.0.1:http', 'is not a port number'],
    ['127.0.0.1:', '"" in "127.0.0.1:" is not a port number'],
    ['::1:8000', 'An IPv6 address stands in brackets: [::1]:8000'],
    ['http://127.0.0.1:8000', 'is not'],
    ['[::1', 'is not an address'],
    ['a b:80', 'is not an address'],
    ['unix:', 'names no path'],
    ['unix:/a\0b', 'names no path'],
    [`unix:/${'x'.repeat(107)}`, 'at most 107 bytes'],
    ['fd://', 'Write fd://3 for descriptor 3'],
    ['fd://-1', 'names no file descriptor'],
  ])('refuses %j and says what is good', (text, message) => {
    expect(() => parseAddress(text)).toThrow(UserError);
    expect(() => parseAddress(text)).toThrow(message);
  });
});

describe('formatUrl', () => {
  it.each([
    ['127.0.0.1:8000', 'http://127.0.0.1:8000'],
    ['[::1]:8000', 'http://[::1]:8000'],
    ['unix:///run/x.sock', 'unix:/run/x.sock'],
    ['fd://3', 'fd://3'],
  ])('shows %s as %s', (text, url) => {
    expect(formatUrl(parseAddress(text))).toBe(url);
  });
});

describe('formatAddress', () => {
  it.each(['127.0.0.1:8000', '[::1]:0', 'unix:/run/x.sock', 'fd://3'])('gives %s back', (text) => {
    expect(formatAddress(parseAddress(text))).toBe(text);
  });
});

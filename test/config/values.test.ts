import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { parseValue, splitVariable, type ValueType } from '../../src/config/values.ts';
import { UserError } from '../../src/errors.ts';

const folder = mkdtempSync(join(tmpdir(), 'tunicorn-values-'));
writeFileSync(join(folder, 'file'), '');
afterAll(() => rmSync(folder, { recursive: true }));

function read(type: ValueType, text: string, min = 0) {
  return parseValue(type, [text], { folder, min });
}

describe('parseValue', () => {
  it.each<[ValueType, string, unknown]>([
    ['text', ' as it is ', ' as it is '],
    ['count', '0', 0],
    ['count', '2048', 2048],
    ['seconds', '30', 30],
    ['seconds', '0.5', 0.5],
    ['size', '8190', 8190],
    ['size', '64k', 65_536],
    ['size', '64K', 65_536],
    ['size', '64KiB', 65_536],
    ['size', '10MB', 10_485_760],
    ['size', '2G', 2_147_483_648],
    ['flag', 'true', true],
    ['flag', 'Yes', true],
    ['flag', '1', true],
    ['flag', 'false', false],
    ['flag', '0', false],
    ['workers', '3', { min: 3, max: 3 }],
    ['workers', '2..8', { min: 2, max: 8 }],
    ['workers', '0..4', { min: 0, max: 4 }],
    ['workers', 'auto', { min: availableParallelism(), max: availableParallelism() }],
    ['retry', 'off', 'off'],
    ['control', 'thread', 'thread'],
    ['worker-kind', 'gthread', 'python'],
    ['log-level', 'WARNING', 'warning'],
    ['umask', '0', 0],
    ['umask', '7', 7],
    ['umask', '022', 0o22],
    ['umask', '0o027', 0o27],
    ['umask', '0777', 0o777],
    ['folder', '.', folder],
    ['folder', '/', '/'],
    ['file', '', ''],
    ['file', 'x/y.pid', join(folder, 'x/y.pid')],
    ['log-file', '', ''],
    ['log-file', '-', '-'],
    ['log-file', 'error.log', join(folder, 'error.log')],
    ['address', '', ''],
    ['address', ' :9100 ', '0.0.0.0:9100'],
    ['address', '[::1]:9100', '[::1]:9100'],
    ['address', 'fd://3', 'fd://3'],
    ['address', 'unix:x.sock', `unix:${join(folder, 'x.sock')}`],
    ['addresses', ':8000', ['0.0.0.0:8000']],
    ['addresses', 'unix:x.sock', [`unix:${join(folder, 'x.sock')}`]],
    ['networks', '', []],
    ['networks', '*', ['*']],
    ['networks', '10.0.0.0/8, ::1', ['10.0.0.0/8', '::1']],
    ['forwarded-headers', 'X-Forwarded-For,x-forwarded-host', ['x-forwarded-for', 'x-forwarded-host']],
    ['folders', 'lib,/opt/lib', [join(folder, 'lib'), '/opt/lib']],
    ['existing-folders', '., /', [folder, '/']],
    ['env', 'A=b=c,d', ['A=b=c,d']],
    ['env', 'EMPTY=', ['EMPTY=']],
    ['static', '/static/=.', [{ prefix: '/static/', folder }]],
    ['static', '/static=.', [{ prefix: '/static/', folder }]],
    ['static', '/=/', [{ prefix: '/', folder: '/' }]],
  ])('reads %s %j', (type, text, value) => {
    expect(read(type, text)).toEqual(value);
  });

  it.each<[ValueType, string, string]>([
    ['count', '', 'a whole number from 0 up'],
    ['count', '1.5', 'a whole number'],
    ['count', '-1', 'a whole number'],
    ['count', '0x10', 'a whole number'],
    ['count', '9999999999', 'a whole number'],
    ['seconds', 'soon', 'a number of seconds'],
    ['seconds', '30s', 'such as 30 or 0.5'],
    ['seconds', '-1', 'a number of seconds'],
    ['seconds', '1e3', 'a number of seconds'],
    ['seconds', '2000001', 'to 2000000'],
    ['size', '', '8190, 64k, 10M, 2G'],
    ['size', '64q', '8190, 64k, 10M, 2G'],
    ['size', '999999999999999T', '8190, 64k, 10M, 2G'],
    ['flag', 'maybe', 'Good values are true and false'],
    ['workers', '0', 'a whole number from 1 up, a range such as 2..8, or auto'],
    ['workers', '0..0', 'a range such as 2..8'],
    ['workers', '8..2', 'a range such as 2..8'],
    ['retry', 'all', 'Good values are safe and off.'],
    ['control', 'sigio', 'Good values are signal and thread.'],
    ['workers', 'many', 'a whole number from 1 up, a range such as 2..8, or auto'],
    ['worker-kind', 'gevent', '-k gthread --threads 100'],
    ['log-level', 'verbose', 'debug, info, warning, error, critical'],
    ['umask', '22', 'octal with a 0 in front'],
    ['umask', '18', 'octal'],
    ['umask', '08', 'octal'],
    ['umask', '01000', 'from 0 to 0777'],
    ['folder', 'nowhere', 'There is no folder'],
    ['folder', 'file', 'is not a folder'],
    ['address', 'nonsense', 'names a port or a path'],
    ['address', '[::1]', 'names a port or a path'],
    ['address', '9100', 'Write 127.0.0.1:9100'],
    ['address', 'a b:1', '"a b:1" is not an address'],
    ['address', 'localhost:99999', '"99999" in "localhost:99999" is not a port number'],
    ['addresses', '8000', 'Write 127.0.0.1:8000'],
    ['networks', '10.1.2.3/8', 'The network is 10.0.0.0/8'],
    ['networks', '10.0.0.1,localhost', '"localhost" is not an address'],
    ['forwarded-headers', 'x-real-ip', '"x-real-ip" is not one of x-forwarded-for'],
    ['existing-folders', '.,nowhere', 'There is no folder'],
    ['existing-folders', 'file', 'is not a folder'],
    ['env', 'NAME', 'NAME=VALUE'],
    ['env', '=value', 'NAME=VALUE'],
    ['static', '/static/', '/static/=./static'],
    ['static', '/static/=', '/static/=./static'],
    ['static', 'static/=.', 'begins with /'],
    ['static', '/a/../b/=.', 'plain path'],
    ['static', '/a//b/=.', 'plain path'],
    ['static', '/a%20b/=.', 'plain path'],
    ['static', '/static/=nowhere', 'There is no folder'],
  ])('refuses %s %j and says what is good', (type, text, message) => {
    expect(() => read(type, text)).toThrow(UserError);
    expect(() => read(type, text)).toThrow(message);
  });

  it('holds the smallest good value of a row', () => {
    expect(() => read('count', '0', 1)).toThrow('from 1 up');
    expect(() => read('seconds', '0', 0.001)).toThrow('from 0.001');
    expect(read('count', '1', 1)).toBe(1);
  });

  it('refuses a UNIX path that is too long once it is absolute', () => {
    expect(() => read('addresses', `unix:${'x'.repeat(100)}`)).toThrow('at most 107 bytes');
  });

  it('takes the last of several texts, or joins them', () => {
    expect(parseValue('count', ['1', '2'], { folder, min: 0 })).toBe(2);
    expect(parseValue('networks', ['::1', '10.0.0.0/8,127.0.0.1'], { folder, min: 0 })).toEqual([
      '::1',
      '10.0.0.0/8',
      '127.0.0.1',
    ]);
  });
});

describe('splitVariable', () => {
  it.each<[ValueType, string, string[]]>([
    ['addresses', ':8000, unix:x', [':8000', 'unix:x']],
    ['static', '/a/=x,/b/=y', ['/a/=x', '/b/=y']],
    ['env', 'A=1,2\nB=3\n', ['A=1,2', 'B=3']],
    ['text', 'a,b', ['a,b']],
  ])('splits %s %j', (type, text, parts) => {
    expect(splitVariable(type, text)).toEqual(parts);
  });
});

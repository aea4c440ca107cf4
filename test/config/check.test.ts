import { describe, expect, it } from 'vitest';
import { loadSettings } from '../../src/config/load.ts';
import { UserError } from '../../src/errors.ts';

function load(...argv: string[]) {
  return loadSettings({ argv, env: {}, cwd: '/' }).settings;
}

describe('checkTogether', () => {
  it.each([
    [['--fronts', '3', '-w', '2'], '--fronts 3 is more than --workers 2'],
    [['--forwarded-headers', 'forwarded,x-forwarded-for'], 'names forwarded together with x-forwarded-for'],
    [['--forwarded-headers', 'x-forwarded-host,x-forwarded-proto,forwarded'], 'Choose the one family'],
    [['-b', ':1', '-b', '0.0.0.0:1'], '--bind 0.0.0.0:1 is given twice'],
    [['-b', 'unix:/x', '-b', 'unix:///x'], '--bind unix:/x is given twice'],
    [
      ['--body-memory', '2M', '--memory-limit', '1M'],
      '--body-memory 2097152 is more than --memory-limit 1048576',
    ],
    [['--spool-dir', '/nowhere'], '--spool-dir /nowhere is not a folder'],
    [['-k', 'gthread', 'server.ts'], 'server.ts is run by Node, but --worker-class asks for Python workers'],
    [
      ['-k', 'node', 'mysite.wsgi'],
      '--worker-class asks for Node workers, which run a file that ends in .ts',
    ],
    [['-k', 'node'], 'no application is named'],
  ])('refuses %j', (argv, message) => {
    expect(() => load(...argv)).toThrow(UserError);
    expect(() => load(...argv)).toThrow(message);
  });

  it.each([
    [['--fronts', '2', '-w', '2']],
    [['--forwarded-headers', 'forwarded']],
    [['--forwarded-headers', 'forwarded,Forwarded']],
    [['--forwarded-headers', 'x-forwarded-for,x-forwarded-proto,x-forwarded-host,x-forwarded-port']],
    [['--forwarded-headers', '']],
    [['-b', '127.0.0.1:0', '-b', '127.0.0.1:0']],
    [['-b', '127.0.0.1:1', '-b', '[::1]:1']],
    [['--body-memory', '1M', '--memory-limit', '1M']],
  ])('finds %j good', (argv) => {
    expect(() => load(...argv)).not.toThrow();
  });
});

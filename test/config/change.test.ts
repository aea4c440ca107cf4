import { describe, expect, it } from 'vitest';
import { compareSettings, reloadedSettings, restartNote } from '../../src/config/change.ts';
import { loadSettings } from '../../src/config/load.ts';

function settings(...argv: string[]) {
  return loadSettings({ argv, env: {}, cwd: '/' }).settings;
}

describe('compareSettings', () => {
  it.each<[string[], string[], string[], string[]]>([
    [[], [], [], []],
    [['-w', '2'], ['-w', '2..2'], [], []],
    [['-w', '2'], ['-w', '2..8'], ['workers'], []],
    [['-e', 'A=1'], ['-e', 'A=2', '-t', '5'], ['env', 'timeout'], []],
    [['-b', ':1'], ['-b', ':1', '-b', ':2'], ['bind'], ['bind']],
    [
      ['-b', ':1'],
      ['-b', ':2', '--pid', 'x', '--keep-alive', '9'],
      ['bind', 'keepAlive', 'pid'],
      ['bind', 'pid'],
    ],
    [[], ['--access-logfile', '-'], ['accessLogfile'], ['accessLogfile']],
    [['--error-logfile', 'a'], ['--error-logfile', 'b'], ['errorLogfile'], ['errorLogfile']],
    [['a:b'], ['c:d'], ['app'], []],
    [['-n', 'x', 'a:b'], ['-n', 'y', 'c:d'], ['app', 'name'], ['name']],
    [['-n', 'x', 'a:b'], ['a:b'], ['name'], ['name']],
  ])('from %j to %j', (before, after, changed, needRestart) => {
    expect(compareSettings(settings(...before), settings(...after))).toEqual({ changed, needRestart });
  });
});

describe('reloadedSettings', () => {
  it('takes what a reload can, and nothing else', () => {
    const before = settings('-b', ':1', '-w', '2', 'a:b');
    const after = settings('-b', ':2', '-w', '3', 'c:d');
    expect(reloadedSettings(before, after)).toEqual({
      ...after,
      bind: before.bind,
      name: 'a:b',
    });
  });
});

describe('restartNote', () => {
  it.each<[Parameters<typeof restartNote>[0]['needRestart'], string]>([
    [[], ''],
    [['bind'], '--bind has changed, and stays as it was until a restart.'],
    [['bind', 'pid'], '--bind, --pid have changed, and stay as they were until a restart.'],
  ])('says of %j: %s', (needRestart, note) => {
    expect(restartNote({ needRestart })).toBe(note);
  });
});

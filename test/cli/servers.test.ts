import { describe, expect, it } from 'vitest';
import type { ServerInfo } from '../../src/arbiter/runtime-dir.ts';
import { chooseServer } from '../../src/cli/servers.ts';

const NOBODY = { pid: '', chdir: '', cwd: '/srv/site' };
const server = (pid: number, folder: string, isOpen = true): ServerInfo => ({
  pid,
  control: `/tmp/tunicorn-${pid}-abcdef/control`,
  isOpen,
  app: isOpen ? 'app:app' : '',
  folder: isOpen ? folder : '',
});
const look = (...servers: ServerInfo[]) => ({
  servers: () => servers,
  serverOf: (pid: number) => servers.find((each) => each.pid === pid),
  ownerOf: () => 0,
});

describe('chooseServer', () => {
  it.each([
    ['the only one', NOBODY, [server(7, '/elsewhere')], 7],
    ['that of this folder', NOBODY, [server(7, '/elsewhere'), server(8, '/srv/site')], 8],
    [
      'that of --chdir',
      { ...NOBODY, chdir: '../other' },
      [server(7, '/srv/site'), server(8, '/srv/other')],
      8,
    ],
    ['its own rather than that of another user', NOBODY, [server(7, '', false), server(8, '/elsewhere')], 8],
    ['that of --pid', { ...NOBODY, pid: '7' }, [server(7, '/elsewhere'), server(8, '/srv/site')], 7],
  ])('takes %s', (_what, wanted, servers, pid) => {
    expect(chooseServer(wanted, look(...servers)).pid).toBe(pid);
  });

  it.each([
    ['none', NOBODY, [], /^No Tunicorn runs here\. Start one with: tunicorn APP$/],
    [
      'several',
      NOBODY,
      [server(7, '/a'), server(8, '/b')],
      /^Which server\? There are 2:\n +--pid 7 .* in \/a\n +--pid 8/,
    ],
    [
      'one elsewhere',
      { ...NOBODY, chdir: '.' },
      [server(7, '/a')],
      /^No Tunicorn runs in \/srv\/site\. Elsewhere there are:\n +--pid 7/,
    ],
    [
      'that of another user',
      NOBODY,
      [server(7, '', false)],
      /^No Tunicorn of yours runs here\.\nOther users.* Use sudo.*:\n +--pid 7 +of root$/,
    ],
    [
      'others, and that of another user',
      { ...NOBODY, chdir: '.' },
      [server(7, '/a'), server(8, '', false)],
      /runs in \/srv\/site\. Elsewhere[\s\S]*--pid 7 [\s\S]*Other users[\s\S]*--pid 8 +of root$/,
    ],
    [
      'that of another user, by its pid',
      { ...NOBODY, pid: String(process.pid) },
      [server(process.pid, '', false)],
      /^You may not give orders to process \d+: it is root’s; use sudo\.$/,
    ],
  ])('refuses where there is %s', (_what, wanted, servers, why) => {
    expect(() => chooseServer(wanted, look(...servers))).toThrow(why);
  });
});

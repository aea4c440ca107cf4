import { execFileSync } from 'node:child_process';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { resolveRights, withRights } from '../../src/arbiter/rights.ts';

afterEach(() => vi.unstubAllEnvs());

const isRoot = process.geteuid?.() === 0;

test('without the options, or with one’s own user, nothing changes', () => {
  expect(resolveRights({ user: '', group: '' })).toBe(null);
  const own = { user: String(process.geteuid?.()), group: String(process.getegid?.()) };
  expect(resolveRights(own)).toBe(null);
  const command = { file: 'true', args: [] };
  expect(withRights(command, null, 'python3')).toBe(command);
});

test('names that are not there', () => {
  expect(() => resolveRights({ user: 'no-such-user', group: '' })).toThrow('There is no user no-such-user.');
  expect(() => resolveRights({ user: '', group: 'no-such-group' })).toThrow(
    'There is no group no-such-group.',
  );
});

test.skipIf(isRoot)('only root may change rights', () => {
  expect(() => resolveRights({ user: 'root', group: '' })).toThrow(
    'only root may change the user of a process',
  );
});

describe.skipIf(!isRoot)('as root', () => {
  const nobody = execFileSync('id', ['-u', 'nobody'], { encoding: 'utf8' }).trim();

  test('a user brings its own group and its groups', () => {
    const rights = resolveRights({ user: 'nobody', group: '' });
    expect(rights?.uid).toBe(Number(nobody));
    expect(rights).toEqual(resolveRights({ user: nobody, group: '' }));
    expect(rights?.groups).toContain(rights?.gid);
  });

  test('a group of its own, and numbers without an account', () => {
    expect(resolveRights({ user: 'nobody', group: '4711' })).toMatchObject({ gid: 4711 });
    expect(resolveRights({ user: '54321', group: '4711' })).toEqual({
      uid: 54321,
      gid: 4711,
      groups: [4711],
    });
  });

  const stranger = { uid: 54321, gid: 4711, groups: [4711, 4712] };
  const cat = { file: '/bin/cat', args: ['/proc/self/status'] };

  test.each([
    ['setpriv', process.env.PATH ?? ''],
    ['Python, where there is no setpriv', '/nowhere'],
  ])('by %s: the user from its first instruction, with every group and no capability', async (_how, path) => {
    vi.stubEnv('PATH', path);
    vi.resetModules();
    const fresh = await import('../../src/arbiter/rights.ts');
    const { file, args } = fresh.withRights(cat, stranger, '/usr/bin/python3');
    const status = execFileSync(file, args, { encoding: 'utf8' });
    expect(status).toMatch(/^Uid:\t54321\t54321\t54321\t54321$/m);
    expect(status).toMatch(/^Gid:\t4711\t4711\t4711\t4711$/m);
    expect(status).toMatch(/^Groups:\t4711 4712 ?$/m);
    expect(status).toMatch(/^CapEff:\t0+$/m);
    expect(status).toMatch(/^CapPrm:\t0+$/m);
  });
});

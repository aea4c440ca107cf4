import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { AccessLog } from '../../src/observe/access-log.ts';

const folder = mkdtempSync(join(tmpdir(), 'tunicorn-access-'));
afterAll(() => rmSync(folder, { recursive: true }));

const entry = {
  head: { method: 'GET', path: '/', query: '', minor: 1, fields: [] as string[] },
  requestLine: 'GET / HTTP/1.1',
  peer: { address: '192.0.2.7' },
  exchange: null,
  status: 200,
  fields: [] as string[],
  bytes: 2,
} as const;

describe('AccessLog', () => {
  it('writes a line for each request, timed from its begin', async () => {
    const path = join(folder, 'access.log');
    const fd = openSync(path, 'a');
    const log = new AccessLog({ fd, format: '%(h)s "%(r)s" %(s)s %(b)s %(M)s %(t)s' });
    const before = Date.now();
    log.write({ ...entry, startedAt: performance.now() - 5000 });
    log.write({ ...entry, status: 404, startedAt: performance.now() });
    await log.flush();
    closeSync(fd);
    const lines = readFileSync(path, 'utf8').split('\n');
    const [, ms, date] =
      /^192\.0\.2\.7 "GET \/ HTTP\/1\.1" 200 2 (\d+) \[\d+\/\w+\/\d+:(\d\d:\d\d:\d\d) /.exec(
        lines[0] ?? '',
      ) ?? [];
    expect(Number(ms)).toBeGreaterThanOrEqual(5000);
    expect(Number(ms)).toBeLessThan(6000);
    const begin = [0, 1000].map((late) => new Date(before - 5000 + late).toTimeString().slice(0, 8));
    expect(begin).toContain(date);
    expect(lines[1]).toContain(' 404 ');
    expect(lines).toHaveLength(3);
  });

  it('warns when lines are lost', async () => {
    const fd = openSync('/dev/full', 'w');
    const warnings: string[] = [];
    const log = new AccessLog({ fd, format: '%(h)s', warn: (message) => warnings.push(message) });
    log.write({ ...entry, startedAt: performance.now() });
    await log.flush();
    closeSync(fd);
    expect(warnings).toEqual([expect.stringContaining('1 line of the access log was lost')]);
  });
});

/** The end, in order and out of order: everything accepted is answered, and nothing is left. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { KINDS } from '../../support/kinds.ts';
import { judge, type Load, monotonicMs, type Strike } from '../../support/load.ts';
import { isAlive } from '../../support/tunicorn.ts';
import { startScenario, unharmed, until, watchTimer } from './scenario.ts';

/** Connections that the kernel has accepted for a listening port and the front has not. */
function backlogOf(port: number): number {
  const local = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  for (const line of readFileSync('/proc/net/tcp', 'utf8').split('\n')) {
    const [, address = '', , state, queues = ''] = line.trim().split(/\s+/);
    if (state === '0A' && address.endsWith(local)) return Number.parseInt(queues.split(':')[1] ?? '', 16);
  }
  return 0;
}

const ask = (load: Load, { count, path }: { count: number; path: string }) =>
  Promise.all(Array.from({ length: count }, (_, i) => load.once(path, i % 4 === 0 ? 'POST' : 'GET')));

describe.each(KINDS)('%s workers', (kind) => {
  describe('TERM', () => {
    test('with 200 connections, requests in flight and a backlog: everything is answered, exit 0 in time', async () => {
      await using scenario = await startScenario({ kind, args: ['-w', '4'] });
      const { server } = scenario;
      const [front = 0] = await server.fronts();
      await using load = scenario.load();
      const accepted = ask(load, { count: 200, path: '/echo' });
      await until('requests in flight', () => scenario.posts().length > 0);
      // A front that stands still lets the backlog grow.
      process.kill(front, 'SIGSTOP');
      const waiting = ask(load, { count: 100, path: '/echo' });
      await until('a backlog', () => backlogOf(server.port) >= 100);
      const began = performance.now();
      server.signal('SIGTERM');
      await server.waitForLog('Stopping (SIGTERM)');
      process.kill(front, 'SIGCONT');
      expect(await server.exited).toEqual({ code: 0, signal: null });
      expect(performance.now() - began).toBeLessThan(10_000);
      await Promise.all([accepted, waiting]);
      const report = await load.stop();
      unharmed(report);
      expect(report.ok).toBe(300);
      expect(report.posted.toSorted()).toEqual(scenario.posts().toSorted());
    }, 60_000);

    test('under full load over 200 connections: what was sent before it is answered, what comes later may be refused', async () => {
      await using scenario = await startScenario({ kind, args: ['-w', '4'] });
      const { server } = scenario;
      await using load = scenario.load({ rate: null, connections: 200, fresh: 0.1, path: '/plain' });
      await load.answered(2000);
      const termMs = monotonicMs();
      server.signal('SIGTERM');
      expect(await server.exited).toEqual({ code: 0, signal: null });
      const report = await load.stop();
      console.info(`TERM under full load: ${JSON.stringify(report.fates())}.`);
      expect(report.failed.filter(({ sentMs }) => sentMs < termMs)).toEqual([]);
      // RST without a byte of an answer: it was in the kernel's queue when the socket was closed (docs/lifecycle.md).
      const late = report.failed.filter(
        ({ fate, why }) => fate !== 'refused' && !(fate === 'reset' && why === 'ECONNRESET'),
      );
      expect(late).toEqual([]);
      expect(report.count('refused')).toBeGreaterThan(0);
    }, 60_000);
  });

  test.each(['SIGTERM', 'SIGINT'] as const)(
    '%s to every process of the tree at once: what is in flight finishes, exit 0',
    async (signal) => {
      await using scenario = await startScenario({ kind, args: ['-w', '4'] });
      const { server } = scenario;
      await using load = scenario.load();
      const answers = ask(load, { count: 12, path: '/echo?s=0.3' });
      await until('requests in flight', () => scenario.posts().length > 0);
      const tree = server.tree();
      expect(tree).toHaveLength(6);
      for (const pid of tree) process.kill(pid, signal);
      expect(await server.exited).toEqual({ code: 0, signal: null });
      await answers;
      const report = await load.stop();
      unharmed(report);
      expect(report.ok).toBe(12);
      expect(tree.filter(isAlive)).toEqual([]);
    },
    60_000,
  );

  test('SIGKILL of the arbiter under load: no process is left after 2 s', async () => {
    const boundMs = 2000;
    using report = watchTimer();
    const kill = async (): Promise<Strike> => {
      await using scenario = await startScenario({ kind, args: ['-w', '2'] });
      await using load = scenario.load({ rate: 50 });
      await load.answered(20);
      const tree = scenario.server.tree();
      expect(tree).toHaveLength(4);
      const fromMs = monotonicMs();
      process.kill(scenario.server.pid, 'SIGKILL');
      await until('the end of all', () => !tree.some(isAlive), { everyMs: 5 });
      const toMs = monotonicMs();
      return { fromMs, toMs, value: toMs - fromMs };
    };
    const strikes: Strike[] = [];
    while (strikes.length < 20) strikes.push(...(await Promise.all([kill(), kill(), kill(), kill()])));
    expect(judge('all gone after SIGKILL of the arbiter', strikes, { boundMs, report })).toBeLessThan(
      boundMs,
    );
  }, 90_000);
});

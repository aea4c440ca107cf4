/** More workers and fewer, by signal and by load: the numbers are right, and nothing fails. */
import { describe, expect, test } from 'vitest';
import { KINDS } from '../../support/kinds.ts';
import { startScenario, unharmed, until } from './scenario.ts';

describe.each(KINDS)('%s workers', (kind) => {
  test('TTIN three times, TTOU three times', async () => {
    await using scenario = await startScenario({ kind, args: ['-w', '2'] });
    const { server } = scenario;
    await using load = scenario.load({ rate: await scenario.steadyRate() });
    await load.answered(50);
    for (const [signal, count] of [
      ['SIGTTIN', 3],
      ['SIGTTIN', 4],
      ['SIGTTIN', 5],
      ['SIGTTOU', 4],
      ['SIGTTOU', 3],
      ['SIGTTOU', 2],
    ] as const) {
      server.signal(signal);
      await server.waitForLog(new RegExp(`${signal}: ${count} workers`));
      if (count === 5 || count === 2) {
        await until(`${count} workers`, async () => (await server.workers()).length === count);
        await scenario.settled(count);
      }
      await load.answered(50);
    }
    const report = await load.stop();
    unharmed(report);
    // The three more have served as well.
    expect(report.byWorker().size).toBe(5);
    expect(await scenario.status()).toMatchObject({ target: 2, min: 2, max: 2 });
  }, 60_000);

  test('--workers 2..8 under a load step and its end', async () => {
    await using scenario = await startScenario({
      kind,
      args: ['-w', '2..8', '--threads', '1', '--scale-idle', '1'],
    });
    await using steady = scenario.load({ rate: 20, seed: 2 });
    await steady.answered(20);
    expect((await scenario.status()).target).toBe(2);
    // Two workers bear it, but each request waits for about 250 ms.
    await using step = scenario.load({ rate: null, connections: 26, path: '/echo?s=0.02' });
    const seen: number[] = [];
    const target = async () => {
      const status = await scenario.status();
      seen.push(status.target, status.workers.filter(({ state }) => state === 'ready').length);
      return status.target;
    };
    await until('more workers', async () => (await target()) >= 4, { everyMs: 250, timeoutMs: 30_000 });
    unharmed(await step.stop());
    await until('two workers', async () => (await target()) === 2, { everyMs: 250, timeoutMs: 40_000 });
    await scenario.settled(2);
    unharmed(await steady.stop());
    // Ready ones are never fewer than the least, and never more than the most but for a replacement.
    expect(Math.min(...seen)).toBeGreaterThanOrEqual(2);
    expect(Math.max(...seen)).toBeLessThanOrEqual(8);
    // It went up once and down once.
    const targets = seen.filter((_, index) => index % 2 === 0);
    const top = targets.indexOf(Math.max(...targets));
    expect(targets.slice(0, top)).toEqual(targets.slice(0, top).sort((a, b) => a - b));
    expect(targets.slice(top)).toEqual(targets.slice(top).sort((a, b) => b - a));
  }, 120_000);
});

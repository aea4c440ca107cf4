/** New code under load: nobody notices, and broken code is thrown away. */
import { describe, expect, test } from 'vitest';
import { KINDS } from '../../support/kinds.ts';
import { startScenario, unharmed } from './scenario.ts';

describe.each(KINDS)('%s workers', (kind) => {
  const reloads = kind === 'python' ? 20 : 4;

  test(`${reloads} reloads with an import of 1 s, at 70 % load: not one request fails`, async () => {
    await using scenario = await startScenario({
      kind,
      args: ['-w', '2', '--reload-surge', '2'],
      told: { 'import-seconds': '1' },
    });
    const { server } = scenario;
    await using load = scenario.load({ rate: await scenario.steadyRate() });
    for (let reload = 1; reload <= reloads; reload++) {
      // The signal and the command in turn.
      if (reload % 2 === 0) server.signal('SIGHUP');
      else expect(await scenario.command('reload')).toMatchObject({ code: 0 });
      await server.waitForLog(new RegExp(`Reloaded: .* generation ${reload + 1} `));
      await load.answered(50);
    }
    const report = await load.stop();
    unharmed(report);
    // It did strike: each generation's two workers have served.
    expect(report.byWorker().size).toBe(2 * (reloads + 1));
    expect(await scenario.status()).toMatchObject({ generation: reloads + 1, state: 'serving' });
  }, 120_000);

  test('a broken deployment, then a repaired one: the old code serves on, and the command tells why', async () => {
    await using scenario = await startScenario({ kind, args: ['-w', '2'] });
    const before = await scenario.server.workers();
    await using load = scenario.load({ rate: await scenario.steadyRate() });
    scenario.tell('broken', 'a missing comma');
    const failed = await scenario.command('reload');
    expect(failed.code).not.toBe(0);
    expect(failed.text).toMatch(
      kind === 'python'
        ? /Traceback \(most recent call last\):[\s\S]*This deployment is broken: a missing comma/
        : /Error: This deployment is broken: a missing comma\n +at .*faults\.ts:\d+/,
    );
    expect(await scenario.server.workers()).toEqual(before);
    await load.answered(200);
    scenario.untell('broken');
    expect(await scenario.command('reload')).toMatchObject({ code: 0 });
    await load.answered(200);
    const after = await scenario.server.workers();
    expect(after.filter((pid) => before.includes(pid))).toEqual([]);
    const report = await load.stop();
    unharmed(report);
    expect([...report.byWorker().keys()].sort()).toEqual([...before, ...after].sort());
  }, 60_000);
});

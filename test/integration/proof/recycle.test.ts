/** Workers that are replaced because they are worn: nobody waits for it, and nothing fails. */
import { expect, test } from 'vitest';
import type { Kind } from '../../support/kinds.ts';
import type { LoadReport } from '../../support/load.ts';
import { pause, residentBytes, startScenario, unharmed, until } from './scenario.ts';

const MIB = 1 << 20;

/** Full load: each of the connections asks again as soon as it is answered. */
async function fullLoad(args: readonly string[]): Promise<{ report: LoadReport; replaced: number }> {
  await using scenario = await startScenario({ args: ['-w', '2', ...args] });
  await using load = scenario.load({ rate: null, connections: 8, path: '/echo?s=0.02' });
  await load.answered(800, 30_000);
  const { restarts } = (await scenario.status()).totals;
  return { report: await load.stop(), replaced: restarts['max-requests'] ?? 0 };
}

test('--max-requests 50 with jitter at full load: nothing fails, and the slowest hardly notice', async () => {
  const without = await fullLoad([]);
  const recycled = await fullLoad(['--max-requests', '50', '--max-requests-jitter', '20']);
  unharmed(without.report);
  unharmed(recycled.report);
  const [base, p99] = [without.report.quantileMs(0.99), recycled.report.quantileMs(0.99)];
  console.info(
    `99 % within ${base.toFixed(1)} ms without, ${p99.toFixed(1)} ms with ${recycled.replaced} replacements.`,
  );
  expect(without.replaced).toBe(0);
  expect(recycled.replaced).toBeGreaterThanOrEqual(8);
  expect(recycled.report.byWorker().size).toBeGreaterThanOrEqual(8);
  // Those that a worker serves while its replacement starts come on top.
  expect(Math.max(...recycled.report.byWorker().values())).toBeLessThan(150);
  expect(p99).toBeLessThan(1.5 * base);
}, 90_000);

test('a Node worker with --max-requests 50: another one serves, and nothing fails', async () => {
  const args = ['-w', '2', '--max-requests', '50', '--max-requests-jitter', '20'];
  await using scenario = await startScenario({ kind: 'node', args });
  await using load = scenario.load({ rate: null, connections: 4, path: '/echo?s=0.02' });
  const replaced = async () => (await scenario.status()).totals.restarts['max-requests'] ?? 0;
  await until('four replacements', async () => (await replaced()) >= 4, { everyMs: 200, timeoutMs: 60_000 });
  const report = await load.stop();
  unharmed(report);
  expect(report.byWorker().size).toBeGreaterThanOrEqual(4);
}, 90_000);

test.each<{ kind: Kind; mib: number; startS: number }>([
  { kind: 'python', mib: 60, startS: 2 },
  // It has more in it before it leaks anything, and takes longer to start.
  { kind: 'node', mib: 160, startS: 5 },
])(
  '$kind worker, a leak of 1 MB a request with --max-memory: nothing fails, and the memory is bounded',
  async ({ kind, mib, startS }) => {
    const limit = mib * MIB;
    const rate = 30;
    await using scenario = await startScenario({ kind, args: ['-w', '2', '--max-memory', `${mib}M`] });
    await using load = scenario.load({ rate, connections: 4, path: '/leak' });
    let [peak, over] = [0, false];
    const watch = (async () => {
      for (; !over; await pause(50))
        peak = Math.max(peak, ...(await scenario.server.workers()).map(residentBytes));
    })();
    await load.answered(12 * rate, 60_000);
    over = true;
    await watch;
    const { restarts } = (await scenario.status()).totals;
    const report = await load.stop();
    unharmed(report);
    console.info(
      `${report.ok} MiB leaked, ${restarts['max-memory']} replacements, at most ${Math.round(peak / MIB)} MiB in one.`,
    );
    expect(restarts['max-memory']).toBeGreaterThanOrEqual(2);
    expect(report.ok).toBeGreaterThan(200);
    // What comes in the second between two looks, and while the replacement starts.
    expect(peak).toBeLessThan(limit + startS * rate * MIB);
  },
  90_000,
);

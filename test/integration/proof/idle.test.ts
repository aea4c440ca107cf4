/**
 * What happens while nothing happens. These scenarios take a minute and hardly any CPU, so they run beside each other.
 */
import { describe, expect, test } from 'vitest';
import { KINDS, type Kind } from '../../support/kinds.ts';
import { judge, monotonicMs, type Strike } from '../../support/load.ts';
import { isAlive } from '../../support/tunicorn.ts';
import {
  cpuMs,
  pause,
  type Scenario,
  startScenario,
  unharmed,
  until,
  wakeUps,
  watchTimer,
} from './scenario.ts';

const MINUTE_MS = 60_000;
/** The others are through by then, but for the crash loop, which rests ever longer. */
const SETTLING_MS = 35_000;
/** Share of a processor. */
const MOST_CPU = 0.001;
const TIMEOUT_S = 2;
const REPLACED_WITHIN_MS = (TIMEOUT_S + 1) * 1000;

/** Requests after the fault, so that a worker that was not replaced would be found by one. */
async function serves(scenario: Scenario): Promise<void> {
  await using load = scenario.load({ rate: null, connections: 10 });
  await load.answered(200);
  unharmed(await load.stop());
}

/** Waits until none of the victims lives. @returns what each took. */
async function replaced(victims: readonly { pid: number; fromMs: number }[]): Promise<Strike[]> {
  const strikes = victims.map(async ({ pid, fromMs }): Promise<Strike> => {
    await until(`worker ${pid} is replaced`, () => !isAlive(pid), { timeoutMs: 15_000 });
    const toMs = monotonicMs();
    return { fromMs, toMs, value: toMs - fromMs };
  });
  return Promise.all(strikes);
}

/** Milliseconds of CPU, and wake-ups, of the arbiter in a minute. */
async function watchIdle(pid: number): Promise<[used: number, times: number]> {
  const [cpu, woken] = [cpuMs(pid), wakeUps(pid)];
  await pause(MINUTE_MS);
  const [used, times] = [cpuMs(pid) - cpu, wakeUps(pid) - woken];
  console.info(`60 s idle, 8 workers: ${used.toFixed(1)} ms of CPU, ${times} wake-ups in the arbiter.`);
  return [used, times];
}

describe.concurrent('without requests', () => {
  test('60 s with 8 workers: the arbiter uses less than 0.1 % of a CPU and wakes up at most twice a second', async ({
    expect,
  }) => {
    await using scenario = await startScenario({ args: ['-w', '8'] });
    const { pid } = scenario.server;
    const workers = await scenario.server.workers();
    // What V8 compiles and clears away after the start is not the price of being idle. The last of it, two collections that
    // make the heap small, comes when V8 likes; it costs as much as a minute and a half, and cannot fall into two minutes.
    await pause(SETTLING_MS);
    let [used, times] = await watchIdle(pid);
    if (used >= MOST_CPU * MINUTE_MS) [used, times] = await watchIdle(pid);
    expect(await scenario.server.workers()).toEqual(workers);
    expect(used).toBeLessThan(MOST_CPU * MINUTE_MS);
    expect(times).toBeLessThanOrEqual((2 * MINUTE_MS) / 1000);
  }, 220_000);

  test('a crash loop for 60 s: less than 1 % of a CPU, longer and longer pauses, and it recovers when mended', {
    timeout: 180_000,
  }, async ({ expect }) => {
    await using scenario = await startScenario({ args: ['-w', '2'] });
    const { server } = scenario;
    scenario.tell('broken', 'a missing comma');
    const cpu = cpuMs(server.pid);
    for (const pid of await server.workers()) process.kill(pid, 'SIGKILL');
    await pause(MINUTE_MS);
    const used = cpuMs(server.pid) - cpu;
    const pauses = [...server.log().matchAll(/The next one starts in ([\d.]+) s/g)].map(([, text]) =>
      Number(text),
    );
    console.info(
      `60 s of a crash loop: ${used.toFixed(0)} ms of CPU in the arbiter; pauses of ${pauses.join(', ')} s.`,
    );
    expect(used).toBeLessThan(0.01 * MINUTE_MS);
    // It struck, again and again, and ever more slowly.
    expect(pauses.length).toBeGreaterThanOrEqual(5);
    expect(pauses.length).toBeLessThan(40);
    expect(Math.max(...pauses)).toBeGreaterThan(10);
    expect(Math.max(...pauses)).toBeLessThanOrEqual(30);
    expect(server.log().match(/Degraded: /g)).toHaveLength(1);
    expect((await scenario.status()).state).toBe('degraded');
    scenario.untell('broken');
    await server.waitForLog('Recovered: ', 35_000);
    await until('two workers', async () => (await server.workers()).length === 2, { timeoutMs: 35_000 });
    expect((await scenario.status()).state).toBe('serving');
    await serves(scenario);
  });

  test.each(KINDS)(
    'SIGSTOP of an idle %s worker: it is replaced before a request finds it',
    async (kind) => {
      await using scenario = await startScenario({ kind, args: ['-w', '8', '--timeout', String(TIMEOUT_S)] });
      using report = watchTimer();
      const strikes: Strike[] = [];
      while (strikes.length < 20) {
        const victims = (await scenario.server.workers())
          .slice(0, 5)
          .map((pid) => ({ pid, fromMs: monotonicMs() }));
        for (const { pid } of victims) process.kill(pid, 'SIGSTOP');
        strikes.push(...(await replaced(victims)));
        await scenario.settled(8);
        await serves(scenario);
      }
      const bound = { boundMs: REPLACED_WITHIN_MS, report };
      expect(judge('a stopped worker is replaced', strikes, bound)).toBeLessThan(REPLACED_WITHIN_MS);
      const { restarts } = (await scenario.status()).totals;
      // Whoever finds out first: the arbiter by its state, the front by a ping. Nobody else was replaced.
      const found = (restarts.stopped ?? 0) + (restarts.unresponsive ?? 0);
      expect({ found, restarts }).toEqual({ found: strikes.length, restarts });
      expect(
        Object.keys(restarts).filter((cause) => cause !== 'stopped' && cause !== 'unresponsive'),
      ).toEqual([]);
    },
    120_000,
  );

  test('a background thread that keeps the GIL: the worker is replaced before a request finds it', async ({
    expect,
  }) => {
    await using scenario = await startScenario({
      args: ['-w', '5', '--timeout', String(TIMEOUT_S)],
      env: { WATCH_FOR_DEADLOCK: '1' },
    });
    using report = watchTimer();
    const strikes: Strike[] = [];
    while (strikes.length < 20) {
      const before = await scenario.server.workers();
      const victims: { pid: number; fromMs: number }[] = [];
      while (victims.length < 4) {
        const free = () =>
          before.find((pid) => scenario.has(`held-by-${pid}`) && !victims.some((each) => each.pid === pid));
        scenario.tell('hold-idle', '3600');
        await until('a worker that is stuck', () => free() !== undefined, { everyMs: 5 });
        victims.push({ pid: free() ?? 0, fromMs: monotonicMs() });
      }
      strikes.push(...(await replaced(victims)));
      await scenario.settled(5);
      await serves(scenario);
    }
    const bound = { boundMs: REPLACED_WITHIN_MS, report };
    expect(judge('a worker that is deadlocked while idle is replaced', strikes, bound)).toBeLessThan(
      REPLACED_WITHIN_MS,
    );
    expect((await scenario.status()).totals.restarts.unresponsive).toBe(strikes.length);
  }, 150_000);

  test.each<[Kind, string]>([
    ['python', 'the arbiter'],
    ['python', 'every process'],
    ['node', 'every process'],
  ])(
    '%s workers, SIGSTOP of %s for 10 s, SIGCONT: nobody is killed for the clock',
    async (kind, whom) => {
      await using scenario = await startScenario({ kind, args: ['-w', '4', '--timeout', String(TIMEOUT_S)] });
      const { server } = scenario;
      await serves(scenario);
      const tree = server.tree();
      // The arbiter first and last: it is not to see that the others stand still.
      const stopped =
        whom === 'the arbiter' ? [server.pid] : [server.pid, ...tree.filter((pid) => pid !== server.pid)];
      for (const pid of stopped) process.kill(pid, 'SIGSTOP');
      await pause(10_000);
      for (const pid of stopped.toReversed()) process.kill(pid, 'SIGCONT');
      await serves(scenario);
      await pause(REPLACED_WITHIN_MS);
      await serves(scenario);
      expect(server.tree()).toEqual(tree);
      expect(server.log()).not.toMatch(/\[(WARNING|ERROR)\]/);
    },
    90_000,
  );
});

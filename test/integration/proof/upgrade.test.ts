/** A new Tunicorn takes over the sockets of the old one: the listener never refuses, and no request is lost. */
import { readFileSync } from 'node:fs';
import { afterEach, expect, test } from 'vitest';
import { KINDS, type Kind } from '../../support/kinds.ts';
import { isAlive } from '../../support/tunicorn.ts';
import { pause, type Scenario, startScenario, unharmed, until } from './scenario.ts';

/** Arbiters that are nobody's children any more when the old one has ended. */
const successors: number[] = [];

afterEach(async () => {
  for (const pid of successors.splice(0)) {
    if (isAlive(pid)) process.kill(pid, 'SIGTERM');
    await until(`the end of ${pid}`, () => !isAlive(pid), { timeoutMs: 35_000 });
  }
});

function pidIn(path: string): number {
  try {
    return Number(readFileSync(path, 'utf8'));
  } catch {
    return 0;
  }
}

/** Process id of the new arbiter, from the file that gunicorn names alike. */
async function successorOf(scenario: Scenario): Promise<number> {
  let pid = 0;
  await until('the pid file of the new one', () => {
    const now = pidIn(scenario.pidFile);
    pid = now !== 0 && now !== scenario.server.pid ? now : pidIn(`${scenario.pidFile}.2`);
    return pid !== 0;
  });
  successors.push(pid);
  // From now on the end of the test ends its whole tree, too.
  scenario.server.tree();
  return pid;
}

test.each(KINDS)(
  '%s workers: USR2, and TERM to the old one',
  async (kind) => {
    await using scenario = await startScenario({
      kind,
      args: ['-w', '2'],
      told: { 'import-seconds': '0.5' },
    });
    const { server } = scenario;
    const before = await server.workers();
    await using load = scenario.load({ rate: await scenario.steadyRate(), fresh: 0.5 });
    await load.answered(100);
    server.signal('SIGUSR2');
    const pid = await successorOf(scenario);
    await server.waitForLog(/(?:Ready: [\s\S]*){2}/);
    server.tree();
    server.signal('SIGTERM');
    expect(await server.exited).toEqual({ code: 0, signal: null });
    await load.answered(400);
    expect(isAlive(pid)).toBe(true);
    await until('its own pid file', () => pidIn(scenario.pidFile) === pid);
    const report = await load.stop();
    unharmed(report);
    // The new one's workers have served, too.
    expect([...report.byWorker().keys()].filter((worker) => !before.includes(worker))).toHaveLength(2);
  },
  60_000,
);

test.each(KINDS)(
  '%s workers: `tunicorn upgrade`: the old one goes by itself',
  async (kind) => {
    await using scenario = await startScenario({ kind, args: ['-w', '2'] });
    const { server } = scenario;
    await using load = scenario.load({ rate: await scenario.steadyRate(), fresh: 0.5 });
    await load.answered(100);
    const upgrade = scenario.command('upgrade');
    const pid = await successorOf(scenario);
    expect(await upgrade).toMatchObject({ code: 0 });
    expect(await server.exited).toEqual({ code: 0, signal: null });
    await load.answered(400);
    expect(isAlive(pid)).toBe(true);
    const status = await scenario.status();
    expect(status).toMatchObject({ pid, state: 'serving' });
    unharmed(await load.stop());
  },
  60_000,
);

test.each<[Kind, string]>([
  ['python', 'the command'],
  ['python', 'USR2'],
  ['node', 'USR2'],
])(
  '%s workers, an upgrade that fails (%s): the old one serves on',
  async (kind, way) => {
    await using scenario = await startScenario({ kind, args: ['-w', '2'] });
    const { server } = scenario;
    const before = await server.workers();
    await using load = scenario.load({ rate: await scenario.steadyRate(), fresh: 0.5 });
    await load.answered(100);
    // While the new one finds out, it must not take connections that it could never serve; the old one stands still for
    // a moment, so that it does not get them all by being faster.
    scenario.tell('import-seconds', '2');
    scenario.tell('broken', 'a missing comma');
    const [front = 0] = await server.fronts();
    const command = way === 'USR2' ? null : scenario.command('upgrade');
    if (command === null) server.signal('SIGUSR2');
    await until('its front', async () => (await server.fronts()).length === 2);
    await pause(500);
    process.kill(front, 'SIGSTOP');
    await pause(200);
    process.kill(front, 'SIGCONT');
    if (command !== null) expect((await command).code).not.toBe(0);
    await server.waitForLog('This deployment is broken: a missing comma');
    await until('the end of the new one', () => server.tree().length === 2 + before.length);
    await load.answered(400);
    expect(pidIn(scenario.pidFile)).toBe(server.pid);
    expect(await server.workers()).toEqual(before);
    const report = await load.stop();
    unharmed(report);
    expect([...report.byWorker().keys()].sort()).toEqual([...before].sort());
    expect((await server.stop()).code).toBe(0);
  },
  60_000,
);

/** Requests that never end, each in its own way: a clean 504 in time, the reason in the log, and a new worker. */
import { describe, expect, test } from 'vitest';
import { judge, type Load, type LoadReport, monotonicMs, type Strike } from '../../support/load.ts';
import type { Fated } from '../../support/load-connection.mjs';
import { type Scenario, startScenario, until } from './scenario.ts';

const TIMEOUT_S = 0.7;
const OFF_MS = 50;
const BACK_WITHIN_MS = 2000;
const STRIKES = 20;

interface Kind {
  readonly what: string;
  /** How many hang at the same time; one that turns in a loop takes a core from whoever measures it. */
  readonly atOnce: number;
  readonly path: string;
  /** What the log must hold of the Python stack, once for each strike. */
  readonly stack: RegExp;
}

const KINDS = {
  lock: { atOnce: 4, what: 'a lock', path: '/hang/lock', stack: /\bin lock\b/ },
  sleep: { atOnce: 4, what: 'time.sleep', path: '/hang/sleep', stack: /\bin sleep\b/ },
  loop: { atOnce: 1, what: 'a Python loop', path: '/hang/loop', stack: /\bin loop\b/ },
  regex: { atOnce: 1, what: 'a regex in C, with the GIL', path: '/hang/regex', stack: /\bin regex\b/ },
  gil: {
    atOnce: 4,
    what: 'C code that keeps the GIL and hears nothing',
    path: '/hang/gil',
    stack: /\bin hold_gil\b/,
  },
} as const satisfies Record<string, Kind>;

const countReady = ({ server }: Scenario) =>
  server.log().match(/Worker \d+ \(pid \d+\) is ready/g)?.length ?? 0;

/** The moments at which `count` further workers were ready. */
async function readyTimes(
  scenario: Scenario,
  { before, count }: { before: number; count: number },
): Promise<number[]> {
  const times: number[] = [];
  for (let ready = 1; ready <= count; ready++) {
    await until(`${ready} workers are back`, () => countReady(scenario) >= before + ready, { everyMs: 5 });
    times.push(monotonicMs());
  }
  return times;
}

/** Hangs some workers at once. @returns the requests' fates, and when as many workers had come back. */
async function strike(scenario: Scenario, { load, path, atOnce }: Kind & { load: Load }) {
  const before = countReady(scenario);
  const ready = readyTimes(scenario, { before, count: atOnce });
  const fates = await Promise.all(Array.from({ length: atOnce }, () => load.once(path)));
  return { fates, ready: await ready };
}

interface Struck {
  readonly fates: readonly Fated[];
  readonly back: readonly Strike[];
  readonly report: LoadReport;
  readonly log: string;
}

async function hang(kind: Kind): Promise<Struck> {
  // One more serves the load meanwhile.
  await using scenario = await startScenario({
    args: ['-w', String(kind.atOnce + 1), '--timeout', String(TIMEOUT_S)],
  });
  await using load = scenario.load({ rate: 40, connections: 8 });
  const fates: Fated[] = [];
  const back: Strike[] = [];
  for (let round = 0; round < STRIKES / kind.atOnce; round++) {
    const struck = await strike(scenario, { ...kind, load });
    const ends = struck.fates.map(({ doneMs }) => doneMs).sort((a, b) => a - b);
    fates.push(...struck.fates);
    back.push(
      ...struck.ready.map((toMs, i) => ({ fromMs: ends[i] ?? 0, toMs, value: toMs - (ends[i] ?? 0) })),
    );
  }
  return { fates, back, report: await load.stop(), log: scenario.server.log() };
}

function assertContained({ what, path, stack }: Kind, { fates, back, report, log }: Struck): void {
  expect(fates.map(({ status }) => status)).toEqual(fates.map(() => 504));
  expect(report.failed.filter((fated) => fated.path !== path)).toEqual([]);
  expect(report.connections).toMatchObject({ idleResets: 0, stray: 0 });
  const off = fates.map(({ sentMs, doneMs }) => ({
    fromMs: sentMs,
    toMs: doneMs,
    value: Math.abs(doneMs - sentMs - TIMEOUT_S * 1000),
  }));
  expect(judge(`504 off its deadline, ${what}`, off, { boundMs: OFF_MS, report })).toBeLessThanOrEqual(
    OFF_MS,
  );
  expect(judge(`capacity back, ${what}`, back, { boundMs: BACK_WITHIN_MS, report })).toBeLessThan(
    BACK_WITHIN_MS,
  );
  const told = log.split(/^(?=\[)/m).filter((entry) => entry.includes(`Timeout: GET ${path}`));
  expect(told).toHaveLength(fates.length);
  expect(told.filter((entry) => !stack.test(entry))).toEqual([]);
}

describe('504 at the deadline, the stack in the log, a new Python worker at once', () => {
  for (const kind of Object.values(KINDS)) {
    test(`in ${kind.what}`, async () => assertContained(kind, await hang(kind)), 60_000);
  }
});

interface NodeKind {
  readonly path: string;
  /** What the log must hold of it. */
  readonly stack: RegExp;
  /** It keeps the thread of all requests: only another worker helps. A promise that is never settled harms nobody. */
  readonly isReplaced: boolean;
}

/** What the engine does not stop for anybody. */
const BEYOND = /runs nothing that can be looked into/;

const NODE_KINDS: readonly NodeKind[] = [
  { path: '/hang/loop', stack: /\bat loop \(.*faults\.ts:\d+/, isReplaced: true },
  { path: '/hang/regex', stack: /\bat regex \(.*faults\.ts:\d+/, isReplaced: true },
  { path: '/hang/blocked', stack: BEYOND, isReplaced: true },
  {
    path: '/hang/promise',
    stack: /no code ran: it waits for a promise that is not settled/,
    isReplaced: false,
  },
  {
    path: '/hang/sleep',
    stack: /no code ran: it waits for a promise that is not settled/,
    isReplaced: false,
  },
];

test('a Node worker that hangs in each of its ways: 504 at the deadline, and another one only where it must be', async () => {
  await using scenario = await startScenario({
    kind: 'node',
    args: ['-w', '2', '--timeout', String(TIMEOUT_S)],
  });
  const { server } = scenario;
  // Quick ones, of which none has begun there when the thread is lost.
  await using load = scenario.load({ rate: 40, connections: 8, path: '/plain', posts: 0 });
  for (const { path, stack, isReplaced } of NODE_KINDS) {
    const before = await server.workers();
    const { status, sentMs, doneMs } = await load.once(path);
    expect([path, status, doneMs - sentMs < 2 * TIMEOUT_S * 1000]).toEqual([path, 504, true]);
    await server.waitForLog(new RegExp(`Timeout: GET ${path}\\?[^]*?${stack.source}`));
    await load.answered(20);
    if (isReplaced) {
      await until('the other one', async () => (await server.workers()).some((pid) => !before.includes(pid)));
    }
    await scenario.settled(2);
    const stayed = (await server.workers()).filter((pid) => before.includes(pid));
    expect([path, stayed.length]).toEqual([path, isReplaced ? 1 : 2]);
  }
  const report = await load.stop();
  expect(report.failed.filter(({ path }) => path === '/plain')).toEqual([]);
}, 60_000);

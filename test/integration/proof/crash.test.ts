/** Workers that die at the worst moment: only what nobody may run twice fails, and at once. */
import { expect, test } from 'vitest';
import { seeded } from '../../front/harness.ts';
import type { Kind } from '../../support/kinds.ts';
import { judge, monotonicMs } from '../../support/load.ts';
import type { Fated } from '../../support/load-connection.mjs';
import { pause, startScenario } from './scenario.ts';

const KILLING_MS = 30_000;
const KILL_EVERY_MS = 500;
const ANSWERED_WITHIN_MS = 10;

test('kill -9 of random workers for 30 s: a POST that ran on one gets 502 at once, nothing else fails', async () => {
  await using scenario = await startScenario({ args: ['-w', '4'] });
  const random = seeded(9);
  // Long enough that most kills find a POST which the worker has read: what it has not read, another one gets.
  const path = '/echo?s=0.02';
  await using load = scenario.load({ rate: await scenario.steadyRate(path), posts: 0.9, path });
  await load.answered(200);
  const kills: number[] = [];
  for (const end = monotonicMs() + KILLING_MS; monotonicMs() < end; ) {
    await pause(KILL_EVERY_MS);
    const workers = await scenario.server.workers();
    const victim = workers[random(workers.length)];
    if (victim === undefined) continue;
    kills.push(monotonicMs());
    process.kill(victim, 'SIGKILL');
  }
  await load.answered(200);
  const report = await load.stop();
  const posts = scenario.posts();
  console.info(`${kills.length} workers killed: ${JSON.stringify(report.fates())}.`);

  expect(Object.keys(report.fates()).sort()).toEqual(['502', 'ok']);
  expect(report.connections).toMatchObject({ idleResets: 0, stray: 0 });
  expect(report.failed.filter(({ method }) => method !== 'POST')).toEqual([]);
  // Each failure belongs to one kill, and to no other request: one lane. It was under way at that moment, or was given
  // to the worker before anybody could know that it was dead.
  const killOf = ({ doneMs }: Fated) => kills.findLast((at) => at <= doneMs) ?? Number.NaN;
  const blamed = report.failed.map(killOf);
  expect(new Set(blamed).size).toBe(blamed.length);
  const later = report.failed.map((fated) => fated.sentMs - killOf(fated));
  expect(later.filter((ms) => !(ms < ANSWERED_WITHIN_MS))).toEqual([]);
  const strikes = report.failed.map((fated) => {
    const fromMs = killOf(fated);
    return { fromMs, toMs: fated.doneMs, value: fated.doneMs - fromMs };
  });
  const bound = { boundMs: ANSWERED_WITHIN_MS, report };
  expect(judge('502 after kill -9', strikes, bound)).toBeLessThan(ANSWERED_WITHIN_MS);

  // No POST ran twice, and each that was answered did run.
  expect(new Set(posts).size).toBe(posts.length);
  const ran = new Set(posts);
  expect(report.posted.filter((nonce) => !ran.has(nonce))).toEqual([]);
  expect(report.posted.length).toBeGreaterThan(1000);
}, 90_000);

interface Faults {
  readonly kind: Kind;
  readonly path: string;
  /** How it looks in the log. */
  readonly end: RegExp;
  readonly methods: readonly string[];
  /** So many requests lie between two. */
  readonly every: number;
  /** What else is asked: in a Node worker a POST may run beside the one that kills it, and must not run twice. */
  readonly beside: { readonly path: string; readonly posts: number };
}

// That of a GET strikes twice, and others that ran beside it at both times could not be told from it.
const TWO = ['POST', 'POST'];
const SIX = ['POST', 'GET', 'POST', 'GET', 'POST', 'GET'];
const ALONE = { path: '/echo', posts: 0.2 };
const AMONG_OTHERS = { path: '/echo', posts: 0 };
const FAULTS: readonly Faults[] = [
  { kind: 'python', path: '/segv', end: /was ended by SIGSEGV/g, methods: SIX, every: 500, beside: ALONE },
  {
    kind: 'node',
    path: '/segv',
    end: /was ended by SIGSEGV/g,
    methods: TWO,
    every: 200,
    beside: AMONG_OTHERS,
  },
  {
    kind: 'node',
    path: '/crash',
    end: /ended with status 1\. /g,
    methods: TWO,
    every: 200,
    beside: AMONG_OTHERS,
  },
];

test.each(FAULTS)(
  '$kind worker, $path after every $every requests: no other request fails',
  async ({ kind, path, end, methods, every, beside }) => {
    await using scenario = await startScenario({ kind, args: ['-w', '4'] });
    await using load = scenario.load({ rate: await scenario.steadyRate(), ...beside });
    const faults: Fated[] = [];
    for (const method of methods) {
      await load.answered(every);
      faults.push(await load.once(path, method));
    }
    await load.answered(every);
    const report = await load.stop();
    // A GET was tried once more, and killed a second worker.
    const kills = methods.length + methods.filter((method) => method === 'GET').length;
    expect(faults.map(({ status }) => status)).toEqual(faults.map(() => 502));
    expect(scenario.server.log().match(end)).toHaveLength(kills);
    expect(report.failed.filter((fated) => fated.path !== path)).toEqual([]);
    expect(report.failed).toHaveLength(faults.length);
    expect(report.connections).toMatchObject({ idleResets: 0, stray: 0 });
    expect(report.ok).toBeGreaterThanOrEqual(every * (methods.length + 1));
  },
  60_000,
);

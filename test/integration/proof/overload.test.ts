/**
 * Four times what the workers can bear, each request on a connection of its own, from clients that give up after a second:
 * those who are served are still there, and the others are told at once.
 */
import { expect, test } from 'vitest';
import type { Kind } from '../../support/kinds.ts';
import { type LoadReport, monotonicMs } from '../../support/load.ts';
import { type Scenario, startScenario } from './scenario.ts';

const PATH = '/echo?s=0.03';
const TIMES = 4;
const PATIENCE_MS = 1000;
/** Until it is as it will remain, and how long it is watched. */
const BEFORE_S = 2;
const WATCHED_S = 5;
/** Of what the workers can bear, so much is answered while its client is still there. */
const USEFUL = 0.9;
/** The goal is 5 ms; this machine may be busy with others. */
const TOLD_WITHIN_MS = 50;
/** It may also bear less while it is watched than while its capacity was measured. */
const TRIES = 3;

interface Case {
  readonly kind: Kind;
  readonly args: readonly string[];
  /** Milliseconds after which a request is refused. */
  readonly after: number;
}

interface Outcome {
  /** Answers to clients that were still there, as a share of what can be borne. */
  readonly useful: number;
  /** How late a 503 is, in milliseconds (median). */
  readonly lateMs: number;
}

/** Requests a second that the workers bear: each of a few connections asks again as soon as it is answered. */
async function capacityOf(scenario: Scenario): Promise<number> {
  await using load = scenario.load({ rate: null, connections: 6, path: PATH });
  await load.answered(20);
  const fromMs = monotonicMs();
  await load.answered(150);
  const toMs = monotonicMs();
  return ((await load.stop()).okBetween(fromMs, toMs) * 1000) / (toMs - fromMs);
}

async function attempt({ kind, args, after }: Case): Promise<Outcome> {
  await using scenario = await startScenario({ kind, args: ['-w', '2', '--threads', '1', ...args] });
  const capacity = await capacityOf(scenario);
  const rate = Math.round(TIMES * capacity);
  await using load = scenario.load({ rate, fresh: 1, posts: 0, patienceMs: PATIENCE_MS, path: PATH });
  await load.answered(BEFORE_S * rate);
  const fromMs = monotonicMs();
  await load.answered(WATCHED_S * rate, 60_000);
  const toMs = monotonicMs();
  const report = await load.stop();
  const useful = report.okBetween(fromMs, toMs) / ((capacity * (toMs - fromMs)) / 1000);
  console.info(
    `${Math.round(capacity)} requests a second can be borne, ${rate} come, ${JSON.stringify(report.fates())}: useful ` +
      `answers are ${useful.toFixed(2)} of what can be borne; a bare timer is late by ${report.timerMs(0.5).toFixed(1)} ms ` +
      `(median), ${report.timerMs(0.99).toFixed(1)} ms (99 %).`,
  );
  return { useful, lateMs: judgeRefusals(report, { after, fromMs }) };
}

/** Nothing goes wrong but what must. @returns by how much the 503 of the settled load are late, in milliseconds (median) */
function judgeRefusals(report: LoadReport, { after, fromMs }: { after: number; fromMs: number }): number {
  expect(Object.keys(report.fates()).filter((fate) => !['ok', '503', 'silent'].includes(fate))).toEqual([]);
  expect(report.unsent).toBe(0);
  const refused = report.failed.filter(({ status }) => status === 503);
  expect(refused.filter(({ retryAfter }) => retryAfter !== '1')).toEqual([]);
  const late = refused
    .filter(({ sentMs }) => sentMs > fromMs)
    .map(({ sentMs, doneMs }) => doneMs - sentMs - after)
    .sort((a, b) => a - b);
  const at = (share: number) => late[Math.floor(late.length * share)] ?? Number.POSITIVE_INFINITY;
  console.info(
    `${late.length} times 503, after ${after} ms and ${at(0.5).toFixed(1)} ms (median), ${at(0.99).toFixed(1)} ms (99 %).`,
  );
  return at(0.5);
}

test.each<Case & { readonly what: string }>([
  { kind: 'python', what: 'clients that give up', args: [], after: 500 },
  { kind: 'python', what: 'a full queue', args: ['--queue-size', '10'], after: 0 },
  { kind: 'python', what: 'a short --queue-timeout', args: ['--queue-timeout', '0.5'], after: 500 },
  { kind: 'node', what: 'clients that give up', args: [], after: 500 },
])(
  '$kind workers, $what: useful answers stay at 0.9 of what can be borne, and 503 comes in time',
  async (given) => {
    const isWell = ({ useful, lateMs }: Outcome) => useful >= USEFUL && lateMs < TOLD_WITHIN_MS;
    const outcomes: Outcome[] = [];
    while (outcomes.length < TRIES && !outcomes.some(isWell)) outcomes.push(await attempt(given));
    expect(outcomes.filter(isWell), JSON.stringify(outcomes)).toHaveLength(1);
  },
  120_000,
);

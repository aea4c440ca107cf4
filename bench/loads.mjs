/** What each kind of load does with a server that is ready. */

import { mulberry32 } from '../test/support/random.mjs';
import { closedLoop, slowestShare } from './load/closed.mjs';
import { openIdle, openSlow } from './load/crowd.mjs';
import { openLoop } from './load/open.mjs';
import { measure, verify } from './load/wrk.mjs';
import { memoryOf, residentOf, titleOf } from './processes.mjs';

const SLOW_PART = 0.02;
const SATURATING_CLIENTS = 64;
const SETTLE_MS = 500;
/** Two of the servers compile their code while they serve, and none serves for a second only. */
const WARM_UP_SECONDS = 2;
const MIB = 1024 * 1024;

/**
 * @typedef {{ bytes: Buffer, expected: Buffer }} Question
 * @typedef {{ requests: number, rate: number, p50Ms: number, p99Ms: number }} Times
 * @typedef {{ server: import('./server.mjs').Server, workload: import('./workloads.mjs').Workload, seconds: number,
 *   wrk: import('./load/wrk.mjs').Load & { answerBytes: number }, question: Question, slowQuestion: Question,
 *   shared: { mixedRate?: number }, round: number, metered: <T>(act: () => Promise<T>) => Promise<T> }} Run
 *   `shared`: the same object for all servers of a workload; `metered`: CPU and memory are taken while it runs.
 */

export const LOADS = {
  /** @param {Run} run */
  async wrk(run) {
    await warmUp(run);
    return run.metered(() => measure(run.wrk));
  },

  /** As `wrk`, and then who is served. @param {Run} run */
  async fair(run) {
    const times = await LOADS.wrk(run);
    const next = () => run.question;
    const { counts } = await closedLoop({ ...target(run), clients: run.workload.connections, next });
    return { ...times, slowestShare: slowestShare(counts) };
  },

  /** Half the rate at which Tunicorn saturates, for every server. @param {Run} run */
  async mixed(run) {
    const next = mixture(run);
    await closedLoop({ ...target(run), seconds: 1, clients: 8, next });
    run.shared.mixedRate ??=
      (await closedLoop({ ...target(run), clients: SATURATING_CLIENTS, next })).rate / 2;
    const ratePerSecond = run.shared.mixedRate;
    const load = { ...target(run), ratePerSecond, random: mulberry32(run.round + 1), next };
    const { fastMs, requests } = await run.metered(() => openLoop(load));
    return { requests, rate: ratePerSecond, p50Ms: quantile(fastMs, 0.5), p99Ms: quantile(fastMs, 0.99) };
  },

  /** @param {Run} run */
  async idle(run) {
    await settle();
    const frontRestMib = frontOf(run);
    await warmUp(run);
    await settle();
    const before = memoryOf(run.server.pids);
    const count = run.workload.crowd ?? 0;
    const crowd = await openIdle({ ...target(run), count, ...run.question });
    try {
      await settle();
      const perConnectionKib = (memoryOf(run.server.pids) - before) / 1024 / count;
      const times = await run.metered(() => measure(run.wrk));
      return { ...times, perConnectionKib, stillOpen: crowd.countOpen(), ...frontRestMib };
    } finally {
      crowd.end();
    }
  },

  /** @param {Run} run */
  async slow(run) {
    await warmUp(run);
    const without = await measure(run.wrk);
    const crowd = openSlow({ ...target(run), count: run.workload.crowd ?? 0 });
    try {
      await settle();
      const times = await run.metered(() => measure(run.wrk));
      return { ...times, kept: times.rate / without.rate };
    } finally {
      crowd.end();
    }
  },
};

function target({ server, seconds }) {
  return { port: server.port, seconds };
}

/** Every answer of the warm-up is compared, byte by byte. */
function warmUp({ wrk }) {
  return verify({ ...wrk, seconds: WARM_UP_SECONDS });
}

function mixture({ question, slowQuestion, round }) {
  const random = mulberry32(1000 + round);
  return () => {
    const isSlow = random() < SLOW_PART;
    return { ...(isSlow ? slowQuestion : question), isSlow };
  };
}

/** Where a front is a process of its own. */
function frontOf({ server }) {
  const front = server.pids.find((pid) => /^tunicorn: front/.test(titleOf(pid)));
  return front === undefined ? {} : { frontRestMib: residentOf(front) / MIB };
}

function settle() {
  return new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
}

/** @param {number[]} values @param {number} q from 0 to 1 */
export function quantile(values, q) {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN;
}

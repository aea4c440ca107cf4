/** Gathers what the arbiter, its fronts and /proc know into one {@link Status}. */
import type { FrontReport, PeerReport } from '../messages.ts';
import type { FrontStatus, MountStatus, ServerState, Status, Totals, WorkerStatus } from '../status.ts';
import { VERSION } from '../version.ts';
import type { Arbiter } from './arbiter.ts';
import { examine } from './checkup.ts';
import type { FrontState, Pool, WorkerState } from './state.ts';
import { isDegraded } from './state.ts';

/** A front that takes longer is shown without its figures. */
const PATIENCE_MS = 500;

export async function survey(arbiter: Arbiter, listen: readonly string[]): Promise<Status> {
  const { state, fleet } = arbiter;
  const fronts = await Promise.all(state.fronts.map((front) => surveyFront(arbiter, front)));
  const reports = fronts.flatMap(({ report }) => (report === null ? [] : [report]));
  const peers = new Map(
    reports.flatMap(({ mounts }) =>
      mounts.flatMap(({ workers }) => workers.map((peer) => [peer.worker, peer] as const)),
    ),
  );
  const now = arbiter.now();
  const { setups } = arbiter;
  const mounts = state.pools.map((pool) => surveyMount(arbiter, pool, reports));
  return {
    version: VERSION,
    pid: process.pid,
    app: mounts.map(({ app }) => app).join(', '),
    folder: fleet.settings.chdir,
    listen,
    state: nameState(arbiter, state.pools),
    uptime: performance.now() / 1000,
    generation: Math.max(...mounts.map(({ generation }) => generation)),
    target: sum(mounts.map(({ target }) => target)),
    min: sum(mounts.map(({ min }) => min)),
    max: sum(mounts.map(({ max }) => max)),
    mounts,
    workers: [...state.workers.values()].map((worker) =>
      surveyWorker(worker, {
        mount: setups[worker.pool]?.prefix ?? '',
        pid: fleet.named(worker.id).pid,
        peer: peers.get(worker.id),
        now,
      }),
    ),
    fronts,
    queue: {
      waiting: sum(mounts.map(({ queue }) => queue.waiting)),
      oldest: Math.max(...mounts.map(({ queue }) => queue.oldest)),
    },
    totals: addTotals([...mounts.map(({ totals }) => totals), ...reports.map(frontTotals)]),
  };
}

function surveyMount(arbiter: Arbiter, pool: Pool, fronts: readonly FrontReport[]): MountStatus {
  const { index, generation, target, min, max } = pool;
  const { prefix, settings } = arbiter.setup(index);
  const reports = fronts.flatMap(({ mounts }) => mounts[index] ?? []);
  const statuses = addCounts(reports.map((report) => report.statuses));
  return {
    prefix,
    app: arbiter.app(index) || settings.app,
    state: nameState(arbiter, [pool]),
    generation,
    target,
    min,
    max,
    queue: {
      waiting: sum(reports.map((report) => report.waiting)),
      oldest: Math.max(0, ...reports.map((report) => report.oldestMs)) / 1000,
    },
    totals: {
      statuses,
      requests: sum(Object.values(statuses)),
      retried: sum(reports.map((report) => report.retried)),
      restarts: Object.fromEntries(arbiter.restarts(index)),
    },
  };
}

/** Of requests that belong to no application. */
function frontTotals({ statuses }: FrontReport): Totals {
  return { statuses, requests: sum(Object.values(statuses)), retried: 0, restarts: {} };
}

function addTotals(all: readonly Totals[]): Totals {
  return {
    statuses: addCounts(all.map(({ statuses }) => statuses)),
    requests: sum(all.map(({ requests }) => requests)),
    retried: sum(all.map(({ retried }) => retried)),
    restarts: addCounts(all.map(({ restarts }) => restarts)),
  };
}

async function surveyFront({ fleet, inquiries }: Arbiter, front: FrontState): Promise<FrontStatus> {
  const { slot, phase } = front;
  const pid = fleet.frontPid(slot);
  const answers = phase === 'listening' || phase === 'stopping';
  const report = answers ? await inquiries.report(slot, PATIENCE_MS) : null;
  const vitals = examine(pid);
  return { slot, pid, state: phase, rss: vitals?.rss ?? null, cpu: vitals?.cpu ?? null, report };
}

interface Seen {
  readonly mount: string;
  readonly pid: number;
  readonly peer: PeerReport | undefined;
  readonly now: number;
}

function surveyWorker(worker: WorkerState, { mount, pid, peer, now }: Seen): WorkerStatus {
  const vitals = examine(pid);
  return {
    id: worker.id,
    mount,
    pid,
    generation: worker.generation,
    state: worker.phase,
    age: (now - worker.spawnedAt) / 1000,
    requests: peer?.requests ?? 0,
    rss: vitals?.rss ?? null,
    cpu: vitals?.cpu ?? null,
    lanes: peer?.lanes ?? [],
  };
}

function nameState({ state, serving }: Arbiter, pools: readonly Pool[]): ServerState {
  if (state.stop !== null) return 'stopping';
  if (state.parked) return 'parked';
  if (!serving) return 'starting';
  if (pools.some(({ reload }) => reload !== null)) return 'reloading';
  return pools.some(isDegraded) ? 'degraded' : 'serving';
}

function addCounts(all: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const each of all) {
    for (const [name, count] of Object.entries(each)) counts[name] = (counts[name] ?? 0) + count;
  }
  return counts;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

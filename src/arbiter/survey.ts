/** Gathers what the arbiter, its fronts and /proc know into one {@link Status}. */
import type { FrontReport, PeerReport } from '../messages.ts';
import type { FrontStatus, ServerState, Status, WorkerStatus } from '../status.ts';
import { VERSION } from '../version.ts';
import type { Arbiter } from './arbiter.ts';
import { examine } from './checkup.ts';
import type { FrontState, State, WorkerState } from './state.ts';
import { isDegraded } from './state.ts';

/** A front that takes longer is shown without its figures. */
const PATIENCE_MS = 500;

export async function survey(arbiter: Arbiter, listen: readonly string[]): Promise<Status> {
  const { state, fleet, restarts } = arbiter;
  const fronts = await Promise.all(state.fronts.map((front) => surveyFront(arbiter, front)));
  const reports = fronts.flatMap(({ report }) => (report === null ? [] : [report]));
  const peers = new Map(
    reports.flatMap(({ workers }) => workers.map((peer) => [peer.worker, peer] as const)),
  );
  const now = arbiter.now();
  const statuses = sumStatuses(reports);
  const { settings } = fleet.setup(state.generation);
  return {
    version: VERSION,
    pid: process.pid,
    app: arbiter.app || settings.app,
    folder: settings.chdir,
    listen,
    state: nameState(state, arbiter.serving),
    uptime: performance.now() / 1000,
    generation: state.generation,
    target: state.target,
    min: state.min,
    max: state.max,
    workers: [...state.workers.values()].map((worker) =>
      surveyWorker(worker, { pid: fleet.named(worker.id).pid, peer: peers.get(worker.id), now }),
    ),
    fronts,
    queue: {
      waiting: sum(reports.map((report) => report.waiting)),
      oldest: Math.max(0, ...reports.map((report) => report.oldestMs)) / 1000,
    },
    totals: {
      statuses,
      requests: sum(Object.values(statuses)),
      retried: sum(reports.map((report) => report.retried)),
      restarts: Object.fromEntries(restarts),
    },
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
  readonly pid: number;
  readonly peer: PeerReport | undefined;
  readonly now: number;
}

function surveyWorker(worker: WorkerState, { pid, peer, now }: Seen): WorkerStatus {
  const vitals = examine(pid);
  return {
    id: worker.id,
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

function nameState(state: State, serving: boolean): ServerState {
  if (state.stop !== null) return 'stopping';
  if (state.parked) return 'parked';
  if (!serving) return 'starting';
  if (state.reload !== null) return 'reloading';
  return isDegraded(state) ? 'degraded' : 'serving';
}

function sumStatuses(reports: readonly FrontReport[]): Record<string, number> {
  const statuses: Record<string, number> = {};
  for (const report of reports) {
    for (const [status, count] of Object.entries(report.statuses)) {
      statuses[status] = (statuses[status] ?? 0) + count;
    }
  }
  return statuses;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

/** Workers and zygotes in the arbiter's mind: how they are entered, moved from one phase to the next, and forgotten. */
import type { Cause } from '../messages.ts';
import type { Action } from './plan.ts';
import { type Group, isOld, type Retry, type State, type WorkerState } from './state.ts';

/** A child that stayed ready for so long was no part of a crash loop. */
export const SETTLE_MS = 1000;
/** What a worker over its boot timeout gets, so that its stack can be had before it is killed. */
export const AUTOPSY_MS = 1000;
const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 30_000;

/** Delay before the try after the `failures`-th failure in a row, in milliseconds: 0.1 s doubling to 30 s. */
export function retryDelay(failures: number): number {
  return failures < 1 ? 0 : Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** (failures - 1));
}

/** What a checkup saw of a worker. `rss` in bytes. */
export interface Seen {
  readonly worker: number;
  readonly stopped: boolean;
  readonly rss: number;
}

export function addWorker(
  state: State,
  change: Extract<Action, { type: 'spawn-worker' }>,
  now: number,
): void {
  const worker: WorkerState = {
    id: change.worker,
    front: change.front,
    generation: change.generation,
    spawnedAt: now,
    phase: 'booting',
    readyAt: Number.POSITIVE_INFINITY,
    detachedAt: Number.POSITIVE_INFINITY,
    worn: null,
    cause: null,
    told: false,
    stuck: false,
    killAt: Number.POSITIVE_INFINITY,
    killed: false,
  };
  state.nextWorker = Math.max(state.nextWorker, worker.id + 1);
  state.population.set(worker.generation, (state.population.get(worker.generation) ?? 0) + 1);
  file(state, worker);
}

export function welcome(state: State, id: number, now: number): void {
  const worker = state.workers.get(id);
  if (worker === undefined) return;
  // A worker that is to leave came back from a dead front: the new one has to hear of it too.
  if (worker.phase === 'leaving') return setWorker(state, id, { told: false });
  if (worker.readyAt === Number.POSITIVE_INFINITY) state.settling.set(id, now + SETTLE_MS);
  setWorker(state, id, { phase: 'ready', readyAt: Math.min(worker.readyAt, now) });
  const { reload } = state;
  if (reload !== null && worker.generation === state.generation) state.reload = { ...reload, proven: true };
}

export function detach(state: State, worker: WorkerState | undefined, now: number): void {
  if (worker?.phase === 'ready') setWorker(state, worker.id, { phase: 'detached', detachedAt: now });
}

export function wear(state: State, id: number, cause: Cause): void {
  const worker = state.workers.get(id);
  if (worker?.phase !== 'leaving' && worker?.worn === null) setWorker(state, id, { worn: cause });
}

export function see(state: State, seen: Seen, now: number): void {
  const worker = state.workers.get(seen.worker);
  if (worker === undefined) return;
  if (!seen.stopped || worker.phase === 'leaving') state.suspended.delete(worker.id);
  else if (!state.suspended.has(worker.id)) state.suspended.set(worker.id, now);
  if (seen.rss > state.limits.maxMemory && worker.phase === 'ready') wear(state, worker.id, 'max-memory');
}

/** One that was never ready has no request to finish. */
export function retire(state: State, change: Extract<Action, { type: 'retire-worker' }>, now: number): void {
  const isServing = state.workers.get(change.worker)?.readyAt !== Number.POSITIVE_INFINITY;
  leave(state, change.worker, {
    killAt: now + (isServing ? state.limits.graceMs : 0),
    cause: change.cause,
  });
}

export function expire(state: State, id: number, now: number): void {
  // Nobody has to be told: no front knows it. It counts as failed when it is gone.
  leave(state, id, { killAt: now + AUTOPSY_MS, told: true, cause: 'boot-timeout' });
}

export function leave(state: State, id: number, parts: Partial<WorkerState>): void {
  const worker = state.workers.get(id);
  if (worker === undefined) return;
  const killAt = Math.min(worker.killAt, parts.killAt ?? Number.POSITIVE_INFINITY);
  const cause = worker.cause ?? parts.cause ?? null;
  setWorker(state, id, { ...parts, phase: 'leaving', killAt, cause });
  if (killAt !== worker.killAt) state.kills.push({ at: killAt, worker: id });
  prune(state);
}

/** Keeps a kill that is still to be done at the head of the queue. */
function prune(state: State): void {
  for (let next = state.kills.peek(); next !== undefined; next = state.kills.peek()) {
    const worker = state.workers.get(next.worker);
    if (worker !== undefined && !worker.killed && worker.killAt === next.at) return;
    state.kills.pop();
  }
}

export function loseWorker(state: State, id: number, now: number): void {
  const worker = state.workers.get(id);
  if (worker === undefined) return;
  unfile(state, worker);
  state.population.set(worker.generation, (state.population.get(worker.generation) ?? 1) - 1);
  prune(state);
  const unsettled = state.settling.delete(id);
  if (worker.phase === 'leaving' && worker.cause !== 'boot-timeout') return;
  const wasReady = worker.readyAt !== Number.POSITIVE_INFINITY;
  if (!wasReady) fail(state, worker, now);
  else if (unsettled) countTogether(state, worker.spawnedAt, { now, forgiven: 1 });
}

/** A worker that was never ready: its code may be broken. */
function fail(state: State, worker: { spawnedAt: number; generation: number }, now: number): void {
  const { reload } = state;
  if (reload !== null && !reload.proven && worker.generation === state.generation) {
    // Said of the new code alone: the old generation is no part of a crash loop.
    state.reload = { ...reload, failed: true };
  } else countTogether(state, worker.spawnedAt, { now, forgiven: 0 });
}

/** Those spawned together fail together: that is one failure, or a fleet would reach the longest delay at once. */
function countTogether(
  state: State,
  spawnedAt: number,
  { now, forgiven }: { now: number; forgiven: number },
): void {
  if (spawnedAt >= state.retry.failedAt) state.retry = countFailure(state.retry, now, forgiven);
}

/** `forgiven` failures cost no delay: a worker that was ready is replaced at once the first time. */
export function countFailure(retry: Retry, now: number, forgiven: number): Retry {
  const failures = retry.failures + 1;
  return { failures, failedAt: now, notBefore: now + retryDelay(failures - forgiven) };
}

export function setWorker(state: State, id: number, parts: Partial<WorkerState>): void {
  const before = state.workers.get(id);
  if (before !== undefined) file(state, { ...before, ...parts });
}

/** Keeps the collections, so that no plan has to look at every worker. What stays in one keeps its place, by age. */
export function file(state: State, worker: WorkerState): void {
  const { id, phase } = worker;
  const leaving = phase === 'leaving';
  state.workers.set(id, worker);
  toggle(state.booting, id, phase === 'booting');
  toggle(state.detached, id, phase === 'detached');
  toggle(state.leaving, id, leaving);
  toggle(state.untold, id, leaving && !worker.told && !worker.killed);
  if (leaving) state.suspended.delete(id);
  const front = state.fronts[worker.front];
  if (front === undefined) return;
  const old = isOld(state, worker);
  group(front.fresh, worker, !leaving && !old);
  group(front.old, worker, !leaving && old);
}

function group({ all, unready }: Group, worker: WorkerState, belongs: boolean): void {
  if (belongs) all.set(worker.id, worker);
  else all.delete(worker.id);
  toggle(unready, worker.id, belongs && worker.phase !== 'ready');
}

function toggle(set: Set<number>, id: number, belongs: boolean): void {
  if (belongs) set.add(id);
  else set.delete(id);
}

function unfile(state: State, { id, front }: WorkerState): void {
  state.workers.delete(id);
  for (const set of [state.leaving, state.untold, state.booting, state.detached, state.suspended])
    set.delete(id);
  const slot = state.fronts[front];
  for (const { all, unready } of slot === undefined ? [] : [slot.fresh, slot.old]) {
    all.delete(id);
    unready.delete(id);
  }
}

// Zygotes

type ZygoteParts = Partial<Omit<NonNullable<ReturnType<State['zygotes']['get']>>, 'generation'>>;

export function setZygote(state: State, generation: number, parts: ZygoteParts): void {
  const before = state.zygotes.get(generation);
  if (before === undefined && parts.spawnedAt === undefined) return;
  const fresh = { generation, phase: 'booting', spawnedAt: 0, killed: false } as const;
  state.zygotes.set(generation, { ...(before ?? fresh), ...parts });
}

export function loseZygote(state: State, generation: number, now: number): void {
  const zygote = state.zygotes.get(generation);
  if (zygote === undefined) return;
  state.zygotes.delete(generation);
  if (zygote.phase === 'booting') fail(state, zygote, now);
  else if (zygote.phase === 'ready') countTogether(state, zygote.spawnedAt, { now, forgiven: 1 });
}

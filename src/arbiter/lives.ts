/** Workers and zygotes in the arbiter's mind: how they are entered, moved from one phase to the next, and forgotten. */
import type { WorkerRange } from '../config/values.ts';
import type { Cause } from '../messages.ts';
import type { Action } from './plan.ts';
import { isOld, limitsFor, type Retry, type State, type WorkerPhase, type WorkerState } from './state.ts';

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
    stuck: false,
    killAt: Number.POSITIVE_INFINITY,
    killed: false,
  };
  state.nextWorker = Math.max(state.nextWorker, worker.id + 1);
  state.population.set(worker.generation, (state.population.get(worker.generation) ?? 0) + 1);
  state.workers.set(worker.id, worker);
  file(state, worker, null);
}

export function welcome(state: State, id: number, now: number): void {
  const worker = state.workers.get(id);
  if (worker === undefined) return;
  // A worker that is to leave came back from a dead front: the new one has to hear of it too.
  if (worker.phase === 'leaving') {
    if (!worker.killed) state.untold.add(id);
    return;
  }
  if (worker.readyAt === Number.POSITIVE_INFINITY) state.settling.set(id, now + SETTLE_MS);
  setWorker(state, id, { phase: 'ready', readyAt: Math.min(worker.readyAt, now) });
  if (worker.generation === state.generation) prove(state);
}

/** The new code serves: what its configuration says of the server holds from now on. */
function prove(state: State): void {
  const { reload } = state;
  if (reload === null || reload.proven) return;
  state.reload = { ...reload, proven: true, range: null };
  if (reload.range === null) return;
  const { min, max } = reload.range;
  rescale(state, reload.range, min === max ? min : state.target);
}

export function rescale(state: State, { min, max }: WorkerRange, target: number): void {
  state.min = min;
  state.max = max;
  state.target = Math.min(max, Math.max(min, target));
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
  const { maxMemory } = limitsFor(state, worker.generation);
  if (seen.rss > maxMemory && worker.phase === 'ready') wear(state, worker.id, 'max-memory');
}

/** One that was never ready has no request to finish. */
export function retire(state: State, change: Extract<Action, { type: 'retire-worker' }>, now: number): void {
  const worker = state.workers.get(change.worker);
  if (worker === undefined) return;
  const isServing = worker.readyAt !== Number.POSITIVE_INFINITY;
  leave(state, change.worker, {
    killAt: now + (isServing ? limitsFor(state, worker.generation).graceMs : 0),
    cause: change.cause,
  });
}

export function expire(state: State, id: number, now: number): void {
  // Nobody has to be told: no front knows it. It counts as failed when it is gone.
  leave(state, id, { killAt: now + AUTOPSY_MS, told: true, cause: 'boot-timeout' });
}

export interface Leave {
  readonly killAt?: number;
  readonly cause?: Cause;
  readonly stuck?: boolean;
  /** Its front knows, or has nothing to know: it is not asked to drain it. */
  readonly told?: boolean;
  readonly killed?: boolean;
}

/** Written out field by field: with `Object.assign` it takes four times as long, and a large fleet may shrink at once. */
export function leave(state: State, id: number, parts: Leave): void {
  const worker: Mutable | undefined = state.workers.get(id);
  if (worker === undefined) return;
  const was = worker.phase;
  const killAt = Math.min(worker.killAt, parts.killAt ?? Number.POSITIVE_INFINITY);
  if (killAt !== worker.killAt) state.kills.push({ at: killAt, worker: id });
  worker.phase = 'leaving';
  worker.killAt = killAt;
  worker.cause ??= parts.cause ?? null;
  worker.stuck ||= parts.stuck ?? false;
  worker.killed ||= parts.killed ?? false;
  if (parts.told || parts.killed) state.untold.delete(id);
  else if (was !== 'leaving') state.untold.add(id);
  file(state, worker, was);
  if (worker.killed) prune(state);
}

/** Keeps a kill that is still to be done at the head of the queue: called when one has been done, or has no need any more. */
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

type Mutable = { -readonly [K in keyof WorkerState]: WorkerState[K] };

/** Changes it in place: with a copy for each change the garbage of a large fleet costs more than all the rest. */
function setWorker(state: State, id: number, parts: Partial<WorkerState>): void {
  const worker: Mutable | undefined = state.workers.get(id);
  if (worker === undefined) return;
  const was = worker.phase;
  file(state, Object.assign(worker, parts), was);
}

/** Keeps the collections, so that no plan has to look at every worker. What stays in one keeps its place, by age. */
export function file(state: State, worker: WorkerState, was: WorkerPhase | null = worker.phase): void {
  const { id, phase } = worker;
  if (was !== phase) {
    if (was !== null) byPhase(state, was)?.delete(id);
    byPhase(state, phase)?.add(id);
  }
  if (phase !== 'leaving') regroup(state, worker);
  else if (was !== 'leaving') ungroup(state, worker, was);
}

function byPhase(state: State, phase: WorkerPhase): Set<number> | null {
  return phase === 'booting' || phase === 'detached' ? state[phase] : null;
}

function regroup(state: State, worker: WorkerState): void {
  const front = state.fronts[worker.front];
  if (front === undefined) return;
  const old = isOld(state, worker);
  const [mine, other] = old ? [front.old, front.fresh] : [front.fresh, front.old];
  mine.all.set(worker.id, worker);
  toggle(mine.unready, worker.id, worker.phase !== 'ready');
  other.all.delete(worker.id);
  other.unready.delete(worker.id);
}

/** Only from where it can be: in a large fleet each look into another table is a cache miss. */
function ungroup(state: State, worker: WorkerState, was: WorkerPhase | null): void {
  const { id } = worker;
  if (state.suspended.size > 0) state.suspended.delete(id);
  const front = state.fronts[worker.front];
  const group = isOld(state, worker) ? front?.old : front?.fresh;
  group?.all.delete(id);
  if (was !== 'ready') group?.unready.delete(id);
}

function toggle(set: Set<number>, id: number, belongs: boolean): void {
  if (belongs) set.add(id);
  else set.delete(id);
}

function unfile(state: State, worker: WorkerState): void {
  const { id, phase } = worker;
  state.workers.delete(id);
  byPhase(state, phase)?.delete(id);
  if (phase === 'leaving') state.untold.delete(id);
  else ungroup(state, worker, phase);
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

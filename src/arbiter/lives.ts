/** Workers and zygotes in the arbiter's mind: how they are entered, moved from one phase to the next, and forgotten. */
import type { WorkerRange } from '../config/values.ts';
import type { Cause } from '../messages.ts';
import type { Action } from './plan.ts';
import {
  isOld,
  limitsFor,
  type Pool,
  poolAt,
  type Retry,
  type State,
  type WorkerPhase,
  type WorkerState,
} from './state.ts';

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
    pool: change.pool,
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
  const { population } = poolAt(state, worker.pool);
  state.nextWorker = Math.max(state.nextWorker, worker.id + 1);
  population.set(worker.generation, (population.get(worker.generation) ?? 0) + 1);
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
  const pool = poolAt(state, worker.pool);
  if (worker.readyAt === Number.POSITIVE_INFINITY) pool.settling.set(id, now + SETTLE_MS);
  setWorker(state, id, { phase: 'ready', readyAt: Math.min(worker.readyAt, now) });
  if (worker.generation === pool.generation) prove(pool);
}

/** The new code serves: what its configuration says holds from now on. */
function prove(pool: Pool): void {
  const { reload } = pool;
  if (reload === null || reload.proven) return;
  pool.reload = { ...reload, proven: true, range: null };
  if (reload.range === null) return;
  const { min, max } = reload.range;
  rescale(pool, reload.range, min === max ? min : pool.target);
}

export function rescale(pool: Pool, { min, max }: WorkerRange, target: number): void {
  pool.min = min;
  pool.max = max;
  pool.target = Math.min(max, Math.max(min, target));
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
  const { maxMemory } = limitsFor(poolAt(state, worker.pool), worker.generation);
  if (seen.rss > maxMemory && worker.phase === 'ready') wear(state, worker.id, 'max-memory');
}

export function retire(state: State, change: Extract<Action, { type: 'retire-worker' }>, now: number): void {
  const worker = state.workers.get(change.worker);
  if (worker === undefined) return;
  leave(state, change.worker, { killAt: now + graceOf(state, worker), cause: change.cause });
}

/** What it may still take. One that was never ready has no request to finish. */
export function graceOf(state: State, { readyAt, pool, generation }: WorkerState): number {
  return readyAt === Number.POSITIVE_INFINITY ? 0 : limitsFor(poolAt(state, pool), generation).graceMs;
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
  const pool = poolAt(state, worker.pool);
  unfile(state, worker);
  pool.population.set(worker.generation, (pool.population.get(worker.generation) ?? 1) - 1);
  prune(state);
  const unsettled = pool.settling.delete(id);
  if (worker.phase === 'leaving' && worker.cause !== 'boot-timeout') return;
  const wasReady = worker.readyAt !== Number.POSITIVE_INFINITY;
  if (!wasReady) fail(pool, worker, now);
  else if (unsettled) countTogether(pool, worker.spawnedAt, { now, forgiven: 1 });
}

/** A worker that was never ready: its code may be broken. */
function fail(pool: Pool, worker: { spawnedAt: number; generation: number }, now: number): void {
  const { reload } = pool;
  if (reload !== null && !reload.proven && worker.generation === pool.generation) {
    // Said of the new code alone: the old generation is no part of a crash loop.
    pool.reload = { ...reload, failed: true };
  } else countTogether(pool, worker.spawnedAt, { now, forgiven: 0 });
}

/** Those spawned together fail together: that is one failure, or a fleet would reach the longest delay at once. */
function countTogether(
  pool: Pool,
  spawnedAt: number,
  { now, forgiven }: { now: number; forgiven: number },
): void {
  if (spawnedAt >= pool.retry.failedAt) pool.retry = countFailure(pool.retry, now, forgiven);
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
  const pool = poolAt(state, worker.pool);
  if (was !== phase) {
    if (was !== null) byPhase(state, pool, was)?.delete(id);
    byPhase(state, pool, phase)?.add(id);
  }
  if (phase !== 'leaving') regroup(pool, worker);
  else if (was !== 'leaving') ungroup(state, worker, was);
}

function byPhase({ detached }: State, { booting }: Pool, phase: WorkerPhase): Set<number> | null {
  if (phase === 'booting') return booting;
  return phase === 'detached' ? detached : null;
}

function regroup(pool: Pool, worker: WorkerState): void {
  const team = pool.teams[worker.front];
  if (team === undefined) return;
  const [mine, other] = isOld(pool, worker) ? [team.old, team.fresh] : [team.fresh, team.old];
  mine.all.set(worker.id, worker);
  toggle(mine.unready, worker.id, worker.phase !== 'ready');
  other.all.delete(worker.id);
  other.unready.delete(worker.id);
}

/** Only from where it can be: in a large fleet each look into another table is a cache miss. */
function ungroup(state: State, worker: WorkerState, was: WorkerPhase | null): void {
  const { id } = worker;
  if (state.suspended.size > 0) state.suspended.delete(id);
  const pool = poolAt(state, worker.pool);
  const team = pool.teams[worker.front];
  const group = isOld(pool, worker) ? team?.old : team?.fresh;
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
  byPhase(state, poolAt(state, worker.pool), phase)?.delete(id);
  if (phase === 'leaving') state.untold.delete(id);
  else ungroup(state, worker, phase);
}

// Zygotes

type ZygoteParts = Partial<Omit<NonNullable<ReturnType<Pool['zygotes']['get']>>, 'generation'>>;

export function setZygote({ zygotes }: Pool, generation: number, parts: ZygoteParts): void {
  const before = zygotes.get(generation);
  if (before === undefined && parts.spawnedAt === undefined) return;
  const fresh = { generation, phase: 'booting', spawnedAt: 0, killed: false } as const;
  zygotes.set(generation, { ...(before ?? fresh), ...parts });
}

export function loseZygote(pool: Pool, generation: number, now: number): void {
  const zygote = pool.zygotes.get(generation);
  if (zygote === undefined) return;
  pool.zygotes.delete(generation);
  if (zygote.phase === 'booting') fail(pool, zygote, now);
  else if (zygote.phase === 'ready') countTogether(pool, zygote.spawnedAt, { now, forgiven: 1 });
}

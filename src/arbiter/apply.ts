/** The one place that changes what the arbiter knows: an event, or an action that was performed, goes in. */
import type { Cause } from '../messages.ts';
import type { Action } from './plan.ts';
import {
  type FrontState,
  type Group,
  isOld,
  type Limits,
  NO_FAILURE,
  type Retry,
  type State,
  type WorkerState,
} from './state.ts';

export type Change =
  | Exclude<Action, { readonly type: 'exit' }>
  | { readonly type: 'front-listening'; readonly slot: number }
  /** It ended its clients and drained its workers. */
  | { readonly type: 'front-stopped'; readonly slot: number }
  | { readonly type: 'front-gone'; readonly slot: number }
  | { readonly type: 'worker-ready'; readonly worker: number }
  /** Take it out of service now; what it does may take `graceMs`. */
  | {
      readonly type: 'worker-stuck';
      readonly worker: number;
      readonly graceMs: number;
      readonly cause: Cause;
    }
  /** Its connection to the front has ended. */
  | { readonly type: 'worker-lost'; readonly worker: number }
  /** Replace it, the replacement first. */
  | { readonly type: 'worker-worn'; readonly worker: number; readonly cause: Cause }
  /** A checkup. `rss` in bytes. */
  | { readonly type: 'worker-seen'; readonly worker: number; readonly stopped: boolean; readonly rss: number }
  | { readonly type: 'worker-gone'; readonly worker: number }
  | { readonly type: 'zygote-ready'; readonly generation: number }
  | { readonly type: 'zygote-gone'; readonly generation: number }
  | { readonly type: 'scale'; readonly min: number; readonly max: number; readonly target: number }
  | { readonly type: 'reload'; readonly limits: Limits }
  | { readonly type: 'park' }
  | { readonly type: 'unpark' }
  | { readonly type: 'stop'; readonly graceMs: number };

/** A child that stayed ready for so long was no part of a crash loop. */
export const SETTLE_MS = 1000;
/** What a worker over its boot timeout gets, so that its stack can be had before it is killed. */
export const AUTOPSY_MS = 1000;
const NEVER = Number.POSITIVE_INFINITY;
const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 30_000;

/** Delay before the try after the `failures`-th failure in a row, in milliseconds: 0.1 s doubling to 30 s. */
export function retryDelay(failures: number): number {
  return failures < 1 ? 0 : Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** (failures - 1));
}

/** Enters a change into the state. What concerns a child that is no longer known changes nothing. */
export function apply(state: State, change: Change, now: number): void {
  settle(state, now);
  switch (change.type) {
    case 'spawn-front':
      return setFront(state, change.slot, { phase: 'starting', finished: false, killed: false });
    case 'front-listening':
      return setFront(state, change.slot, { phase: 'listening', listeningAt: now });
    case 'front-stopped':
      return setFront(state, change.slot, { finished: true });
    case 'front-gone':
      return loseFront(state, change.slot, now);
    case 'park-front':
      return setFront(state, change.slot, { phase: 'stopping', stopBy: now + change.graceMs });
    case 'stop-fronts':
      return tellFronts(state);
    case 'kill-front':
      return setFront(state, change.slot, { phase: 'stopping', killed: true });
    case 'spawn-worker':
      return addWorker(state, change, now);
    case 'worker-ready':
      return welcome(state, change.worker, now);
    case 'worker-lost':
      return detach(state, state.workers.get(change.worker), now);
    case 'worker-worn':
      return wear(state, change.worker, change.cause);
    case 'worker-seen':
      return see(state, change, now);
    case 'worker-stuck':
      return leave(state, change.worker, {
        stuck: true,
        killAt: now + change.graceMs,
        cause: change.cause,
      });
    case 'worker-gone':
      return loseWorker(state, change.worker, now);
    case 'retire-worker':
      return retire(state, change, now);
    case 'expire-worker':
      return expire(state, change.worker, now);
    case 'drain-worker':
      return setWorker(state, change.worker, { told: true });
    case 'kill-worker':
      return leave(state, change.worker, { killed: true, told: true });
    case 'spawn-zygote':
      return setZygote(state, change.generation, { phase: 'booting', spawnedAt: now, killed: false });
    case 'zygote-ready':
      return setZygote(state, change.generation, { phase: 'ready' });
    case 'end-zygote':
      return setZygote(state, change.generation, { phase: 'leaving' });
    case 'kill-zygote':
      return setZygote(state, change.generation, { killed: true });
    case 'zygote-gone':
      return loseZygote(state, change.generation, now);
    case 'scale':
      state.min = change.min;
      state.max = change.max;
      state.target = Math.min(change.max, Math.max(change.min, change.target));
      return;
    case 'reload':
      return beginReload(state, change.limits);
    case 'finish-reload':
      state.reload = null;
      return;
    case 'abort-reload':
      return abortReload(state, now);
    case 'park':
      return park(state, now);
    case 'unpark':
      state.parked = false;
      return;
    case 'stop':
      return stop(state, change.graceMs, now);
    default:
      return change satisfies never;
  }
}

/** A worker that stayed ready ends the crash loop. Looked at when something happens: it needs no timer. */
function settle(state: State, now: number): void {
  for (const [id, due] of state.settling) {
    if (due > now) return;
    state.settling.delete(id);
    state.retry = NO_FAILURE;
  }
}

// Fronts

function setFront(state: State, slot: number, parts: Partial<FrontState>): void {
  const front = state.fronts[slot];
  if (front !== undefined) state.fronts[slot] = { ...front, ...parts };
}

function loseFront(state: State, slot: number, now: number): void {
  const front = state.fronts[slot];
  if (front === undefined || front.phase === 'gone') return;
  const listened = now - front.listeningAt;
  const well = listened >= SETTLE_MS || front.finished;
  const retry = well ? NO_FAILURE : countFailure(front.retry, now, listened >= 0 ? 1 : 0);
  setFront(state, slot, { phase: 'gone', listeningAt: NEVER, stopBy: NEVER, retry });
  for (const { all } of [front.fresh, front.old])
    for (const worker of all.values()) detach(state, worker, now);
}

function tellFronts(state: State): void {
  for (const front of state.fronts) {
    if (front.phase === 'listening') setFront(state, front.slot, { phase: 'stopping' });
  }
  if (state.stop !== null) state.stop = { ...state.stop, told: true };
}

// Workers

function addWorker(state: State, change: Extract<Action, { type: 'spawn-worker' }>, now: number): void {
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

function welcome(state: State, id: number, now: number): void {
  const worker = state.workers.get(id);
  if (worker === undefined) return;
  // A worker that is to leave came back from a dead front: the new one has to hear of it too.
  if (worker.phase === 'leaving') return setWorker(state, id, { told: false });
  if (worker.readyAt === Number.POSITIVE_INFINITY) state.settling.set(id, now + SETTLE_MS);
  setWorker(state, id, { phase: 'ready', readyAt: Math.min(worker.readyAt, now) });
  const { reload } = state;
  if (reload !== null && worker.generation === state.generation) state.reload = { ...reload, proven: true };
}

function detach(state: State, worker: WorkerState | undefined, now: number): void {
  if (worker?.phase === 'ready') setWorker(state, worker.id, { phase: 'detached', detachedAt: now });
}

function wear(state: State, id: number, cause: Cause): void {
  const worker = state.workers.get(id);
  if (worker?.phase !== 'leaving' && worker?.worn === null) setWorker(state, id, { worn: cause });
}

function see(state: State, seen: Extract<Change, { type: 'worker-seen' }>, now: number): void {
  const worker = state.workers.get(seen.worker);
  if (worker === undefined) return;
  if (!seen.stopped || worker.phase === 'leaving') state.suspended.delete(worker.id);
  else if (!state.suspended.has(worker.id)) state.suspended.set(worker.id, now);
  if (seen.rss > state.limits.maxMemory && worker.phase === 'ready') wear(state, worker.id, 'max-memory');
}

/** One that was never ready has no request to finish. */
function retire(state: State, change: Extract<Action, { type: 'retire-worker' }>, now: number): void {
  const isServing = state.workers.get(change.worker)?.readyAt !== Number.POSITIVE_INFINITY;
  leave(state, change.worker, {
    killAt: now + (isServing ? state.limits.graceMs : 0),
    cause: change.cause,
  });
}

function expire(state: State, id: number, now: number): void {
  // Nobody has to be told: no front knows it. It counts as failed when it is gone.
  leave(state, id, { killAt: now + AUTOPSY_MS, told: true, cause: 'boot-timeout' });
}

function leave(state: State, id: number, parts: Partial<WorkerState>): void {
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

function loseWorker(state: State, id: number, now: number): void {
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
function countFailure(retry: Retry, now: number, forgiven: number): Retry {
  const failures = retry.failures + 1;
  return { failures, failedAt: now, notBefore: now + retryDelay(failures - forgiven) };
}

function setWorker(state: State, id: number, parts: Partial<WorkerState>): void {
  const before = state.workers.get(id);
  if (before !== undefined) file(state, { ...before, ...parts });
}

/** Keeps the collections, so that no plan has to look at every worker. What stays in one keeps its place, by age. */
function file(state: State, worker: WorkerState): void {
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

function setZygote(state: State, generation: number, parts: ZygoteParts): void {
  const before = state.zygotes.get(generation);
  if (before === undefined && parts.spawnedAt === undefined) return;
  const fresh = { generation, phase: 'booting', spawnedAt: 0, killed: false } as const;
  state.zygotes.set(generation, { ...(before ?? fresh), ...parts });
}

function loseZygote(state: State, generation: number, now: number): void {
  const zygote = state.zygotes.get(generation);
  if (zygote === undefined) return;
  state.zygotes.delete(generation);
  if (zygote.phase === 'booting') fail(state, zygote, now);
  else if (zygote.phase === 'ready') countTogether(state, zygote.spawnedAt, { now, forgiven: 1 });
}

// Orders

function beginReload(state: State, limits: Limits): void {
  state.reload = { from: state.generation, limits: state.limits, proven: false, failed: false };
  state.limits = limits;
  // What the old code did says nothing of the new.
  state.retry = NO_FAILURE;
  setGeneration(state, ++state.lastGeneration);
  // Somebody has to prove the new code.
  if (state.max > 0) state.target = Math.max(1, state.target);
}

function abortReload(state: State, now: number): void {
  const { reload, generation } = state;
  if (reload === null) return;
  state.reload = null;
  state.limits = reload.limits;
  setGeneration(state, reload.from);
  for (const worker of [...state.workers.values()]) {
    if (worker.generation === generation)
      leave(state, worker.id, { killAt: now, told: true, cause: 'reload' });
  }
}

function setGeneration(state: State, generation: number): void {
  state.generation = generation;
  for (const { fresh, old } of state.fronts) {
    // Anew, so that both are by age.
    for (const { all } of [fresh, old]) all.clear();
  }
  for (const worker of [...state.workers.values()]) file(state, worker);
}

function park(state: State, now: number): void {
  if (state.parked) return;
  state.parked = true;
  for (const worker of [...state.workers.values()]) {
    // Each front drains its workers when it has finished: nobody has to be told.
    const graceMs = worker.readyAt === Number.POSITIVE_INFINITY ? 0 : state.limits.graceMs;
    leave(state, worker.id, { killAt: now + graceMs, told: true, cause: 'scale' });
  }
}

/** A second stop may only shorten the first. */
function stop(state: State, graceMs: number, now: number): void {
  const killAt = now + graceMs;
  if (state.stop === null || killAt < state.stop.killAt) state.stop = { graceMs, killAt, told: false };
}

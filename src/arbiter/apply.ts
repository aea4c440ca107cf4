/** The one place that changes what the arbiter knows: an event, or an action that was performed, goes in. */
import type { WorkerRange } from '../config/values.ts';
import type { Cause } from '../messages.ts';
import {
  addWorker,
  countFailure,
  detach,
  expire,
  file,
  graceOf,
  leave,
  loseWorker,
  loseZygote,
  rescale,
  retire,
  SETTLE_MS,
  type Seen,
  see,
  setZygote,
  wear,
  welcome,
} from './lives.ts';
import type { Action } from './plan.ts';
import { type FrontState, type Limits, NO_FAILURE, type Pool, poolAt, type State } from './state.ts';

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
  | ({ readonly type: 'worker-seen' } & Seen)
  | { readonly type: 'worker-gone'; readonly worker: number }
  | { readonly type: 'zygote-ready'; readonly pool: number; readonly generation: number }
  | { readonly type: 'zygote-gone'; readonly pool: number; readonly generation: number }
  | ({ readonly type: 'scale'; readonly pool: number; readonly target: number } & WorkerRange)
  /** `range`: the number of workers, if the configuration says another one than before. */
  | {
      readonly type: 'reload';
      readonly pool: number;
      readonly limits: Limits;
      readonly range: WorkerRange | null;
    }
  | { readonly type: 'park' }
  | { readonly type: 'unpark' }
  | { readonly type: 'stop'; readonly graceMs: number };

const NEVER = Number.POSITIVE_INFINITY;

/** Enters a change into the state. What concerns a child that is no longer known changes nothing. */
export function apply(state: State, change: Change, now: number): void {
  for (const pool of state.pools) settle(pool, now);
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
      state.untold.delete(change.worker);
      return;
    case 'kill-worker':
      return leave(state, change.worker, { killed: true });
    case 'spawn-zygote':
      return setZygote(poolAt(state, change.pool), change.generation, {
        phase: 'booting',
        spawnedAt: now,
        killed: false,
      });
    case 'zygote-ready':
      return setZygote(poolAt(state, change.pool), change.generation, { phase: 'ready' });
    case 'end-zygote':
      return setZygote(poolAt(state, change.pool), change.generation, { phase: 'leaving' });
    case 'kill-zygote':
      return setZygote(poolAt(state, change.pool), change.generation, { killed: true });
    case 'zygote-gone':
      return loseZygote(poolAt(state, change.pool), change.generation, now);
    case 'scale':
      return scale(poolAt(state, change.pool), change);
    case 'reload':
      return beginReload(state, change);
    case 'finish-reload':
      poolAt(state, change.pool).reload = null;
      return;
    case 'abort-reload':
      return abortReload(state, poolAt(state, change.pool), now);
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
function settle(pool: Pool, now: number): void {
  for (const [id, due] of pool.settling) {
    if (due > now) return;
    pool.settling.delete(id);
    pool.retry = NO_FAILURE;
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
  for (const { teams } of state.pools) {
    const team = teams[slot];
    for (const group of team === undefined ? [] : [team.fresh, team.old])
      for (const worker of group.all.values()) detach(state, worker, now);
  }
}

function tellFronts(state: State): void {
  for (const front of state.fronts) {
    if (front.phase === 'listening') setFront(state, front.slot, { phase: 'stopping' });
  }
  if (state.stop !== null) state.stop = { ...state.stop, told: true };
}

// Orders

/** Bounds that are ordered while a new configuration waits for its proof are the later word. */
function scale(pool: Pool, change: Extract<Change, { type: 'scale' }>): void {
  const moves = change.min !== pool.min || change.max !== pool.max;
  if (moves && pool.reload !== null) pool.reload = { ...pool.reload, range: null };
  rescale(pool, change, change.target);
}

function beginReload(state: State, change: Extract<Change, { type: 'reload' }>): void {
  const { limits, range } = change;
  const pool = poolAt(state, change.pool);
  pool.reload = { from: pool.generation, limits: pool.limits, range, proven: false, failed: false };
  pool.limits = limits;
  // What the old code did says nothing of the new.
  pool.retry = NO_FAILURE;
  setGeneration(state, pool, ++pool.lastGeneration);
  // Somebody has to prove the new code.
  if (pool.max > 0) pool.target = Math.max(1, pool.target);
}

function abortReload(state: State, pool: Pool, now: number): void {
  const { reload, generation } = pool;
  if (reload === null) return;
  pool.reload = null;
  pool.limits = reload.limits;
  setGeneration(state, pool, reload.from);
  for (const worker of [...state.workers.values()]) {
    if (worker.pool === pool.index && worker.generation === generation)
      leave(state, worker.id, { killAt: now, told: true, cause: 'reload' });
  }
}

function setGeneration(state: State, pool: Pool, generation: number): void {
  pool.generation = generation;
  for (const { fresh, old } of pool.teams) {
    // Anew, so that both are by age.
    for (const { all } of [fresh, old]) all.clear();
  }
  for (const worker of [...state.workers.values()]) if (worker.pool === pool.index) file(state, worker);
}

function park(state: State, now: number): void {
  if (state.parked) return;
  state.parked = true;
  for (const worker of [...state.workers.values()]) {
    // Each front drains its workers when it has finished: nobody has to be told.
    leave(state, worker.id, { killAt: now + graceOf(state, worker), told: true, cause: 'scale' });
  }
}

/** A second stop may only shorten the first. */
function stop(state: State, graceMs: number, now: number): void {
  const killAt = now + graceMs;
  if (state.stop === null || killAt < state.stop.killAt) state.stop = { graceMs, killAt, told: false };
}

/**
 * What the arbiter should do now: a pure function of what it knows. The loop in arbiter.ts performs the
 * actions, enters each into the state with `apply`, and sleeps until `wakeAt` or the next event.
 */
import type { Cause } from '../messages.ts';
import {
  countReady,
  type FrontState,
  type Group,
  limitsFor,
  longestGraceMs,
  type Pool,
  poolAt,
  quota,
  type State,
  type Stop,
  type Team,
  type WorkerState,
  type ZygoteState,
} from './state.ts';

export type Action =
  | { readonly type: 'spawn-front'; readonly slot: number }
  | { readonly type: 'stop-fronts'; readonly graceMs: number }
  /** Let it finish, and end; the sockets stay. */
  | { readonly type: 'park-front'; readonly slot: number; readonly graceMs: number }
  | { readonly type: 'kill-front'; readonly slot: number }
  | {
      readonly type: 'spawn-worker';
      readonly worker: number;
      readonly pool: number;
      readonly front: number;
      readonly generation: number;
    }
  /** Takes it off the count; its front is told by `drain-worker`. */
  | { readonly type: 'retire-worker'; readonly worker: number; readonly cause: Cause }
  /** It is to be replaced for its age, its replacement first. */
  | { readonly type: 'worker-worn'; readonly worker: number; readonly cause: Cause }
  /** It did not get ready in time: tell where it is stuck, and kill it. */
  | { readonly type: 'expire-worker'; readonly worker: number }
  /** Ask its front to give it nothing more and to drain it. */
  | { readonly type: 'drain-worker'; readonly worker: number }
  | { readonly type: 'kill-worker'; readonly worker: number }
  | { readonly type: 'spawn-zygote'; readonly pool: number; readonly generation: number }
  /** With `expired` it did not load the application in time: tell where it is stuck. */
  | {
      readonly type: 'kill-zygote';
      readonly pool: number;
      readonly generation: number;
      readonly expired: boolean;
    }
  /** Nobody needs it any longer. */
  | { readonly type: 'end-zygote'; readonly pool: number; readonly generation: number }
  /** The new generation serves alone. */
  | { readonly type: 'finish-reload'; readonly pool: number }
  /** The new generation is no good: the old one goes on. */
  | { readonly type: 'abort-reload'; readonly pool: number }
  /** Everything has ended: the arbiter may. */
  | { readonly type: 'exit' };

export interface Plan {
  readonly actions: readonly Action[];
  /** When to plan again if nothing happens before, in the clock of `now`; Infinity for never. */
  readonly wakeAt: number;
}

/** A worker that is not back so long after it lost its front, or after the new one listens, is replaced. */
export const RECONNECT_MS = 1000;
/** One that is stopped (SIGSTOP) for so long is replaced. A second look, a second later, comes before that: it may be going on already. */
export const SUSPENDED_MS = 1200;
/** A stopping front gets this much longer than its workers, to tell their clients and to say how many it served. */
export const FRONT_SLACK_MS = 1000;
/**
 * How often the clock is read while something is due soon. A stop of the machine or of this process that is not longer
 * than that can hardly be told from time, so it has to be short beside everything that may fall due.
 */
export const LOOK_MS = 250;
const SOON_MS = 60_000;

/** How long the loop may sleep if nothing happens; `beatAt`: when the heart beats next. */
export function restMs(now: number, { wakeAt, beatAt }: Pick<Plan, 'wakeAt'> & { beatAt: number }): number {
  const ms = Math.max(0, Math.ceil(Math.min(wakeAt, beatAt) - now));
  return wakeAt - now > SOON_MS ? ms : Math.min(ms, LOOK_MS);
}

/** Decides. `now` is in milliseconds of the clock that `state` was changed with. */
export function plan(state: State, now: number): Plan {
  const draft = new Draft(now, state.nextWorker);
  planLeaving(state, draft);
  if (state.stop !== null) planStop(state, draft);
  else if (state.parked) planParking(state, draft);
  else {
    planFronts(state, draft);
    planReturn(state, draft);
    for (const pool of state.pools) {
      planAges(state, pool, draft);
      planReload(pool, draft);
    }
    if (draft.actions.length === 0) for (const pool of state.pools) planWorkers(state, pool, draft);
  }
  for (const pool of state.pools) planZygotes(state, pool, draft);
  return { actions: draft.actions, wakeAt: draft.wakeAt };
}

class Draft {
  readonly now: number;
  /** Several pools may spawn in one plan, and a number is used once. */
  nextWorker: number;
  readonly actions: Action[] = [];
  wakeAt = Number.POSITIVE_INFINITY;
  readonly #killed = new Set<number>();

  constructor(now: number, nextWorker: number) {
    this.now = now;
    this.nextWorker = nextWorker;
  }

  /** Whether the time has come; if not, the plan is made anew when it has. */
  due(at: number): boolean {
    if (at <= this.now) return true;
    this.wakeAt = Math.min(this.wakeAt, at);
    return false;
  }

  killWorker(worker: number): void {
    if (this.#killed.has(worker)) return;
    this.#killed.add(worker);
    this.actions.push({ type: 'kill-worker', worker });
  }
}

function planLeaving(state: State, draft: Draft): void {
  for (const worker of state.untold) draft.actions.push({ type: 'drain-worker', worker });
  const next = state.kills.peek();
  if (next !== undefined && draft.due(next.at)) draft.killWorker(next.worker);
}

function planFronts(state: State, draft: Draft): void {
  for (const front of state.fronts) {
    if (front.phase === 'gone' && draft.due(front.retry.notBefore)) {
      draft.actions.push({ type: 'spawn-front', slot: front.slot });
    }
    planParked(front, draft);
  }
}

/** One that was parked and does not come to an end; perhaps it is wanted again meanwhile. */
function planParked({ phase, killed, slot, stopBy }: FrontState, draft: Draft): void {
  if (phase !== 'stopping' || killed || !draft.due(stopBy + FRONT_SLACK_MS)) return;
  draft.actions.push({ type: 'kill-front', slot });
}

/** Workers that do not come back to their front: stuck in a request, stopped, or worse. */
function planReturn(state: State, draft: Draft): void {
  for (const id of state.detached) {
    const worker = state.workers.get(id);
    const front = state.fronts[worker?.front ?? -1];
    if (worker === undefined || front?.phase !== 'listening') continue;
    const since = Math.max(worker.detachedAt, front.listeningAt);
    if (draft.due(since + RECONNECT_MS)) retire(draft, id, 'lost');
  }
  for (const [id, since] of state.suspended) {
    if (draft.due(since + SUSPENDED_MS)) {
      retire(draft, id, 'stopped');
      draft.killWorker(id);
    }
  }
}

function planAges(state: State, pool: Pool, draft: Draft): void {
  planBoots(state, pool, draft);
  const { limits, teams } = pool;
  if (limits.maxAgeMs === Number.POSITIVE_INFINITY) return;
  for (const { fresh } of teams) {
    for (const worker of fresh.all.values()) {
      if (!draft.due(worker.spawnedAt + limits.maxAgeMs)) break;
      draft.actions.push({ type: 'worker-worn', worker: worker.id, cause: 'max-age' });
    }
  }
}

/** They are by age, so the first that is not due speaks for its generation; a new one comes after those of the old. */
function planBoots({ workers }: State, pool: Pool, draft: Draft): void {
  let waiting = 0;
  for (const id of pool.booting) {
    const worker = workers.get(id);
    if (worker === undefined || worker.generation === waiting) continue;
    const { generation, spawnedAt } = worker;
    if (draft.due(spawnedAt + limitsFor(pool, generation).bootMs)) {
      draft.actions.push({ type: 'expire-worker', worker: id });
    } else if (generation === pool.generation) break;
    else waiting = generation;
  }
}

function planReload(pool: Pool, draft: Draft): void {
  const { reload, index, teams } = pool;
  if (reload === null) return;
  if (reload.failed) draft.actions.push({ type: 'abort-reload', pool: index });
  else if (teams.every((team, slot) => isRenewed(pool, team, slot)))
    draft.actions.push({ type: 'finish-reload', pool: index });
}

/** Whether all of a front's workers are ready ones of the new generation, and none of an older one serves. */
function isRenewed(pool: Pool, { fresh, old }: Team, slot: number): boolean {
  if (countReady(fresh) < quota(pool, slot)) return false;
  for (const worker of old.all.values()) if (worker.generation !== pool.generation) return false;
  return true;
}

/**
 * Each front gets its share of the target. Where workers are to be replaced, as many as the surge allows may be
 * there beside them; one leaves only when a new one is ready for it.
 */
function planWorkers(state: State, pool: Pool, draft: Draft): void {
  const planned = draft.actions.length;
  let surge = pool.limits.surge - excess(pool);
  const wanted = pool.teams.map((team, slot) => {
    // It was parked, and goes on once it has ended: what connects to it now would be sent away.
    if (state.fronts[slot]?.phase === 'stopping') return 0;
    const share = quota(pool, slot);
    const missing = Math.max(0, share - countAll(team));
    const extra = Math.max(0, Math.min(share - team.fresh.all.size - missing, surge));
    surge -= extra;
    planRetirement(draft, team, share);
    return missing + extra;
  });
  if (surge < 0 && draft.actions.length === planned) planRelief(pool, draft, -surge);
  spawn(pool, draft, wanted);
}

/** How many there are above the share of each front. */
function excess(pool: Pool): number {
  return pool.teams.reduce((sum, team, slot) => sum + Math.max(0, countAll(team) - quota(pool, slot)), 0);
}

function countAll({ fresh, old }: Team): number {
  return fresh.all.size + old.all.size;
}

/** Fewer are wanted than when these were spawned: beside the old ones, of which none can be spared yet, they are too many. */
function planRelief(pool: Pool, draft: Draft, tooMany: number): void {
  let left = tooMany;
  for (const [slot, team] of pool.teams.entries()) {
    let over = countAll(team) - quota(pool, slot);
    for (const id of team.fresh.unready) {
      if (over-- <= 0 || left <= 0) break;
      left--;
      retire(draft, id, 'scale');
    }
  }
}

function planRetirement(draft: Draft, { fresh, old }: Team, share: number): void {
  const surplus = Math.min(old.all.size, countReady(fresh) + old.all.size - share);
  const worn = byUse(old);
  for (let i = 0; i < surplus; i++) {
    const worker = worn.next().value;
    if (worker !== undefined) retire(draft, worker.id, worker.worn ?? 'reload');
  }
  const spare = byUse(fresh);
  for (let i = fresh.all.size; i > share; i--) {
    const worker = spare.next().value;
    if (worker !== undefined) retire(draft, worker.id, 'scale');
  }
}

/** Those that do not serve yet first, then the oldest. */
function* byUse({ all, unready }: Group): Generator<WorkerState, undefined> {
  for (const id of unready) {
    const worker = all.get(id);
    if (worker !== undefined) yield worker;
  }
  for (const worker of all.values()) if (!unready.has(worker.id)) yield worker;
  return undefined;
}

function retire(draft: Draft, worker: number, cause: Cause): void {
  draft.actions.push({ type: 'retire-worker', worker, cause });
}

/** `wanted`: how many each front misses. They are dealt out in turn. */
function spawn(pool: Pool, draft: Draft, wanted: number[]): void {
  let count = wanted.reduce((sum, each) => sum + each, 0);
  if (count === 0 || !draft.due(pool.retry.notBefore) || !canSpawn(pool)) return;
  if (pool.retry.failures > 0) {
    // In a crash loop one worker at a time tries whether it works again.
    if (pool.booting.size > 0) return;
    count = 1;
  }
  const { index, generation } = pool;
  for (let front = 0; count > 0; front = (front + 1) % wanted.length) {
    if ((wanted[front] ?? 0) <= 0) continue;
    wanted[front] = (wanted[front] ?? 0) - 1;
    count--;
    draft.actions.push({ type: 'spawn-worker', worker: draft.nextWorker++, pool: index, front, generation });
  }
}

function canSpawn({ limits, zygotes, generation }: Pool): boolean {
  return !limits.preload || zygotes.get(generation)?.phase === 'ready';
}

/** The one that is wanted, and those whose workers still live: a worker dies with its zygote. */
function planZygotes({ stop }: State, pool: Pool, draft: Draft): void {
  const { index, zygotes, generation, retry } = pool;
  const isMissing = stop === null && isWanted(pool, generation) && !zygotes.has(generation);
  if (isMissing && draft.due(retry.notBefore)) {
    draft.actions.push({ type: 'spawn-zygote', pool: index, generation });
  }
  for (const zygote of zygotes.values()) if (!zygote.killed) planZygote(pool, zygote, { draft, stop });
}

function planZygote(
  pool: Pool,
  { generation, phase, spawnedAt }: ZygoteState,
  { draft, stop }: { readonly draft: Draft; readonly stop: Stop | null },
): void {
  const expired = phase === 'booting' && draft.due(spawnedAt + limitsFor(pool, generation).bootMs);
  const isNeeded =
    (stop === null && isWanted(pool, generation)) || (pool.population.get(generation) ?? 0) > 0;
  // At a stop no worker is forked any more: nobody waits for one that still loads the application.
  if (expired || (stop !== null && (phase === 'booting' || draft.due(stop.killAt)))) {
    draft.actions.push({ type: 'kill-zygote', pool: pool.index, generation, expired });
  } else if (!isNeeded && phase !== 'leaving') {
    draft.actions.push({ type: 'end-zygote', pool: pool.index, generation });
  }
}

function isWanted({ limits, reload, generation }: Pool, each: number): boolean {
  if (each === generation) return limits.preload && reload?.failed !== true;
  return reload !== null && !reload.proven && each === reload.from;
}

// The end

function planParking(state: State, draft: Draft): void {
  for (const front of state.fronts) {
    if (front.phase === 'starting' && !front.killed)
      draft.actions.push({ type: 'kill-front', slot: front.slot });
    planParked(front, draft);
    if (front.phase !== 'listening') continue;
    draft.actions.push({ type: 'park-front', slot: front.slot, graceMs: longestGraceMs(state) });
  }
}

function planStop(state: State, draft: Draft): void {
  const stop = state.stop;
  if (stop === null) return;
  if (countAlive(state) === 0) {
    draft.actions.push({ type: 'exit' });
    return;
  }
  if (!stop.told) draft.actions.push({ type: 'stop-fronts', graceMs: stop.graceMs });
  for (const front of state.fronts) stopFront(front, { draft, killAt: stop.killAt + FRONT_SLACK_MS });
  const over = draft.due(stop.killAt);
  for (const worker of state.workers.values()) {
    if (!worker.killed && (over || isIdle(state, worker))) draft.killWorker(worker.id);
  }
}

function countAlive({ workers, pools, fronts }: State): number {
  const zygotes = pools.reduce((sum, pool) => sum + pool.zygotes.size, 0);
  return workers.size + zygotes + fronts.filter((front) => front.phase !== 'gone').length;
}

/** A front that does not listen yet has no client to wait for. */
function stopFront(front: FrontState, stop: { readonly draft: Draft; readonly killAt: number }): void {
  if (front.phase === 'gone' || front.killed) return;
  if (front.phase === 'starting' || stop.draft.due(stop.killAt)) {
    stop.draft.actions.push({ type: 'kill-front', slot: front.slot });
  }
}

/**
 * Whether a stop has to wait for this worker no longer: nobody is left to hear what it answers. One that its
 * front has drained is left to end by itself; one that boots may still be needed for requests that wait,
 * unless another is there to take them.
 */
function isIdle(state: State, worker: WorkerState): boolean {
  const front = state.fronts[worker.front];
  if (front === undefined) return true;
  if (front.phase === 'gone')
    return !front.finished || worker.stuck || worker.readyAt === Number.POSITIVE_INFINITY;
  const team = poolAt(state, worker.pool).teams[worker.front];
  return (
    worker.phase === 'booting' && team !== undefined && countReady(team.fresh) + countReady(team.old) > 0
  );
}

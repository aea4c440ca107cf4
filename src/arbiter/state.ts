/**
 * What the arbiter knows of its children, and the one function that changes it. Pure: no process, timer or
 * clock; times are milliseconds of a monotonic clock that the caller passes in.
 */

/**
 * `booting`: spawned, not yet said to be ready by its front.
 * `ready`: serves.
 * `detached`: its front died; it is on its way to the new one.
 * `leaving`: is to end: gets nothing more, and is killed at `killAt`.
 */
export type WorkerPhase = 'booting' | 'ready' | 'detached' | 'leaving';

export interface WorkerState {
  readonly id: number;
  /** Slot of the front that it serves. */
  readonly front: number;
  readonly spawnedAt: number;
  readonly phase: WorkerPhase;
  /** When it was ready for the first time; Infinity before. */
  readonly readyAt: number;
  /** The front has been asked to drain it. */
  readonly told: boolean;
  /** It ran over a deadline: nothing in it is worth waiting for once its front has ended. */
  readonly stuck: boolean;
  readonly killAt: number;
  readonly killed: boolean;
}

/** `gone`: dead and to be replaced, unless the arbiter stops. */
export type FrontPhase = 'starting' | 'listening' | 'stopping' | 'gone';

export interface FrontState {
  readonly slot: number;
  readonly phase: FrontPhase;
  readonly listeningAt: number;
  /** It ended as it was told to: its workers have been drained. */
  readonly finished: boolean;
  readonly killed: boolean;
  readonly retry: Retry;
  /** Its workers that count towards the target (`booting`, `ready`, `detached`), oldest first. */
  readonly serving: Map<number, WorkerState>;
}

/** Backoff of one kind of child: how often in a row it died before it proved itself. */
export interface Retry {
  readonly failures: number;
  /** When the last failure was counted. */
  readonly failedAt: number;
  /** No new child of this kind before this time. */
  readonly notBefore: number;
}

export interface Stop {
  /** How long the fronts may take to finish. */
  readonly graceMs: number;
  /** When what is left is killed. */
  readonly killAt: number;
  /** The fronts have to be told (again). */
  readonly told: boolean;
}

export interface State {
  /** How many workers there should be. */
  target: number;
  /** What a worker gets that is replaced, to finish what it has: `graceful-timeout`. */
  readonly graceMs: number;
  /** Every worker that has not been reaped, oldest first. */
  readonly workers: Map<number, WorkerState>;
  readonly booting: Set<number>;
  readonly detached: Set<number>;
  readonly leaving: Set<number>;
  readonly fronts: FrontState[];
  /** Number of the next worker; numbers are never used again. */
  nextWorker: number;
  retry: Retry;
  /** Ready workers that have not yet stayed so for {@link SETTLE_MS}, with the time at which they will have. */
  readonly settling: Map<number, number>;
  stop: Stop | null;
}

/** What happened, or was done: the only ways in which {@link State} changes. */
export type Change =
  | { readonly type: 'spawn-front'; readonly slot: number }
  | { readonly type: 'front-listening'; readonly slot: number }
  | { readonly type: 'front-stopped'; readonly slot: number }
  | { readonly type: 'front-gone'; readonly slot: number }
  | { readonly type: 'stop-fronts'; readonly graceMs: number }
  | { readonly type: 'kill-front'; readonly slot: number }
  | { readonly type: 'spawn-worker'; readonly worker: number; readonly front: number }
  | { readonly type: 'worker-ready'; readonly worker: number }
  | { readonly type: 'worker-stuck'; readonly worker: number; readonly graceMs: number }
  | { readonly type: 'worker-gone'; readonly worker: number }
  | { readonly type: 'retire-worker'; readonly worker: number }
  | { readonly type: 'drain-worker'; readonly worker: number }
  | { readonly type: 'kill-worker'; readonly worker: number }
  | { readonly type: 'retarget'; readonly by: number }
  | { readonly type: 'stop'; readonly graceMs: number };

/** A worker that has been ready for this long was no part of a crash loop. */
export const SETTLE_MS = 1000;
const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 30_000;

const NO_FAILURE: Retry = {
  failures: 0,
  failedAt: Number.NEGATIVE_INFINITY,
  notBefore: Number.NEGATIVE_INFINITY,
};

/** The state before anything was spawned: every front is `gone`, so the first plan spawns them. */
export function createState(options: {
  readonly workers: number;
  readonly fronts: number;
  readonly graceMs: number;
}): State {
  const fronts = Array.from({ length: options.fronts }, (_, slot) => createFront(slot));
  return {
    target: options.workers,
    graceMs: options.graceMs,
    workers: new Map(),
    booting: new Set(),
    detached: new Set(),
    leaving: new Set(),
    fronts,
    nextWorker: 1,
    retry: NO_FAILURE,
    settling: new Map(),
    stop: null,
  };
}

function createFront(slot: number): FrontState {
  return {
    slot,
    phase: 'gone',
    listeningAt: Number.POSITIVE_INFINITY,
    finished: false,
    killed: false,
    retry: NO_FAILURE,
    serving: new Map(),
  };
}

/** Delay before the try after the `failures`-th failure in a row, in milliseconds: 0.1 s doubling to 30 s. */
export function retryDelay(failures: number): number {
  return failures < 1 ? 0 : Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** (failures - 1));
}

/** How many workers count towards the target. */
export function countServing(state: State): number {
  return state.workers.size - state.leaving.size;
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
    case 'stop-fronts':
      return tellFronts(state);
    case 'kill-front':
      return setFront(state, change.slot, { phase: 'stopping', killed: true });
    case 'spawn-worker':
      return addWorker(state, change, now);
    case 'worker-ready':
      return welcome(state, change.worker, now);
    case 'worker-stuck':
      return leave(state, change.worker, { stuck: true, killAt: now + change.graceMs });
    case 'worker-gone':
      return loseWorker(state, change.worker, now);
    case 'retire-worker':
      return leave(state, change.worker, { killAt: now + state.graceMs });
    case 'drain-worker':
      return setWorker(state, change.worker, { told: true });
    case 'kill-worker':
      return leave(state, change.worker, { killed: true, told: true });
    case 'retarget':
      state.target = Math.max(1, state.target + change.by);
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

function setFront(state: State, slot: number, parts: Partial<FrontState>): void {
  const front = state.fronts[slot];
  if (front !== undefined) state.fronts[slot] = { ...front, ...parts };
}

function loseFront(state: State, slot: number, now: number): void {
  const front = state.fronts[slot];
  if (front === undefined || front.phase === 'gone') return;
  const listened = now - front.listeningAt;
  const retry = listened >= SETTLE_MS ? NO_FAILURE : countFailure(front.retry, now, listened >= 0 ? 1 : 0);
  setFront(state, slot, { phase: 'gone', listeningAt: Number.POSITIVE_INFINITY, retry });
  for (const worker of front.serving.values()) {
    if (worker.phase === 'ready') setWorker(state, worker.id, { phase: 'detached' });
  }
}

function tellFronts(state: State): void {
  for (const front of state.fronts) {
    if (front.phase === 'listening') setFront(state, front.slot, { phase: 'stopping' });
  }
  if (state.stop !== null) state.stop = { ...state.stop, told: true };
}

function addWorker(state: State, change: { worker: number; front: number }, now: number): void {
  const worker: WorkerState = {
    id: change.worker,
    front: change.front,
    spawnedAt: now,
    phase: 'booting',
    readyAt: Number.POSITIVE_INFINITY,
    told: false,
    stuck: false,
    killAt: Number.POSITIVE_INFINITY,
    killed: false,
  };
  state.nextWorker = Math.max(state.nextWorker, worker.id + 1);
  state.workers.set(worker.id, worker);
  file(state, worker);
}

function welcome(state: State, id: number, now: number): void {
  const worker = state.workers.get(id);
  if (worker === undefined) return;
  // A worker that is to leave came back from a dead front: the new one has to hear of it too.
  if (worker.phase === 'leaving') return setWorker(state, id, { told: false });
  if (worker.readyAt === Number.POSITIVE_INFINITY) state.settling.set(id, now + SETTLE_MS);
  setWorker(state, id, { phase: 'ready', readyAt: Math.min(worker.readyAt, now) });
}

function leave(state: State, id: number, parts: Partial<WorkerState>): void {
  const worker = state.workers.get(id);
  if (worker === undefined) return;
  const killAt = Math.min(worker.killAt, parts.killAt ?? Number.POSITIVE_INFINITY);
  setWorker(state, id, { ...parts, phase: 'leaving', killAt });
}

function loseWorker(state: State, id: number, now: number): void {
  const worker = state.workers.get(id);
  if (worker === undefined) return;
  unfile(state, worker);
  state.fronts[worker.front]?.serving.delete(id);
  state.workers.delete(id);
  const unsettled = state.settling.delete(id);
  if (worker.phase === 'leaving') return;
  const wasReady = worker.readyAt !== Number.POSITIVE_INFINITY;
  // Those spawned together fail together: that is one failure, or a fleet would reach the longest delay at once.
  if ((wasReady && !unsettled) || worker.spawnedAt < state.retry.failedAt) return;
  state.retry = countFailure(state.retry, now, wasReady ? 1 : 0);
}

/** `forgiven` failures cost no delay: a worker that was ready is replaced at once the first time. */
function countFailure(retry: Retry, now: number, forgiven = 0): Retry {
  const failures = retry.failures + 1;
  return { failures, failedAt: now, notBefore: now + retryDelay(failures - forgiven) };
}

/** A second stop may only shorten the first. */
function stop(state: State, graceMs: number, now: number): void {
  const killAt = now + graceMs;
  if (state.stop === null || killAt < state.stop.killAt) state.stop = { graceMs, killAt, told: false };
}

function setWorker(state: State, id: number, parts: Partial<WorkerState>): void {
  const before = state.workers.get(id);
  if (before === undefined) return;
  const after = { ...before, ...parts };
  state.workers.set(id, after);
  if (before.phase !== after.phase) unfile(state, before);
  file(state, after);
}

/** Keeps the sets by phase, so that no plan has to look at every worker. */
function file(state: State, worker: WorkerState): void {
  const serving = state.fronts[worker.front]?.serving;
  if (worker.phase === 'leaving') {
    state.leaving.add(worker.id);
    serving?.delete(worker.id);
  } else {
    serving?.set(worker.id, worker);
  }
  if (worker.phase === 'booting') state.booting.add(worker.id);
  if (worker.phase === 'detached') state.detached.add(worker.id);
}

function unfile(state: State, worker: WorkerState): void {
  state.leaving.delete(worker.id);
  state.booting.delete(worker.id);
  state.detached.delete(worker.id);
}

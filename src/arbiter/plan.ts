/**
 * What the arbiter should do now: a pure function of what it knows. The loop in main.ts performs the
 * actions, enters each into the state with `apply`, and sleeps until `wakeAt` or the next event.
 */
import { countServing, type FrontState, type State, type WorkerState } from './state.ts';

export type Action =
  | { readonly type: 'spawn-front'; readonly slot: number }
  | { readonly type: 'stop-fronts'; readonly graceMs: number }
  | { readonly type: 'kill-front'; readonly slot: number }
  | { readonly type: 'spawn-worker'; readonly worker: number; readonly front: number }
  /** Takes it off the count, so that a replacement is spawned; its front is told by `drain-worker`. */
  | { readonly type: 'retire-worker'; readonly worker: number }
  /** Ask its front to give it nothing more and to drain it. */
  | { readonly type: 'drain-worker'; readonly worker: number }
  | { readonly type: 'kill-worker'; readonly worker: number }
  /** Everything has ended: the arbiter may. */
  | { readonly type: 'exit' };

export interface Plan {
  readonly actions: readonly Action[];
  /** When to plan again if nothing happens before, in the clock of `now`; Infinity for never. */
  readonly wakeAt: number;
}

/** A worker that is not back this long after its new front listens is replaced. */
export const RECONNECT_MS = 1000;
/** A stopping front gets this much longer than its workers, to tell their clients and to say how many it served. */
export const FRONT_SLACK_MS = 1000;

/** Decides. `now` is in milliseconds of the clock that `state` was changed with. */
export function plan(state: State, now: number): Plan {
  const draft = new Draft(now);
  planLeaving(state, draft);
  if (state.stop === null) {
    planFronts(state, draft);
    planReturn(state, draft);
    planWorkers(state, draft);
  } else {
    planStop(state, draft);
  }
  return { actions: draft.actions, wakeAt: draft.wakeAt };
}

class Draft {
  readonly now: number;
  readonly actions: Action[] = [];
  wakeAt = Number.POSITIVE_INFINITY;
  readonly #killed = new Set<number>();

  constructor(now: number) {
    this.now = now;
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

function planFronts(state: State, draft: Draft): void {
  for (const front of state.fronts) {
    if (front.phase === 'gone' && draft.due(front.retry.notBefore)) {
      draft.actions.push({ type: 'spawn-front', slot: front.slot });
    }
  }
}

/** Workers whose front died and that do not find the new one: stuck in a request, or worse. */
function planReturn(state: State, draft: Draft): void {
  for (const id of state.detached) {
    const front = state.fronts[state.workers.get(id)?.front ?? -1];
    if (front?.phase === 'listening' && draft.due(front.listeningAt + RECONNECT_MS)) {
      draft.actions.push({ type: 'retire-worker', worker: id });
    }
  }
}

function planWorkers(state: State, draft: Draft): void {
  const missing = state.target - countServing(state);
  if (missing < 0) return retire(state, draft, -missing);
  if (missing === 0 || !draft.due(state.retry.notBefore)) return;
  // In a crash loop one worker at a time tries whether it works again.
  if (state.retry.failures === 0) return spawn(state, draft, missing);
  if (state.booting.size === 0) spawn(state, draft, 1);
}

function spawn(state: State, draft: Draft, count: number): void {
  const sizes = state.fronts.map((front) => front.serving.size);
  for (let i = 0; i < count; i++) {
    const front = sizes.indexOf(Math.min(...sizes));
    sizes[front] = (sizes[front] ?? 0) + 1;
    draft.actions.push({ type: 'spawn-worker', worker: state.nextWorker + i, front });
  }
}

/** Takes from the front that has most: one that does not serve yet if there is one, else the oldest. */
function retire(state: State, draft: Draft, count: number): void {
  const queues = state.fronts.map((front) => retirementOrder(front));
  const sizes = state.fronts.map((front) => front.serving.size);
  for (let i = 0; i < count; i++) {
    const front = sizes.indexOf(Math.max(...sizes));
    sizes[front] = (sizes[front] ?? 0) - 1;
    const next = queues[front]?.next();
    if (next?.value !== undefined) draft.actions.push({ type: 'retire-worker', worker: next.value.id });
  }
}

function* retirementOrder(front: FrontState): Generator<WorkerState, undefined> {
  for (const worker of front.serving.values()) if (worker.phase !== 'ready') yield worker;
  for (const worker of front.serving.values()) if (worker.phase === 'ready') yield worker;
  return undefined;
}

function planLeaving(state: State, draft: Draft): void {
  for (const id of state.leaving) {
    const worker = state.workers.get(id);
    if (worker === undefined || worker.killed) continue;
    // One that was never ready has no request to finish.
    const idle = worker.readyAt === Number.POSITIVE_INFINITY;
    if (idle || draft.due(worker.killAt)) draft.killWorker(id);
    else if (!worker.told) draft.actions.push({ type: 'drain-worker', worker: id });
  }
}

function planStop(state: State, draft: Draft): void {
  const stop = state.stop;
  if (stop === null) return;
  if (state.workers.size === 0 && state.fronts.every((front) => front.phase === 'gone')) {
    draft.actions.push({ type: 'exit' });
    return;
  }
  if (!stop.told) draft.actions.push({ type: 'stop-fronts', graceMs: stop.graceMs });
  for (const front of state.fronts) stopFront(front, { draft, killAt: stop.killAt + FRONT_SLACK_MS });
  const over = draft.due(stop.killAt);
  for (const worker of state.workers.values()) {
    if (!worker.killed && (over || isIdle(worker, state.fronts[worker.front]))) draft.killWorker(worker.id);
  }
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
function isIdle(worker: WorkerState, front: FrontState | undefined): boolean {
  if (front === undefined) return true;
  if (front.phase === 'gone')
    return !front.finished || worker.stuck || worker.readyAt === Number.POSITIVE_INFINITY;
  return worker.phase === 'booting' && hasReady(front);
}

function hasReady(front: FrontState): boolean {
  for (const worker of front.serving.values()) if (worker.phase === 'ready') return true;
  return false;
}

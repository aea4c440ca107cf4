/**
 * What the arbiter knows of its children. Pure: no process, timer or clock; times are milliseconds of a monotonic clock
 * that the caller passes in. `apply.ts` is the one place that changes it, `plan.ts` decides from it.
 */
import type { WorkerRange } from '../config/values.ts';
import type { Cause } from '../messages.ts';
import { Agenda } from './agenda.ts';

/**
 * `booting`: spawned, not yet said to be ready by its front.
 * `ready`: serves.
 * `detached`: it has lost its front, or its front died; it should come back.
 * `leaving`: is to end: gets nothing more, and is killed at `killAt`.
 */
export type WorkerPhase = 'booting' | 'ready' | 'detached' | 'leaving';

export interface WorkerState {
  readonly id: number;
  /** Index of the pool that it belongs to. */
  readonly pool: number;
  /** Slot of the front that it serves. */
  readonly front: number;
  /** Of the code and settings that it runs; counts reloads. */
  readonly generation: number;
  readonly spawnedAt: number;
  readonly phase: WorkerPhase;
  /** When it was ready for the first time; Infinity before. */
  readonly readyAt: number;
  /** When it lost its front. */
  readonly detachedAt: number;
  /** Why it is to be replaced, its replacement first; null when it is not. */
  readonly worn: Cause | null;
  /** Why it leaves, or died. */
  readonly cause: Cause | null;
  /** It ran over a deadline: nothing in it is worth waiting for once its front has ended. */
  readonly stuck: boolean;
  readonly killAt: number;
  readonly killed: boolean;
}

/** Workers in order of age, and which of them do not serve at the moment. */
export interface Group {
  readonly all: Map<number, WorkerState>;
  readonly unready: Set<number>;
}

/** What a front has of one pool: workers that are not leaving, those that are as they should be and those to be replaced. */
export interface Team {
  readonly fresh: Group;
  readonly old: Group;
}

/** `gone`: dead and to be replaced, unless the arbiter stops or is parked. */
export type FrontPhase = 'starting' | 'listening' | 'stopping' | 'gone';

export interface FrontState {
  readonly slot: number;
  readonly phase: FrontPhase;
  readonly listeningAt: number;
  /** It ended as it was told to: its workers have been drained. */
  readonly finished: boolean;
  readonly killed: boolean;
  /** When one that was parked is killed if it has not ended. */
  readonly stopBy: number;
  readonly retry: Retry;
}

/** A process that has imported the application and forks workers. */
export interface ZygoteState {
  readonly generation: number;
  readonly phase: 'booting' | 'ready' | 'leaving';
  readonly spawnedAt: number;
  readonly killed: boolean;
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

/** The settings that decide about lives. Infinity stands for no limit. */
export interface Limits {
  /** What a worker gets that is replaced, to finish what it has: `graceful-timeout`. */
  readonly graceMs: number;
  readonly bootMs: number;
  readonly maxAgeMs: number;
  /** Bytes. */
  readonly maxMemory: number;
  /** Workers above the target while others are replaced. */
  readonly surge: number;
  readonly preload: boolean;
}

/** A new generation that takes over; until one worker of it was ready it may be thrown away. */
export interface Reload {
  readonly from: number;
  /** Those of the old generation: they hold for it until the new one is proven, and again if that is thrown away. */
  readonly limits: Limits;
  /** The number of workers that is to be taken over with the proof; null when there is nothing new. */
  readonly range: WorkerRange | null;
  readonly proven: boolean;
  readonly failed: boolean;
}

/** The workers that run one application. What happens in one pool never touches another. */
export interface Pool {
  readonly index: number;
  /** How many workers there should be, and the bounds within which scaling moves that. */
  target: number;
  min: number;
  max: number;
  /** What comes with `generation`; as long as that is on trial, `limitsInForce` tells what holds for the others. */
  limits: Limits;
  readonly booting: Set<number>;
  /** By slot of the front. */
  readonly teams: readonly Team[];
  /** By generation. */
  readonly zygotes: Map<number, ZygoteState>;
  /** Workers alive, by generation. */
  readonly population: Map<number, number>;
  /** The one that is wanted. */
  generation: number;
  /** The highest that was ever used: one that was thrown away is not used again. */
  lastGeneration: number;
  reload: Reload | null;
  retry: Retry;
  /** Workers that were ready, and when they will have stayed so long that a crash loop is over. */
  readonly settling: Map<number, number>;
}

export interface State {
  /** One for each application. */
  readonly pools: readonly Pool[];
  /** Every worker of every pool that has not been reaped, oldest first. */
  readonly workers: Map<number, WorkerState>;
  readonly detached: Set<number>;
  /** Leaving, and their fronts have not been asked to drain them yet. */
  readonly untold: Set<number>;
  /** When leaving workers are killed, the first in front. Entries of those that are gone are skipped. */
  readonly kills: Agenda;
  /** Stopped by a signal from outside (SIGSTOP), and since when they were seen so. */
  readonly suspended: Map<number, number>;
  readonly fronts: FrontState[];
  /** Number of the next worker; numbers are never used again. */
  nextWorker: number;
  /** Fronts and workers are sent away, the sockets stay (WINCH). */
  parked: boolean;
  stop: Stop | null;
}

export const NO_FAILURE: Retry = {
  failures: 0,
  failedAt: Number.NEGATIVE_INFINITY,
  notBefore: Number.NEGATIVE_INFINITY,
};

export const NO_LIMITS: Omit<Limits, 'graceMs'> = {
  bootMs: Number.POSITIVE_INFINITY,
  maxAgeMs: Number.POSITIVE_INFINITY,
  maxMemory: Number.POSITIVE_INFINITY,
  surge: 1,
  preload: false,
};

export interface PoolOptions extends WorkerRange {
  readonly limits: Limits;
}

export interface StateOptions {
  readonly fronts: number;
  readonly pools: readonly PoolOptions[];
}

/** The state before anything was spawned: every front is `gone`, so the first plan spawns them. */
export function createState({ fronts, pools }: StateOptions): State {
  return {
    pools: pools.map((options, index) => createPool({ ...options, index, fronts })),
    workers: new Map(),
    detached: new Set(),
    untold: new Set(),
    kills: new Agenda(),
    suspended: new Map(),
    fronts: Array.from({ length: fronts }, (_, slot) => createFront(slot)),
    nextWorker: 1,
    parked: false,
    stop: null,
  };
}

function createPool(options: PoolOptions & { index: number; fronts: number }): Pool {
  const { index, min, max, limits, fronts } = options;
  return {
    index,
    target: min,
    min,
    max,
    limits,
    booting: new Set(),
    teams: Array.from({ length: fronts }, () => ({ fresh: createGroup(), old: createGroup() })),
    zygotes: new Map(),
    population: new Map(),
    generation: 1,
    lastGeneration: 1,
    reload: null,
    retry: NO_FAILURE,
    settling: new Map(),
  };
}

function createGroup(): Group {
  return { all: new Map(), unready: new Set() };
}

function createFront(slot: number): FrontState {
  return {
    slot,
    phase: 'gone',
    listeningAt: Number.POSITIVE_INFINITY,
    finished: false,
    killed: false,
    stopBy: Number.POSITIVE_INFINITY,
    retry: NO_FAILURE,
  };
}

/** @throws {Error} when there is none: pools neither come nor go while the server runs */
export function poolAt(state: State, index: number): Pool {
  const pool = state.pools[index];
  if (pool === undefined) throw new Error(`There is no pool ${index}.`);
  return pool;
}

/** How many of these serve. */
export function countReady({ all, unready }: Group): number {
  return all.size - unready.size;
}

/** How many of a pool's workers can take a request. */
export function readyWorkers({ teams }: Pool): number {
  return teams.reduce((sum, { fresh, old }) => sum + countReady(fresh) + countReady(old), 0);
}

/** How many processes a pool has, those that leave still included. */
export function countWorkers({ population }: Pool): number {
  let sum = 0;
  for (const count of population.values()) sum += count;
  return sum;
}

/** Whether all workers of a pool that live serve. */
export function isSettled({ detached, workers }: State, { index, booting }: Pool): boolean {
  if (booting.size > 0) return false;
  for (const id of detached) if (workers.get(id)?.pool === index) return false;
  return true;
}

/** A front's share of the target: the workers are dealt out evenly. */
export function quota({ target, teams }: Pool, slot: number): number {
  return Math.floor(target / teams.length) + (slot < target % teams.length ? 1 : 0);
}

/** Whether a worker of this pool is to be replaced: for its own sake, or by a newer generation. */
export function isOld(pool: Pool, worker: WorkerState): boolean {
  return worker.worn !== null || worker.generation !== pool.generation;
}

/** The limits of the pool as it serves: a configuration whose code is not proven has no say yet. */
export function limitsInForce({ reload, limits }: Pool): Limits {
  return reload === null || reload.proven ? limits : reload.limits;
}

/** What a stop may take: as long as the most patient application needs. */
export function longestGraceMs({ pools }: State): number {
  return Math.max(...pools.map((pool) => limitsInForce(pool).graceMs));
}

/** The limits for children of a generation: one on trial has its own. */
export function limitsFor(pool: Pool, generation: number): Limits {
  return generation === pool.generation ? pool.limits : limitsInForce(pool);
}

/** New workers die before they have served for a while, again and again. */
export function isDegraded({ retry }: Pool): boolean {
  return retry.failures > 1;
}

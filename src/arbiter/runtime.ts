/** The program that runs the application: a Python interpreter, or this Node. */
import type { Settings } from '../config/options.ts';
import type { WorkerKind } from '../config/workers.ts';
import { NODE_PROGRAM, WORKER_PROGRAM } from './children.ts';
import { findInterpreter } from './interpreter.ts';
import type { Rights } from './rights.ts';

export interface Runtime {
  readonly kind: WorkerKind;
  /** Absolute path. */
  readonly path: string;
  /** As `3.11.7`. */
  readonly version: string;
  /** Where it was found, as a clause for the log: `from .venv`; empty where there was nothing to look for. */
  readonly from: string;
}

export interface RuntimeOptions {
  /** The environment that workers get, and their rights: an interpreter is asked with both. */
  readonly env: NodeJS.ProcessEnv;
  readonly rights: Rights | null;
}

/** @throws {UserError} when there is no interpreter for the application */
export async function findRuntime(settings: Settings, options: RuntimeOptions): Promise<Runtime> {
  if (settings.workerClass === 'python') {
    return { kind: 'python', ...(await findInterpreter({ ...settings, ...options })) };
  }
  return { kind: 'node', path: process.execPath, version: process.versions.node, from: '' };
}

/** `Python 3.11.7, /usr/bin/python3 (from PATH)` */
export function describeRuntime({ kind, path, version, from }: Runtime): string {
  const name = kind === 'python' ? 'Python' : 'Node';
  return `${name} ${version}, ${path}${from === '' ? '' : ` (${from})`}`;
}

/** The environment of its workers. Node's frameworks are slow, and show their stacks to clients, unless they are told otherwise. */
export function runtimeEnvironment({ kind }: Runtime, env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return kind === 'node' ? { NODE_ENV: 'production', ...env } : env;
}

/** What it executes as a worker. */
export function programOf({ kind }: Runtime): string {
  return kind === 'python' ? WORKER_PROGRAM : NODE_PROGRAM;
}

/** Path of the interpreter; empty when the application needs none. */
export function pythonOf({ kind, path }: Runtime): string {
  return kind === 'python' ? path : '';
}

/** The interpreter of one of them, for small tasks of the server itself; empty when nobody needs one. */
export function anyPython(runtimes: readonly Runtime[]): string {
  return runtimes.map(pythonOf).find((path) => path !== '') ?? '';
}

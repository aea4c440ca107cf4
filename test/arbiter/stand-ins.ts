/** What parts of the arbiter are tried with: a log that is kept, a state, and a setup. */

import { apply } from '../../src/arbiter/apply.ts';
import type { Setup } from '../../src/arbiter/fleet.ts';
import type { Runtime } from '../../src/arbiter/runtime.ts';
import { createState, NO_LIMITS, type State } from '../../src/arbiter/state.ts';
import { defaultSettings } from '../../src/config/load.ts';
import type { Settings } from '../../src/config/options.ts';
import { LOG_LEVELS, type Logger } from '../../src/observe/log.ts';

export interface KeptLog extends Logger {
  /** `INFO text` each. */
  readonly lines: string[];
}

export function keepLog(fd = -1): KeptLog {
  const lines: string[] = [];
  const entries = LOG_LEVELS.map((level) => [
    level,
    (text: string) => void lines.push(`${level.toUpperCase()} ${text}`),
  ]);
  return { ...(Object.fromEntries(entries) as Logger), fd, lines };
}

/** Workers 1 to `workers` serve one front; their numbers may be moved between the bounds. Only the first of several applications has some. */
export function servingState(workers: number, bounds = { min: workers, max: workers }, pools = 1): State {
  const limits = { ...NO_LIMITS, graceMs: 30_000 };
  const state = createState({ fronts: 1, pools: Array(pools).fill({ ...bounds, limits }) });
  apply(state, { type: 'scale', pool: 0, ...bounds, target: workers }, 0);
  apply(state, { type: 'spawn-front', slot: 0 }, 0);
  apply(state, { type: 'front-listening', slot: 0 }, 0);
  for (let worker = 1; worker <= workers; worker++) {
    apply(state, { type: 'spawn-worker', worker, pool: 0, front: 0, generation: 1 }, 0);
    apply(state, { type: 'worker-ready', worker }, 0);
  }
  return state;
}

export function pythonRuntime(path: string): Runtime {
  return { kind: 'python', path, version: '3.11.2', from: 'from a test' };
}

export function setupOf(settings: Partial<Settings> = {}, python = 'python3'): Setup {
  const cwd = settings.chdir ?? process.cwd();
  return {
    prefix: '/',
    settings: { ...defaultSettings(cwd), ...settings },
    runtime: pythonRuntime(python),
    env: process.env,
  };
}

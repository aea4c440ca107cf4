/** What every child process of the arbiter has in common: how it is started, and how its end is told. */
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** How a process ended. Both are null when it could not be started; `error` says why. */
export interface End {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly error?: Error;
}

/** The end as the rest of a sentence: `was killed by SIGKILL`. */
export function describeEnd(end: End): string {
  if (end.error !== undefined) return `could not be started: ${end.error.message}`;
  if (end.signal === 'SIGKILL') return 'was killed by SIGKILL (kill -9, or the system was out of memory)';
  if (end.signal !== null) return `was ended by ${end.signal}`;
  return `ended with status ${end.code}`;
}

/** The folder of the package: this file lies two levels below it, in src/ as in dist/. */
export const PACKAGE_ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

/** The front's program: what was built, also when the arbiter itself runs from its sources in a test. */
export const FRONT_PROGRAM = join(PACKAGE_ROOT, 'dist', 'front', 'main.js');
export const NODE_PROGRAM = join(PACKAGE_ROOT, 'dist', 'workers', 'main.js');
export const WORKER_PROGRAM = join(PACKAGE_ROOT, 'python', 'tunicorn-worker.py');

/** Node's own variables would make a child believe that it is a Node process with a channel. */
const PRIVATE = ['NODE_CHANNEL_FD', 'NODE_CHANNEL_SERIALIZATION_MODE', 'NODE_UNIQUE_ID'];

/** The environment of workers: the arbiter's, and `--env` over it. `SERVER_SOFTWARE` stands there as gunicorn's does. */
export function workerEnvironment(own: NodeJS.ProcessEnv, options: EnvironmentOptions): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = { ...own, SERVER_SOFTWARE: options.serverSoftware };
  for (const name of PRIVATE) delete env[name];
  for (const text of options.env) {
    const at = text.indexOf('=');
    env[text.slice(0, at)] = text.slice(at + 1);
  }
  // What gunicorn reads for an application under a prefix. Another one would only make it refuse every path.
  if (options.prefix !== '/') env.SCRIPT_NAME = options.prefix;
  return env;
}

export interface EnvironmentOptions {
  /** `NAME=VALUE` each. */
  readonly env: readonly string[];
  readonly serverSoftware: string;
  /** Where the application is mounted: `/` leaves SCRIPT_NAME as it is. */
  readonly prefix: string;
}

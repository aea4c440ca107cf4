import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const PYTHON = fileURLToPath(new URL('../../.venv-test/bin/python', import.meta.url));
const SCRIPT = fileURLToPath(new URL('h11_requests.py', import.meta.url));

/** A request as h11 sees it; text is latin-1. */
export interface H11Request {
  readonly method: string;
  readonly target: string;
  readonly version: string;
  readonly fields: ReadonlyArray<readonly [string, string]>;
  readonly body: string;
  readonly trailers: ReadonlyArray<readonly [string, string]>;
  readonly waits: boolean;
  /** Only of a request that is whole. */
  readonly keepAlive?: boolean;
}

export interface H11Outcome {
  readonly requests: readonly H11Request[];
  readonly open: H11Request | null;
  readonly error: string | null;
}

/** Whether the tests' own Python environment is there and has h11 in it. */
export function hasH11(): boolean {
  return existsSync(PYTHON) && spawnSync(PYTHON, ['-c', 'import h11']).status === 0;
}

/** What h11 makes of each input (latin-1). One process for all of them. */
export function askH11(inputs: readonly string[]): H11Outcome[] {
  const { stdout, stderr, status } = spawnSync(PYTHON, [SCRIPT], {
    input: JSON.stringify(inputs),
    encoding: 'utf8',
    maxBuffer: 1 << 29,
  });
  if (status !== 0) throw new Error(`h11_requests.py failed: ${stderr}`);
  return JSON.parse(stdout) as H11Outcome[];
}

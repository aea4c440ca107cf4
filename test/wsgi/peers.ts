import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { python } from '../support/python.ts';

const SCRIPT = fileURLToPath(new URL('peers.py', import.meta.url));

/** Whether the tests' own Python environment has Werkzeug in it. */
export function hasWerkzeug(): boolean {
  return spawnSync(python().path, ['-c', 'import werkzeug']).status === 0;
}

/** What Python's libraries make of each case. One process for all of them. */
export function askPython<T>(which: 'validated' | 'dispatched', cases: readonly unknown[]): T[] {
  const { stdout, stderr, status } = spawnSync(python().path, [SCRIPT], {
    input: JSON.stringify({ which, cases }),
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  });
  if (status !== 0) throw new Error(`peers.py failed: ${stderr}`);
  return JSON.parse(stdout) as T[];
}

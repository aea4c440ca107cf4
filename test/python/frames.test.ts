import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'vitest';
import { pythons } from '../support/python.ts';

test.each(pythons())('protocol.py keeps to the vectors on Python $version', ({ path }) => {
  // -W error: what an old Python only warns of, a newer one refuses.
  execFileSync(path, ['-B', '-W', 'error', join(import.meta.dirname, 'frames.py')], { stdio: 'pipe' });
});

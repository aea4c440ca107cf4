/** The library on every Node that is supported: its tests run again there, since its adapters live on what Node does inside. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { describe, expect, test } from 'vitest';
import { nodes } from '../../scripts/nodes.mjs';
import { cleanEnvironment, ROOT } from '../support/tunicorn.ts';

const [, ...others] = nodes(ROOT);

describe.skipIf(others.length === 0)('the tests of the library', () => {
  test.each(others)(
    'on Node $major',
    async ({ path }) => {
      const args = ['node_modules/vitest/vitest.mjs', 'run', '--project', 'units', 'test/wsgi'];
      const env = cleanEnvironment({ TUNICORN_TESTS_BUILT: 'yes', NO_COLOR: '1' });
      const child = spawn(path, args, { cwd: ROOT, env, stdio: ['ignore', 'pipe', 'pipe'] });
      const closed = once(child, 'close');
      const [said, complained] = await Promise.all([text(child.stdout), text(child.stderr)]);
      const [status] = await closed;
      expect(status, `${said.slice(-5000)}${complained.slice(-5000)}`).toBe(0);
      expect(said).toMatch(/Tests +[5-9]\d\d passed/);
    },
    180_000,
  );
});

/** libpq in the application: signals that come while it waits for a slow server change nothing of what it gets. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { encodeFrame, KIND } from '../../src/gateway/frames.ts';
import { Postgres } from '../support/postgres.ts';
import { hasModule, PYTHON } from '../support/tunicorn.ts';
import { Harness, requestFrame } from './harness.ts';

const app = readFileSync(join(import.meta.dirname, 'postgres.py'), 'utf8');
const RECALL = encodeFrame({ kind: KIND.RECALL, id: 0, head: 'lane\u00000' });
const DUMP = encodeFrame({ kind: KIND.DUMP, id: 0 });

describe.each(['psycopg', 'psycopg2'])('%s', (library) => {
  test.skipIf(!hasModule(library)).each(['signal', 'thread'] as const)(
    'a query whose answer comes byte by byte, with an order before each: --control %s',
    async (control) => {
      let orders = 0;
      let order = () => {};
      await using postgres = await Postgres.open(async () => {
        order();
        // The worker is to be interrupted before the byte comes; what matters is that it is often enough.
        await new Promise((resolve) => setTimeout(resolve, 1));
      });
      await using harness = await Harness.open({
        app,
        python: PYTHON,
        env: { FAKE_PORT: `${postgres.port}` },
        start: { control },
      });
      const wire = await harness.control();
      order = () => wire.write(orders++ % 2 === 0 ? DUMP : RECALL);
      const lane = await harness.lane();
      lane.write(requestFrame(1, { path: `/${library}` }));
      const { body, failed } = await lane.answer(1);
      expect(failed).toBeNull();
      const asked = postgres.queries.filter((query) => query.startsWith('SELECT'));
      expect(asked).toHaveLength(2);
      const rows = asked.map((query) => `[('first',), (${quoted(query)},)]`).join(', ');
      expect(`${body}`).toBe(`[${rows}]`);
      expect(orders).toBeGreaterThan(100);
      // Whenever it hears of them: each is answered.
      const heard = () => wire.frames.all.filter(({ kind }) => kind === KIND.STACK).length;
      await expect.poll(heard, { timeout: 20_000 }).toBe(Math.ceil(orders / 2));
    },
  );
});

/** As Python's repr writes it. */
function quoted(text: string): string {
  return text.includes("'") ? `"${text}"` : `'${text}'`;
}

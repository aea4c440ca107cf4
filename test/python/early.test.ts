/** `wsgi.early_hints`: EARLY frames of a worker, on every CPython of this machine. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FLAG, KIND } from '../../src/gateway/frames.ts';
import { pythons } from '../support/python.ts';
import { type Answer, Harness, requestFrame } from './harness.ts';

const app = readFileSync(join(import.meta.dirname, 'early.py'), 'utf8');
const LINK = 'Link\0</a.css>; rel=preload; as=style';

const kinds = ({ frames }: Answer): number[] => frames.map(({ kind }) => kind);

describe.each(pythons())('Python $version', ({ path: python }) => {
  describe.each([1, 2])('%d lane(s)', (threads) => {
    let worker: Harness;
    let ids = 1000;
    beforeAll(async () => {
      worker = await Harness.ready({ app, python, start: { threads } });
    });
    afterAll(() => worker.close());

    test('leave at once, with the answers before them, and the answer follows', async () => {
      const lane = await worker.lane();
      const gate = join(worker.folder, 'gate');
      const [before, id] = [ids++, ids++];
      lane.write(
        requestFrame(before, { path: '/plain' }),
        requestFrame(id, { path: '/hints', environ: { HTTP_X_GATE: gate } }),
      );
      const early = () => lane.frames.all.filter((frame) => frame.id === id);
      await expect.poll(() => early().length, { timeout: 20_000 }).toBe(2);
      expect((await lane.answer(before)).body.toString()).toBe('plain');
      expect(early().map(({ kind, flags, head }) => [kind, flags, head])).toEqual([
        [KIND.EARLY, 0, LINK],
        [KIND.EARLY, 0, 'Link\0</b.js>; rel=preload\0X-A\0caf\xe9'],
      ]);
      writeFileSync(gate, '');
      const answer = await lane.answer(id);
      expect(kinds(answer)).toEqual([KIND.EARLY, KIND.EARLY, KIND.RESPONSE]);
      expect(answer.frames.at(-1)).toMatchObject({ head: '200 OK', flags: FLAG.LAST });
    });

    test('are nothing once the answer has begun', async () => {
      const answer = await worker.ask({ path: '/late' });
      expect(kinds(answer).slice(0, 2)).toEqual([KIND.EARLY, KIND.RESPONSE]);
      expect(kinds(answer).slice(2)).not.toContain(KIND.EARLY);
      expect(`${answer.body}`).toBe('onetwo');
    });

    test.each([
      ['break', 'ValueError'],
      ['name', 'ValueError'],
      ['hop', 'AssertionError'],
      ['length', 'ValueError'],
      ['type', 'AssertionError'],
      ['latin', 'ValueError'],
      ['pair', 'ValueError'],
    ])('what may not be sent fails the request alone: %s', async (query, error) => {
      const answer = await worker.ask({ path: '/bad', environ: { QUERY_STRING: query } });
      expect([answer.failed?.error, kinds(answer)]).toEqual([error, [KIND.FAILED]]);
    });

    test('are for the request that runs, in its own thread', async () => {
      expect(kinds(await worker.ask({ path: '/elsewhere' }))).toEqual([KIND.RESPONSE]);
    });
  });
});

import { expect, test } from 'vitest';
import { median, summarize } from '../../bench/summary.mjs';
import { entry, run } from './results.ts';

test('the median', () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 3, 2])).toBe(2.5);
  expect(median([])).toBeNaN();
});

test('a ratio is that of one round: noise that meets a whole round does not count', () => {
  const rows = summarize(
    entry({ tunicorn: [run(100), run(10), run(40)], uwsgi: [run(50), run(5), run(20)] }),
  );
  expect(rows.map(({ id, figures, ratios }) => [id, figures.rate, ratios.rate])).toEqual([
    ['tunicorn', 40, 1],
    ['uwsgi', 20, 0.5],
  ]);
});

test('a run that is no result counts nowhere but is told', () => {
  const rows = summarize(
    entry({
      tunicorn: [run(100), { error: 'a byte was wrong' }, run(300)],
      uwsgi: [run(50), run(1), { error: 'cut' }],
    }),
  );
  expect(rows).toMatchObject([
    { id: 'tunicorn', good: 2, of: 3, failure: 'a byte was wrong', figures: { rate: 200 } },
    { id: 'uwsgi', good: 2, of: 3, failure: 'cut', figures: { rate: 25.5 }, ratios: { rate: 0.5 } },
  ]);
});

test('a server without any result has no figures', () => {
  const [row] = summarize(entry({ uwsgi: [{ error: 'does not serve' }] }));
  expect(row).toEqual({ id: 'uwsgi', good: 0, of: 1, failure: 'does not serve', figures: {}, ratios: {} });
});

import { expect, test } from 'vitest';
import { layOut, renderChart } from '../../bench/chart.mjs';
import { entry, NAMES, results, run } from './results.ts';

const MEASURED = results({
  'hello-32': entry({ tunicorn: [run(100)], uwsgi: [run(50)], 'gunicorn-sync': [{ error: 'cut' }] }),
  mixed: entry({ tunicorn: [run(100, { p99Ms: 4 })], uwsgi: [run(100, { p99Ms: 8 })] }),
});

function bars(svg: string): number[] {
  return [...svg.matchAll(/<rect x="\d+" y="\d+" width="([\d.]+)"/g)].map((match) => Number(match[1]));
}

test('a bar is as long as its figure, and no result has none', () => {
  expect(bars(renderChart(MEASURED, NAMES))).toEqual([210, 105, 0, 105, 210]);
});

test('each bar says its value and the ratio; the figure of a panel says which way is better', () => {
  const svg = renderChart(MEASURED, NAMES);
  expect(svg).toContain('>50 (0.50)</text>');
  expect(svg).toContain('>no result</text>');
  expect(svg).toContain('requests/s, more is better');
  expect(svg).toContain('p99 ms, less is better');
});

test('well formed whatever the names are', () => {
  const names = { ...NAMES, titles: { ...NAMES.titles, uwsgi: '<a & b>' } };
  expect(renderChart(MEASURED, names)).toContain('&lt;a &amp; b&gt;');
});

test('panels go into the shorter column', () => {
  const { at, height } = layOut([100, 10, 10, 10]);
  expect(at.map(({ x }) => x > 400)).toEqual([false, true, true, true]);
  expect(height).toBeGreaterThan(at[0]?.y ?? 0);
});

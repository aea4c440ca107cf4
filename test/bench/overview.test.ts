import { expect, test } from 'vitest';
import { insertOverview, renderOverview } from '../../bench/overview.mjs';
import { entry, NAMES, results, run } from './results.ts';

const RUNS = { tunicorn: [run(12_000)], 'gunicorn-sync': [run(15_000)], 'node-http': [run(40_000)] };

test('a row for each workload, with the best of the servers in bold and references aside', () => {
  const text = renderOverview(results({ 'hello-32': entry(RUNS) }), NAMES);
  expect(text.split('\n')).toEqual([
    '| | Tunicorn | gunicorn sync | uWSGI | Node http |',
    '|---|---|---|---|---|',
    '| Hello, 32 connections, requests/s | 12,000 | **15,000** | – | 40,000 |',
  ]);
});

test('where the chart shows a time, so does the row, and less is better', () => {
  const mixed = entry({ tunicorn: [run(500, { p99Ms: 8 })], 'gunicorn-sync': [run(500, { p99Ms: 30 })] });
  const text = renderOverview(results({ mixed }), NAMES);
  expect(text).toContain('the fast ones, p99 ms | **8.00** | 30.00 | – | – |');
});

test('it stands between its markers, also the second time', () => {
  const page = 'before\n<!-- bench -->\nold\n<!-- /bench -->\nafter\n';
  const once = insertOverview(page, 'new');
  expect(once).toBe('before\n<!-- bench -->\n\nnew\n\n<!-- /bench -->\nafter\n');
  expect(insertOverview(once, 'new')).toBe(once);
  expect(() => insertOverview('no markers', 'new')).toThrow('<!-- bench -->');
});

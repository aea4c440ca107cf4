import { expect, test } from 'vitest';
import { goalsTable, number, renderTable } from '../../bench/table.mjs';
import { entry, NAMES, results, run } from './results.ts';

const HELLO = entry(
  {
    tunicorn: [run(12_000)],
    'gunicorn-sync': [run(3000), { error: '3 connections cut' }],
    uwsgi: [{ error: '1 of 9 bodies were wrong' }],
  },
  { skipped: { 'node-http': 'not here' } },
);

test('a table of each workload that was measured, with ratios to Tunicorn', () => {
  const text = renderTable(results({ 'hello-32': HELLO }), NAMES);
  expect(text).toContain('on 2 cores, Linux 6.1.');
  expect(text).toContain('Versions: Tunicorn 0.1.0, Node 20.20.2.');
  expect(text.match(/^## .*$/gm)).toEqual(['## Goals', '## Hello, 32 connections']);
  expect(text).toContain('2026-11-27, 3 rounds of 4 s, 2 workers.');
  expect(text).toContain('| Tunicorn | 12,000 | 1.00 | 2.00 | 83 | 50 |');
  expect(text).toContain(
    '| gunicorn sync | 3,000 (0.25) | 1.00 (1.00) | 2.00 (1.00) | 333 (4.00) | 50 (1.00) |',
  );
});

test('what is no result, and who was left out, stand there with the reason', () => {
  const text = renderTable(results({ 'hello-32': HELLO }), NAMES);
  expect(text).toContain('| uWSGI | no result: 1 of 9 bodies were wrong |');
  expect(text).toContain('- gunicorn sync: 1 of 2 runs were no result: 3 connections cut.');
  expect(text).toContain('- Node http skipped: not here.');
});

test('every line of a table has as many cells as its head', () => {
  const text = renderTable(results({ 'hello-32': HELLO, idle: HELLO }), NAMES);
  for (const table of text.split('\n\n').filter((block) => block.startsWith('|'))) {
    const widths = table.split('\n').map((line) => line.split('|').length);
    expect(new Set(widths).size, table).toBe(1);
  }
});

test('the goals: met, not met, not measured', () => {
  const table = goalsTable(
    results({ 'hello-32': HELLO, slow: entry({ tunicorn: [run(1, { kept: 0.95 })] }) }),
    NAMES,
  );
  expect(table).toContain('| Hello, 32 connections: requests/s ≥ 6 × gunicorn sync | 4.00 × | **not met** |');
  expect(table).toContain('| 1,000 slow clients: ≥ 0.9 of the rate without them | 0.95 | met |');
  expect(table).toContain('| Memory of the front at rest ≤ 80 MiB | – | not measured |');
});

test('numbers as people read them', () => {
  expect(number(12_345.6, 0)).toBe('12,346');
  expect(number(3.21, 0)).toBe('3.2');
  expect(number(0, 0)).toBe('0');
  expect(number(0.123, 2)).toBe('0.12');
});

import type { Entry } from '../../bench/summary.mjs';
import type { Names, Results } from '../../bench/table.mjs';
import { FIGURES, WORKLOADS } from '../../bench/workloads.mjs';

export const NAMES: Names = {
  workloads: WORKLOADS,
  figures: FIGURES,
  titles: {
    tunicorn: 'Tunicorn',
    'gunicorn-sync': 'gunicorn sync',
    uwsgi: 'uWSGI',
    'node-http': 'Node http',
  },
  references: ['node-http'],
};

export function run(rate: number, more: Readonly<Record<string, number>> = {}): Record<string, number> {
  return { rate, p50Ms: 1, p99Ms: 2, cpuUs: 1e6 / rate, memoryMib: 50, ...more };
}

export function entry(runs: Entry['runs'], more: Partial<Entry> = {}): Entry {
  return { date: '2026-11-27', rounds: 3, seconds: 4, workers: 2, runs, skipped: {}, ...more };
}

export function results(workloads: Results['workloads']): Results {
  return { machine: '2 cores, Linux 6.1', versions: { Tunicorn: '0.1.0', Node: '20.20.2' }, workloads };
}

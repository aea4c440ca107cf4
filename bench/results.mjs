/** The folder of results: what was measured as JSON, and the table and the chart made of it. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { renderChart } from './chart.mjs';
import { insertOverview, renderOverview } from './overview.mjs';
import { renderTable } from './table.mjs';

/** @typedef {import('./table.mjs').Results} Results */

/**
 * What was measured before on the same machine, so that workloads can be measured one by one.
 * @param {string} folder @param {{ machine: string, versions: Record<string, string> }} now
 * @returns {Results}
 */
export function load(folder, { machine, versions }) {
  const path = join(folder, 'latest.json');
  const before = existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : null;
  return { machine, versions, workloads: before?.machine === machine ? before.workloads : {} };
}

/**
 * @param {{ folder: string, readme: string }} paths @param {Results} results @param {import('./table.mjs').Names} names
 */
export function save({ folder, readme }, results, names) {
  mkdirSync(folder, { recursive: true });
  const rounded = (_, value) => (typeof value === 'number' ? Number(value.toPrecision(5)) : value);
  writeFileSync(join(folder, 'latest.json'), `${JSON.stringify(results, rounded)}\n`);
  writeFileSync(join(folder, 'latest.md'), renderTable(results, names));
  writeFileSync(join(folder, 'latest.svg'), renderChart(results, names));
  writeFileSync(readme, insertOverview(readFileSync(readme, 'utf8'), renderOverview(results, names)));
}

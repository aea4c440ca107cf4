/** The results as Markdown. Pure. */
import { evaluate, GOALS } from './goals.mjs';
import { summarize } from './summary.mjs';

/**
 * @typedef {import('./workloads.mjs').Workload} Workload @typedef {import('./workloads.mjs').Figure} Figure
 * @typedef {import('./summary.mjs').Entry} Entry @typedef {import('./summary.mjs').Row} Row
 * @typedef {{ machine: string, versions: Record<string, string>, workloads: Record<string, Entry> }} Results
 * @typedef {{ workloads: Workload[], figures: Figure[], titles: Record<string, string>, references: string[] }} Names
 *   `titles` of the servers, by id; `references`: those that are no peers.
 */

/** @param {Results} results @param {Names} names @returns {string} */
export function renderTable(results, names) {
  const measured = names.workloads.filter(({ id }) => id in results.workloads);
  return [
    '# Results',
    `Measured by \`npm run bench\` on ${results.machine}. [The method](../README.md); [the chart](latest.svg).`,
    `Versions: ${versionsLine(results.versions)}.`,
    'In parentheses: the ratio to Tunicorn in the same round. Medians of all rounds.',
    '## Goals',
    goalsTable(results, names),
    ...measured.flatMap((workload) => section(workload, { entry: entryOf(results, workload.id), names })),
    '',
  ].join('\n\n');
}

function versionsLine(versions) {
  return Object.entries(versions)
    .map(([name, version]) => `${name} ${version}`)
    .join(', ');
}

function entryOf({ workloads }, id) {
  return workloads[id] ?? { date: '', rounds: 0, seconds: 0, workers: 0, runs: {}, skipped: {} };
}

/** @param {Results} results @param {Names} names @returns {string} */
export function goalsTable(results, { references, titles }) {
  const lines = GOALS.map((goal) => {
    const rows = summarize(entryOf(results, goal.workload));
    const { value, against, isMet } = evaluate(goal, { rows, references });
    const sign = isMet === null ? 'not measured' : isMet ? 'met' : '**not met**';
    const unit = goal.unit ? ` ${goal.unit}` : goal.peer ? ' ×' : '';
    const shown =
      value === null ? '–' : `${value.toFixed(2)}${unit}${against ? ` (${titles[against]})` : ''}`;
    return `| ${goal.text} | ${shown} | ${sign} |`;
  });
  return ['| goal | measured | |', '|---|---|---|', ...lines].join('\n');
}

/** @param {Workload} workload @param {{ entry: Entry, names: Names }} options */
function section(workload, { entry, names }) {
  const rows = summarize(entry);
  const figures = [...names.figures, ...(workload.more ?? [])];
  const header = `| server | ${figures.map(({ title }) => title).join(' | ')} |`;
  const lines = rows.map((row) => `| ${names.titles[row.id] ?? row.id} | ${cells(row, figures)} |`);
  return [
    `## ${workload.title}`,
    conditions(workload, entry),
    [header, `|---|${'---|'.repeat(figures.length)}`, ...lines].join('\n'),
    ...notes(entry, { rows, titles: names.titles }),
  ];
}

function conditions({ threads }, { date, rounds, seconds, workers, offeredRate }) {
  const each = threads > 1 ? ` with ${threads} threads each` : '';
  const rate = offeredRate ? `, ${Math.round(offeredRate)} requests/s offered to each` : '';
  return `${date}, ${rounds} ${rounds === 1 ? 'round' : 'rounds'} of ${seconds} s, ${workers} workers${each}${rate}.`;
}

/** @param {Row} row @param {Figure[]} figures */
function cells({ id, good, failure, figures: values, ratios }, figures) {
  if (good === 0) return [`no result: ${failure}`, ...figures.slice(1).map(() => '')].join(' | ');
  return figures
    .map(({ key, digits }) => {
      const value = values[key];
      if (value === undefined || Number.isNaN(value)) return '–';
      const ratio = ratios[key];
      const isCompared = id !== 'tunicorn' && ratio !== undefined && Number.isFinite(ratio);
      return `${number(value, digits)}${isCompared ? ` (${ratio.toFixed(2)})` : ''}`;
    })
    .join(' | ');
}

/** @param {number} value @param {number} digits */
export function number(value, digits) {
  const shown = value !== 0 && Math.abs(value) < 10 && digits === 0 ? 1 : digits;
  return value.toLocaleString('en', { minimumFractionDigits: shown, maximumFractionDigits: shown });
}

/** Runs that were no result, and servers that were left out: each is named. */
function notes({ skipped }, { rows, titles }) {
  const failed = rows
    .filter(({ good, of }) => good > 0 && good < of)
    .map(
      ({ id, good, of, failure }) => `${titles[id]}: ${of - good} of ${of} runs were no result: ${failure}.`,
    );
  const out = Object.entries(skipped).map(([id, reason]) => `${titles[id]} skipped: ${reason}.`);
  const all = [...failed, ...out];
  return all.length === 0 ? [] : [all.map((line) => `- ${line}`).join('\n')];
}

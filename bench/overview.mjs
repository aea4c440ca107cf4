/** The results in one table, for the README: a row for each workload, a column for each server. Pure. */
import { summarize } from './summary.mjs';
import { number } from './table.mjs';

const BEGIN = '<!-- bench -->';
const END = '<!-- /bench -->';

/**
 * @param {import('./table.mjs').Results} results @param {import('./table.mjs').Names} names
 * @returns {string} the best figure of each row is bold; references take no part in that.
 */
export function renderOverview(results, { workloads, figures, titles, references }) {
  const servers = Object.keys(titles);
  const rows = workloads.flatMap((workload) => {
    const entry = results.workloads[workload.id];
    if (entry === undefined) return [];
    const key = workload.chart ?? 'rate';
    const figure = figures.find((each) => each.key === key);
    if (figure === undefined) throw new Error(`No figure is called ${key}.`);
    return [row(workload, { values: valuesOf(entry, key), servers, references, figure })];
  });
  const head = `| | ${servers.map((id) => titles[id]).join(' | ')} |`;
  return [head, `|---|${'---|'.repeat(servers.length)}`, ...rows].join('\n');
}

function valuesOf(entry, key) {
  const good = summarize(entry).filter((each) => each.good > 0);
  return new Map(good.map(({ id, figures }) => [id, figures[key] ?? Number.NaN]));
}

function row(workload, { values, servers, references, figure }) {
  const peers = servers.filter((id) => values.has(id) && !references.includes(id));
  const best = (figure.isLess ? Math.min : Math.max)(...peers.map((id) => values.get(id)));
  const cells = servers.map((id) => {
    const value = values.get(id);
    if (value === undefined || Number.isNaN(value)) return '–';
    const shown = number(value, figure.digits);
    return value === best && peers.includes(id) ? `**${shown}**` : shown;
  });
  return `| ${workload.title}, ${figure.title} | ${cells.join(' | ')} |`;
}

/** @param {string} page @param {string} overview @returns {string} the page with the overview between its markers. */
export function insertOverview(page, overview) {
  const [begin, end] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error(`The page needs the lines ${BEGIN} and ${END}.`);
  return `${page.slice(0, begin)}${BEGIN}\n\n${overview}\n\n${page.slice(end)}`;
}

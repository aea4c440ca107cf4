/** The goals, and whether a run meets them. Pure. */

/**
 * @typedef {import('./summary.mjs').Row} Row
 * @typedef {{ workload: string, figure: string, text: string, unit?: string } & Bound} Goal
 *   `peer`: the ratio of Tunicorn's figure to that server's; to the best of all with `every`; to those named with several.
 *   Without `peer` it is Tunicorn's figure itself.
 * @typedef {{ peer?: readonly string[] | 'every', least?: number, most?: number }} Bound
 */

/** @type {Goal[]} */
export const GOALS = [
  {
    ...{ workload: 'hello-32', figure: 'rate', peer: ['gunicorn-sync'], least: 6 },
    text: 'Hello, 32 connections: requests/s ≥ 6 × gunicorn sync',
  },
  {
    ...{ workload: 'hello-32', figure: 'rate', peer: ['uwsgi'], least: 1.1 },
    text: 'Hello, 32 connections: requests/s ≥ 1.1 × uWSGI',
  },
  {
    ...{ workload: 'hello-32', figure: 'rate', peer: ['granian'], least: 0.6 },
    text: 'Hello, 32 connections: requests/s ≥ 0.6 × Granian',
  },
  {
    ...{ workload: 'hello-32', figure: 'cpuUs', peer: ['uwsgi'], most: 1 },
    text: 'Hello, 32 connections: CPU per request ≤ uWSGI',
  },
  {
    ...{ workload: 'hello-1', figure: 'p50Ms', peer: ['gunicorn-gthread'], most: 0.5 },
    text: 'Hello, 1 connection: p50 ≤ 0.5 × gunicorn gthread',
  },
  {
    ...{ workload: 'django-hello', figure: 'rate', peer: ['nginx-gunicorn'], least: 2 },
    text: 'Django hello: requests/s ≥ 2 × nginx + gunicorn',
  },
  {
    ...{ workload: 'django-hello', figure: 'rate', peer: ['gunicorn-sync'], least: 1.5 },
    text: 'Django hello: requests/s ≥ 1.5 × gunicorn sync',
  },
  {
    ...{ workload: 'django-hello', figure: 'rate', peer: ['uwsgi', 'granian'], least: 1 },
    text: 'Django hello: requests/s ≥ uWSGI and Granian',
  },
  {
    ...{ workload: 'django-hello', figure: 'slowestShare', least: 0.5 },
    text: 'Django hello: the slowest connection gets at least half of its share',
  },
  {
    ...{ workload: 'django-page', figure: 'rate', peer: ['nginx-gunicorn'], least: 1.2 },
    text: 'Django page: requests/s ≥ 1.2 × nginx + gunicorn',
  },
  {
    ...{ workload: 'django-page', figure: 'rate', peer: 'every', least: 1 },
    text: 'Django page: requests/s ≥ every other server',
  },
  {
    ...{ workload: 'mixed', figure: 'p99Ms', peer: 'every', most: 1 },
    text: 'Mixed: p99 of the fast ≤ the best other server’s',
  },
  {
    ...{ workload: 'mixed', figure: 'p99Ms', peer: ['gunicorn-gthread'], most: 0.5 },
    text: 'Mixed: p99 of the fast ≤ 0.5 × gunicorn gthread',
  },
  {
    ...{ workload: 'mixed', figure: 'p99Ms', most: 20, unit: 'ms' },
    text: 'Mixed: p99 of the fast under 20 ms',
  },
  {
    ...{ workload: 'slow', figure: 'kept', least: 0.9 },
    text: '1,000 slow clients: ≥ 0.9 of the rate without them',
  },
  {
    ...{ workload: 'file', figure: 'rate', peer: ['nginx-file'], least: 0.7 },
    text: '10 MB file: ≥ 0.7 × nginx sendfile',
  },
  {
    ...{ workload: 'idle', figure: 'frontRestMib', most: 80, unit: 'MiB' },
    text: 'Memory of the front at rest ≤ 80 MiB',
  },
  {
    ...{ workload: 'idle', figure: 'perConnectionKib', most: 12, unit: 'KiB' },
    text: 'Memory per idle connection ≤ 12 KiB',
  },
];

/**
 * @param {Goal} goal
 * @param {{ rows: Row[], references: string[] }} measured `rows` of the goal's workload; `references`: servers that are no peers.
 * @returns {{ value: number | null, against: string | null, isMet: boolean | null }} nulls when it was not measured;
 *   `against`: the server that counted, where there were several.
 */
export function evaluate(goal, { rows, references }) {
  const found = goal.peer === undefined ? own(goal, rows) : hardest(goal, { rows, references });
  if (found === null) return { value: null, against: null, isMet: null };
  return {
    ...found,
    isMet: goal.least === undefined ? found.value <= most(goal) : found.value >= goal.least,
  };
}

function most({ most = Number.POSITIVE_INFINITY }) {
  return most;
}

function own({ figure }, rows) {
  const ours = rows.find(({ id }) => id === 'tunicorn');
  const value = ours?.failure === null ? ours.figures[figure] : undefined;
  return value === undefined || Number.isNaN(value) ? null : { value, against: null };
}

/** The ratio to the server that it is hardest to be better than. */
function hardest({ figure, peer, least }, { rows, references }) {
  const isMeant = ({ id }) =>
    peer === 'every' ? id !== 'tunicorn' && !references.includes(id) : peer.includes(id);
  const ratios = rows
    .filter((row) => isMeant(row) && row.ratios[figure] > 0)
    .map((row) => ({ value: 1 / row.ratios[figure], against: peer.length === 1 ? null : row.id }))
    .sort((a, b) => (least === undefined ? b.value - a.value : a.value - b.value));
  return ratios[0] ?? null;
}

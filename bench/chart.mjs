/** The results as an SVG: one panel for each workload, one bar for each server. Pure. */
import { summarize } from './summary.mjs';
import { number } from './table.mjs';

const COLUMNS = 2;
const PANEL = { width: 460, top: 34, row: 18, gap: 26 };
const LABEL_WIDTH = 150;
const BAR_WIDTH = 210;
const TOP = 66;
const OURS = '#0b7285';
const OTHERS = '#adb5bd';
const REFERENCE = '#dee2e6';

/**
 * @param {import('./table.mjs').Results} results
 * @param {import('./table.mjs').Names} names
 * @returns {string}
 */
export function renderChart(results, names) {
  const panels = names.workloads
    .filter(({ id }) => id in results.workloads)
    .map((workload) => ({ workload, rows: summarize(results.workloads[workload.id]) }));
  const places = layOut(panels.map(({ rows }) => PANEL.top + rows.length * PANEL.row));
  const width = COLUMNS * PANEL.width + 20;
  const body = panels.map((panel, nth) => drawPanel(panel, { place: places.at[nth], names }));
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${places.height}" width="${width}" height="${places.height}"`,
    ' font-family="system-ui, sans-serif" font-size="12" fill="#212529">',
    `<rect width="${width}" height="${places.height}" fill="#fff"/>`,
    '<title>Tunicorn and other servers: requests per second of each workload</title>',
    '<text x="20" y="28" font-size="18" font-weight="600">Tunicorn and others</text>',
    `<text x="20" y="48" fill="#495057">${escapeXml(`${results.machine}; medians; more: latest.md`)}</text>`,
    ...body,
    '</svg>\n',
  ].join('\n');
}

/** Each panel goes below the shorter column. @param {number[]} heights */
export function layOut(heights) {
  const columns = Array.from({ length: COLUMNS }, () => TOP);
  const at = heights.map((height) => {
    const column = columns.indexOf(Math.min(...columns));
    const place = { x: 20 + column * PANEL.width, y: columns[column] };
    columns[column] += height + PANEL.gap;
    return place;
  });
  return { at, height: Math.max(...columns) };
}

function drawPanel({ workload, rows }, { place, names }) {
  const key = workload.chart ?? 'rate';
  const figure = names.figures.find((one) => one.key === key);
  const best = Math.max(...rows.map((row) => row.figures[key] ?? 0), Number.MIN_VALUE);
  const unit = `${figure.title}, ${figure.isLess ? 'less' : 'more'} is better`;
  const lines = rows.map((row, nth) => {
    const y = PANEL.top + nth * PANEL.row;
    return drawBar(row, { y, key, best, digits: figure.digits, names });
  });
  return [
    `<g transform="translate(${place.x} ${place.y})">`,
    `<text y="12" font-weight="600">${escapeXml(short(workload.title))}</text>`,
    `<text y="27" font-size="11" fill="#868e96">${escapeXml(unit)}</text>`,
    ...lines,
    '</g>',
  ].join('\n');
}

function drawBar(row, { y, key, best, digits, names }) {
  const value = row.good > 0 ? row.figures[key] : undefined;
  const colour = row.id === 'tunicorn' ? OURS : names.references.includes(row.id) ? REFERENCE : OTHERS;
  const width = value === undefined ? 0 : Math.max(1, (value / best) * BAR_WIDTH);
  const ratio = row.id === 'tunicorn' ? undefined : row.ratios[key];
  const told = value === undefined ? 'no result' : number(value, digits);
  const label = ratio === undefined || !Number.isFinite(ratio) ? told : `${told} (${ratio.toFixed(2)})`;
  const weight = row.id === 'tunicorn' ? ' font-weight="600"' : '';
  return [
    `<text x="${LABEL_WIDTH - 8}" y="${y + 13}" text-anchor="end"${weight}>${escapeXml(names.titles[row.id] ?? row.id)}</text>`,
    `<rect x="${LABEL_WIDTH}" y="${y + 3}" width="${width.toFixed(1)}" height="13" rx="2" fill="${colour}"/>`,
    `<text x="${(LABEL_WIDTH + width + 6).toFixed(1)}" y="${y + 13}" font-size="11">${escapeXml(label)}</text>`,
  ].join('');
}

/** What comes after a semicolon stands in the table. */
function short(title) {
  return title.split(';')[0];
}

function escapeXml(text) {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

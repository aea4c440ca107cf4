/**
 * The parts of `docs/` that are generated from code: the page of options, their schema, and the diagram of a connection's
 * states. `node scripts/docs.mjs` tells which are stale; with `--write` it brings them up to date.
 */
import { existsSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

/** `marker`: only what lies between `<!-- generated: MARKER -->` and `<!-- end -->` is replaced. */
const PAGES = [
  {
    page: 'docs/configuration.md',
    module: 'dist/config/page.js',
    render: 'renderConfigurationPage',
    marker: null,
  },
  {
    page: 'docs/tunicorn.schema.json',
    module: 'dist/config/schema.js',
    render: 'renderSchema',
    marker: null,
  },
  {
    page: 'docs/lifecycle.md',
    module: 'dist/http/connection.js',
    render: 'renderTransitions',
    marker: 'connection states',
  },
  {
    page: 'docs/signals.md',
    module: 'dist/arbiter/signals.js',
    render: 'renderSignals',
    marker: 'signals',
  },
  {
    page: 'docs/api/README.md',
    module: 'scripts/api.mjs',
    render: 'renderApi',
    marker: null,
  },
];

/**
 * Compares the generated pages with what the code says. Needs a fresh `dist/`.
 * @param {{ root?: string, write?: boolean }} [options]
 * @returns {Promise<string[]>} one sentence for each page that differs (or, with `write`, was changed).
 */
export async function updateDocs({ root = ROOT, write = false } = {}) {
  const changed = [];
  for (const { page, module, render, marker } of PAGES) {
    const code = await import(pathToFileURL(join(root, module)).href);
    const path = join(root, page);
    const before = existsSync(path) ? readFileSync(path, 'utf8') : '';
    const text = code[render](root);
    const after = marker === null ? text : between(before, { marker, page, text });
    if (after === before) continue;
    if (write) writeFileSync(path, after);
    changed.push(
      write
        ? `${page} is brought up to date`
        : `${page} is not what ${render}() gives: node scripts/docs.mjs --write`,
    );
  }
  return changed;
}

/** @throws {Error} when the page has no such markers. */
function between(page, { marker, page: name, text }) {
  const start = `<!-- generated: ${marker} -->\n`;
  const end = '<!-- end -->';
  const from = page.indexOf(start);
  const to = page.indexOf(end, from);
  if (from < 0 || to < 0) throw new Error(`${name} has no lines “${start.trim()}” and “${end}”.`);
  return `${page.slice(0, from + start.length)}\n${text.trim()}\n\n${page.slice(to)}`;
}

if (realpathSync(process.argv[1] ?? '') === fileURLToPath(import.meta.url)) {
  const write = process.argv.includes('--write');
  const changed = await updateDocs({ write });
  for (const line of changed) console.log(line);
  if (changed.length > 0 && !write) process.exitCode = 1;
}

/**
 * `npm test [-- files]`: builds, makes the tests' own Python environment, runs Vitest, and ends with one line
 * that names what was skipped and one that counts: `N passed, N failed, N skipped`.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from './build.mjs';
import { makeNodes } from './nodes.mjs';
import { findMissing, summarize } from './report.mjs';
import { makeVenv } from './venv.mjs';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const REPORT = join(ROOT, '.cache/test-report.json');
/** The closing line, for .ci/run, which has more to say before it. */
const SUMMARY = join(ROOT, '.cache/test-summary');

const say = (line) => console.error(line);

function test(args) {
  build({ say });
  const withoutVenv = makeVenv(ROOT, { say });
  const withoutNodes = makeNodes(ROOT, { say });
  rmSync(REPORT, { force: true });
  mkdirSync(dirname(REPORT), { recursive: true });
  const status = runVitest(args);
  const report = existsSync(REPORT) ? JSON.parse(readFileSync(REPORT, 'utf8')) : null;
  const missing = [...findMissing(ROOT, withoutVenv), ...(withoutNodes === null ? [] : [withoutNodes])];
  const lines = summarize(report, { root: ROOT, missing, ok: status === 0 });
  for (const line of lines) console.log(line);
  writeFileSync(SUMMARY, `${lines.at(-1)}\n`);
  return status;
}

function runVitest(args) {
  const program = join(ROOT, 'node_modules/vitest/vitest.mjs');
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${REPORT}`];
  const options = { cwd: ROOT, stdio: /** @type {const} */ ('inherit') };
  return spawnSync(process.execPath, [program, 'run', ...reporters, ...args], options).status ?? 1;
}

try {
  process.exitCode = test(process.argv.slice(2));
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}

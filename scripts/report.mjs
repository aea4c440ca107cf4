/** What `npm test` says at its end: what was skipped and why in one line, and the count. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join, relative } from 'node:path';

/** What some tests need besides Python packages; without it they are skipped. */
const PROGRAMS = ['nginx', 'chromium'];
const PACKAGES = { django: 'Django', flask: 'Flask', h11: 'h11', gunicorn: 'gunicorn' };

/**
 * The closing lines.
 * @param {null | { testResults: { name: string, status: string, assertionResults: { status: string, fullName?: string }[] }[] }} report
 *   Vitest's JSON report; null when it wrote none.
 * @param {{ root: string, missing: string[], ok: boolean }} options `missing`: what was not there, as clauses;
 *   `ok`: whether Vitest itself ended well (an error outside of any test makes it fail with all tests passed).
 * @returns {string[]}
 */
export function summarize(report, { root, missing, ok }) {
  const files = report?.testResults ?? [];
  const count = (...wanted) =>
    files.flatMap((file) => file.assertionResults).filter(({ status }) => wanted.includes(status)).length;
  // A file that cannot be loaded has no tests: it counts as one that failed.
  const broken = files.filter(
    (file) => file.status === 'failed' && file.assertionResults.length === 0,
  ).length;
  const failed = count('failed') + broken;
  const skipped = count('skipped', 'pending', 'todo', 'disabled');
  return [
    '',
    ...nameSkipped(files, { root, missing }),
    `${count('passed')} passed, ${ok ? failed : Math.max(1, failed)} failed, ${skipped} skipped`,
  ];
}

/** Few tests are named themselves, many by their files. */
function nameSkipped(files, { root, missing }) {
  const skipped = files
    .map((file) => ({ path: relative(root, file.name), names: namesOf(file) }))
    .filter(({ names }) => names.length > 0);
  if (skipped.length === 0 && missing.length === 0) return [];
  const where = skipped.map(({ path, names }) =>
    names.length < 3 ? `${path}: ${names.join(' and ')}` : path,
  );
  return [`Skipped: ${[...missing, ...where].join('; ')}`];
}

function namesOf(file) {
  return file.assertionResults
    .filter(({ status }) => status !== 'passed' && status !== 'failed')
    .map(({ fullName = 'a test' }) => `“${fullName.trim()}”`);
}

/**
 * What the tests would use and is not here.
 * @param {string} root the checkout.
 * @param {string | null} withoutVenv why `.venv-test/` could not be made.
 * @returns {string[]} clauses: `Django, Flask: no Python here has …`.
 */
export function findMissing(root, withoutVenv) {
  const python = join(root, '.venv-test/bin/python');
  const hasPackage = (name) =>
    spawnSync(existsSync(python) ? python : 'python3', ['-c', `import ${name}`]).status === 0;
  const missing = [];
  const packages = Object.keys(PACKAGES).filter((name) => !hasPackage(name));
  if (packages.length > 0) {
    const names = packages.map((name) => PACKAGES[name]).join(', ');
    missing.push(`${names}: ${withoutVenv ?? 'not for this version of Python'}`);
  }
  const programs = PROGRAMS.filter((name) => !hasProgram(name));
  if (programs.length > 0) missing.push(`${programs.join(', ')}: not installed`);
  return missing;
}

function hasProgram(name) {
  const folders = [...(process.env.PATH ?? '').split(':'), '/usr/sbin'];
  return folders.some((folder) => existsSync(join(folder, name)));
}

/**
 * `npm run check`: the one gate. Format and lint, types, import directions, generated documentation
 * unchanged, tests. It runs all of them and tells at the end which failed. `--no-tests` leaves the tests out,
 * for CI, which has run them already.
 */
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from './build.mjs';
import { findViolations } from './directions.mjs';
import { updateDocs } from './docs.mjs';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

/** Each gives what is wrong, as lines; none when all is well (a program's own output is enough, too). */
const STEPS = {
  build: () => void build(),
  'format and lint': () =>
    run('node_modules/@biomejs/biome/bin/biome', ['check', '--error-on-warnings', '.']),
  types: () => run('node_modules/typescript/bin/tsc', ['-p', 'tsconfig.json']),
  'import directions': () => findViolations(join(ROOT, 'src')),
  'generated docs': () => updateDocs({ root: ROOT }),
  tests: () => run('scripts/test.mjs', []),
};

function run(script, args) {
  const { status } = spawnSync(process.execPath, [join(ROOT, script), ...args], {
    cwd: ROOT,
    stdio: 'inherit',
  });
  return status === 0 ? [] : [`exit status ${status}`];
}

/** @returns {Promise<string[]>} names of the steps that failed. */
async function check(steps) {
  const failed = [];
  for (const [name, step] of steps) {
    console.log(`\n── ${name}`);
    const problems = await Promise.resolve()
      .then(step)
      .catch((error) => [error.message]);
    for (const problem of problems ?? []) console.log(problem);
    if ((problems ?? []).length > 0) failed.push(name);
  }
  return failed;
}

const skipped = process.argv.includes('--no-tests') ? ['tests'] : [];
const failed = await check(Object.entries(STEPS).filter(([name]) => !skipped.includes(name)));
console.log(failed.length === 0 ? '\nAll checks passed.' : `\nFailed: ${failed.join(', ')}`);
process.exitCode = failed.length === 0 ? 0 : 1;

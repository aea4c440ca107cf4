/**
 * `npm run fuzz -- --minutes N --seed S`: mutation fuzzing of the HTTP parser. Prints the number of cases and the
 * seed; a finding is printed as a case of the corpus. The same seed tries the same inputs in the same order.
 */
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const USAGE =
  'Usage: npm run fuzz -- [--minutes N] [--seed S]   (N over 0, fractions allowed; S a whole number)';

function readOptions() {
  const options = {
    minutes: { type: 'string', default: '1' },
    seed: { type: 'string', default: `${Date.now() % 2 ** 32}` },
  };
  const { minutes, seed } = parseArgs({ options }).values;
  if (!(Number(minutes) > 0) || !/^\d+$/.test(seed)) throw new Error(`--minutes ${minutes} --seed ${seed}`);
  return { FUZZ_MINUTES: minutes, FUZZ_SEED: seed };
}

function run(environment) {
  const vitest = join(ROOT, 'node_modules/vitest/vitest.mjs');
  const config = join(ROOT, 'test/http/fuzz.config.ts');
  const { status } = spawnSync(process.execPath, [vitest, 'run', '--config', config], {
    cwd: ROOT,
    stdio: 'inherit',
    env: { ...process.env, ...environment },
  });
  return status ?? 1;
}

try {
  process.exitCode = run(readOptions());
} catch (error) {
  console.error(`${error.message}\n${USAGE}`);
  process.exitCode = 1;
}

/** What `scripts/fuzz.mjs` starts under Vitest, which reads TypeScript on every Node we support. Not a test of the suite. */
import { test } from 'vitest';
import { fuzz } from './fuzz.ts';

test('fuzz', { timeout: 0 }, () => {
  const minutes = Number(process.env.FUZZ_MINUTES);
  const seed = Number(process.env.FUZZ_SEED);
  const { cases, accepted, compared, refused, findings } = fuzz({
    seed,
    forMs: minutes * 60_000,
    say: console.log,
  });
  const codes = Object.entries(refused).sort(([, left], [, right]) => right - left);
  console.log(`refused: ${codes.map(([code, count]) => `${code} ${count}`).join(', ')}`);
  console.log(
    `${cases} cases, ${accepted} accepted, ${compared} compared with h11, ${findings.length} findings, seed ${seed}, ${minutes} min`,
  );
  if (findings.length > 0)
    throw new Error(`${findings.length} findings, see above; each is a case for test/corpus/http.`);
});

/**
 * Brings `dist/` up to date before any test, for the tests that start the real command also when they are
 * run by `npx vitest`. A mistake elsewhere must not keep the tests of one module from running: it is told only.
 */
import { build } from '../../scripts/build.mjs';

/** Each project of vitest.config.ts calls this; once is enough. */
export function setup(): void {
  if (process.env.TUNICORN_TESTS_BUILT !== undefined) return;
  process.env.TUNICORN_TESTS_BUILT = 'yes';
  try {
    build();
  } catch (error) {
    const [reason = ''] = (error as Error).message.split('\n');
    console.error(`${reason} …\nThe tests that start Tunicorn run what was built before.`);
  }
}

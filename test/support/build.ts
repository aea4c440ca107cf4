/**
 * Brings `dist/` up to date before any test, for the tests that start the real command also when they are
 * run by `npx vitest`. A mistake elsewhere must not keep the tests of one module from running: it is told only.
 */
import { build } from '../../scripts/build.mjs';

let done = false;

export function setup(): void {
  if (done) return;
  done = true;
  try {
    build();
  } catch (error) {
    const [reason = ''] = (error as Error).message.split('\n');
    console.error(`${reason} …\nThe tests that start Tunicorn run what was built before.`);
  }
}

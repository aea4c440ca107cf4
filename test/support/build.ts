/**
 * Brings `dist/` up to date before any test, for the tests that start the real command also when they are
 * run by `npx vitest`. A mistake elsewhere must not keep the tests of one module from running: it is told only.
 */
import { build } from '../../scripts/build.mjs';

export function setup(): void {
  try {
    build();
  } catch (error) {
    console.error(`${(error as Error).message}\nThe tests that start Tunicorn run what was built before.`);
  }
}

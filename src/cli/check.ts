/** `tunicorn check`: reads the configuration, and tells what would be served. Imports no application. */
import { loadSettings } from '../config/load.ts';
import { renderSettings } from '../config/render.ts';
import type { CommandOptions } from './main.ts';

/** @throws UserError with every mistake */
export async function check(argv: readonly string[], { env, cwd, print }: CommandOptions): Promise<number> {
  const loaded = loadSettings({ argv, env, cwd });
  print(`All is well.\n${renderSettings(loaded)}`);
  return 0;
}

/** `tunicorn check`: reads the configuration, and tells what would be served. Imports no application. */
import { readSettings } from '../arbiter/settings.ts';
import { shownPath } from '../config/file.ts';
import type { Loaded } from '../config/load.ts';
import { renderChosen, renderHelp } from '../config/render.ts';
import { requireApplication } from './application.ts';
import type { CommandOptions } from './main.ts';

/** @throws UserError with every mistake */
export async function check(
  argv: readonly string[],
  { env, cwd, columns, print }: CommandOptions,
): Promise<number> {
  const loaded = await readSettings({ argv, env, cwd });
  if (loaded.action === 'help' || loaded.action === 'version') {
    print(renderHelp(columns));
    return 0;
  }
  requireApplication(loaded.settings);
  print(report(loaded, cwd));
  return 0;
}

function report(loaded: Loaded, cwd: string): string {
  const { file, settings, notes } = loaded;
  const lines = [
    ...notes.map((note) => `Note: ${note}`),
    `All is well. ${file === '' ? 'There is no configuration file.' : `The configuration file is ${shownPath(file, cwd)}.`}`,
    `${settings.app === '' ? "Django's application" : settings.app} would be served on ${settings.bind.join(', ')}. Whether it can be loaded tells --check-config.`,
  ];
  const chosen = renderChosen(loaded);
  return `${lines.join('\n')}\n${chosen === '' ? '' : `\n${chosen}`}`;
}

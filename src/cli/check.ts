/** `tunicorn check`: reads the configuration, and tells what would be served. Imports no application. */
import { requireHooks } from '../arbiter/hooks-module.ts';
import { requireNames } from '../arbiter/rights.ts';
import { readSettings } from '../arbiter/settings.ts';
import { shownPath } from '../config/file.ts';
import type { Loaded } from '../config/load.ts';
import { mountsOf } from '../config/mounts.ts';
import type { Settings } from '../config/options.ts';
import { renderChosen, renderHelp } from '../config/render.ts';
import { UserError } from '../errors.ts';
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
  const { settings } = loaded;
  requireApplication(settings);
  await requireWhatIsNamed(settings, env);
  print(report(loaded, cwd));
  return 0;
}

/** @throws UserError with all that is not there */
async function requireWhatIsNamed(settings: Settings, env: CommandOptions['env']): Promise<void> {
  const questions = [
    () => requireNames({ user: settings.user, group: '' }),
    () => requireNames({ user: '', group: settings.group }),
    ...mountsOf(settings).map((mount) => () => requireHooks(mount.settings, { ...env })),
  ];
  const mistakes: string[] = [];
  for (const ask of questions) {
    try {
      await ask();
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      mistakes.push(error.message);
    }
  }
  if (mistakes.length > 0) throw new UserError(mistakes.join('\n'));
}

function report(loaded: Loaded, cwd: string): string {
  const { file, settings, notes } = loaded;
  const lines = [
    ...notes.map((note) => `Note: ${note}`),
    `All is well. ${file === '' ? 'There is no configuration file.' : `The configuration file is ${shownPath(file, cwd)}.`}`,
    `${served(settings)} would be served on ${settings.bind.join(', ')}. Whether it can be loaded tells --check-config.`,
  ];
  const chosen = renderChosen(loaded);
  return `${lines.join('\n')}\n${chosen === '' ? '' : `\n${chosen}`}`;
}

/** `shop.wsgi`, or with several `shop.wsgi at /, server.ts at /api`. */
function served({ app, mount }: Settings): string {
  const named = (name: string) => (name === '' ? "Django's application" : name);
  if (mount.length === 0) return named(app);
  return mount.map(({ prefix, settings }) => `${named(settings.app)} at ${prefix}`).join(', ');
}

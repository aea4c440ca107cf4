/** Which application: the words for somebody who named none. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Mount, Settings } from '../config/options.ts';
import { UserError } from '../errors.ts';

/** @throws {UserError} when nobody named one and there is no Django project */
export function requireApplication(settings: Settings): void {
  const { chdir, mount } = settings;
  if (mount.length > 0) return requireEach(mount);
  if (isThere(settings)) return;
  throw new UserError(
    [
      `Which application? None was named, and ${chdir} has no manage.py to find Django's from. For example:`,
      '    tunicorn mysite.wsgi                 a Django site, in the folder of its manage.py',
      '    tunicorn app:app                     the object app in app.py, as Flask calls it',
      "    tunicorn 'site:create_app()'         what a factory returns",
      '    tunicorn server.ts                   what a TypeScript or JavaScript file exports',
      '    tunicorn --chdir ~/mysite -w 4 -b :8000 mysite.wsgi',
    ].join('\n'),
  );
}

/** @throws {UserError} for a prefix under which there is nothing to serve */
function requireEach(mounts: readonly Mount[]): void {
  const wrong = mounts.find(({ settings }) => !isThere(settings));
  if (wrong === undefined) return;
  const { prefix, settings } = wrong;
  throw new UserError(
    `--mount ${prefix}= names no application, and ${settings.chdir} has no manage.py to find Django's from. Write --mount ${prefix}=APP.`,
  );
}

function isThere({ app, chdir }: Settings): boolean {
  return app !== '' || existsSync(join(chdir, 'manage.py'));
}

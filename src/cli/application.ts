/** Which application: the words for somebody who named none. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Settings } from '../config/options.ts';
import { UserError } from '../errors.ts';

/** @throws UserError when nobody named one and there is no Django project */
export function requireApplication({ app, chdir }: Settings): void {
  if (app !== '' || existsSync(join(chdir, 'manage.py'))) return;
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

/** A new Django project, as `django-admin startproject` leaves it, in a folder of its own. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PYTHON } from './tunicorn.ts';

/** @returns the folder that holds `manage.py`; it is removed with `using`. */
export function makeDjangoProject(): { readonly folder: string } & Disposable {
  const folder = mkdtempSync(join(tmpdir(), 'project-'));
  execFileSync(PYTHON, ['-m', 'django', 'startproject', 'mysite', folder], { stdio: 'inherit' });
  return { folder, [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }) };
}

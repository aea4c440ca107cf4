/** The Django example with a database of its own, for tests. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { cleanEnvironment, PYTHON, ROOT } from '../support/tunicorn.ts';
import type { Page, Visitor } from './visitor.ts';

export const SITE: string = join(ROOT, 'examples/django');
export const PASSWORD = 'correct horse';

const run = promisify(execFile);

export interface Site {
  /** Temporary, for whatever a test wants to put there. */
  readonly folder: string;
  readonly env: Readonly<Record<string, string>>;
  manage(...args: string[]): Promise<string>;
  remove(): Promise<void>;
}

/** Makes database and folders, with an administrator `admin`. */
export async function makeSite(): Promise<Site> {
  const folder = await mkdtemp(join(tmpdir(), 'tunicorn-django-'));
  const env = {
    DJANGO_DB: join(folder, 'db.sqlite3'),
    DJANGO_MEDIA: join(folder, 'media'),
    DJANGO_STATIC: join(folder, 'static'),
    DJANGO_SUPERUSER_PASSWORD: PASSWORD,
    PYTHONDONTWRITEBYTECODE: '1',
  };
  const manage = async (...args: string[]) => {
    const { stdout } = await run(PYTHON, ['manage.py', ...args], { cwd: SITE, env: cleanEnvironment(env) });
    return stdout;
  };
  await manage('migrate', '--verbosity', '0');
  await manage('createsuperuser', '--no-input', '--username', 'admin', '--email', 'admin@example.com');
  return { folder, env, manage, remove: () => rm(folder, { recursive: true, force: true }) };
}

/** Logs in at the admin. @returns the answer to the form. */
export async function logIn(visitor: Visitor): Promise<Page> {
  const path = '/admin/login/?next=/admin/';
  const token = csrfToken(await visitor.get(path));
  const form = { csrfmiddlewaretoken: token, username: 'admin', password: PASSWORD, next: '/admin/' };
  return visitor.post(path, new URLSearchParams(form));
}

/** The token in a page's form. */
export function csrfToken(page: Page): string {
  return /name="csrfmiddlewaretoken" value="([^"]+)"/.exec(page.text)?.[1] ?? '';
}

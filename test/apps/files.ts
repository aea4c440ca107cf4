/**
 * Answers that are files, of the folder in FILES: the path says by which way, then the file's name. `files.py` has these
 * and those of `wsgi.file_wrapper`, which a TypeScript application does not have.
 */
import { join } from 'node:path';
import type { Application } from '../../src/wsgi/types.ts';

const FOLDER = process.env.FILES ?? '.';

const WAYS: Readonly<Record<string, (name: string) => readonly [string, string]>> = {
  sent: (name) => ['X-Sendfile', join(FOLDER, name)],
  accel: (name) => ['X-Accel-Redirect', `/protected/${name}`],
};

export const application: Application = (environ, startResponse) => {
  const [, way = '', ...rest] = environ.PATH_INFO.split('/');
  const header = WAYS[way]?.(rest.join('/'));
  if (header !== undefined) {
    startResponse('200 OK', [['Content-Type', 'a/b'], header]);
    return [];
  }
  if (way !== 'hello') throw new Error(`There is no way ${way}.`);
  startResponse('200 OK', [
    ['Content-Type', 'text/plain'],
    ['Content-Length', '5'],
  ]);
  return ['hello'];
};

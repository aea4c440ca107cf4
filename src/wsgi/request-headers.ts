import type { Environ } from './types.ts';

/** The header fields of the request as `environ` has them: `[name, value]`, names in lower case. */
export function* requestHeaders(environ: Environ): Generator<[name: string, value: string], void, undefined> {
  for (const key in environ) {
    const value = environ[key];
    if (typeof value !== 'string') continue;
    if (key.startsWith('HTTP_')) yield [key.slice('HTTP_'.length).toLowerCase().replaceAll('_', '-'), value];
    else if (key === 'CONTENT_TYPE' || key === 'CONTENT_LENGTH') {
      if (value !== '') yield [key.toLowerCase().replace('_', '-'), value];
    }
  }
}

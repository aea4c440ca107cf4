import { UserError } from '../errors.ts';
import type { Application } from './types.ts';

/** Prefix as it stands in `environ` (empty for `/`), and what answers below it. */
type Mount = readonly [prefix: string, app: Application];

/**
 * Several applications as one, each under a prefix: `mount({ '/api': api, '/': site })`. The longest prefix that fits
 * on whole segments wins, whatever the order: `/api` and `/api/users` are the API's, `/apiary` is not. The prefix
 * moves from `PATH_INFO` to `SCRIPT_NAME` (PEP 3333, "environ Variables"), so each application makes its links as
 * if it were alone. Where nothing fits the answer is 404.
 *
 * As with Werkzeug's DispatcherMiddleware nobody is redirected: for `/api` without a slash the application gets an
 * empty `PATH_INFO`, and decides itself.
 *
 * @throws {UserError} for a prefix without a slash at its beginning, or one that is there twice.
 */
export function mount(apps: Readonly<Record<string, Application>>): Application {
  const mounts = Object.entries(apps)
    .map(([prefix, app]): Mount => [environPrefix(prefix), app])
    .sort(([a], [b]) => b.length - a.length);
  refuseTwins(mounts);
  return (environ, startResponse) => {
    const { SCRIPT_NAME: script, PATH_INFO: path } = environ;
    // Prefix by prefix: to cut segment after segment off a path of 8,000 slashes would take quadratic time.
    const [prefix, app] = mounts.find(([prefix]) => covers(prefix, path)) ?? ['', notFound];
    environ.SCRIPT_NAME = script + prefix;
    environ.PATH_INFO = path.slice(prefix.length);
    return app(environ, startResponse);
  };
}

function covers(prefix: string, path: string): boolean {
  return (
    path.startsWith(prefix) && (prefix === '' || path.length === prefix.length || path[prefix.length] === '/')
  );
}

/** Without slashes at its end, as SCRIPT_NAME may have none there, and in the bytes of UTF-8, one character each, as paths in `environ` are. */
function environPrefix(prefix: string): string {
  if (!prefix.startsWith('/')) {
    throw new UserError(
      `mount: the prefix ${JSON.stringify(prefix)} must begin with a slash, like "/api" or "/".`,
    );
  }
  return Buffer.from(prefix.replace(/\/+$/, '')).toString('latin1');
}

function refuseTwins(mounts: readonly Mount[]): void {
  const twin = mounts.find(([prefix], i) => prefix === mounts[i + 1]?.[0]);
  if (twin === undefined) return;
  const prefix = Buffer.from(twin[0], 'latin1').toString();
  throw new UserError(`mount: "${prefix}" and "${prefix}/" are the same prefix. Leave one of them out.`);
}

const notFound: Application = (_environ, startResponse) => {
  startResponse('404 Not Found', [['Content-Type', 'text/plain; charset=utf-8']]);
  return ['404 Not Found\n'];
};

import type { Environ } from './types.ts';

/**
 * The target of the request within the application, still percent-encoded: `RAW_URI` without what `SCRIPT_NAME` names.
 * Where middleware has changed the path into what did not stand there, `PATH_INFO` is encoded anew.
 * @returns A path that begins with a slash, and the query.
 */
export function requestTarget(environ: Environ): string {
  const raw = pathOf(environ.RAW_URI ?? '');
  const [path = '', query] = split(raw);
  const rest = within(path, environ.SCRIPT_NAME);
  const own = rest === null || decode(rest) !== environ.PATH_INFO ? encode(environ.PATH_INFO) : rest;
  const search = query ?? (environ.QUERY_STRING === '' ? '' : `?${environ.QUERY_STRING}`);
  return `${own === '' ? '/' : own}${search}`;
}

/** Of a target in absolute form (RFC 9112 §3.2.2) the path is what counts; of `*` there is none. */
function pathOf(target: string): string {
  if (target.startsWith('/')) return target;
  return /^[a-z][a-z0-9+.-]*:\/\/[^/?]*(.*)$/i.exec(target)?.[1] ?? '';
}

function split(target: string): [path: string, query: string | undefined] {
  const at = target.indexOf('?');
  return at < 0 ? [target, undefined] : [target.slice(0, at), target.slice(at)];
}

/** What follows the part of an encoded path that means `prefix`; null when it does not begin so. */
function within(path: string, prefix: string): string | null {
  let at = 0;
  for (let i = 0; i < prefix.length; i++) {
    const escaped = /^%([0-9A-Fa-f]{2})/.exec(path.slice(at, at + 3));
    const char = escaped === null ? path[at] : String.fromCharCode(Number.parseInt(escaped[1] ?? '', 16));
    if (char !== prefix[i]) return null;
    at += escaped === null ? 1 : 3;
  }
  return path.slice(at);
}

function decode(path: string): string {
  if (!path.includes('%')) return path;
  return path.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
}

/** `PATH_INFO` holds bytes, one a character. */
function encode(path: string): string {
  return path.replace(
    /[^A-Za-z0-9/!$&'()*+,;=:@._~-]/g,
    (c) => `%${c.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`,
  );
}

/** The prefix of the path that is the application's own name (PEP 3333: `SCRIPT_NAME`), as gunicorn and the Python worker take it from the environment. */

/** From the variable `SCRIPT_NAME`: empty, or a path without a slash at its end, one character a byte. */
export function scriptName(env: NodeJS.ProcessEnv): string {
  const name = Buffer.from(env.SCRIPT_NAME ?? '')
    .toString('latin1')
    .replace(/^\/+|\/+$/g, '');
  return name === '' ? '' : `/${name}`;
}

/**
 * Moves the prefix from `PATH_INFO` to `SCRIPT_NAME` in a list of keys and values.
 * @returns false when the path does not lie under it; nothing has been changed then
 */
export function shiftPath(entries: string[], prefix: string): boolean {
  const at = indexOf(entries, 'PATH_INFO');
  const path = entries[at] ?? '';
  if (path !== prefix && !path.startsWith(`${prefix}/`)) return false;
  entries[at] = path.slice(prefix.length);
  entries[indexOf(entries, 'SCRIPT_NAME')] = prefix;
  return true;
}

/** Of the value behind a key. */
function indexOf(entries: readonly string[], key: string): number {
  for (let i = 0; i < entries.length; i += 2) if (entries[i] === key) return i + 1;
  throw new Error(`A request without ${key}.`);
}

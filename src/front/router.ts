/** Which application a path belongs to: the one with the longest prefix, on whole segments. */
import { decodePath } from '../wsgi/environ.ts';

export interface Route<T> {
  /** `/`, or whole segments without a slash at the end. */
  readonly prefix: string;
  readonly target: T;
}

/**
 * Judges the path exactly as `PATH_INFO` has it: percent-decoded once, and not normalised. So an encoded slash or a `..`
 * leads to no other application than the one whose prefix the path itself begins with.
 */
export class Router<T> {
  /** The longest prefix first; `/` is empty, as it begins every path. */
  readonly #routes: readonly Route<T>[];

  constructor(routes: readonly Route<T>[]) {
    this.#routes = routes
      .map(({ prefix, target }) => ({ prefix: prefix === '/' ? '' : toBytes(prefix), target }))
      .sort((a, b) => b.prefix.length - a.prefix.length);
  }

  /** @param path of the request, still percent-encoded. @returns null when no prefix covers it */
  find(path: string): T | null {
    const [first] = this.#routes;
    // The only one there is takes all: nothing has to be decoded.
    if (first?.prefix === '') return first.target;
    const decoded = decodePath(path);
    return this.#routes.find(({ prefix }) => covers(prefix, decoded))?.target ?? null;
  }
}

function covers(prefix: string, path: string): boolean {
  return (
    path.startsWith(prefix) && (path.length === prefix.length || prefix === '' || path[prefix.length] === '/')
  );
}

/** One character a byte, as `PATH_INFO`. */
function toBytes(prefix: string): string {
  return Buffer.from(prefix).toString('latin1');
}

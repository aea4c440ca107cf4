import type { StaticMount } from '../messages.ts';
import { type Place, Root } from './open-file.ts';

/** URL prefixes and the folders whose files they show. */
export class Mounts {
  readonly #mounts: readonly { readonly prefix: string; readonly roots: readonly Root[] }[];

  constructor(mounts: readonly StaticMount[]) {
    this.#mounts = mounts
      .map(({ prefix, folders }) => ({ prefix, roots: folders.map((folder) => new Root(folder)) }))
      .sort((a, b) => b.prefix.length - a.prefix.length);
  }

  get empty(): boolean {
    return this.#mounts.length === 0;
  }

  /**
   * Where the file of a decoded path may be, in the order to look: the longest prefix comes first, then the order of
   * the mounts. `fileName` gives the name under a folder, or null when there can be none.
   * @returns null when no prefix covers the path.
   */
  places(path: string, fileName: (rest: string) => string | null): readonly Place[] | null {
    const mounts = this.#mounts.filter(({ prefix }) => path.startsWith(prefix));
    if (mounts.length === 0) return null;
    return mounts.flatMap(({ prefix, roots }) => {
      const name = fileName(path.slice(prefix.length));
      return name === null ? [] : roots.map((root) => ({ root, name }));
    });
  }
}

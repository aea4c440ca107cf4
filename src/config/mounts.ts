/** Several applications in one server, each under a prefix of the path. */
import type { Settings } from './options.ts';

/** An application under its prefix, with all that holds for it. */
export interface Mount {
  /** `/`, or whole segments without a slash at the end: `/api`, `/shop/admin`. */
  readonly prefix: string;
  readonly settings: Settings;
}

/** The applications of a server, in the order in which they were given; without `--mount` the one at `/`. */
export function mountsOf(settings: Settings): readonly Mount[] {
  return [{ prefix: '/', settings }];
}

import { closeSync, openSync } from 'node:fs';
import { isatty } from 'node:tty';

/** The terminal that the server was started in, if any. */
export class Terminal {
  readonly isThere: boolean = isatty(0);

  /** Whether it has been closed since. HUP means just that then, and nobody is left to stop the server. */
  isGone(): boolean {
    if (!this.isThere) return false;
    try {
      closeSync(openSync('/dev/tty', 'r+'));
      return false;
    } catch {
      return true;
    }
  }
}

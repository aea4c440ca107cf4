/** Reloads: the configuration read anew, and the new generation followed until it serves or is thrown away. */
import { UserError } from '../errors.ts';
import type { Logger } from '../observe/log.ts';
import type { Outcome } from '../status.ts';
import type { Setup } from './fleet.ts';

/** What a reload starts from. */
export interface Reread {
  readonly setup: Setup;
  /** Changed settings that need a restart, as a sentence; empty when there are none. */
  readonly restart: string;
}

export interface ReloadOptions {
  readonly log: Logger;
  /** Reads the configuration anew and runs `on-reload`. @throws {UserError} when it cannot be, or must not. */
  readonly read: () => Promise<Reread>;
  /** Starts the new generation. @returns its number. */
  readonly begin: (setup: Setup) => number;
  /** How many workers there are, in words. */
  readonly count: () => string;
}

const REFUSED = 'The reload was refused, and nothing has changed.';

export class Reloads {
  readonly #options: ReloadOptions;
  #underWay: Promise<Outcome> | null = null;
  /** Asked for while another was under way: what has been read then may be older than the wish. */
  #next: Promise<Outcome> | null = null;
  #end: ((outcome: Outcome) => void) | null = null;

  constructor(options: ReloadOptions) {
    this.#options = options;
  }

  /** Whether a reload is under way. */
  get active(): boolean {
    return this.#underWay !== null;
  }

  /** Resolves when the new generation serves alone, or the old one goes on. */
  request(): Promise<Outcome> {
    if (this.#underWay === null) {
      this.#underWay = this.#run().finally(() => {
        this.#underWay = null;
      });
      return this.#underWay;
    }
    const again = () => {
      this.#next = null;
      return this.request();
    };
    // Whatever became of the one before it.
    this.#next ??= this.#underWay.then(again, again);
    return this.#next;
  }

  /** The new generation serves alone, or is thrown away because of `failure`. */
  end(failure: string | null): void {
    this.#end?.({ ok: failure === null, text: failure ?? '' });
  }

  async #run(): Promise<Outcome> {
    const { log, read, begin, count } = this.#options;
    const began = performance.now();
    let reread: Reread;
    try {
      reread = await read();
    } catch (error) {
      // Whatever it is, the server goes on.
      const why = error instanceof UserError ? error.message : `This should not happen: ${describe(error)}`;
      return this.#tell(false, `${REFUSED} ${why}`);
    }
    if (reread.restart !== '') log.warning(reread.restart);
    const ended = new Promise<Outcome>((resolve) => {
      this.#end = resolve;
    });
    const generation = begin(reread.setup);
    const { ok, text } = await ended;
    this.#end = null;
    if (!ok) {
      return this.#tell(
        false,
        `The reload failed: the new code cannot be loaded. The old one goes on serving.\n${text}`,
      );
    }
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    const done = `Reloaded: ${count()} of generation ${generation} after ${seconds} s`;
    return this.#tell(true, reread.restart === '' ? done : `${done}. ${reread.restart}`, done);
  }

  #tell(ok: boolean, text: string, logged = text): Outcome {
    if (ok) this.#options.log.info(logged);
    else this.#options.log.error(logged);
    return { ok, text };
  }
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

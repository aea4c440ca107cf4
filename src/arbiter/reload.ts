/** Reloads: the configuration read anew, and the new generations followed until they serve or are thrown away. */
import type { Settings } from '../config/options.ts';
import { UserError } from '../errors.ts';
import type { Logger } from '../observe/log.ts';
import type { Outcome } from '../status.ts';
import type { Setup } from './fleet.ts';

/** What a reload starts from. */
export interface Reread {
  readonly settings: Settings;
  /** By pool. */
  readonly setups: readonly Setup[];
  /** Changed settings that need a restart, as a sentence; empty when there are none. */
  readonly restart: string;
}

export interface ReloadOptions {
  readonly log: Logger;
  /** How many applications there are. */
  readonly pools: number;
  /** Reads the configuration anew and runs `on-reload`. @throws {UserError} when it cannot be, or must not. */
  readonly read: () => Promise<Reread>;
  /** Starts the new generation of a pool. @returns its number. */
  readonly begin: (pool: number, setup: Setup) => number;
  /** Takes up what belongs to the server as a whole. */
  readonly configure: (settings: Settings) => void;
  /** How many workers a pool has, in words. */
  readonly count: (pool: number) => string;
  /** What distinguishes an application in the log, behind a noun; empty when there is only one. */
  readonly of: (pool: number) => string;
  /** Every generation that was begun serves or was thrown away; or nothing was begun. */
  readonly onEnd: () => void;
}

interface Ended {
  readonly pool: number;
  readonly generation: number;
  /** Null when the new generation serves. */
  readonly failure: string | null;
}

const REFUSED = 'The reload was refused, and nothing has changed.';

export class Reloads {
  readonly #options: ReloadOptions;
  #underWay: Promise<Outcome> | null = null;
  /** Asked for while another was under way: what has been read then may be older than the wish. */
  #next: { readonly pools: Set<number>; readonly outcome: Promise<Outcome> } | null = null;
  /** By pool. */
  readonly #ends = new Map<number, (failure: string | null) => void>();

  constructor(options: ReloadOptions) {
    this.#options = options;
  }

  /** Whether a reload is under way. */
  get active(): boolean {
    return this.#underWay !== null;
  }

  /** Reloads one application, or with null all. Resolves when the new generations serve alone, or the old ones go on. */
  request(pool: number | null = null): Promise<Outcome> {
    const pools = pool === null ? [...Array(this.#options.pools).keys()] : [pool];
    if (this.#underWay === null) return this.#start(pools);
    this.#next ??= this.#after(this.#underWay);
    for (const each of pools) this.#next.pools.add(each);
    return this.#next.outcome;
  }

  /** The new generation of a pool serves alone, or is thrown away because of `failure`. */
  end(pool: number, failure: string | null): void {
    this.#ends.get(pool)?.(failure);
  }

  #start(pools: readonly number[]): Promise<Outcome> {
    this.#underWay = this.#run(pools).finally(() => {
      this.#underWay = null;
      this.#options.onEnd();
    });
    return this.#underWay;
  }

  #after(underWay: Promise<Outcome>) {
    const pools = new Set<number>();
    const again = () => {
      this.#next = null;
      return this.#start([...pools].sort((a, b) => a - b));
    };
    // Whatever became of the one before it.
    return { pools, outcome: underWay.then(again, again) };
  }

  async #run(pools: readonly number[]): Promise<Outcome> {
    const { log, read, configure } = this.#options;
    const began = performance.now();
    let reread: Reread;
    try {
      reread = await read();
    } catch (error) {
      // Whatever it is, the server goes on.
      const why = error instanceof UserError ? error.message : `This should not happen: ${describe(error)}`;
      return this.#tell(false, `${REFUSED} ${why}`);
    }
    const { restart, settings } = reread;
    if (restart !== '') log.warning(restart);
    const ended = await Promise.all(pools.map((pool) => this.#renew(pool, reread)));
    const failed = ended.filter(({ failure }) => failure !== null);
    // A server of which one part has failed to follow its configuration stays as it was as a whole.
    if (failed.length === 0 && pools.length === this.#options.pools) configure(settings);
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    const texts = ended.map((each) => this.#describe(each, seconds));
    const done = texts.join('\n');
    for (const [i, { failure }] of ended.entries()) this.#tell(failure === null, texts[i] ?? '');
    const text = restart === '' || failed.length > 0 ? done : `${done}. ${restart}`;
    return { ok: failed.length === 0, text };
  }

  #renew(pool: number, { setups }: Reread): Promise<Ended> {
    const setup = setups[pool];
    if (setup === undefined) throw new Error(`There is no pool ${pool}.`);
    return new Promise((resolve) => {
      this.#ends.set(pool, (failure) => {
        this.#ends.delete(pool);
        resolve({ pool, generation, failure });
      });
      const generation = this.#options.begin(pool, setup);
    });
  }

  #describe({ pool, generation, failure }: Ended, seconds: string): string {
    const { count, of } = this.#options;
    if (failure === null) {
      const what = of(pool) === '' ? count(pool) : `${count(pool)}${of(pool)},`;
      return `Reloaded: ${what} ${of(pool) === '' ? 'of generation' : 'generation'} ${generation} after ${seconds} s`;
    }
    return `The reload${of(pool)} failed: the new code cannot be loaded. The old one goes on serving.\n${failure}`;
  }

  #tell(ok: boolean, text: string): Outcome {
    if (ok) this.#options.log.info(text);
    else this.#options.log.error(text);
    return { ok, text };
  }
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

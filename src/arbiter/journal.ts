/** What the arbiter tells about its start and its workers, in order, and each thing once. */
import type { Settings } from '../config/options.ts';
import { count } from '../count.ts';
import type { FromWorker } from '../messages.ts';
import type { Logger } from '../observe/log.ts';
import { describeEnd, type End } from './children.ts';

type Loaded = Extract<FromWorker, { event: 'loaded' }>;
type Failed = Extract<FromWorker, { event: 'failed' }>;

/** A worker in the words of the log: its number, and its process. */
export interface Named {
  readonly id: number;
  readonly pid: number;
  /** Of which application, where there are several: ` of /api`. */
  readonly of?: string;
}

/** What was said of one application. */
interface Told {
  loaded: Loaded | null;
  degraded: boolean;
  /** What was last said of it, so that a fleet of alike workers says it once. */
  application: string;
  failure: string;
}

export interface JournalOptions {
  readonly log: Logger;
  readonly pools: number;
  /** What distinguishes an application, to be put behind a noun; empty when there is only one. */
  readonly of: (pool: number) => string;
}

export class Journal {
  readonly #log: Logger;
  readonly #of: (pool: number) => string;
  readonly #told: readonly Told[];
  #listening = false;
  #ready = false;

  constructor({ log, pools, of }: JournalOptions) {
    this.#log = log;
    this.#of = of;
    this.#told = Array.from({ length: pools }, () => {
      return { loaded: null, degraded: false, application: '', failure: '' };
    });
  }

  /** An application's name in full; empty before it was loaded. */
  app(pool: number): string {
    return this.#told[pool]?.loaded?.app ?? '';
  }

  /** Every front listens: at the first time the addresses are told, and what waited for that. */
  listening(urls: readonly string[], folders: Settings['static']): void {
    if (this.#listening) return;
    this.#listening = true;
    for (const url of urls) this.#log.info(`Listening at ${url}`);
    for (const { prefix, folder } of folders)
      this.#log.info(`Static files ${prefix} from ${folder} (--static)`);
    for (const pool of this.#told.keys()) this.#describe(pool);
  }

  loaded(pool: number, message: Loaded): void {
    const told = this.#told[pool];
    if (told === undefined) return;
    told.loaded = message;
    told.failure = '';
    if (this.#listening) this.#describe(pool);
  }

  /** All workers serve: so many of each application, `ms` since the start of the process. Told at the first time only. */
  ready(workers: readonly number[], ms: number): void {
    if (this.#ready || !this.#listening) return;
    this.#ready = true;
    const each = workers.map((number, pool) => `${number}${this.#of(pool)}`).join(', ');
    const all = count(
      workers.reduce((sum, number) => sum + number, 0),
      'worker',
    );
    const some = workers.length === 1 ? all : `${all} (${each})`;
    this.#log.info(`Ready: ${some} in ${Math.round(ms)} ms`);
  }

  replaced(worker: Named): void {
    if (this.#ready) this.#log.info(`${name(worker)} is ready`);
  }

  /** Whether new workers die before they have served. One line for each change. */
  health(pool: number, degraded: boolean): void {
    const told = this.#told[pool];
    if (told === undefined || degraded === told.degraded) return;
    told.degraded = degraded;
    if (degraded) {
      this.#log.error(
        `Degraded: workers${this.#of(pool)} end before they have served. The next ones are tried at growing intervals, up to 30 s`,
      );
    } else this.#log.info(`Recovered: workers${this.#of(pool)} serve again`);
  }

  /** Why the application cannot be loaded: the same failure is told once. */
  failed(pool: number, message: Failed): void {
    const told = this.#told[pool];
    const text = describeFailure(message, this.#of(pool));
    if (told === undefined || text === told.failure) return;
    told.failure = text;
    this.#log.error(text);
  }

  /** `delayMs`: until the next try. */
  lost(worker: Named, how: string, delayMs: number): void {
    const next =
      delayMs > 0 ? `The next one starts in ${(delayMs / 1000).toFixed(1)} s` : 'Another one starts';
    this.#log.error(`${name(worker)} ${how}. ${next}`);
  }

  left(worker: Named, end: End): void {
    this.#log.info(`${name(worker)} ${describeEnd(end)}`);
  }

  #describe(pool: number): void {
    const told = this.#told[pool];
    if (told === undefined || told.loaded === null) return;
    const { app, framework, found, mounts, mountsWhy } = told.loaded;
    const version = framework === '' ? '' : ` (${framework})`;
    const of = this.#of(pool);
    const lines = [
      `Application${of === '' ? '' : `${of}:`} ${app}${version}${found === '' ? '' : `, ${found}`}`,
    ];
    for (const { prefix, folders } of mounts) {
      lines.push(
        `Static files ${prefix} from ${folders.join(', ')}${mountsWhy === '' ? '' : ` (${mountsWhy})`}`,
      );
    }
    if (mounts.length === 0 && mountsWhy !== '') lines.push(mountsWhy);
    const text = lines.join('\n');
    if (text === told.application) return;
    told.application = text;
    for (const line of lines) this.#log.info(line);
  }
}

/** Why an application cannot be loaded: the sentence for people, then its traceback. `of`: as in {@link Named}. */
export function describeFailure({ message, traceback }: Failed, of = ''): string {
  const sentence = of === '' ? message : `The application${of} cannot be loaded. ${message}`;
  return traceback === '' ? sentence : `${sentence}\n${traceback.trimEnd()}`;
}

export function name({ id, pid, of = '' }: Named): string {
  return `Worker ${id}${of}${pid === 0 ? '' : ` (pid ${pid})`}`;
}

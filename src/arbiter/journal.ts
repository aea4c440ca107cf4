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
}

export class Journal {
  readonly #log: Logger;
  #listening = false;
  #ready = false;
  #degraded = false;
  #loaded: Loaded | null = null;
  /** What was last said of the application, so that a fleet of alike workers says it once. */
  #application = '';
  #failure = '';

  constructor(log: Logger) {
    this.#log = log;
  }

  /** The application's name in full; empty before it was loaded. */
  get app(): string {
    return this.#loaded?.app ?? '';
  }

  /** Every front listens: at the first time the addresses are told, and what waited for that. */
  listening(urls: readonly string[], folders: Settings['static']): void {
    if (this.#listening) return;
    this.#listening = true;
    for (const url of urls) this.#log.info(`Listening at ${url}`);
    for (const { prefix, folder } of folders)
      this.#log.info(`Static files ${prefix} from ${folder} (--static)`);
    if (this.#loaded !== null) this.#describe(this.#loaded);
  }

  loaded(message: Loaded): void {
    this.#loaded = message;
    this.#failure = '';
    if (this.#listening) this.#describe(message);
  }

  /** All workers serve; `ms` since the start of the process. Told at the first time only. */
  ready(workers: number, ms: number): void {
    if (this.#ready || !this.#listening) return;
    this.#ready = true;
    this.#log.info(`Ready: ${count(workers, 'worker')} in ${Math.round(ms)} ms`);
  }

  replaced(worker: Named): void {
    if (this.#ready) this.#log.info(`${name(worker)} is ready`);
  }

  /** Whether new workers die before they have served. One line for each change. */
  health(degraded: boolean): void {
    if (degraded === this.#degraded) return;
    this.#degraded = degraded;
    if (degraded) {
      this.#log.error(
        'Degraded: workers end before they have served. The next ones are tried at growing intervals, up to 30 s',
      );
    } else this.#log.info('Recovered: workers serve again');
  }

  /** Why the application cannot be loaded: the same failure is told once. */
  failed(message: Failed): void {
    const text = describeFailure(message);
    if (text === this.#failure) return;
    this.#failure = text;
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

  #describe({ app, framework, found, mounts, mountsWhy }: Loaded): void {
    const version = framework === '' ? '' : ` (${framework})`;
    const lines = [`Application ${app}${version}${found === '' ? '' : `, ${found}`}`];
    for (const { prefix, folders } of mounts) {
      lines.push(
        `Static files ${prefix} from ${folders.join(', ')}${mountsWhy === '' ? '' : ` (${mountsWhy})`}`,
      );
    }
    if (mounts.length === 0 && mountsWhy !== '') lines.push(mountsWhy);
    const text = lines.join('\n');
    if (text === this.#application) return;
    this.#application = text;
    for (const line of lines) this.#log.info(line);
  }
}

/** Why an application cannot be loaded: the sentence for people, then its traceback. */
export function describeFailure({ message, traceback }: Failed): string {
  return traceback === '' ? message : `${message}\n${traceback.trimEnd()}`;
}

export function name({ id, pid }: Named): string {
  return `Worker ${id}${pid === 0 ? '' : ` (pid ${pid})`}`;
}

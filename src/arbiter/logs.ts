/** The log files, which may be opened anew after a rotation. */
import { closeSync, fchownSync } from 'node:fs';
import type { Settings } from '../config/options.ts';
import { UserError } from '../errors.ts';
import { type LogFile, openLogFile } from '../observe/log.ts';
import type { Rights } from './rights.ts';

export class Logs {
  readonly error: LogFile;
  readonly #settings: Settings;
  readonly #rights: Rights | null;
  #access: number;

  /** @throws {UserError} when the access log cannot be opened */
  constructor(error: LogFile, { settings, rights }: { settings: Settings; rights: Rights | null }) {
    this.error = error;
    this.#settings = settings;
    this.#rights = rights;
    this.#access = this.#openAccess();
    this.#give(settings.errorLogfile, error.fd);
  }

  /** Descriptor of the access log; -1 for none. */
  get access(): number {
    return this.#access;
  }

  /** Opens both anew by their paths. What cannot be opened stays as it was, and the log says so. */
  reopen(): void {
    const { errorLogfile, accessLogfile } = this.#settings;
    this.#try(() => {
      this.error.reopen(errorLogfile);
      this.#give(errorLogfile, this.error.fd);
    });
    this.#try(() => {
      if (accessLogfile === '' || accessLogfile === '-') return;
      const before = this.#access;
      this.#access = this.#openAccess();
      closeSync(before);
    });
  }

  #openAccess(): number {
    const { accessLogfile } = this.#settings;
    if (accessLogfile === '') return -1;
    const fd = openLogFile(accessLogfile, 1);
    this.#give(accessLogfile, fd);
    return fd;
  }

  /** Log files belong to the workers' user, as with gunicorn, so that fronts and workers can open them, too. */
  #give(path: string, fd: number): void {
    if (this.#rights !== null && path !== '' && path !== '-')
      fchownSync(fd, this.#rights.uid, this.#rights.gid);
  }

  #try(open: () => void): void {
    try {
      open();
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      this.error.error(`${error.message} The old file goes on.`);
    }
  }
}

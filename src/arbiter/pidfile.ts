/** `--pid`: a file with the number of the arbiter's process, as gunicorn writes it. */
import { readFileSync, renameSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { UserError } from '../errors.ts';
import { isAlive } from './alive.ts';

export class PidFile {
  #path: string;
  /** Where it is to be once the predecessor has gone. */
  readonly #wanted: string;
  readonly #pid: number;

  private constructor(path: string, { wanted, pid }: { wanted: string; pid: number }) {
    this.#path = path;
    this.#wanted = wanted;
    this.#pid = pid;
  }

  /**
   * Writes the file; one that a dead process left is replaced. While the predecessor of an upgrade owns it, the file
   * is PATH.2, as gunicorn's.
   * @throws {UserError} when a live process owns it, or when it cannot be written.
   */
  static create(wanted: string, pid: number = process.pid, predecessor = 0): PidFile {
    const owner = readPid(wanted);
    const path = owner !== null && owner === predecessor ? `${wanted}.2` : wanted;
    if (path === wanted && owner !== null && owner !== pid && isAlive(owner)) {
      throw new UserError(
        `Cannot write the pid file ${path}: it belongs to process ${owner}, which is running. Stop that one first (kill ${owner}), or name another file with --pid.`,
      );
    }
    const draft = `${path}.${pid}`;
    try {
      // Written beside and renamed: who reads it finds a whole number or no file.
      writeFileSync(draft, `${pid}\n`, { mode: 0o644 });
      renameSync(draft, path);
    } catch (error) {
      throw new UserError(`Cannot write the pid file ${path}: ${reason(error)}.`);
    }
    return new PidFile(path, { wanted, pid });
  }

  /** The successor of this process has died: so has its file. */
  forgetSuccessor(pid: number): void {
    const path = `${this.#wanted}.2`;
    if (readPid(path) === pid) rmSync(path, { force: true });
  }

  /** The predecessor has gone: its file becomes ours. */
  promote(): void {
    if (this.#path === this.#wanted || readPid(this.#path) !== this.#pid) return;
    try {
      renameSync(this.#path, this.#wanted);
      this.#path = this.#wanted;
    } catch {
      // Its folder has become read-only: the file stays where it is.
    }
  }

  /** Removes the file, if it still is ours. */
  remove(): void {
    if (readPid(this.#path) !== this.#pid) return;
    try {
      unlinkSync(this.#path);
    } catch {
      // Its folder has become read-only, or it was removed meanwhile: nothing can be done at the end.
    }
  }
}

function readPid(path: string): number | null {
  try {
    const pid = Number(readFileSync(path, 'utf8').trim());
    return Number.isInteger(pid) && pid > 0 ? pid : null;
  } catch {
    return null;
  }
}

function reason(error: unknown): string {
  const { code, path } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT') return 'its folder does not exist';
  if (code === 'EACCES' || code === 'EPERM') return 'permission denied';
  return code === undefined ? String(error) : `${code} (${path})`;
}

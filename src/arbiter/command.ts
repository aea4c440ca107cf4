/** The commands of `--on-start`, `--on-reload` and `--on-exit`. */
import { spawn } from 'node:child_process';
import { UserError } from '../errors.ts';
import { describeEnd, type End } from './children.ts';
import { type Rights, withRights } from './rights.ts';

export interface CommandOptions {
  /** The option that names it, such as `--on-start`. */
  readonly option: string;
  /** A line for the shell; empty for none. */
  readonly command: string;
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  readonly rights: Rights | null;
  /** Path of the interpreter, which may be needed to change rights. */
  readonly python: string;
  /** Descriptor of the error log, to which it writes. */
  readonly output: number;
  /** Ends it early: it and what it started are killed. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Runs one, with the rights and environment of workers, and waits for its end.
 * @throws {UserError} when it fails.
 */
export async function runCommand(options: CommandOptions): Promise<void> {
  if (options.command === '') return;
  const end = await run(options);
  if (end.code === 0) return;
  throw new UserError(
    `The command of ${options.option} ${describeEnd(end)}: ${options.command}\nWhat it printed stands in the log above.`,
  );
}

function run({ command, cwd, env, rights, python, output, signal }: CommandOptions): Promise<End> {
  const shell = withRights({ file: '/bin/sh', args: ['-c', command] }, rights, python);
  return new Promise((resolve) => {
    const child = spawn(shell.file, [...shell.args], {
      cwd,
      env,
      stdio: ['ignore', output, output],
      detached: true,
    });
    const abort = () => killGroup(child.pid);
    signal?.addEventListener('abort', abort);
    child.once('error', (error) => resolve({ code: null, signal: null, error }));
    child.once('exit', (code, ended) => {
      signal?.removeEventListener('abort', abort);
      resolve({ code, signal: ended });
    });
    if (signal?.aborted) abort();
  });
}

function killGroup(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL');
  } catch {
    // It has ended.
  }
}

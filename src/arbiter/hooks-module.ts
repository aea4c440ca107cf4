/** `tunicorn check`: whether the module of `--hooks` is there. */
import { execFile } from 'node:child_process';
import type { Settings } from '../config/options.ts';
import { UserError } from '../errors.ts';
import { SERVER_SOFTWARE } from '../version.ts';
import { WORKER_PROGRAM, workerEnvironment } from './children.ts';
import { findInterpreter } from './interpreter.ts';

const PATIENCE_MS = 20_000;

/**
 * Looks for it as a worker would, and executes nothing of it.
 * @throws {UserError} in the words of the start; also when there is no interpreter to ask
 */
export async function requireHooks(settings: Settings, ownEnv: NodeJS.ProcessEnv): Promise<void> {
  const { hooks, chdir, pythonpath } = settings;
  if (hooks === '') return;
  const env = workerEnvironment(ownEnv, { env: settings.env, serverSoftware: SERVER_SOFTWARE, prefix: '/' });
  const python = await findInterpreter({ ...settings, env, rights: null });
  const args = [WORKER_PROGRAM, '--find-hooks', hooks, chdir, ...pythonpath];
  const options = { env, timeout: PATIENCE_MS, killSignal: 'SIGKILL' } as const;
  const why = await new Promise<string>((resolve) => {
    execFile(python.path, args, options, (error, said, complaint) =>
      resolve(error === null ? '' : said || complaint || error.message),
    );
  });
  if (why !== '') throw new UserError(why);
}

/** `--check-config`: loads the application in a worker process of its own, and says whether it can be. */

import { mountsOf } from '../config/mounts.ts';
import type { Mount, Settings } from '../config/options.ts';
import type { FromWorker } from '../messages.ts';
import { openLogFile } from '../observe/log.ts';
import { SERVER_SOFTWARE } from '../version.ts';
import { describeEnd, type End, workerEnvironment } from './children.ts';
import { title } from './fleet.ts';
import { describeFailure } from './journal.ts';
import { resolveRights } from './rights.ts';
import { describeRuntime, findRuntime, runtimeEnvironment } from './runtime.ts';
import { isOwnWord, type ProcessOptions, WorkerProcess, workerStart } from './worker.ts';

/**
 * Prints what was found on standard output, or why an application cannot be loaded on standard error.
 * @returns the exit code: 0, or 3 when one of them cannot.
 * @throws {UserError} when there is no interpreter, or the rights cannot be changed.
 */
export async function checkApplications(settings: Settings): Promise<number> {
  const mounts = mountsOf(settings);
  let code = 0;
  // One after another, so that what they print does not mix.
  for (const mount of mounts) {
    const of = mounts.length === 1 ? '' : ` of ${mount.prefix}`;
    code = Math.max(code, await checkApplication(mount, of));
  }
  return code;
}

async function checkApplication({ prefix, settings }: Mount, of: string): Promise<number> {
  const rights = resolveRights(settings);
  const env = workerEnvironment(process.env, { env: settings.env, serverSoftware: SERVER_SOFTWARE, prefix });
  const runtime = await findRuntime(settings, { env, rights });
  const { said, end } = await load(settings, { rights, env: runtimeEnvironment(runtime, env), runtime });
  if (said?.event === 'loaded') {
    const framework = said.framework === '' ? '' : ` (${said.framework})`;
    process.stdout.write(`${describeRuntime(runtime)}\n`);
    process.stdout.write(
      `Application${of === '' ? '' : `${of}:`} ${said.app}${framework}${said.found === '' ? '' : `, ${said.found}`}\n`,
    );
    return 0;
  }
  const why =
    said === null
      ? `The worker${of} ${describeEnd(end)} while it loaded the application.`
      : describeFailure(said, of);
  process.stderr.write(`tunicorn: ${why}\n`);
  return 3;
}

type LoadOptions = Pick<ProcessOptions, 'rights' | 'env' | 'runtime'>;

/** Threads and atexit handlers of the application have this long to end. */
const LEAVE_MS = 5000;

function load(settings: Settings, options: LoadOptions): Promise<{ said: FromWorker | null; end: End }> {
  let said: FromWorker | null = null;
  return new Promise((resolve) => {
    const worker = new WorkerProcess(
      workerStart(settings, { mode: 'check', worker: 1, generation: 1, gateway: '', stackFile: '' }),
      {
        ...options,
        name: title(settings),
        errorLog: openLogFile('-'),
        output: settings.captureOutput ? 2 : null,
        onMessage: (message) => {
          if (!isOwnWord(message)) return;
          said = message;
          setTimeout(() => worker.kill(), LEAVE_MS).unref();
        },
        onExit: (end) => resolve({ said, end }),
      },
    );
  });
}

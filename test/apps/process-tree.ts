/** For tests of the process tree: who answers, slow answers, and ways to go wrong. `process_tree.py` is the same. */
import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Application, Environ } from '../../src/wsgi/types.ts';

// A test makes it fail at the next import.
if (existsSync(process.env.BROKEN_BY ?? '/nowhere')) throw new Error('This deployment is broken.');

async function act(environ: Environ): Promise<string> {
  const [, path = '', argument = ''] = /^\/([^/]*)\/?(.*)$/.exec(environ.PATH_INFO) ?? [];
  if (path === 'pid') return String(process.pid);
  if (path === 'who') return who();
  if (path === 'exit') process.exit(Number(argument));
  if (path === 'sleep') {
    // The test waits for this line before it does harm.
    environ['wsgi.errors'].write(`begun ${argument}\n`);
    await sleep(Number(argument) * 1000);
  }
  return 'done';
}

/** Node does not tell the saved ids. */
function who(): string {
  const [uid, gid] = [process.geteuid?.(), process.getegid?.()];
  return `(${process.getuid?.()}, ${uid}, ${uid}) (${process.getgid?.()}, ${gid}, ${gid})`;
}

export const application: Application = async (environ, startResponse) => {
  const body = await act(environ);
  startResponse('200 OK', [
    ['Content-Type', 'text/plain'],
    ['Content-Length', String(body.length)],
  ]);
  return [body];
};

/** The stacks of a worker that cannot be asked: stuck in a C call, or while it imports the application. */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** CPython's handler writes at once; a Node worker's thread has first to find out whether the other one runs anything. */
const PATIENCE_MS = 300;
export const NODE_PATIENCE_MS = 800;
const POLL_MS = 10;
/** The folder is the workers' own: a link in it could lead a reading root elsewhere, a pipe could stop it. */
const SAFELY = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const MOST_BYTES = 256 * 1024;

/**
 * Makes faulthandler write every thread's stack to the worker's stack file (`WorkerStart.stackFile`) and gives what came;
 * empty when nothing did in time: it is stopped, has not come so far yet, or is no CPython. SIGURG is ignored by
 * processes that do not wait for it.
 */
export function dumpStacks(pid: number, path: string): Promise<string> {
  // 0 would be our whole process group.
  return readStacks(path, {
    ask: () => pid > 0 && process.kill(pid, 'SIGURG'),
    patienceMs: PATIENCE_MS,
  });
}

/** What is written to the file once it was asked for; `ask` gives false, or throws, when nobody is there. */
export async function readStacks(
  path: string,
  { ask, patienceMs }: { readonly ask: () => boolean; readonly patienceMs: number },
): Promise<string> {
  const before = read(path, 0).length;
  try {
    if (!ask()) return '';
  } catch {
    return '';
  }
  let seen = '';
  for (let waited = 0; waited < patienceMs; waited += POLL_MS) {
    await sleep(POLL_MS);
    const text = read(path, before).toString('utf8');
    // It is written line by line: whole when nothing more came.
    if (text !== '' && text === seen) return text;
    seen = text;
  }
  return seen;
}

function read(path: string, from: number): Buffer {
  let fd: number;
  try {
    fd = openSync(path, SAFELY);
  } catch {
    return Buffer.alloc(0);
  }
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile() || stat.size <= from) return Buffer.alloc(0);
    const bytes = Buffer.alloc(Math.min(stat.size - from, MOST_BYTES));
    return bytes.subarray(0, readSync(fd, bytes, 0, bytes.length, from));
  } finally {
    closeSync(fd);
  }
}

/**
 * Goes wrong in every way that an application can, when it is asked to; else it echoes. `faults.py` is the same as far as
 * the languages are.
 *
 * Each answer is the request's nonce, so that no client takes another's answer for its own. What a test decides stands
 * in the folder FAULTS: `import-seconds` (how long the import takes), `broken` (the import fails), `posts` (each POST
 * adds its nonce as a line).
 */
import { execFileSync } from 'node:child_process';
import { closeSync, constants, openSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Application } from '../../src/wsgi/types.ts';

const FOLDER = process.env.FAULTS ?? '';
const LEAKED: Buffer[] = [];

/** What the test says in a file; empty when there is none. */
function told(name: string): string {
  try {
    return readFileSync(join(FOLDER, name), 'utf8').trim();
  } catch {
    return '';
  }
}

/** As long as a small page takes that waits for a database. */
const echo = (query: URLSearchParams) => sleep(Number(query.get('s') ?? 0.005) * 1000);

/** As fast as it goes. */
function plain(): void {}

function segv(): Promise<void> {
  process.stderr.write('struck segv\n');
  process.kill(process.pid, 'SIGSEGV');
  return sleep(5000);
}

/** Where no request is to blame: nobody awaits it. */
function crash(): Promise<void> {
  setImmediate(() => {
    throw new Error('thrown where nobody catches it');
  });
  return sleep(5000);
}

function leak(): void {
  // Written to, so that it is resident.
  LEAKED.push(Buffer.alloc(1 << 20, 'x'));
}

function loop(): void {
  for (;;);
}

/** Nothing runs, and nothing ever will. */
const promise = () => new Promise<void>(() => {});

const hour = () => sleep(3_600_000);

/** One call that takes years. */
function regex(): void {
  /^(a+)+$/.test(`${'a'.repeat(64)}b`);
}

/** One call outside of JavaScript, which nothing can look into. It ends, so that its child does. */
function blocked(): void {
  execFileSync('sleep', ['6']);
}

const VIEWS: Readonly<Record<string, (query: URLSearchParams) => void | Promise<void>>> = {
  '/echo': echo,
  '/plain': plain,
  '/segv': segv,
  '/crash': crash,
  '/leak': leak,
  '/hang/loop': loop,
  '/hang/promise': promise,
  '/hang/sleep': hour,
  '/hang/regex': regex,
  '/hang/blocked': blocked,
};

/** One write with O_APPEND: lines of several processes do not mix, and what is written outlives a kill. */
function countPost(nonce: string): void {
  const fd = openSync(
    join(FOLDER, 'posts'),
    constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND,
    0o600,
  );
  writeSync(fd, `${nonce}\n`);
  closeSync(fd);
}

export const application: Application = async (environ, startResponse) => {
  const query = new URLSearchParams(environ.QUERY_STRING);
  let nonce = query.get('nonce') ?? '';
  if (environ.REQUEST_METHOD === 'POST') {
    nonce = environ['wsgi.input'].read().toString();
    countPost(nonce);
  }
  await VIEWS[environ.PATH_INFO]?.(query);
  startResponse('200 OK', [
    ['Content-Type', 'text/plain'],
    ['Content-Length', String(nonce.length)],
    ['X-Worker', String(process.pid)],
  ]);
  return [nonce];
};

await sleep(Number(told('import-seconds') || 0) * 1000);
if (told('broken') !== '') throw new Error(`This deployment is broken: ${told('broken')}`);

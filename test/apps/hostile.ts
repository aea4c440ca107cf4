/** Applications that a server must survive, and views that tell what came of hostile clients. `hostile.py` is the same. */
import type { Application, Write } from '../../src/wsgi/types.ts';

const TEXT = [['Content-Type', 'text/plain']] as const;
const SEEN = new Set<string>();

/** Counts the clients of POST by address; GET tells what it counted. */
export const addresses: Application = (environ, startResponse) => {
  if (environ.REQUEST_METHOD === 'POST') SEEN.add(`'${environ.REMOTE_ADDR}'`);
  startResponse('200 OK', TEXT);
  return [`[${[...SEEN].sort().join(', ')}]`];
};

/** Writes more to the error log than a pipe holds. */
export const chatty: Application = (environ, startResponse) => {
  for (let line = 0; line < 2000; line++) environ['wsgi.errors'].write(`${'x'.repeat(99)}\n`);
  startResponse('200 OK', TEXT);
  return ['chatty'];
};

let earlier: Write | null = null;

/** Calls the write() of the answer before, which is long complete. */
export const late: Application = (_, startResponse) => {
  const write = startResponse('200 OK', TEXT);
  void earlier?.('smuggled');
  earlier = write;
  return ['answer'];
};

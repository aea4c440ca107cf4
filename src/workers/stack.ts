/** Where the main thread is, by the inspector: it answers even when that thread runs in a loop. */
import { type Debugger, Session } from 'node:inspector';
import { fileURLToPath } from 'node:url';
import { applicationPart } from '../wsgi/failure.ts';

const MOST_FRAMES = 50;
/** Folder of the server's own modules: while it runs its own code the application does nothing. */
const OURS = fileURLToPath(new URL('..', import.meta.url));

/**
 * To be called in another thread.
 * @param patienceMs A thread that runs code of JavaScript stops within so long.
 * @returns one line a frame, the innermost first; empty when it runs none.
 */
export async function mainStack(patienceMs: number): Promise<string> {
  const session = new Session();
  session.connectToMainThread();
  try {
    return await pause(session, patienceMs);
  } finally {
    session.disconnect();
  }
}

function pause(session: Session, patienceMs: number): Promise<string> {
  const urls = new Map<string, string>();
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(''), patienceMs);
    session.on('Debugger.scriptParsed', ({ params }) => urls.set(params.scriptId, params.url));
    session.once('Debugger.paused', ({ params }) => {
      clearTimeout(timer);
      const frames = params.callFrames.slice(0, MOST_FRAMES).map((frame) => describe(frame, urls));
      const isCode = frames.some((line) => !line.includes('node:') && !line.includes(OURS));
      resolve(isCode ? applicationPart(frames.join('\n')) : '');
    });
    session.post('Debugger.enable');
    session.post('Debugger.pause');
  });
}

/** As V8 writes it in an error's stack. */
function describe({ functionName, location }: Debugger.CallFrame, urls: ReadonlyMap<string, string>): string {
  const url = urls.get(location.scriptId) ?? '';
  const file = url.startsWith('file:') ? fileURLToPath(url) : url;
  const where = `${file}:${location.lineNumber + 1}:${(location.columnNumber ?? 0) + 1}`;
  return `    at ${functionName === '' ? where : `${functionName} (${where})`}`;
}

/** Where the main thread is, by the inspector: it answers even when that thread runs in a loop. */
import { type Debugger, Session } from 'node:inspector';
import { fileURLToPath } from 'node:url';
import { applicationPart } from '../wsgi/failure.ts';

/** A thread that runs code stops within this long; one that does not, runs none. */
const PATIENCE_MS = 150;
const MOST_FRAMES = 50;

/** To be called in another thread. @returns one line a frame, the innermost first; empty when it runs nothing. */
export async function mainStack(): Promise<string> {
  const session = new Session();
  session.connectToMainThread();
  try {
    return await pause(session);
  } finally {
    session.disconnect();
  }
}

function pause(session: Session): Promise<string> {
  const urls = new Map<string, string>();
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(''), PATIENCE_MS);
    session.on('Debugger.scriptParsed', ({ params }) => urls.set(params.scriptId, params.url));
    session.once('Debugger.paused', ({ params }) => {
      clearTimeout(timer);
      const frames = params.callFrames.slice(0, MOST_FRAMES).map((frame) => describe(frame, urls));
      const isCode = frames.some((line) => !line.includes('node:'));
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

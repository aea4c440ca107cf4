/** The kinds of worker that `-k` chooses from. */
import { UserError } from '../errors.ts';

/** Runs the application: a Python process (WSGI) or a Node process (the same contract in TypeScript). */
export type WorkerKind = 'python' | 'node';

type Kind = { readonly kind: WorkerKind } | { readonly instead: string };

const WSGI: Kind = { kind: 'python' };
const GREEN: Kind = {
  instead:
    'It is a pool of green threads; here a slow client never holds a worker, and requests that wait for a database or another server wait in threads. Use -k gthread --threads 100.',
};
const ASGI: Kind = {
  instead:
    'It runs ASGI applications, and Tunicorn serves WSGI. With Django or Flask name the WSGI application: tunicorn -k gthread --threads 4 mysite.wsgi:application. A pure ASGI application (FastAPI, Starlette) needs an ASGI server such as uvicorn.',
};

/** gunicorn's names, those of its common plug-ins, and ours. */
const WORKER_KINDS: ReadonlyMap<string, Kind> = new Map<string, Kind>([
  ['python', WSGI],
  ['sync', WSGI],
  ['gthread', WSGI],
  ['gunicorn.workers.sync.SyncWorker', WSGI],
  ['gunicorn.workers.gthread.ThreadWorker', WSGI],
  ['egg:gunicorn#sync', WSGI],
  ['egg:gunicorn#gthread', WSGI],
  ['node', { kind: 'node' }],
  ['gevent', GREEN],
  ['gevent_wsgi', GREEN],
  ['gevent_pywsgi', GREEN],
  ['eventlet', GREEN],
  ['meinheld', GREEN],
  [
    'tornado',
    {
      instead:
        "Tornado's own handlers need Tornado's own server. A WSGI application needs nothing of it: use -k gthread --threads 100.",
    },
  ],
  ['asgi', ASGI],
  ['uvicorn', ASGI],
  ['uvicorn.workers.UvicornWorker', ASGI],
  ['uvicorn.workers.UvicornH11Worker', ASGI],
  ['uvicorn_worker.UvicornWorker', ASGI],
  ['uvicorn_worker.UvicornH11Worker', ASGI],
]);

/**
 * The kind of worker behind a name of gunicorn's or ours.
 * @throws UserError with the line to use instead, or with the good names
 */
export function workerKind(name: string): WorkerKind {
  const found = WORKER_KINDS.get(name) ?? byModule(name);
  if (found === undefined) {
    throw new UserError(
      `Good ones: sync, gthread, python (all three run Python workers), node (TypeScript and JavaScript).`,
    );
  }
  if ('instead' in found) throw new UserError(found.instead);
  return found.kind;
}

/** A file in TypeScript or JavaScript, perhaps with the name of what it exports: `server.ts:app`. */
const NODE_FILE = /\.[cm]?[jt]s(?::[^/:]*)?$/;

/** Whether an application is a file that Node runs. */
export function isNodeFile(app: string): boolean {
  return NODE_FILE.test(app);
}

/** Dotted paths to a worker class: its package tells what it is. */
function byModule(name: string): Kind | undefined {
  if (/gevent|eventlet|meinheld/.test(name)) return GREEN;
  if (/uvicorn|asgi|aiohttp|hypercorn/i.test(name)) return ASGI;
  return /tornado/.test(name) ? WORKER_KINDS.get('tornado') : undefined;
}

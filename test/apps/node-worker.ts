/** What only a worker of many requests at once can get wrong. What it does it says in the file JOURNAL, a line each. */
import { appendFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Application, Body, Environ, StartResponse } from '../../src/wsgi/types.ts';

type View = (environ: Environ, startResponse: StartResponse) => Body | Promise<Body>;

const PIECE = Buffer.alloc(64 * 1024, 'x');

const say = (line: string) => appendFileSync(process.env.JOURNAL ?? '', `${line}\n`);

const numberIn = (environ: Environ, name: string) =>
  Number(new URLSearchParams(environ.QUERY_STRING).get(name));

const run: View = (environ, startResponse) => {
  say(`run ${environ.QUERY_STRING}`);
  startResponse('200 OK', [['X-Worker', String(process.pid)]]);
  return [environ.QUERY_STRING];
};

/** Computes, and lets nothing else run. */
const block: View = (environ, startResponse) => {
  const until = performance.now() + numberIn(environ, 'ms');
  say(`block ${process.pid}`);
  while (performance.now() < until);
  return run(environ, startResponse);
};

/** Lets others run while it waits. */
const slow: View = async (environ, startResponse) => {
  await sleep(numberIn(environ, 'ms'));
  return run(environ, startResponse);
};

/** Ends when nobody reads it any more. */
const endless: View = async function* (environ: Environ, startResponse: StartResponse) {
  environ['tunicorn.signal']?.().addEventListener('abort', () => say('endless aborted'));
  try {
    startResponse('200 OK', []);
    for (;;) {
      yield 'tick\n';
      await sleep(10);
    }
  } finally {
    say('endless through');
  }
} as View;

/** Waits for what is given up when the client leaves. */
const patient: View = async (environ) => {
  say('patient begun');
  try {
    await sleep(3_600_000, undefined, { signal: environ['tunicorn.signal']?.() as AbortSignal });
    return [];
  } finally {
    say('patient through');
  }
};

/** As many MiB as are asked for, as fast as they are taken. */
const produce: View = function* (environ: Environ, startResponse: StartResponse) {
  startResponse('200 OK', []);
  for (let piece = 0; piece < numberIn(environ, 'mib') * 16; piece++) yield PIECE;
  say(`produced ${environ.QUERY_STRING}`);
} as View;

const user: View = (environ, startResponse) => {
  environ['app.user'] = 'zoe "\u20ac"';
  return run(environ, startResponse);
};

/** Nobody awaits these. */
const thrown: View = async (_, startResponse) => {
  setImmediate(() => {
    throw new Error('thrown where nobody catches it');
  });
  return never(startResponse);
};

const rejected: View = async (_, startResponse) => {
  void Promise.reject(new Error('rejected where nobody catches it'));
  return never(startResponse);
};

async function never(startResponse: StartResponse): Promise<Body> {
  await sleep(3_600_000);
  startResponse('200 OK', []);
  return [];
}

/** Has a name that its stack can be known by. */
const loop: View = function inEndlessLoop() {
  say('loop');
  for (;;);
};

const VIEWS: Readonly<Record<string, View>> = {
  '/run': run,
  '/block': block,
  '/slow': slow,
  '/endless': endless,
  '/patient': patient,
  '/produce': produce,
  '/user': user,
  '/thrown': thrown,
  '/rejected': rejected,
  '/loop': loop,
};

export default ((environ, startResponse) => {
  const view = VIEWS[environ.PATH_INFO];
  if (view === undefined) throw new Error(`There is no view ${environ.PATH_INFO}.`);
  return view(environ, startResponse);
}) satisfies Application;

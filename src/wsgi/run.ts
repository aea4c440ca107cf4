import { inspect } from 'node:util';
import { HttpError } from '../errors.ts';
import type { Answering, Call } from './call.ts';
import { describeFailure } from './failure.ts';
import { BodyInput } from './input.ts';
import { isPromise } from './kind.ts';
import { GONE, Response, toBuffer } from './response.ts';
import type { Application, Body, Chunk, Environ, ErrorStream, Header } from './types.ts';

export interface RunOptions {
  /** Takes what is written to `wsgi.errors`, as it is. */
  readonly errors: (text: string) => void;
  /** Takes the stack of an application that failed; `errors` when not given. */
  readonly report?: (text: string) => void;
  /** For `SERVER_SOFTWARE`. */
  readonly serverSoftware: string;
  /** `wsgi.multiprocess`: other processes run the same application. */
  readonly multiprocess?: boolean;
}

const EMPTY = Buffer.alloc(0);
const DONE = Promise.resolve();

/** One request in the making. */
interface Run {
  readonly exchange: Answering;
  readonly input: BodyInput;
  readonly response: Response;
  readonly report: (problem: unknown) => void;
}

/**
 * Runs the application for one request by the rules of PEP 3333, and gives back the request body. What the
 * application throws is told to `report`, and the client gets a 500, or is cut when the head has been sent.
 * @returns when the application's iterable has been closed; never rejects.
 */
export function runApplication(app: Application, call: Call, options: RunOptions): Promise<void> {
  const { exchange } = call;
  const tell = options.report ?? options.errors;
  const report = (problem: unknown) => tell(describe(call.title, problem));
  let environ: Environ | undefined;
  const input = new BodyInput(exchange.body, () => environ?.CONTENT_TYPE);
  const response = new Response(exchange, report);
  const run: Run = { exchange, input, response, report };
  let body: Body | undefined;
  try {
    environ = makeEnviron(call, run, options);
    call.seen?.(environ);
    const given = app(environ, (status, headers, excInfo) => response.start(status, headers, excInfo));
    // Without a promise where none is needed: a small answer is over when this function returns.
    if (!Array.isArray(given)) return runOn(given, run);
    body = given;
    sendWhole(given, response);
  } catch (error) {
    fail(error, run);
  }
  return finish(body, run);
}

/** The rest of it when something has to be waited for. */
async function runOn(given: Body | Promise<Body>, run: Run): Promise<void> {
  const { response, report } = run;
  let body: Body | undefined;
  try {
    const settled = isPromise(given) ? await response.unlessGone(given) : given;
    if (settled === GONE) void closeLate(given, report);
    else {
      body = settled;
      if (Array.isArray(body)) sendWhole(body, response);
      else await sendParts(body, response, report);
    }
  } catch (error) {
    fail(error, run);
  }
  return finish(body, run);
}

function fail(error: unknown, { exchange, report }: Run): void {
  report(error);
  exchange.fail(error instanceof HttpError ? error : new HttpError('application-error', String(error)));
}

function finish(body: Body | undefined, { exchange, input, report }: Run): Promise<void> {
  const end = () => {
    input.end();
    exchange.release();
  };
  if (body?.close !== undefined) return quietly(() => body.close?.(), report).then(end);
  end();
  return DONE;
}

/** The client left before the application gave its body: when it comes, it is closed (PEP 3333) and not asked for anything. */
async function closeLate(given: Body | Promise<Body>, report: (error: unknown) => void): Promise<void> {
  // What rejects it has been told already (unlessGone).
  const body = await Promise.resolve(given).catch(() => null);
  await quietly(() => body?.close?.(), report);
}

/** All of it is here: it is sent at once, and its length is known (PEP 3333, "Handling the Content-Length Header"). */
function sendWhole(body: readonly Chunk[], response: Response): void {
  response.send(body.length === 1 ? toBuffer(body[0]) : Buffer.concat(body.map(toBuffer)), true);
}

async function sendParts(body: Body, response: Response, report: (error: unknown) => void): Promise<void> {
  const iterator = iterate(body);
  let ended = false;
  try {
    while (!response.unwanted && !ended) {
      const next = iterator.next();
      const step = isPromise(next) ? await response.unlessGone(next) : next;
      if (step === GONE) return;
      ended = step.done === true;
      const chunk = ended ? EMPTY : toBuffer(step.value);
      // An empty part may not send the head (PEP 3333, "The start_response() Callable").
      if (chunk.length === 0 && !ended) continue;
      if (!response.send(chunk, ended)) await response.drained();
    }
  } finally {
    if (!ended) await quietly(() => stop(iterator, response), report);
  }
}

type Parts = Iterator<Chunk> | AsyncIterator<Chunk>;

/** @throws {TypeError} for what is no body. */
function iterate(body: unknown): Parts {
  const given = body as Partial<Iterable<Chunk> & AsyncIterable<Chunk>> | null | undefined;
  // Both would be iterated by the character or byte: never what was meant.
  if (typeof body === 'string' || body instanceof Uint8Array) {
    throw new TypeError('The application gave one string or Uint8Array: give an array that holds it.');
  }
  const parts = given?.[Symbol.asyncIterator]?.() ?? given?.[Symbol.iterator]?.();
  if (parts === undefined) {
    throw new TypeError(
      `The application gave ${inspect(body, { depth: 0 })} instead of an iterable of parts.`,
    );
  }
  return parts;
}

/** Runs the `finally` blocks of a generator that is not wanted to its end. */
async function stop(iterator: Parts, response: Response): Promise<void> {
  const stopping = iterator.return?.();
  if (isPromise(stopping)) await response.unlessGone(stopping);
}

/** What fails while tidying up is told, and hides nothing else. */
async function quietly(action: () => unknown, report: (error: unknown) => void): Promise<void> {
  try {
    const result = action();
    if (isPromise(result)) await result;
  } catch (error) {
    report(error);
  }
}

function makeEnviron(call: Call, { input, response }: Run, options: RunOptions): Environ {
  // All that every request has stands in the literal, whatever it will be: V8 would make an object to which so many keys are
  // added one by one a hash table (measured: 6 % of a small answer).
  const environ: Record<string, unknown> = {
    REQUEST_METHOD: '',
    SCRIPT_NAME: '',
    PATH_INFO: '',
    QUERY_STRING: '',
    RAW_URI: '',
    REQUEST_URI: '',
    SERVER_PROTOCOL: '',
    'wsgi.url_scheme': '',
    SERVER_NAME: '',
    SERVER_PORT: '',
    SERVER_SOFTWARE: options.serverSoftware,
    'wsgi.version': [1, 0],
    'wsgi.input': input,
    'wsgi.input_terminated': true,
    'wsgi.errors': errorStream(options.errors),
    'wsgi.multithread': true,
    'wsgi.multiprocess': options.multiprocess ?? false,
    'wsgi.run_once': false,
    'wsgi.early_hints': (headers: readonly Header[]) => response.hint(headers),
    'tunicorn.signal': () => response.signal,
    'tunicorn.gone': () => response.gone,
  };
  const list = call.entries();
  for (let i = 0; i + 1 < list.length; i += 2) environ[list[i] ?? ''] = list[i + 1];
  return environ as Environ;
}

const errorStreams = new WeakMap<RunOptions['errors'], ErrorStream>();

/** One for all requests of a server: three functions for each would be made in vain for nearly all. */
function errorStream(sink: RunOptions['errors']): ErrorStream {
  let stream = errorStreams.get(sink);
  if (stream === undefined) {
    stream = Object.freeze({
      write: (text: string) => sink(text),
      flush: () => undefined,
      writelines: (lines: Iterable<string>) => {
        for (const line of lines) sink(line);
      },
    });
    errorStreams.set(sink, stream);
  }
  return stream;
}

function describe(title: string, problem: unknown): string {
  if (typeof problem === 'string') return `${problem}: ${title}\n`;
  return `Error in the application for ${title}:\n${describeFailure(problem)}\n`;
}

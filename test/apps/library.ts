/**
 * The library at work: middleware and applications that use it whole, with the validator between the server and the
 * middleware, and between the middleware and the applications.
 */
import { createHash } from 'node:crypto';
import {
  type Application,
  accessLog,
  compose,
  type InputStream,
  mount,
  requestId,
  validator,
} from '../../src/index.ts';

const warn = (message: string) => {
  throw new Error(`The validator warns: ${message}`);
};

/** Answers with what it makes of the request body. */
const reading =
  (read: (input: InputStream) => unknown): Application =>
  async (environ, startResponse) => {
    const result = await read(environ['wsgi.input']);
    startResponse('200 OK', [['Content-Type', 'application/json']]);
    return [JSON.stringify(result)];
  };

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

async function readStream(stream: ReadableStream<Uint8Array>): Promise<{ sha256: string; longest: number }> {
  const hash = createHash('sha256');
  let longest = 0;
  for await (const chunk of stream) {
    hash.update(chunk);
    longest = Math.max(longest, chunk.length);
  }
  return { sha256: hash.digest('hex'), longest };
}

async function readForm(form: FormData): Promise<unknown> {
  const entries = [...form].map(async ([name, value]) =>
    typeof value === 'string'
      ? [name, value]
      : [name, value.name, sha256(new Uint8Array(await value.arrayBuffer()))],
  );
  return Promise.all(entries);
}

const applications: Record<string, Application> = {
  '/form': reading(async (input) => readForm(await input.formData())),
  '/json': reading((input) => input.json()),
  '/text': reading(async (input) => (await input.text()).length),
  '/stream': reading((input) => readStream(input.stream)),
  '/where': (environ, startResponse) => {
    startResponse('200 OK', [['Content-Type', 'text/plain']]);
    return [`${environ.SCRIPT_NAME}|${environ.PATH_INFO}|${environ['tunicorn.request_id']}`];
  },
  '/parts': async function* (_, startResponse) {
    startResponse('200 OK', [['Content-Type', 'text/plain']]);
    yield 'one';
    await new Promise(setImmediate);
    yield 'two';
  },
};

const validated = Object.entries(applications).map(([prefix, app]) => [prefix, validator(app, { warn })]);

export const app: Application = compose(
  (inner) => validator(inner, { warn }),
  accessLog({ format: 'accessed "%(r)s" %(s)s %(b)s', write: (line) => process.stderr.write(`${line}\n`) }),
  requestId(),
)(mount(Object.fromEntries(validated)));

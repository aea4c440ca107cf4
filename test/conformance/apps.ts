/**
 * The applications of the conformance table in TypeScript. `apps.py` has the same under the same names.
 * Each request says in `X-App` which one it wants, and many take what to do from the query.
 */
import { createHash } from 'node:crypto';
import type { Application, Body, Environ, Header, InputStream } from '../../src/wsgi/types.ts';

const TEXT: readonly Header[] = [['Content-Type', 'text/plain']];

/** Answers 200 with what is no body, or otherwise wrong: as TypeScript would not let it pass. */
const wrong =
  (body: unknown, status: unknown = '200 OK', headers: unknown = TEXT): Application =>
  (_, startResponse) => {
    startResponse(status as string, headers as readonly Header[]);
    return body as Body;
  };

const bodies: Record<string, Application> = {
  'one-part': (_, startResponse) => {
    startResponse('200 OK', TEXT);
    return ['hello'];
  },
  parts: (_, startResponse) => {
    startResponse('200 OK', TEXT);
    return ['one', '', 'two'];
  },
  'no-parts': (_, startResponse) => {
    startResponse('200 OK', TEXT);
    return [];
  },
  'empty-parts': (_, startResponse) => {
    startResponse('200 OK', TEXT);
    return ['', ''];
  },
  *generator(_, startResponse) {
    startResponse('200 OK', TEXT);
    yield 'one';
    yield '';
    yield 'two';
  },
  *'generator-of-one'(_, startResponse) {
    startResponse('200 OK', TEXT);
    yield 'hello';
  },
  *'generator-of-none'(_, startResponse) {
    startResponse('200 OK', TEXT);
    yield* [];
  },
  *'generator-of-empty'(_, startResponse) {
    startResponse('200 OK', TEXT);
    yield '';
    yield '';
  },
  'iterator-with-close': (environ, startResponse) => {
    startResponse('200 OK', TEXT);
    return partsWithClose(environ, ['one', 'two']);
  },
  'iterator-with-close-fails': (environ, startResponse) => {
    startResponse('200 OK', TEXT);
    return partsWithClose(environ, ['one'], 'the first part');
  },
  'iterator-with-close-fails-at-once': (environ, startResponse) => {
    startResponse('200 OK', TEXT);
    return partsWithClose(environ, [], 'no part');
  },
  'close-fails': (environ, startResponse) => {
    startResponse('200 OK', TEXT);
    const close = () => {
      throw new Error('close itself');
    };
    return { ...partsWithClose(environ, ['hello']), close };
  },
  none: wrong(undefined),
  'one-string': wrong('hello'),
  'one-bytes': wrong(Buffer.from('hello')),
  'string-part': wrong(['h\u00e9llo']),
  'number-part': wrong([5]),
  'every-byte': (_, startResponse) => {
    startResponse('200 OK', [['Content-Type', 'application/octet-stream']]);
    return [Uint8Array.from({ length: 256 }, (_value, index) => index)];
  },
  *large(_, startResponse) {
    startResponse('200 OK', [['Content-Length', '3000000']]);
    for (const letter of 'abc') yield Buffer.alloc(1_000_000, letter);
  },
};

/** Iterable with `close()`, which tells. */
function partsWithClose(environ: Environ, wanted: string[], error = ''): Body {
  const errors = environ['wsgi.errors'];
  return {
    *[Symbol.iterator]() {
      yield* wanted;
      if (error !== '') throw new Error(error);
    },
    close: () => errors.write(`closed after ${error || 'all'}\n`),
  };
}

/** The query is LENGTH:PART,PART. */
function lengthAndParts(environ: Environ): { headers: Header[]; wanted: string[] } {
  const [length = '', rest = ''] = environ.QUERY_STRING.split(':');
  return { headers: [['Content-Length', length]], wanted: rest.split(',') };
}

const lengths: Record<string, Application> = {
  'length-list': (environ, startResponse) => {
    const { headers, wanted } = lengthAndParts(environ);
    startResponse('200 OK', headers);
    return wanted;
  },
  *'length-generator'(environ, startResponse) {
    const { headers, wanted } = lengthAndParts(environ);
    startResponse('200 OK', headers);
    for (const part of wanted) {
      if (part === 'FAIL') throw new Error('after the last byte');
      yield part;
    }
  },
  'length-write': (environ, startResponse) => {
    const { headers, wanted } = lengthAndParts(environ);
    const write = startResponse('200 OK', headers);
    for (const part of wanted) write(part);
    return [];
  },
};

/** Percent-decoded to latin-1. */
function decodedQuery(environ: Environ): string {
  return environ.QUERY_STRING.replace(/%(..)/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
}

/** Answers with these headers. */
const withHeaders =
  (...headers: readonly Header[]): Application =>
  (_, startResponse) => {
    startResponse('200 OK', headers);
    return ['hello'];
  };

const heads: Record<string, Application> = {
  status: (environ, startResponse) => {
    startResponse(decodedQuery(environ), TEXT);
    return ['hello'];
  },
  'status-alone': (environ, startResponse) => {
    startResponse(decodedQuery(environ), []);
    return [];
  },
  header: (environ, startResponse) => {
    const [name = '', ...value] = decodedQuery(environ).split('=');
    startResponse('200 OK', [[name, value.join('=')]]);
    return ['hello'];
  },
  'beyond-latin1': withHeaders(['X-Price', '5 \u20ac']),
  'beyond-latin1-status': wrong(['hello'], '200 \u20ac'),
  'number-value': wrong(['hello'], '200 OK', [['X-Number', 5]]),
  'number-status': wrong(['hello'], 200),
  'triple-header': wrong(['hello'], '200 OK', [['X-A', '1', '2']]),
  cookies: withHeaders(['Set-Cookie', 'a=1'], ['X-Between', ''], ['set-cookie', 'b=2']),
  'two-lengths': withHeaders(['Content-Length', '5'], ['content-length', '5']),
  'own-date-and-server': withHeaders(['Date', 'Thu, 01 Jan 1970 00:00:00 GMT'], ['Server', 'mine']),
};

const starts: Record<string, Application> = {
  'never-started': () => ['hello'],
  *'started-late'(_, startResponse) {
    yield 'hello';
    startResponse('200 OK', TEXT);
  },
  'started-twice': (_, startResponse) => {
    startResponse('200 OK', TEXT);
    startResponse('201 Created', TEXT);
    return ['hello'];
  },
  replaced: (_, startResponse) => {
    startResponse('200 OK', [
      ['Content-Length', '99'],
      ['X-First', 'yes'],
    ]);
    startResponse('503 Sorry', TEXT, new Error('handled by the application'));
    return ['sorry'];
  },
  *'replaced-after-empty-part'(_, startResponse) {
    startResponse('200 OK', [['X-First', 'yes']]);
    yield '';
    startResponse('503 Sorry', TEXT, new Error('handled by the application'));
    yield 'sorry';
  },
  *'replaced-too-late'(_, startResponse) {
    startResponse('200 OK', TEXT);
    yield 'one';
    startResponse('503 Sorry', TEXT, new Error('too late to replace'));
    yield 'never';
  },
  'refused-then-replaced': (_, startResponse) => {
    try {
      startResponse('200 OK', [['Connection', 'close']]);
    } catch (error) {
      startResponse('200 OK', [['X-Second', 'yes']], error);
    }
    return ['hello'];
  },
  write: (_, startResponse) => {
    const write = startResponse('200 OK', TEXT);
    write('one');
    write('two');
    return [];
  },
  'write-and-parts': (_, startResponse) => {
    const write = startResponse('200 OK', TEXT);
    write('one');
    return ['two', 'three'];
  },
  'write-nothing-then-fail': (_, startResponse) => {
    startResponse('200 OK', TEXT)('');
    throw new Error('after an empty write');
  },
  'write-wrong-type': (_, startResponse) => {
    startResponse('200 OK', TEXT)(5 as unknown as string);
    return [];
  },
};

const failures: Record<string, Application> = {
  'fail-at-once': () => {
    throw new Error('before start_response');
  },
  'fail-after-start': (_, startResponse) => {
    startResponse('200 OK', TEXT);
    throw new Error('after start_response');
  },
  *'fail-before-first-part'(_, startResponse) {
    startResponse('200 OK', TEXT);
    yield '';
    throw new Error('before the first part');
  },
  *'fail-after-first-part'(_, startResponse) {
    startResponse('200 OK', TEXT);
    yield 'one';
    throw new Error('in the middle');
  },
};

/** What it waits for comes in a later turn of the event loop. */
const later = () => new Promise((resolve) => setImmediate(resolve));

const awaiting: Record<string, Application> = {
  promised: async (_, startResponse) => {
    await later();
    startResponse('200 OK', TEXT);
    await later();
    return ['one', 'two'];
  },
  'promised-never-started': async () => {
    await later();
    return ['one'];
  },
  'promise-fails': async (_, startResponse) => {
    startResponse('200 OK', TEXT);
    await later();
    throw new Error('instead of a body');
  },
  async *'awaited-parts'(environ, startResponse) {
    try {
      await later();
      startResponse('200 OK', TEXT);
      yield 'one';
      await later();
      yield '';
      yield 'two';
    } finally {
      environ['wsgi.errors'].write('through with awaited parts\n');
    }
  },
  async *'awaited-parts-fail'(environ, startResponse) {
    try {
      startResponse('200 OK', TEXT);
      yield 'one';
      await later();
      throw new Error('in the middle of awaited parts');
    } finally {
      environ['wsgi.errors'].write('through with failed parts\n');
    }
  },
  'awaited-write': async (_, startResponse) => {
    const write = startResponse('200 OK', TEXT);
    await write('one');
    await later();
    await write('two');
    return ['three'];
  },
};

const hints: Record<string, Application> = {
  hints: (environ, startResponse) => {
    environ['wsgi.early_hints']?.([['Link', '</a.css>; rel=preload']]);
    environ['wsgi.early_hints']?.([
      ['Link', '</b.js>; rel=preload'],
      ['X-A', 'caf\u00e9'],
    ]);
    startResponse('200 OK', TEXT);
    return ['hello'];
  },
  *'hints-between'(environ, startResponse) {
    startResponse('200 OK', TEXT);
    environ['wsgi.early_hints']?.([['Link', '</a.css>; rel=preload']]);
    yield 'one';
    environ['wsgi.early_hints']?.([['Link', '</b.js>; rel=preload']]);
    yield 'two';
  },
  'hinted-header': (environ, startResponse) => {
    const [name = '', ...value] = decodedQuery(environ).split('=');
    environ['wsgi.early_hints']?.([[name, value.join('=')]]);
    startResponse('200 OK', TEXT);
    return ['hello'];
  },
};

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

/** Lines with `|` between them. */
function joinLines(lines: readonly Buffer[]): Buffer {
  return Buffer.concat(lines.flatMap((line, index) => (index === 0 ? [line] : [Buffer.from('|'), line])));
}

/** One step of the application `read`. */
function readStep(stream: InputStream, step: string): Buffer[] {
  const [name, size] = step.split(':');
  const sizes = size === undefined ? [] : [Number(size)];
  if (name === 'iterate') return [...stream];
  if (name === 'readlines') return stream.readlines(...sizes);
  return [name === 'readline' ? stream.readline(...sizes) : stream.read(...sizes)];
}

const inputs: Record<string, Application> = {
  environ: (environ, startResponse) => {
    startResponse('200 OK', []);
    const lines = environ.QUERY_STRING.split(',').map((key) => {
      const value = environ[key] ?? '(missing)';
      return `${key}=${Array.isArray(value) ? value.join('.') : value}\n`;
    });
    return [Buffer.from(lines.join(''), 'latin1')];
  },
  'headers-seen': (environ, startResponse) => {
    startResponse('200 OK', []);
    const names = Object.keys(environ).filter((key) => /^(HTTP|CONTENT)_/.test(key));
    return [names.sort().join(' ')];
  },
  echo: (environ, startResponse) => {
    startResponse('200 OK', []);
    return [environ['wsgi.input'].read()];
  },
  digest: (environ, startResponse) => {
    startResponse('200 OK', []);
    const body = environ['wsgi.input'].read();
    return [`${environ.CONTENT_LENGTH} ${body.length} ${sha256(body)}`];
  },
  'digest-of-lines': (environ, startResponse) => {
    startResponse('200 OK', []);
    const lines = [...environ['wsgi.input']];
    return [`${lines.length} ${sha256(joinLines(lines))}`];
  },
  read: (environ, startResponse) => {
    startResponse('200 OK', []);
    const steps = environ.QUERY_STRING.split(',');
    const results = steps.map((step) => readStep(environ['wsgi.input'], step));
    return [results.map((parts) => `${parts.map((part) => `[${part}]`).join('')}/`).join('')];
  },
  unread: (_, startResponse) => {
    startResponse('200 OK', []);
    return ['not read'];
  },
  errors: (environ, startResponse) => {
    environ['wsgi.errors'].write('told by the application\n');
    environ['wsgi.errors'].writelines(['line one\n', 'line two\n']);
    environ['wsgi.errors'].flush();
    startResponse('200 OK', []);
    return ['told'];
  },
};

export const APPS: Readonly<Record<string, Application>> = {
  ...bodies,
  ...lengths,
  ...heads,
  ...starts,
  ...failures,
  ...awaiting,
  ...hints,
  ...inputs,
};

export const application: Application = (environ, startResponse) => {
  const app = APPS[environ.HTTP_X_APP ?? ''];
  if (app === undefined) throw new Error(`There is no application ${environ.HTTP_X_APP}.`);
  return app(environ, startResponse);
};

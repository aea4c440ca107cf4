/** The validator and `mount` beside what they are modelled on, over cases nobody chose. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { mount } from '../../src/wsgi/mount.ts';
import type { Application, Environ, Header } from '../../src/wsgi/types.ts';
import { WsgiViolation } from '../../src/wsgi/violation.ts';
import { askPython, hasWerkzeug } from './peers.ts';
import { serve, started, whole } from './validation.ts';

const SEED = 3333;

const status = fc.oneof(
  { weight: 6, arbitrary: fc.constant('200 OK') },
  fc.constantFrom('204 No Content', '304 Not Modified', '200', '99 x', '100 Continue', ' 200 OK', '', 'OK'),
  fc.string({ unit: fc.constantFrom('2', '0', ' ', 'O', '-', '\t', '\n'), maxLength: 6 }),
  fc.string({ unit: fc.constantFrom(' ', 'O', '\t', '\n', 'é'), maxLength: 4 }).map((rest) => `200${rest}`),
  fc.constantFrom(200, null, ['200 OK']),
);

const name = fc.oneof(
  fc.constantFrom(
    'Content-Type',
    'content-type',
    'X-A',
    'Status',
    'STATUS',
    'A-',
    'A_',
    '1a',
    '',
    'a b',
    'a:b',
  ),
  fc.string({ unit: fc.constantFrom('a', 'Z', '-', '_', '9', ':', '\n', '!', 'é'), maxLength: 4 }),
  fc.constantFrom(1, null),
);

const value = fc.oneof(
  { weight: 3, arbitrary: fc.constant('text/plain') },
  fc.string({ unit: fc.constantFrom('a', ' ', '\t', '\r', '\n', '\0', '\x1f', '\x7f', 'é'), maxLength: 4 }),
  fc.constantFrom(7, null, ['a']),
);

const header = fc.oneof(
  { weight: 6, arbitrary: fc.tuple(name, value) },
  fc.constantFrom([], ['X-A'], ['X-A', 'b', 'c'], 'X-A: b', null),
);

const headers = fc.oneof(
  { weight: 4, arbitrary: fc.constant([['Content-Type', 'text/plain']]) },
  { weight: 2, arbitrary: fc.array(header, { maxLength: 3 }) },
  // One thing wrong at most, so that nothing else hides it.
  { weight: 6, arbitrary: header.map((one) => [['Content-Type', 'text/plain'], one]) },
  fc.constantFrom(null, 'X-A: b', { 'X-A': 'b' }),
);

const KEYS = [
  ...['REQUEST_METHOD', 'SCRIPT_NAME', 'PATH_INFO', 'QUERY_STRING', 'CONTENT_LENGTH', 'CONTENT_TYPE'],
  ...['SERVER_NAME', 'SERVER_PORT', 'HTTP_CONTENT_TYPE', 'HTTP_CONTENT_LENGTH', 'HTTP_X', 'x.y'],
  ...['wsgi.version', 'wsgi.url_scheme', 'wsgi.multithread', 'wsgi.run_once'],
];
const key = fc.constantFrom(...KEYS);
const entry = fc.oneof(
  fc.constantFrom('', '/', '/a', 'a', '5', '-1', 'GET', 'BREW', 'http', 'ftp', ' 5', '1_0'),
  fc.constantFrom(5, null, true, [1, 0], [1], '1.0'),
);

const base = Object.fromEntries(Object.entries(whole).filter(([, given]) => typeof given === 'string'));

const sane = { environ: {}, without: [], status: '200 OK', headers: [['Content-Type', 'text/plain']] };
const wrongCase = fc.oneof(
  fc.record({ ...asConstants(sane), status, headers }),
  fc.record({
    ...asConstants(sane),
    environ: fc.dictionary(key, entry, { maxKeys: 1 }),
    without: fc.array(key, { maxLength: 1 }),
  }),
);
type Case = typeof wrongCase extends fc.Arbitrary<infer T> ? T : never;

function asConstants<T extends Record<string, unknown>>(values: T) {
  return Object.fromEntries(Object.entries(values).map(([name, given]) => [name, fc.constant(given)])) as {
    [K in keyof T]: fc.Arbitrary<T[K]>;
  };
}

/** What our validator says; null when nothing is wrong. */
async function ours({ environ, without, status, headers }: Case): Promise<string | null> {
  const app: Application = (_environ, startResponse) => {
    startResponse(status as string, headers as readonly Header[]);
    return ['body'];
  };
  try {
    await serve(app, { environ, without });
    return null;
  } catch (error) {
    // Anything else is a mistake of the validator itself.
    if (!(error instanceof WsgiViolation)) throw error;
    return error.message;
  }
}

/** Where we are stricter than wsgiref, rule by rule. */
const STRICTER = [
  "A status below 200 is the server's to send",
  'The status holds a control character',
  'The header .* holds a control character: .*(\\\\u007f|\\x7f)',
  'environ\\.\\w+ may not be empty',
  'environ has no (SCRIPT_NAME|PATH_INFO|SERVER_PROTOCOL)',
  'environ\\.CONTENT_LENGTH must be a number of bytes',
  'wsgi\\.version must be \\[1, 0\\]',
  'wsgi\\.\\w+ must be true or false',
];

test('whatever wsgiref.validate refuses, the validator refuses; what it refuses beyond that is known', async () => {
  const cases = fc.sample(wrongCase, { seed: SEED, numRuns: 4000 });
  const theirs = askPython<string | null>(
    'validated',
    cases.map((one) => ({ ...one, environ: { ...base, ...one.environ } })),
  );
  const verdicts = await Promise.all(cases.map(ours));
  const beyond = new RegExp(`^(${STRICTER.join('|')})`);
  const differing = cases.flatMap((one, i) => {
    const [their, our] = [theirs[i] ?? null, verdicts[i] ?? null];
    if ((their === null) === (our === null)) return [];
    return their === null && beyond.test(our ?? '') ? [] : [{ ...one, their, our }];
  });
  expect(differing.slice(0, 5)).toEqual([]);
  // Else the cases would prove nothing.
  expect(theirs.filter((their) => their === null).length).toBeGreaterThan(200);
  expect(theirs.filter((their) => their !== null).length).toBeGreaterThan(200);
});

const path = fc
  .array(fc.constantFrom('a', 'ab', 'b', ''), { maxLength: 4 })
  .map((segments) => segments.map((segment) => `/${segment}`).join(''));
const mounted = fc.record({
  prefixes: fc.uniqueArray(fc.constantFrom('/a', '/a/b', '/ab', '/a/b/a', '/b'), { maxLength: 4 }),
  script: fc.constantFrom('', '/app'),
  path,
});

test.skipIf(!hasWerkzeug())('mount finds the application that DispatcherMiddleware finds', async () => {
  const cases = fc.sample(mounted, { seed: SEED, numRuns: 1000 });
  const theirs = askPython<[string, string, string]>('dispatched', cases);
  const ours = await Promise.all(
    cases.map(async ({ prefixes, script, path }) => {
      const named =
        (name: string): Application =>
        ({ SCRIPT_NAME, PATH_INFO }) => [name, SCRIPT_NAME, PATH_INFO];
      const apps = prefixes.map((prefix) => [prefix, named(prefix)] as const);
      const app = mount({ '/': named('none'), ...Object.fromEntries(apps) });
      return await app({ ...whole, SCRIPT_NAME: script, PATH_INFO: path } as Environ, started);
    }),
  );
  expect(ours).toEqual(theirs);
});

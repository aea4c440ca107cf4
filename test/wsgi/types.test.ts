/** Types only: `tsc` is the judge (npm run check); at run time these tests pass by themselves. */
import { expectTypeOf, test } from 'vitest';
import type {
  Application,
  Body,
  Chunk,
  Environ,
  ErrorStream,
  Header,
  InputStream,
  Middleware,
  StartResponse,
  Write,
} from '../../src/index.ts';

type Key = keyof Environ;

test('every key that PEP 3333 requires is there, and is a string', () => {
  type Required =
    | 'REQUEST_METHOD'
    | 'SCRIPT_NAME'
    | 'PATH_INFO'
    | 'QUERY_STRING'
    | 'SERVER_NAME'
    | 'SERVER_PORT'
    | 'SERVER_PROTOCOL';
  expectTypeOf<Pick<Environ, Required>>().toEqualTypeOf<Record<Required, string>>();
});

test('those that may be missing say so', () => {
  type Optional =
    | 'CONTENT_TYPE'
    | 'CONTENT_LENGTH'
    | 'REMOTE_ADDR'
    | 'REMOTE_HOST'
    | 'REMOTE_USER'
    | 'AUTH_TYPE'
    | 'GATEWAY_INTERFACE'
    | 'PATH_TRANSLATED'
    | 'REMOTE_IDENT'
    | 'HTTPS';
  expectTypeOf<Environ[Optional]>().toEqualTypeOf<string | undefined>();
});

test('the wsgi keys', () => {
  expectTypeOf<Environ['wsgi.version']>().toEqualTypeOf<readonly [number, number]>();
  expectTypeOf<Environ['wsgi.url_scheme']>().toEqualTypeOf<'http' | 'https'>();
  expectTypeOf<Environ['wsgi.input']>().toEqualTypeOf<InputStream>();
  expectTypeOf<Environ['wsgi.errors']>().toEqualTypeOf<ErrorStream>();
  expectTypeOf<
    Environ['wsgi.multithread' | 'wsgi.multiprocess' | 'wsgi.run_once']
  >().toEqualTypeOf<boolean>();
  expectTypeOf<NonNullable<Environ['wsgi.file_wrapper']>>().returns.toEqualTypeOf<Body>();
  expectTypeOf<NonNullable<Environ['wsgi.early_hints']>>().parameter(0).toEqualTypeOf<readonly Header[]>();
  expectTypeOf<NonNullable<Environ['tunicorn.signal']>>().returns.toEqualTypeOf<AbortSignal>();
});

test('header fields are strings or missing, and other keys are not known', () => {
  expectTypeOf<Environ['HTTP_HOST' | 'HTTP_X_ANYTHING']>().toEqualTypeOf<string | undefined>();
  expectTypeOf<Environ['myframework.user']>().toEqualTypeOf<unknown>();
  expectTypeOf<'HTTP_X'>().toExtend<Key>();
  const environ = {} as Environ;
  // @ts-expect-error: a header field is a string
  environ.HTTP_ACCEPT = 1;
  // @ts-expect-error: native strings only
  environ.PATH_INFO = Buffer.from('/');
  // @ts-expect-error: a server always gives it
  environ.SERVER_NAME = undefined;
  // @ts-expect-error: and cannot be made without
  const empty: Environ = {};
  void empty;
});

test('the request body', () => {
  expectTypeOf<InputStream['read']>().returns.toEqualTypeOf<Buffer>();
  expectTypeOf<InputStream['readlines']>().returns.toEqualTypeOf<Buffer[]>();
  expectTypeOf<InputStream>().toExtend<Iterable<Buffer>>();
  expectTypeOf<InputStream['text']>().returns.resolves.toEqualTypeOf<string>();
  expectTypeOf<InputStream['json']>().returns.resolves.toEqualTypeOf<unknown>();
  expectTypeOf<InputStream['formData']>().returns.resolves.toEqualTypeOf<FormData>();
  expectTypeOf<InputStream['stream']>().toEqualTypeOf<ReadableStream<Uint8Array>>();
});

test('startResponse takes pairs, gives write', () => {
  const start = (() => async () => undefined) as StartResponse;
  expectTypeOf(start('200 OK', [['A', 'b']])).toEqualTypeOf<Write>();
  expectTypeOf(start('200 OK', [['A', 'b']], new Error('caught'))).toEqualTypeOf<Write>();
  expectTypeOf<Write>().parameter(0).toEqualTypeOf<Chunk>();
  expectTypeOf<Write>().returns.resolves.toEqualTypeOf<void>();
  // @ts-expect-error: the status holds its reason
  start(200, []);
  // @ts-expect-error: pairs, as a name may come twice
  start('200 OK', { A: 'b' });
  // @ts-expect-error: strings
  start('200 OK', [['A', 1]]);
  // @ts-expect-error: two of them
  start('200 OK', [['A']]);
});

test('an application may be any of these', () => {
  const list = () => ['a', new Uint8Array()];
  const generator = function* () {
    yield 'a';
  };
  const asyncGenerator = async function* () {
    yield Buffer.from('a');
  };
  expectTypeOf(list).toExtend<Application>();
  expectTypeOf(generator).toExtend<Application>();
  expectTypeOf(asyncGenerator).toExtend<Application>();
  expectTypeOf(async () => ['a']).toExtend<Application>();
  expectTypeOf(async () => asyncGenerator()).toExtend<Application>();
  expectTypeOf(() => new ReadableStream<Uint8Array>()).toExtend<Application>();
  expectTypeOf<Parameters<Middleware>[0]>().toEqualTypeOf<Application>();
  expectTypeOf<ReturnType<Middleware>>().toEqualTypeOf<Application>();
});

test('and none of these', () => {
  expectTypeOf(() => [1]).not.toExtend<Application>();
  expectTypeOf(() => Buffer.from('a')).not.toExtend<Application>();
  expectTypeOf(() => new Response('a')).not.toExtend<Application>();
  expectTypeOf(() => undefined).not.toExtend<Application>();
  expectTypeOf(() => [Promise.resolve('a')]).not.toExtend<Application>();
});

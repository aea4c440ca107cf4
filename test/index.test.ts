import { readFileSync } from 'node:fs';
import { expect, expectTypeOf, test } from 'vitest';
import type { Application, Environ, StartResponse, Write } from '../src/index.ts';
import * as tunicorn from '../src/index.ts';

test('the public API', () => {
  expect(Object.keys(tunicorn).sort()).toEqual(['UserError', 'compose', 'makeServer']);
});

test('environ is typed', () => {
  expectTypeOf<Environ['PATH_INFO']>().toEqualTypeOf<string>();
  expectTypeOf<Environ['CONTENT_TYPE']>().toEqualTypeOf<string | undefined>();
  expectTypeOf<Environ['HTTP_X_ANYTHING']>().toEqualTypeOf<string | undefined>();
  expectTypeOf<Environ['wsgi.url_scheme']>().toEqualTypeOf<'http' | 'https'>();
  expectTypeOf<Environ['myframework.user']>().toEqualTypeOf<unknown>();
  expectTypeOf<ReturnType<StartResponse>>().toEqualTypeOf<Write>();
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
  expectTypeOf(() => [1]).not.toExtend<Application>();
  expectTypeOf(() => Buffer.from('a')).not.toExtend<Application>();
});

test('the library brings along neither the arbiter nor child processes', () => {
  const seen = new Set<string>();
  const visit = (url: URL) => {
    if (seen.has(url.pathname)) return;
    seen.add(url.pathname);
    const source = readFileSync(url, 'utf8');
    expect(source).not.toMatch(/from 'node:(child_process|cluster)'/);
    for (const [, path = ''] of source.matchAll(/^(?:import|export|\}) .*?from '(\.[^']+)';/gm))
      visit(new URL(path, url));
  };
  visit(new URL('../src/index.ts', import.meta.url));
  expect(seen.size).toBeGreaterThan(10);
  expect(
    [...seen].filter((path) =>
      /\/src\/(arbiter|cli|config|gateway|workers|front\/(main|dispatch|crew))\b/.test(path),
    ),
  ).toEqual([]);
});

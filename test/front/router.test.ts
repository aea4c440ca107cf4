import { describe, expect, test } from 'vitest';
import { HttpError } from '../../src/errors.ts';
import { Router } from '../../src/front/router.ts';
import { decodePath } from '../../src/wsgi/environ.ts';

function router(...prefixes: string[]): Router<string> {
  return new Router(prefixes.map((prefix) => ({ prefix, target: prefix })));
}

describe('the longest prefix, on whole segments', () => {
  const all = router('/', '/api', '/api/v2', '/ä');
  test.each<[string, string]>([
    ['/', '/'],
    ['/api', '/api'],
    ['/api/', '/api'],
    ['/api/v2', '/api/v2'],
    ['/api/v2/x', '/api/v2'],
    ['/api/v2x', '/api'],
    ['/api/v20/x', '/api'],
    ['/apix', '/'],
    ['/API', '/'],
    ['/x/api', '/'],
    ['', '/'],
    ['*', '/'],
    // As PATH_INFO has it: decoded once, and not normalised.
    ['/api%2Fv2', '/api/v2'],
    ['/%61pi', '/api'],
    ['/api%252Fv2', '/'],
    ['/api/../x', '/api'],
    ['/api/%2e%2e/x', '/api'],
    ['/x/../api', '/'],
    ['/..%2Fapi', '/'],
    ['//api', '/'],
    ['/./api', '/'],
    ['/%C3%A4/x', '/ä'],
    ['/%E4/x', '/'],
  ])('%s is of %s', (path, expected) => {
    expect(all.find(path)).toBe(expected);
    // The order in which they were given means nothing.
    expect(router('/ä', '/api/v2', '/api', '/').find(path)).toBe(expected);
    // What the application hears is under the prefix that was chosen.
    const prefix = expected === '/' ? '' : Buffer.from(expected).toString('latin1');
    const heard = decodePath(path);
    expect(heard === prefix || heard.startsWith(`${prefix}/`) || heard === '').toBe(true);
  });
});

test('without one at / some paths are nobody’s', () => {
  const some = router('/api', '/shop');
  expect(some.find('/shop/x')).toBe('/shop');
  for (const path of ['/', '*', '/apis', '/x']) expect(some.find(path)).toBeNull();
});

test('a path that can be no PATH_INFO is no path', () => {
  expect(() => router('/api').find('/api/%00')).toThrow(HttpError);
});

test('the only one at / takes all, without a look', () => {
  expect(router('/').find('/%zz')).toBe('/');
});

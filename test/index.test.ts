import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import * as tunicorn from '../src/index.ts';

test('the public API', () => {
  expect(Object.keys(tunicorn).sort()).toEqual([
    'UserError',
    'WsgiViolation',
    'accessLog',
    'compose',
    'fromFetch',
    'fromNode',
    'makeServer',
    'mount',
    'requestId',
    'toFetch',
    'validator',
  ]);
});

test('the library brings along neither the arbiter nor child processes', () => {
  const seen = new Set<string>();
  const visit = (url: URL) => {
    if (seen.has(url.pathname)) return;
    seen.add(url.pathname);
    const source = readFileSync(url, 'utf8');
    expect(source).not.toMatch(/from 'node:(child_process|cluster)'/);
    // Slow to load: those who use them load them then (types cost nothing).
    expect(source).not.toMatch(/^import (?!type ).*from 'node:(crypto|tls|http2?|https)'/m);
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

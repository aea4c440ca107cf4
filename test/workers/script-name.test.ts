import { expect, test } from 'vitest';
import { scriptName, shiftPath } from '../../src/workers/script-name.ts';

test.each([
  [undefined, ''],
  ['', ''],
  ['/', ''],
  ['/api', '/api'],
  ['api/', '/api'],
  ['/shop/admin/', '/shop/admin'],
  ['/ä', '/Ã¤'],
])('SCRIPT_NAME=%s is %j', (value, expected) => {
  expect(scriptName(value === undefined ? {} : { SCRIPT_NAME: value })).toBe(expected);
});

test.each([
  ['/api', '/api', ''],
  ['/api', '/api/', '/'],
  ['/api', '/api/x', '/x'],
  ['/api', '/api//x', '//x'],
])('under %s the path %s is %j', (prefix, path, rest) => {
  const entries = ['REQUEST_METHOD', 'GET', 'SCRIPT_NAME', '', 'PATH_INFO', path];
  expect(shiftPath(entries, prefix)).toBe(true);
  expect(entries).toEqual(['REQUEST_METHOD', 'GET', 'SCRIPT_NAME', prefix, 'PATH_INFO', rest]);
});

test.each(['/', '/apix', '/Api', '/x/api', ''])('%j does not lie under /api', (path) => {
  const entries = ['SCRIPT_NAME', '', 'PATH_INFO', path];
  expect(shiftPath(entries, '/api')).toBe(false);
  expect(entries).toEqual(['SCRIPT_NAME', '', 'PATH_INFO', path]);
});

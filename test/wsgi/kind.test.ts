import { expect, test } from 'vitest';
import { kindOf } from '../../src/wsgi/kind.ts';

test.each<[unknown, string]>([
  [null, 'null'],
  [undefined, 'undefined'],
  [7, 'a number'],
  ['text', 'a string'],
  [() => 1, 'a function'],
  [[], 'an array'],
  [{}, 'an object'],
  [Object.create(null), 'an object'],
  [new Map(), 'a Map'],
  [new ArrayBuffer(1), 'an ArrayBuffer'],
  [Promise.resolve(), 'a promise (await it)'],
])('%o is %s', (value, kind) => {
  expect(kindOf(value)).toBe(kind);
});

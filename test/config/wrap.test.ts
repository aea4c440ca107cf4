import { expect, it } from 'vitest';
import { wrap } from '../../src/config/wrap.ts';

it('breaks between words, and never within one', () => {
  expect(wrap('one two three', { columns: 10, indent: 2 })).toEqual(['  one two', '  three']);
  expect(wrap('averyveryverylongword x', { columns: 10, indent: 2 })).toEqual([
    '  averyveryverylongword',
    '  x',
  ]);
  expect(wrap('', { columns: 10, indent: 2 })).toEqual([]);
});

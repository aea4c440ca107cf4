import { expect, it } from 'vitest';
import { count } from '../src/count.ts';

it('is plural for all but one', () => {
  expect([0, 1, 2].map((number) => count(number, 'worker'))).toEqual(['0 workers', '1 worker', '2 workers']);
  expect(count(1, 'request', 'waiting')).toBe('1 request waiting');
});

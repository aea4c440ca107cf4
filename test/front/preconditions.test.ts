import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { evaluate, type Validators } from '../../src/front/preconditions.ts';
import type { Fields } from '../../src/http/types.ts';

const MODIFIED = 'Sun, 06 Nov 1994 08:49:37 GMT';
const STRONG: Validators = { etag: '"a1"', modified: Date.parse(MODIFIED) };
const WEAK: Validators = { ...STRONG, etag: 'W/"a1"' };
const BEFORE = 'Sun, 06 Nov 1994 08:49:36 GMT';
const AFTER = 'Sun, 06 Nov 1994 08:49:38 GMT';

function verdict(fields: Fields, options: { validators?: Validators; size?: number; method?: string } = {}) {
  const { validators = STRONG, size = 1000, method = 'GET' } = options;
  return evaluate({ method, fields }, { size, validators });
}

describe('RFC 9110 §13', () => {
  test.each([
    [[], 'whole'],
    [['if-none-match', '"a1"'], 'not-modified'],
    [['if-none-match', 'W/"a1"'], 'not-modified'],
    [['if-none-match', '"b", "a1"'], 'not-modified'],
    [['if-none-match', '"b"', 'if-none-match', '"a1"'], 'not-modified'],
    [['if-none-match', '*'], 'not-modified'],
    [['if-none-match', '"b"'], 'whole'],
    [['if-none-match', 'a1'], 'whole'],
    [['if-none-match', '"b", "a1'], 'whole'],
    [['if-none-match', '"b"', 'if-modified-since', MODIFIED], 'whole'],
    [['if-modified-since', MODIFIED], 'not-modified'],
    [['if-modified-since', AFTER], 'not-modified'],
    [['if-modified-since', BEFORE], 'whole'],
    [['if-modified-since', 'Sunday, 06-Nov-94 08:49:37 GMT'], 'not-modified'],
    [['if-modified-since', 'Sun Nov  6 08:49:37 1994'], 'not-modified'],
    [['if-modified-since', 'Sun Nov  6 08:49:36 1994'], 'whole'],
    [['if-modified-since', 'tomorrow'], 'whole'],
    [['if-modified-since', '2100'], 'whole'],
    [['if-modified-since', ''], 'whole'],
    [['if-match', '"a1"'], 'whole'],
    [['if-match', '*'], 'whole'],
    [['if-match', '"b"'], 'failed'],
    [['if-match', 'W/"a1"'], 'failed'],
    [['if-match', '"b"', 'if-none-match', '"a1"'], 'failed'],
    [['if-unmodified-since', MODIFIED], 'whole'],
    [['if-unmodified-since', BEFORE], 'failed'],
    [['if-unmodified-since', 'junk'], 'whole'],
    [['if-match', '"a1"', 'if-unmodified-since', BEFORE], 'whole'],
  ])('%j: %s', (fields, type) => {
    expect(verdict(fields)).toEqual({ type });
  });

  test('a weak tag is good for If-None-Match only', () => {
    expect(verdict(['if-none-match', '"a1"'], { validators: WEAK }).type).toBe('not-modified');
    expect(verdict(['if-match', 'W/"a1"'], { validators: WEAK }).type).toBe('failed');
  });
});

describe('RFC 9110 §14', () => {
  test.each([
    ['bytes=0-0', 0, 1],
    ['bytes=0-', 0, 1000],
    ['bytes=999-', 999, 1000],
    ['bytes=10-99999999999999999999', 10, 1000],
    ['bytes=-1', 999, 1000],
    ['bytes=-5000', 0, 1000],
    ['BYTES= 1-2 ', 1, 3],
  ])('%s', (range, start, end) => {
    expect(verdict(['range', range])).toEqual({ type: 'part', span: { start, end } });
  });

  test.each(['bytes=1000-', 'bytes=99999999999999999999-', 'bytes=-0'])('%s is unsatisfiable', (range) => {
    expect(verdict(['range', range])).toEqual({ type: 'unsatisfiable' });
  });

  test.each([
    'bytes=',
    'bytes=-',
    'bytes=a-b',
    'bytes=5-4',
    'bytes=1-2,3-4',
    'lines=1-2',
    'bytes 1-2',
    'bytes=+1-2',
    '',
  ])('%j is ignored', (range) => {
    expect(verdict(['range', range])).toEqual({ type: 'whole' });
  });

  test('an empty file has no ranges', () => {
    expect(verdict(['range', 'bytes=0-'], { size: 0 }).type).toBe('unsatisfiable');
    expect(verdict(['range', 'bytes=-1'], { size: 0 }).type).toBe('unsatisfiable');
  });

  test('two Range fields are no range, HEAD knows none', () => {
    expect(verdict(['range', 'bytes=0-1', 'range', 'bytes=2-3']).type).toBe('whole');
    expect(verdict(['range', 'bytes=0-1'], { method: 'HEAD' }).type).toBe('whole');
  });

  test.each([
    ['"a1"', STRONG, 'part'],
    ['"b"', STRONG, 'whole'],
    ['W/"a1"', WEAK, 'whole'],
    [MODIFIED, STRONG, 'part'],
    [AFTER, STRONG, 'whole'],
    [MODIFIED, WEAK, 'whole'],
    ['junk', STRONG, 'whole'],
  ])('If-Range: %s', (ifRange, validators, type) => {
    expect(verdict(['range', 'bytes=0-1', 'if-range', ifRange], { validators }).type).toBe(type);
  });

  test('a part lies within the file, whatever is asked', () => {
    const number = fc.option(fc.bigInt({ min: 0n, max: 10n ** 25n }), { nil: '' });
    fc.assert(
      fc.property(number, number, fc.nat(2000), (first, last, size) => {
        const result = verdict(['range', `bytes=${first}-${last}`], { size });
        if (result.type !== 'part') return;
        expect(result.span.start).toBeLessThan(result.span.end);
        expect(result.span.end).toBeLessThanOrEqual(size);
      }),
    );
  });
});

import { expect, test } from 'vitest';
import {
  DEFAULT_LIMITS,
  effectiveLimits,
  HARD_FIELDS,
  HARD_LINE_BYTES,
  HARD_SECTION_BYTES,
} from '../../src/http/limits.ts';

test("the defaults are gunicorn's, and 1 GiB of body", () => {
  expect(effectiveLimits(DEFAULT_LIMITS)).toEqual({
    line: 8190,
    fields: 100,
    fieldSize: 8190,
    body: 1_073_741_824,
  });
});

test('0 means the hard cap, and nothing is above it', () => {
  const hard = {
    line: HARD_LINE_BYTES,
    fields: HARD_FIELDS,
    fieldSize: HARD_LINE_BYTES,
    body: Number.MAX_SAFE_INTEGER,
  };
  expect(effectiveLimits({ line: 0, fields: 0, fieldSize: 0, body: 0 })).toEqual(hard);
  expect(effectiveLimits({ line: 1e9, fields: 1e9, fieldSize: 1e9, body: 1e18 })).toEqual(hard);
});

test('the default fields fit into a section', () => {
  expect(DEFAULT_LIMITS.fields * (DEFAULT_LIMITS.fieldSize + 2)).toBeLessThan(HARD_SECTION_BYTES);
});

import { expect, test } from 'vitest';
import { summarize } from '../../scripts/report.mjs';

function file(name: string, ...statuses: string[]) {
  return {
    name: `/checkout/test/${name}`,
    status: statuses.includes('failed') || statuses.length === 0 ? 'failed' : 'passed',
    assertionResults: statuses.map((status) => ({ status })),
  };
}

const root = '/checkout';

test('the last line counts, alone on its line', () => {
  const report = { testResults: [file('a', 'passed', 'passed'), file('b', 'failed', 'passed')] };
  expect(summarize(report, { root, missing: [], ok: false })).toEqual(['', '3 passed, 1 failed, 0 skipped']);
});

test('what was skipped is named in one line: what is missing, and where', () => {
  const report = {
    testResults: [
      {
        name: '/checkout/test/a',
        status: 'passed',
        assertionResults: [{ status: 'skipped', fullName: 'as root' }],
      },
      file('nginx.test.ts', 'skipped', 'pending', 'skipped'),
      file('b', 'passed'),
    ],
  };
  expect(summarize(report, { root, missing: ['nginx: not installed'], ok: true })).toEqual([
    '',
    'Skipped: nginx: not installed; test/a: “as root”; test/nginx.test.ts',
    '1 passed, 0 failed, 4 skipped',
  ]);
});

test('a file that cannot be loaded counts as failed', () => {
  const report = { testResults: [file('broken'), file('b', 'passed')] };
  expect(summarize(report, { root, missing: [], ok: false }).at(-1)).toBe('1 passed, 1 failed, 0 skipped');
});

test('an error outside of any test, or no report at all, is not told as success', () => {
  const report = { testResults: [file('a', 'passed')] };
  expect(summarize(report, { root, missing: [], ok: false }).at(-1)).toBe('1 passed, 1 failed, 0 skipped');
  expect(summarize(null, { root, missing: [], ok: false }).at(-1)).toBe('0 passed, 1 failed, 0 skipped');
});

/** Every application of the table, on every kind of server that runs WSGI applications. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SERVER_SOFTWARE } from '../../src/version.ts';
import { APPS } from './apps.ts';
import { BACKENDS, type Backend } from './backends.ts';
import { exchange } from './raw.ts';
import { type Row, TABLE } from './table.ts';

const ROWS = Object.values(TABLE).flat();

test('both languages have the same applications, and each has a row', () => {
  const source = readFileSync(new URL('apps.py', import.meta.url), 'utf8');
  const python = [...source.matchAll(/^@app\ndef (\w+)/gm)].map(([, name = '']) => name.replaceAll('_', '-'));
  expect(Object.keys(APPS).sort()).toEqual(python.sort());
  const asked = new Set(ROWS.map((row) => /^X-App: (.*)\r$/m.exec(row.request)?.[1]));
  expect(
    python.filter((name) => !asked.has(name) && !ROWS.some((row) => row.request.includes(`: ${name}\r\n`))),
  ).toEqual([]);
});

describe.each(BACKENDS)('$name', ({ language, start }) => {
  let backend: Backend;
  beforeAll(async () => {
    backend = await start();
  });
  afterAll(() => backend.stop());

  describe.each(Object.entries(TABLE))('%s', (_, rows) => {
    test.each(rows.map((row) => [row.name, row] as const))('%s', async (_name, row) => {
      const { response, ends = 'closed', log } = expectation(row, language);
      const logged = backend.logLength();
      const answer = await exchange(backend.port, Buffer.from(row.request, 'latin1'));
      expect(withoutDate(answer.bytes.toString('latin1'))).toBe(fill(response, backend.port));
      expect(answer.ends).toBe(ends);
      if (log !== undefined) await backend.waitForLog(log, logged);
    });
  });
});

function expectation(row: Row, language: 'python' | 'typescript') {
  return (language === 'python' ? row.python : undefined) ?? row;
}

/** The Date of the server; one that an application gave is of another century. */
function withoutDate(response: string): string {
  return response.replace(/^Date: [A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} 20\d\d \d\d:\d\d:\d\d GMT\r\n/gm, '');
}

/** Puts in what is known only when the server runs, and corrects the length for it. */
function fill(response: string, port: number): string {
  const filled = response.replace('{port}', String(port)).replace('{software}', SERVER_SOFTWARE);
  const grown = filled.length - response.length;
  return grown === 0
    ? response
    : filled.replace(/Content-Length: (\d+)/, (_, n) => `Content-Length: ${Number(n) + grown}`);
}

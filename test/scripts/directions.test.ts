import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { findViolations } from '../../scripts/directions.mjs';
import { ROOT } from '../support/tunicorn.ts';

const folders: string[] = [];

afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

/** A source folder that holds these files. */
function source(files: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(tmpdir(), 'directions-'));
  folders.push(folder);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  return folder;
}

test('the sources keep to their directions', () => {
  expect(findViolations(join(ROOT, 'src'))).toEqual([]);
});

test.each([
  ['http/a.ts', `import { b } from '../front/b.ts';`, 'http/a.ts imports front/b.ts'],
  ['gateway/a.ts', `export * from '../workers/b.ts';`, 'gateway/a.ts imports workers/b.ts'],
  ['wsgi/a.ts', `import type { B } from '../front/client.ts';`, 'wsgi/a.ts imports front/client.ts'],
  ['front/a.ts', `import { b } from '../arbiter/b.ts';`, 'front/a.ts imports arbiter/b.ts'],
  ['arbiter/a.ts', `import { b } from '../front/b.ts';`, 'arbiter/a.ts imports front/b.ts'],
  ['index.ts', `export { b } from './arbiter/b.ts';`, 'index.ts imports arbiter/b.ts'],
  ['workers/a.ts', `const b = await import('../arbiter/b.ts');`, 'workers/a.ts imports arbiter/b.ts'],
  ['observe/a.ts', `import {\n  b,\n} from '../cli/b.ts';`, 'observe/a.ts imports cli/b.ts'],
  ['front/queue.ts', `import { readFileSync } from 'node:fs';`, 'front/queue.ts imports node:fs'],
  ['http/parser.ts', `import net from 'node:net';\nnet.connect(1);`, 'http/parser.ts imports node:net'],
  ['http/parser.ts', `import { connect } from 'node:net';`, 'http/parser.ts imports node:net'],
  ['arbiter/plan.ts', `export const now = Date.now();`, 'arbiter/plan.ts uses Date.now'],
  ['gateway/frames.ts', `setTimeout(() => {}, 1);`, 'gateway/frames.ts uses setTimeout'],
])('refused: %s with %j', (path, code, start) => {
  expect(findViolations(source({ [path]: code }))).toEqual([expect.stringContaining(`${start}:`)]);
});

test.each([
  ['wsgi/make-server.ts', `import { Client } from '../front/client.ts';`],
  ['cli/main.ts', `import { arbiter } from '../arbiter/main.ts';`],
  ['front/proxy-headers.ts', `import { isIP } from 'node:net';\nisIP('');`],
  ['front/proxy-headers.ts', `import * as net from 'node:net';\nnew net.BlockList();`],
  [
    'front/queue.ts',
    `// setTimeout(…) would make it impure\n/* import '../arbiter/b.ts' */\nconst url = 'http://x';`,
  ],
])('allowed: %s with %j', (path, code) => {
  expect(findViolations(source({ [path]: code }))).toEqual([]);
});

test('a circle of imports is found, one of types is none', () => {
  const circle = source({
    'http/a.ts': `import { b } from './b.ts';`,
    'http/b.ts': `import { c } from './c.ts';`,
    'http/c.ts': `import { a } from './a.ts';`,
  });
  expect(findViolations(circle)).toEqual([
    'http/a.ts → http/b.ts → http/c.ts → http/a.ts: a circle of imports',
  ]);
  const types = source({
    'http/a.ts': `import { b } from './b.ts';`,
    'http/b.ts': `import type { A } from './a.ts';`,
  });
  expect(findViolations(types)).toEqual([]);
});

/** Every kind of file that Node runs, and what is said of those that it does not. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { fetchOnce } from '../support/client.ts';
import { startTunicorn } from '../support/tunicorn.ts';

const BODY = `(environ, startResponse) => {
  startResponse('200 OK', []);
  return ['it runs'];
}`;
const ESM = `import { sep } from 'node:path';\nexport default ${BODY};\nif (sep !== '/') throw new Error(import.meta.url);\n`;
const CJS = `const { sep } = require('node:path');\nmodule.exports = ${BODY};\nif (sep !== '/') throw new Error(__filename);\n`;
const TYPED = ESM.replace('startResponse)', 'startResponse: (status: string, headers: string[]) => unknown)');

const RUN: Readonly<Record<string, string>> = {
  'none/app.mjs': ESM,
  'none/app.cjs': CJS,
  'none/module.js': ESM,
  'none/commonjs.js': CJS,
  'none/app.ts': TYPED,
  'none/app.mts': TYPED,
  'none/app.cts': `interface Sep { sep: string }\n${CJS.replace("require('node:path')", "require('node:path') as Sep")}`,
  'module/app.js': ESM,
  'module/app.ts': `${TYPED.replace('export default', "import type { Nothing } from './nothing.ts';\nexport default")}`,
  'commonjs/app.js': CJS,
  'commonjs/app.ts': CJS.replace('{ sep }', '{ sep }: { sep: string }'),
};

const REFUSED: readonly (readonly [string, string, RegExp])[] = [
  [
    'enum.ts',
    `const one = 1;\nenum Colour { red }\nexport default ${BODY};\n`,
    /enum\.ts:2(:\d+)?\b[\s\S]*enum/,
  ],
  [
    'property.ts',
    'export class Box {\n  constructor(private size: number) {}\n}\n',
    /property\.ts:2(:\d+)?\b[\s\S]*parameter property/i,
  ],
  ['syntax.ts', 'export default (a, => [];\n', /syntax\.ts:1\b/],
  ['syntax.mjs', 'export default (a, => [];\n', /syntax\.mjs:1\b/],
  ['import.ts', "import './nowhere.ts';\n", /nowhere\.ts/],
  [
    'throws.ts',
    "const one: number = 1;\n\nthrow new Error('not today');\n",
    /not today[\s\S]*throws\.ts:3:7/,
  ],
];

let site = '';
beforeAll(() => {
  site = mkdtempSync(join(tmpdir(), 'entries-'));
  for (const [name, text] of [...Object.entries(RUN), ...REFUSED]) {
    mkdirSync(dirname(join(site, name)), { recursive: true });
    writeFileSync(join(site, name), text);
  }
  for (const type of ['module', 'commonjs']) {
    writeFileSync(join(site, type, 'package.json'), JSON.stringify({ type }));
  }
});
afterAll(() => rmSync(site, { recursive: true }));

async function check(name: string) {
  await using server = await startTunicorn({ cwd: site, python: null, args: ['--check-config', name] });
  const { code } = await server.exited;
  return { code, log: server.log() };
}

test('an application in TypeScript is served, and imports every other kind', async () => {
  const names = Object.keys(RUN);
  const imports = names.map((name, i) => `import app${i} from './${name}';`);
  const apps = names.map((name, i) => `'/${name}': app${i}`).join(', ');
  const last =
    'export const app = (environ, startResponse) => APPS[environ.PATH_INFO]!(environ, startResponse);';
  writeFileSync(
    join(site, 'all.ts'),
    [...imports, `const APPS: Record<string, any> = { ${apps} };`, last].join('\n'),
  );
  await using server = await startTunicorn({ cwd: site, python: null, args: ['all.ts:app'] });
  for (const name of names) {
    const { status, body } = await fetchOnce({ port: server.port }, `/${name}`);
    expect([name, status, String(body)]).toEqual([name, 200, 'it runs']);
  }
});

// Those that Node itself takes for something else when nobody says what they are.
test.each(['none/app.cjs', 'none/module.js', 'commonjs/app.ts'])('%s is an application', async (name) => {
  const { code, log } = await check(name);
  expect([code, log]).toEqual([0, expect.stringContaining(`Application ${name} (WSGI)`)]);
});

test.each(REFUSED)('%s: what is wrong, and where', async (name, _text, said) => {
  const { code, log } = await check(name);
  expect(code).toBe(3);
  expect(log).toMatch(said);
  // No frame of ours, and none of Node’s loader.
  expect(log.match(/^ +at .*(tunicorn|dist)\/.*$/gm) ?? []).toEqual([]);
});

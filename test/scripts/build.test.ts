import { execFileSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { build } from '../../scripts/build.mjs';
import { ROOT } from '../support/tunicorn.ts';

let root: string;

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'build-'));
  for (const name of ['package.json', 'tsconfig.json', 'tsconfig.build.json', 'rolldown.config.mjs'])
    cpSync(join(ROOT, name), join(root, name));
  symlinkSync(join(ROOT, 'node_modules'), join(root, 'node_modules'));
  mkdirSync(join(root, 'src'));
  writeFileSync(join(root, 'src/index.ts'), "export { a } from './a.ts';\n");
});

beforeEach(() => {
  writeFileSync(join(root, 'src/a.ts'), 'export const a: number = 1;\n');
  rmSync(join(root, 'src/b.ts'), { force: true });
});

afterAll(() => rmSync(root, { recursive: true }));

const output = (name: string) => join(root, 'dist', name);

test('builds once, and again when a source changed', () => {
  expect(build({ root })).toBe(true);
  const before = statSync(output('a.js')).mtimeMs;
  expect(build({ root })).toBe(false);
  expect(statSync(output('a.js')).mtimeMs).toBe(before);
  writeFileSync(join(root, 'src/a.ts'), 'export const a: number = 2;\n');
  expect(build({ root })).toBe(true);
});

test('a new time of a file is no change', () => {
  build({ root });
  utimesSync(join(root, 'src/a.ts'), new Date(), new Date());
  expect(build({ root })).toBe(false);
});

test('a missing output is built again', () => {
  build({ root });
  rmSync(output('a.js'));
  expect(build({ root })).toBe(true);
  expect(existsSync(output('a.js'))).toBe(true);
});

test('what was built of a source that is gone goes too', () => {
  writeFileSync(join(root, 'src/b.ts'), 'export const b = 1;\n');
  build({ root });
  expect(existsSync(output('b.js'))).toBe(true);
  rmSync(join(root, 'src/b.ts'));
  build({ root });
  expect(existsSync(output('b.js'))).toBe(false);
  expect(existsSync(output('b.d.ts'))).toBe(false);
});

test('mistakes are told, and tried again the next time', () => {
  writeFileSync(join(root, 'src/a.ts'), 'export const a: number = "x";\n');
  expect(() => build({ root })).toThrow(/src\/a\.ts\(1,14\): error/);
  expect(() => build({ root })).toThrow('The build failed');
});

test('without the development dependencies it says what to run', () => {
  const bare = mkdtempSync(join(tmpdir(), 'bare-'));
  cpSync(join(ROOT, 'scripts'), join(bare, 'scripts'), { recursive: true });
  mkdirSync(join(bare, 'src'));
  writeFileSync(join(bare, 'src/a.ts'), '');
  try {
    execFileSync(process.execPath, [join(bare, 'scripts/build.mjs')], { encoding: 'utf8', stdio: 'pipe' });
    expect.unreachable();
  } catch (error) {
    const { status, stderr } = error as { status: number; stderr: string };
    expect(status).toBe(1);
    expect(stderr).toContain(`Run this in ${bare}:\n    npm install --include=dev\n`);
    expect(stderr).not.toContain('at ');
  } finally {
    rmSync(bare, { recursive: true });
  }
});

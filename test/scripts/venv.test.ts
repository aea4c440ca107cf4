import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { makeVenv } from '../../scripts/venv.mjs';
import { hasModule, PYTHON } from '../support/tunicorn.ts';

let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'venv-'));
  mkdirSync(join(root, 'test'));
  // Nothing to download: these tests are about the environment.
  writeFileSync(join(root, 'test/requirements.txt'), '# nothing\n');
});

afterEach(() => rmSync(root, { recursive: true }));

/** The tests' interpreter, as if some modules were not installed with it. */
function pythonWithout(...modules: string[]): string {
  const hidden = modules.map((name) => `sys.modules[${JSON.stringify(name)}] = None`).join('\n');
  mkdirSync(join(root, 'hide'));
  writeFileSync(join(root, 'hide/sitecustomize.py'), `import sys\n${hidden}\n`);
  const path = join(root, 'python3');
  writeFileSync(path, `#!/bin/sh\nPYTHONPATH='${root}/hide' exec '${PYTHON}' "$@"\n`);
  chmodSync(path, 0o755);
  return path;
}

const venvPython = () => join(root, '.venv-test/bin/python');

test('is made once, and again when the requirements change', () => {
  // What does not run, or is no Python, is passed over.
  const interpreters = ['/no/such/python', '/bin/false', PYTHON];
  expect(makeVenv(root, { interpreters })).toBe(null);
  const made = statSync(venvPython(), { bigint: true }).ino;
  const said: string[] = [];
  expect(makeVenv(root, { interpreters, say: (line) => said.push(line) })).toBe(null);
  expect([statSync(venvPython(), { bigint: true }).ino, said]).toEqual([made, []]);
  writeFileSync(join(root, 'test/requirements.txt'), '# still nothing\n');
  expect(makeVenv(root, { interpreters, say: (line) => said.push(line) })).toBe(null);
  expect(said).toHaveLength(1);
});

describe.skipIf(!hasModule('pip'))('without ensurepip', () => {
  test('the pip that is there fills the environment', () => {
    expect(makeVenv(root, { interpreters: [pythonWithout('ensurepip')] })).toBe(null);
    expect(existsSync(venvPython())).toBe(true);
  });

  test('another interpreter that has it is preferred', () => {
    expect(makeVenv(root, { interpreters: [pythonWithout('ensurepip'), PYTHON] })).toBe(null);
    expect(existsSync(join(root, '.venv-test/bin/pip'))).toBe(true);
  });
});

test('with neither ensurepip nor pip it says so and leaves nothing behind', () => {
  const why = makeVenv(root, { interpreters: [pythonWithout('ensurepip', 'pip')] });
  expect(why).toContain('no Python here has ensurepip or pip');
  expect(existsSync(join(root, '.venv-test'))).toBe(false);
});

test('what cannot be installed is told, and tried again the next time', () => {
  writeFileSync(join(root, 'test/requirements.txt'), './no-such-folder\n');
  expect(makeVenv(root, { interpreters: [PYTHON] })).toContain('could not install');
  expect(existsSync(join(root, '.venv-test'))).toBe(false);
});

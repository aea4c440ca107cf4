/** `bin/`: what a person meets first, before anything is built, and with whatever Node they have. */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { ROOT } from '../support/tunicorn.ts';

const { tooOld } = createRequire(import.meta.url)('../../bin/require-node.cjs') as {
  tooOld(version: string): boolean;
};

/** A checkout that was never built. */
const checkout = mkdtempSync(join(tmpdir(), 'tunicorn bin-'));
cpSync(join(ROOT, 'bin'), join(checkout, 'bin'), { recursive: true });
afterAll(() => rmSync(checkout, { recursive: true }));

function node(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, {
    cwd: tmpdir(),
    encoding: 'utf8',
    timeout: 30_000,
  });
  return { status, stdout, stderr };
}

describe('tooOld', () => {
  it.each(['0.10.48', '8.17.0', '12.22.12', '18.20.8', '20.0.0', '20.18.3'])(
    'finds %s too old',
    (version) => {
      expect(tooOld(version)).toBe(true);
    },
  );

  it.each(['20.19.0', '20.20.2', '21.0.0', '22.12.0', '24.1.0', '100.0.0'])(
    'finds %s new enough',
    (version) => {
      expect(tooOld(version)).toBe(false);
    },
  );

  it('agrees with package.json', () => {
    const { engines } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
    expect(engines.node).toBe('>=20.19');
  });
});

describe('an old Node', () => {
  const pretend = join(checkout, 'pretend.cjs');
  writeFileSync(
    pretend,
    `Object.defineProperty(process, 'version', { value: 'v12.22.12' });
     Object.defineProperty(process, 'versions', { value: Object.assign({}, process.versions, { node: '12.22.12' }) });`,
  );

  it.each([['tunicorn'], ['require-node.cjs']])('gets one sentence from bin/%s', (file) => {
    expect(node('-r', pretend, join(checkout, 'bin', file), 'app:app')).toEqual({
      status: 1,
      stdout: '',
      stderr: 'Tunicorn needs Node 20.19 or newer; this is v12.22.12.\n',
    });
  });

  it.each([['tunicorn'], ['require-node.cjs']])('can read bin/%s: its syntax is that of 2009', (file) => {
    const code = readFileSync(join(ROOT, 'bin', file), 'utf8').replaceAll(
      /\/\/.*|\/\*[\s\S]*?\*\/|'[^']*'/g,
      '',
    );
    expect(code).not.toMatch(/=>|`|\b(const|let|class|async|await|import|of)\b|\?\?|\?\.|\.\.\.|\*\*/);
  });

  const old = process.env.TUNICORN_TEST_OLD_NODE ?? '';
  it.skipIf(old === '')('gets it for real (TUNICORN_TEST_OLD_NODE names one)', () => {
    for (const file of ['tunicorn', 'require-node.cjs']) {
      const { status, stderr } = spawnSync(old, [join(ROOT, 'bin', file), 'app:app'], { encoding: 'utf8' });
      expect([status, stderr]).toEqual([
        1,
        expect.stringMatching(/^Tunicorn needs Node 20\.19 or newer; this is v[\d.]+\.\n$/),
      ]);
    }
  });
});

describe('bin/tunicorn', () => {
  it('is executable', () => {
    expect(statSync(join(ROOT, 'bin/tunicorn')).mode & 0o111).toBe(0o111);
  });

  it('says what to run in a checkout that is not built', () => {
    expect(node(join(checkout, 'bin/tunicorn'), 'app:app')).toEqual({
      status: 1,
      stdout: '',
      stderr: `tunicorn: this checkout is not built yet. Run: npm --prefix "${checkout}" install\n`,
    });
  });
});

describe('bin/require-node.cjs', () => {
  it('ends with status 0 without a script', () => {
    expect(node(join(checkout, 'bin/require-node.cjs'))).toEqual({ status: 0, stdout: '', stderr: '' });
  });

  it('loads a script beside its folder as if that had been called', () => {
    mkdirSync(join(checkout, 'scripts'), { recursive: true });
    const script = join(checkout, 'scripts/hello.mjs');
    writeFileSync(
      script,
      `console.log(JSON.stringify([process.argv.slice(1), import.meta.url])); process.exitCode = 7;`,
    );
    const { status, stdout } = node(
      join(checkout, 'bin/require-node.cjs'),
      '../scripts/hello.mjs',
      '-w',
      '4',
    );
    expect(status).toBe(7);
    expect(JSON.parse(stdout)).toEqual([
      [script, '-w', '4'],
      new URL(`file://${script.replaceAll(' ', '%20')}`).href,
    ]);
  });

  it('fails when the script does', () => {
    writeFileSync(join(checkout, 'scripts/broken.mjs'), `throw new Error('broken');`);
    const { status, stderr } = node(join(checkout, 'bin/require-node.cjs'), '../scripts/broken.mjs');
    expect(status).toBe(1);
    expect(stderr).toContain('Error: broken');
  });
});

/** The two commands of the README on a fresh machine, and what an unsuitable machine is told. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { cleanEnvironment, ROOT } from '../support/tunicorn.ts';

const ONE_SENTENCE = /^Tunicorn needs Node 20\.19 or newer; this is v16\.\d+\.\d+\.\n$/;
const { scripts: SCRIPTS } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
  readonly scripts: Readonly<Record<'start' | 'test' | 'prepare', string>>;
};
const README = readFileSync(join(ROOT, 'README.md'), 'utf8');

test('the README names the two commands, and CI runs the one for the tests', () => {
  expect(README).toContain('npm install && npm start');
  expect(README).toContain('npm install && npm test');
  expect(readFileSync(join(ROOT, '.ci/run'), 'utf8')).toMatch(/^step npm install\nstep npm test$/m);
});

/** An older Node from npm, where the registry has one for this machine. */
const folder = mkdtempSync(join(tmpdir(), 'node16-'));
const node16 = join(folder, 'node_modules/node/bin/node');

function installNode16(): boolean {
  const options = { cwd: folder, env: cleanEnvironment(), stdio: 'ignore', timeout: 120_000 } as const;
  spawnSync('npm', ['install', '--no-audit', '--no-fund', '--prefix', folder, 'node@16'], options);
  return spawnSync(node16, ['--version'], { stdio: 'ignore' }).status === 0;
}

describe('an older Node', () => {
  let isThere = false;

  beforeAll(() => {
    isThere = installNode16();
  }, 150_000);

  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test.for([
    ['npm start', 'start'],
    ['npm test', 'test'],
    ['npm install', 'prepare'],
  ] as const)('%s: one sentence', ([, script], { skip }) => {
    if (!isThere) skip('npm has no Node 16 for this machine');
    // npm itself would need a newer Node: what it would run is run here.
    const result = spawnSync('sh', ['-c', SCRIPTS[script]], {
      cwd: ROOT,
      env: cleanEnvironment({ PATH: `${join(folder, 'node_modules/node/bin')}:${process.env.PATH}` }),
      encoding: 'utf8',
    });
    expect(result.stdout + result.stderr).toMatch(ONE_SENTENCE);
    expect(result.status).toBe(1);
  });

  test('the command: one sentence', ({ skip }) => {
    if (!isThere) skip('npm has no Node 16 for this machine');
    const result = spawnSync(node16, [join(ROOT, 'bin/tunicorn'), 'mysite.wsgi'], { encoding: 'utf8' });
    expect(result.stdout + result.stderr).toMatch(ONE_SENTENCE);
    expect(result.status).toBe(1);
  });
});

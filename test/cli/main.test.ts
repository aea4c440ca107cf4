import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { run, tellError } from '../../src/cli/main.ts';
import { UserError } from '../../src/errors.ts';
import { VERSION } from '../../src/version.ts';
import { ROOT } from '../support/tunicorn.ts';

const folder = mkdtempSync(join(tmpdir(), 'tunicorn-cli-'));
afterAll(() => rmSync(folder, { recursive: true }));

async function printed(argv: readonly string[]) {
  let text = '';
  const print = (part: string) => {
    text += part;
  };
  const code = await run(argv, { env: {}, cwd: folder, columns: 80, print });
  return { code, text };
}

/** The real command. */
function tunicorn(...argv: string[]) {
  const { status, stdout, stderr } = spawnSync(`${ROOT}bin/tunicorn`, argv, {
    cwd: folder,
    encoding: 'utf8',
    timeout: 30_000,
    env: { PATH: process.env.PATH ?? '', COLUMNS: '80' },
  });
  return { status, stdout, stderr };
}

describe('run', () => {
  it.each([
    ['--help', /^Runs Django, Flask/],
    ['-h', /^Runs Django, Flask/],
    ['--version', new RegExp(`^tunicorn \\(version ${VERSION}\\)\\n$`)],
    ['-v', /^tunicorn \(version/],
    ['--print-config', /^workers +=\s+1$/m],
  ])('answers %s with status 0', async (flag, text) => {
    expect(await printed([flag])).toEqual({ code: 0, text: expect.stringMatching(text) });
  });

  it.each([[[]], [['--check-config']]])(
    'asks which application with %j, and shows how to name one',
    async (argv) => {
      const message = `None was named, and ${folder} has no manage.py`;
      await expect(printed(argv)).rejects.toThrow(UserError);
      await expect(printed(argv)).rejects.toThrow(message);
      await expect(printed(argv)).rejects.toThrow('tunicorn mysite.wsgi ');
    },
  );
});

describe('tellError', () => {
  it('tells a mistake without a stack', () => {
    expect(tellError(new UserError('No such thing.'))).toBe('tunicorn: No such thing.\n');
  });

  it('tells what nobody foresaw with its stack, versions and the wish for a report', () => {
    const text = tellError(new TypeError('x is not a function'));
    expect(text).toMatch(/^tunicorn: This should not happen\. Please report it/);
    expect(text).toContain(`Tunicorn ${VERSION}, Node ${process.version}`);
    expect(text).toMatch(/TypeError: x is not a function\n {4}at /);
    expect(tellError('just a text')).toContain('just a text');
  });
});

describe('the command', () => {
  it('prints its version and help on standard output', () => {
    expect(tunicorn('--version')).toEqual({
      status: 0,
      stdout: `tunicorn (version ${VERSION})\n`,
      stderr: '',
    });
    expect(tunicorn('--help')).toMatchObject({ status: 0, stderr: '' });
  });

  it.each([
    [
      ['--wrokers', '4', 'app'],
      'tunicorn: There is no option --wrokers. Did you mean --workers? See tunicorn --help.\n',
    ],
    [
      ['-w', 'x', 'app'],
      'tunicorn: "x" is no good value for --workers. A good value is a whole number from 1 up, a range such as 2..8, or auto.\n',
    ],
  ])('ends with status 1 and one line for %j', (argv, stderr) => {
    expect(tunicorn(...argv)).toEqual({ status: 1, stdout: '', stderr });
  });

  it('ends with status 1 and examples without an application', () => {
    const { status, stdout, stderr } = tunicorn();
    expect([status, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(/^tunicorn: Which application\?/);
    expect(stderr).not.toContain(' at ');
  });

  it('is quiet when the reader of its help leaves', () => {
    const script = `"${ROOT}bin/tunicorn" --help | head -1`;
    const text = execFileSync('bash', ['-o', 'pipefail', '-c', script], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    expect(text.split('\n')).toHaveLength(2);
  });

  it('checks an application with --check-config: 0 when it loads, 3 when it does not', () => {
    writeFileSync(join(folder, 'good.py'), 'def application(environ, start_response): pass\n');
    writeFileSync(join(folder, 'bad.py'), 'import nothing_of_this_name\n');
    expect(tunicorn('--check-config', 'good')).toMatchObject({
      status: 0,
      stdout: expect.stringContaining('good:application'),
    });
    expect(tunicorn('--check-config', 'bad')).toMatchObject({
      status: 3,
      stderr: expect.stringContaining('nothing_of_this_name'),
    });
  });
});

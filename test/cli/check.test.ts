import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { COMMANDS, commandOf } from '../../src/cli/commands.ts';
import { run } from '../../src/cli/main.ts';
import { python } from '../support/python.ts';

let cwd: string;
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'tunicorn-check-'));
});
afterEach(() => rmSync(cwd, { recursive: true }));

async function tunicorn(...argv: string[]) {
  let text = '';
  const print = (part: string) => {
    text += part;
  };
  const code = await run(argv, { env: { PATH: process.env.PATH ?? '' }, cwd, columns: 80, print });
  return { code, text };
}

describe('commandOf', () => {
  it('takes only the very first word for a command', () => {
    expect(commandOf(['check', '-w', '2'])).toBe(COMMANDS.check);
    for (const argv of [[], ['-w', '2', 'check'], ['check:application'], ['toString']]) {
      expect(commandOf(argv)).toBeUndefined();
    }
  });

  it('is told by --help', async () => {
    expect((await tunicorn('--help')).text).toContain('  tunicorn check\n      Reads the configuration');
  });
});

describe('tunicorn check', () => {
  it('says that all is well, what would be served, and what was chosen where', async () => {
    writeFileSync(
      join(cwd, 'tunicorn.toml'),
      'app = "a:b"\nthreads = 3\nkeep-alive = 2\nworker-tmp-dir = "x"\n',
    );
    expect(await tunicorn('check', '-w', '2')).toEqual({
      code: 0,
      text: `Note: tunicorn.toml:4: worker-tmp-dir has no effect: there are no heartbeat files; a stuck worker is found by the deadline of its request.
All is well. The configuration file is tunicorn.toml.
a:b would be served on 127.0.0.1:8000. Whether it can be loaded tells --check-config.

workers    = 2   (--workers)
threads    = 3   (tunicorn.toml:2)
keep-alive = 2   (tunicorn.toml:3)
`,
    });
  });

  it('does without a file', async () => {
    expect((await tunicorn('check', 'a:b')).text).toBe(
      'All is well. There is no configuration file.\na:b would be served on 127.0.0.1:8000. Whether it can be loaded tells --check-config.\n',
    );
  });

  it("reads a file of gunicorn's, and imports no application", async () => {
    writeFileSync(join(cwd, 'gunicorn.conf.py'), 'wsgi_app = "nowhere:app"\nbind = ":" + str(9)\n');
    const { code, text } = await tunicorn('check', '-c', 'gunicorn.conf.py', '--python', python().path);
    expect(code).toBe(0);
    expect(text).toContain('nowhere:app would be served on 0.0.0.0:9.');
    expect(text).toMatch(/^bind +=\s+0\.0\.0\.0:9 {3}\(gunicorn\.conf\.py:2\)$/m);
  });

  it.each([
    [['check', '--treads', '1'], 'There is no option --treads'],
    [['check'], 'None was named'],
    [
      ['check', 'a:b', '--metrics', 'nonsense'],
      '"nonsense" is no good value for --metrics. A good value names a port',
    ],
    [['check', 'a:b', '--sendfile-root', 'nowhere'], 'There is no folder'],
    [['check', 'a:b', '--accel', '/p/=nowhere'], 'There is no folder'],
    [['check', 'a:b', '--user', 'no-such-user'], 'There is no user no-such-user. Name an existing one'],
    [
      ['check', 'a:b', '--user', 'no-such-user', '--group', 'no-such-group'],
      'create it first.\nThere is no group no-such-group. Name an existing one',
    ],
    [['check', 'a:b', 'c:d'], 'One application at a time'],
    [['check', '-c', 'nothing.py'], 'The configuration file nothing.py cannot be read: there is none.'],
    [['check', '-c', 'folder'], 'The configuration file folder cannot be read: it is a folder.'],
  ])('refuses %j', async (argv, message) => {
    mkdirSync(join(cwd, 'folder'));
    await expect(tunicorn(...argv)).rejects.toThrow(message);
  });

  it.each([
    ['hooks', 'raise SystemExit("executed")', ''],
    ['pkg.hooks', '', ''],
    ['turns', '', 'turns'],
    ['pkg.turns', '', 'pkg.turns'],
    ['nowhere.turns', '', 'nowhere'],
    ['hooks.turns', '', 'hooks.turns'],
  ])('looks for the module of --hooks %s, and executes nothing', async (hooks, text, missing) => {
    mkdirSync(join(cwd, 'pkg'));
    for (const [file, content] of [
      ['hooks.py', text],
      ['pkg/__init__.py', 'raise SystemExit("executed")'],
      ['pkg/hooks.py', ''],
    ] as const)
      writeFileSync(join(cwd, file), content);
    const check = tunicorn('check', 'a:b', '--hooks', hooks, '--python', python().path);
    if (missing === '') expect((await check).code).toBe(0);
    else {
      await expect(check).rejects.toThrow(
        `Cannot load the hooks: there is no module ${missing} in ${cwd} or elsewhere on Python's path.`,
      );
    }
  });

  it.each([['--help'], ['--version']])('shows the options with %s', async (flag) => {
    expect((await tunicorn('check', flag)).text).toMatch(/^Runs Django/);
  });
});

/** `npm start` as a newcomer meets it: from the checkout, from elsewhere, without Python, ended by Ctrl-C. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, realpathSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fetchOnce } from '../support/client.ts';
import { makeDjangoProject } from '../support/project.ts';
import { hasModule, isAlive, ROOT, startTunicorn } from '../support/tunicorn.ts';

/** Any free port, for a start without `-b`. */
const ENV = { TUNICORN_BIND: '127.0.0.1:0' };

const CTRL_C = '\x03';

/** `npm start` with nothing behind it; `bind` from the environment. */
const npmStart = (...args: string[]) => ['npm', '--prefix', ROOT, 'start', ...args];

function timesOfBuild(): Record<string, number> {
  const files = readdirSync(join(ROOT, 'dist'), { recursive: true, encoding: 'utf8' });
  return Object.fromEntries(files.map((file) => [file, statSync(join(ROOT, 'dist', file)).mtimeMs]));
}

/** What nobody wants to see after Ctrl-C. */
const NOISE = /Traceback|KeyboardInterrupt|npm (error|ERR!)|^\s+at /m;

/** For a start without `-b` and `--python`. */
const bare = { python: null, cwd: ROOT, env: ENV } as const;

describe('npm start', () => {
  test('serves the example, says where to look, rebuilds nothing, and ends by Ctrl-C with 0', async () => {
    const before = timesOfBuild();
    await using server = await startTunicorn({ ...bare, args: [], command: npmStart(), terminal: true });
    expect(server.log()).toContain('This is the bundled example, examples/heyo (Python).');
    expect(server.log()).toContain('start -- mysite.wsgi:application -w 4');
    const answer = await fetchOnce({ port: server.port }, '/?editor=vim');
    expect(answer.status).toBe(200);
    expect(answer.body.toString()).toMatch(/^Heyo\n/);
    expect(answer.body.toString()).toContain('QUERY_STRING: editor=vim  <-- vim!');
    const tree = server.tree();
    server.type(CTRL_C);
    expect(await server.exited).toEqual({ code: 0, signal: null });
    expect(server.log()).toContain('Stopped: 1 request finished');
    expect(server.log()).not.toMatch(NOISE);
    expect(tree.filter(isAlive)).toEqual([]);
    expect(timesOfBuild()).toEqual(before);
  });

  test('options without an application are for the example', async () => {
    const command = npmStart('--', '--workers', '2');
    await using server = await startTunicorn({ ...bare, args: [], command });
    expect(server.log()).toContain('Ready: 2 workers');
    expect((await fetchOnce({ port: server.port }, '/')).status).toBe(200);
  });

  test('a mistake is told in one message, and nothing starts', async () => {
    await using server = await startTunicorn({
      ...bare,
      args: [],
      command: npmStart('--', '--wrokers', '2'),
    });
    expect(await server.exited).toMatchObject({ code: 1 });
    expect(server.log()).toMatch(/--wrokers[\s\S]*--workers/);
    expect(server.log()).not.toContain('bundled example');
  });

  test('--help is the command’s', async () => {
    await using server = await startTunicorn({ ...bare, args: [], command: npmStart('--', '--help') });
    expect(await server.exited).toEqual({ code: 0, signal: null });
    expect(server.log()).toContain('--bind');
  });
});

describe('without Python', () => {
  let folder: string;

  /** A PATH on which npm works, and that holds no Python. */
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'path-'));
    const npm = execFileSync('sh', ['-c', 'command -v npm'], { encoding: 'utf8' }).trim();
    symlinkSync(process.execPath, join(folder, 'node'));
    symlinkSync(realpathSync(npm), join(folder, 'npm'));
    for (const name of ['sh', 'env']) symlinkSync(realpathSync(`/usr/bin/${name}`), join(folder, name));
  });

  afterAll(() => rmSync(folder, { recursive: true }));

  test('npm start serves the TypeScript example and says so', async () => {
    // The terminal is Python's work in this test: its own interpreter is named by its path.
    const command = ['env', `PATH=${folder}`, ...npmStart()];
    await using server = await startTunicorn({
      ...bare,
      args: [],
      command,
      terminal: true,
      ready: 'Listening at ',
    });
    expect(server.log()).toContain('No Python was found.');
    expect(server.log()).toContain('examples/heyo-ts, which needs no Python');
    const answer = await fetchOnce({ port: server.port }, '/?editor=vim');
    expect(answer.body.toString()).toMatch(/^Heyo\n[\s\S]*QUERY_STRING: editor=vim {2}<-- vim!\n/);
    server.type(CTRL_C);
    expect(await server.exited).toEqual({ code: 0, signal: null });
    expect(server.log()).not.toMatch(NOISE);
  });
});

describe.skipIf(!hasModule('django'))('a Django project outside of the checkout', () => {
  let project: ReturnType<typeof makeDjangoProject>;

  beforeAll(() => {
    project = makeDjangoProject();
  });

  afterAll(() => project[Symbol.dispose]());

  const starts: [string, readonly string[], readonly string[]][] = [
    ['npm --prefix PATH start -- mysite.wsgi', [...npmStart('--')], ['mysite.wsgi']],
    ['npm --prefix PATH start (its own application is found)', [...npmStart('--')], []],
    ['PATH/bin/tunicorn mysite.wsgi', [`${ROOT}bin/tunicorn`], ['mysite.wsgi']],
    ['PATH/bin/tunicorn (its own application is found)', [`${ROOT}bin/tunicorn`], []],
  ];

  test.each(starts)('%s', async (_title, command, args) => {
    await using server = await startTunicorn({ args, command, cwd: project.folder });
    expect(server.log()).toMatch(/Application mysite\.wsgi:application \(Django [45]/);
    const answer = await fetchOnce({ port: server.port }, '/', { fields: { Host: 'localhost' } });
    expect(answer.status).toBe(200);
    expect(answer.body.toString()).toContain('The install worked successfully!');
    expect((await server.stop()).code).toBe(0);
    expect(server.log()).toContain('Stopped: 1 request finished');
  });

  test('the command works through a symbolic link, as npm makes one', async () => {
    const link = join(project.folder, 'tunicorn');
    symlinkSync(`${ROOT}bin/tunicorn`, link);
    await using server = await startTunicorn({ args: ['mysite.wsgi'], command: [link], cwd: project.folder });
    expect(server.log()).toContain('Ready: 1 worker');
  });
});

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadSettings } from '../../src/config/load.ts';
import { EXAMPLE_FILE } from '../../src/config/page.ts';
import { renderSettings } from '../../src/config/render.ts';
import { UserError } from '../../src/errors.ts';

let cwd: string;
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'tunicorn-toml-'));
  mkdirSync(join(cwd, 'site/static'), { recursive: true });
});
afterEach(() => rmSync(cwd, { recursive: true }));

function write(name: string, text: string) {
  writeFileSync(join(cwd, name), text);
}

function load(argv: readonly string[] = [], env: Record<string, string> = {}) {
  return loadSettings({ argv, env, cwd });
}

/** The whole message, so that no mistake is told that is none. */
function mistakes(argv: readonly string[] = []): string {
  try {
    load(argv);
  } catch (error) {
    if (error instanceof UserError) return error.message;
    throw error;
  }
  return '';
}

describe('tunicorn.toml', () => {
  it('sets every kind of value', () => {
    write(
      'tunicorn.toml',
      `app = "mysite.wsgi"
workers = "2..8"
threads = 4
keep_alive = 0.5
max-memory = "512M"
body-memory = 1_024
preload = true
bind = [":1", "unix:x.sock"]
forwarded-allow-ips = "10.0.0.0/8"
umask = "022"
log-file = "e.log"
limit-request-field-size = 100
env.A = "1"
env."B=C" = "2"
chdir = "site"
[static]
"/s/" = "static"`,
    );
    const site = join(cwd, 'site');
    const { settings, file, app } = load();
    expect([app, file]).toEqual(['mysite.wsgi', join(cwd, 'tunicorn.toml')]);
    expect(settings).toMatchObject({
      app: 'mysite.wsgi',
      workers: { min: 2, max: 8 },
      threads: 4,
      keepAlive: 0.5,
      maxMemory: 512 * 1024 ** 2,
      bodyMemory: 1024,
      preload: true,
      bind: ['0.0.0.0:1', `unix:${join(site, 'x.sock')}`],
      forwardedAllowIps: ['10.0.0.0/8'],
      umask: 0o22,
      errorLogfile: join(site, 'e.log'),
      limitRequestFieldSize: 100,
      env: ['A=1', 'B=C=2'],
      chdir: site,
      static: [{ prefix: '/s/', folder: join(site, 'static') }],
    });
  });

  it('is complete in the documentation', () => {
    mkdirSync(join(cwd, 'static'));
    write('tunicorn.toml', EXAMPLE_FILE);
    const { settings } = load();
    expect(settings).toMatchObject({ app: 'mysite.wsgi', workers: { min: 2, max: 8 }, preload: true });
    expect(settings.env).toEqual(['DJANGO_SETTINGS_MODULE=mysite.settings']);
  });

  it.each<[string, string[], Record<string, string>, number, string]>([
    ['the command line', ['--threads', '2'], { TUNICORN_THREADS: '3' }, 2, '--threads'],
    ['a variable', [], { TUNICORN_THREADS: '3' }, 3, 'TUNICORN_THREADS'],
    ['GUNICORN_CMD_ARGS', [], { GUNICORN_CMD_ARGS: '--threads 4' }, 4, '--threads in GUNICORN_CMD_ARGS'],
    ['nothing', [], {}, 5, 'tunicorn.toml:2'],
  ])('ranks below the others: %s is stronger', (_name, argv, env, threads, source) => {
    write('tunicorn.toml', '\nthreads = 5');
    const loaded = load(argv, env);
    expect([loaded.settings.threads, loaded.sources.threads]).toEqual([threads, source]);
  });

  it('ranks above the variables of platforms, and below an application that was named', () => {
    write('tunicorn.toml', 'workers = 5\nbind = ":1"\napp = "a:a"');
    const loaded = load(['b:b'], { WEB_CONCURRENCY: '6', PORT: '2' });
    expect(loaded.settings).toMatchObject({
      workers: { min: 5 },
      bind: ['0.0.0.0:1'],
      app: 'b:b',
      name: 'b:b',
    });
    expect(load().sources.app).toBe('tunicorn.toml:3');
  });

  it('is named with its line by --print-config', () => {
    write('tunicorn.toml', 'app = "a:a"\n# threads = 2\nthreads = 3\n');
    expect(renderSettings(load())).toMatch(/^threads +=\s+3 {3}\(tunicorn\.toml:3\)$/m);
    expect(renderSettings(load())).toMatch(/^application +=\s+a:a {3}\(tunicorn\.toml:1\)$/m);
  });

  it.each([
    ['workres = 2', 'tunicorn.toml:1: There is no option workres. Did you mean workers?'],
    ['Workers = 2', 'tunicorn.toml:1: There is no option Workers. Did you mean workers?'],
    ['tea = 2', 'tunicorn.toml:1: There is no option tea.'],
    [
      '\n[tool.tunicorn]\nworkers = 2',
      'tunicorn.toml:2: [tool.tunicorn] belongs in pyproject.toml. In this file its keys stand by themselves, in front of any table.',
    ],
    ['keepalive = 2', "tunicorn.toml:1: keepalive is gunicorn's name for it. Write keep-alive."],
    ['wsgi_app = "a"', "tunicorn.toml:1: wsgi_app is gunicorn's name for it. Write app."],
    [
      'post_worker_init = "x"',
      "tunicorn.toml:1: post_worker_init is a hook of gunicorn's; here it is worker_ready of --hooks.",
    ],
    ['when_ready = "x"', "tunicorn.toml:1: when_ready is a hook of gunicorn's; nothing here does the same."],
    ['config = "x"', 'tunicorn.toml:1: config can be given on the command line only.'],
    ['check_config = true', 'tunicorn.toml:1: check_config can be given on the command line only.'],
    ['app = 1', 'tunicorn.toml:1: app takes text, such as "mysite.wsgi".'],
    ['preload = "yes"', 'tunicorn.toml:1: preload takes true or false.'],
    ['threads = true', 'tunicorn.toml:1: threads takes a number, or text.'],
    ['threads = [1]', 'tunicorn.toml:1: threads takes a number, or text.'],
    ['user = 1000', 'tunicorn.toml:1: user takes text: "1000".'],
    ['user = 1979-05-27', 'tunicorn.toml:1: user takes text.'],
    ['umask = 22', 'tunicorn.toml:1: umask takes text: "022".'],
    ['bind = 8000', 'tunicorn.toml:1: bind takes text or a list of texts.'],
    ['bind = [\n":1",\n2]', 'tunicorn.toml:1: bind takes a list of texts.'],
    ['[env]\nA = "1"\nB = 2', 'tunicorn.toml:3: env takes texts in its table: NAME = "VALUE".'],
    ['env = 1', 'tunicorn.toml:1: env takes text or a list of texts, or a table of NAME = "VALUE".'],
    [
      'keep-alive = 1\nkeep_alive = 2',
      'tunicorn.toml:2: keep_alive stands in tunicorn.toml:1 already, as keep-alive.',
    ],
    [
      'threads = 0',
      'tunicorn.toml:1: "0" is no good value for threads. A good value is a whole number from 1 up.',
    ],
    [
      '\nkeep_alive = -1',
      'tunicorn.toml:2: "-1" is no good value for keep_alive. A good value is a number of seconds from 0 to 2000000, such as 30 or 0.5.',
    ],
    ['a = ', 'tunicorn.toml:1:5: This is no TOML: invalid value.'],
    [
      'x = 1\nx = 2',
      'tunicorn.toml:2:1: This is no TOML: trying to redefine an already defined table or value.',
    ],
  ])('tells the mistake in %j', (text, message) => {
    write('tunicorn.toml', text);
    expect(mistakes()).toBe(message);
  });

  it('tells all mistakes at once, in the order of the file', () => {
    write('tunicorn.toml', 'threads = 0\nworkres = 2\n\ndaemon = true\nchdir = "nowhere"\n');
    expect(mistakes(['--fronts', '0']).split('\n')).toEqual([
      expect.stringMatching(/^tunicorn\.toml:1: "0" is no good value for threads/),
      'tunicorn.toml:2: There is no option workres. Did you mean workers?',
      expect.stringMatching(/^tunicorn\.toml:4: daemon cannot be used\. Tunicorn stays in the foreground/),
      `tunicorn.toml:5: "nowhere" is no good value for chdir. There is no folder ${join(cwd, 'nowhere')}.`,
      '"0" is no good value for --fronts. A good value is a whole number from 1 up.',
    ]);
  });

  it('tells a mistake that a stronger source covers', () => {
    write('tunicorn.toml', 'threads = 0');
    expect(mistakes(['--threads', '2'])).toMatch(/^tunicorn\.toml:1: "0" is no good value for threads/);
  });

  it("notes what has no effect, with gunicorn's reason", () => {
    write('tunicorn.toml', 'threads = 1\nworker_tmp_dir = "/dev/shm"');
    expect(load().notes).toEqual([
      'tunicorn.toml:2: worker_tmp_dir has no effect: there are no heartbeat files; a stuck worker is found by the deadline of its request.',
    ]);
  });
});

describe('the file that is read', () => {
  it('is the one that was named, from the folder of the call', () => {
    write('tunicorn.toml', 'threads = 2');
    write('site/other.toml', 'threads = 3\nchdir = "static"');
    const { settings, file, sources } = load(['-c', 'site/other.toml']);
    expect([settings.threads, file, sources.threads]).toEqual([
      3,
      join(cwd, 'site/other.toml'),
      'site/other.toml:1',
    ]);
    expect(settings.chdir).toBe(join(cwd, 'site/static'));
    expect(load([], { TUNICORN_CONFIG: 'site/other.toml' }).settings.threads).toBe(3);
    expect(load([], { GUNICORN_CMD_ARGS: '-c site/other.toml' }).settings.threads).toBe(3);
  });

  it('is looked for in the folder of --chdir', () => {
    write('tunicorn.toml', 'threads = 2');
    write('site/tunicorn.toml', 'threads = 3\nstatic = ["/s/=static"]');
    expect(load(['--chdir', 'site']).settings).toMatchObject({
      threads: 3,
      static: [{ folder: join(cwd, 'site/static') }],
    });
  });

  it('is a pyproject.toml only when it has our table', () => {
    write('pyproject.toml', '[project]\nname = "x"\nthreads = 9');
    expect(load().file).toBe('');
    expect(mistakes(['-c', 'pyproject.toml'])).toBe(
      'pyproject.toml has no table [tool.tunicorn]. Write one, or name another file with --config.',
    );
    write(
      'pyproject.toml',
      '[project]\nthreads = 9\n[tool.tunicorn]\nthreads = 3\n[tool.tunicorn.env]\nA = 1',
    );
    expect(mistakes()).toBe('pyproject.toml:6: env takes texts in its table: NAME = "VALUE".');
    write('pyproject.toml', '[project]\nthreads = 9\n[tool.tunicorn]\nthreads = 3');
    expect(load().sources.threads).toBe('pyproject.toml:4');
    write('tunicorn.toml', 'threads = 2');
    expect(load().settings.threads).toBe(2);
    write('pyproject.toml', 'tool.tunicorn = 3');
    expect(mistakes(['-c', 'pyproject.toml'])).toBe(
      'pyproject.toml:1: tool.tunicorn is a table: [tool.tunicorn].',
    );
  });

  it.each([
    ['nothing.toml', 'The configuration file nothing.toml cannot be read: there is none.'],
    ['folder.toml', 'The configuration file folder.toml cannot be read: it is a folder.'],
  ])('must be there: %s', (name, message) => {
    mkdirSync(join(cwd, 'folder.toml'));
    expect(mistakes(['-c', name])).toBe(message);
  });

  it('is no pyproject.toml of others, whatever is wrong with it', () => {
    write('pyproject.toml', 'name = ');
    expect(load().file).toBe('');
    write('pyproject.toml', 'name = \n[tool.tunicorn]');
    expect(mistakes()).toBe('pyproject.toml:1:8: This is no TOML: invalid value.');
  });

  it('has a chdir of its own, from its own folder, and a stronger one from that of the call', () => {
    mkdirSync(join(cwd, 'other'));
    write('site/x.toml', 'chdir = "static"');
    expect(load(['-c', 'site/x.toml']).settings.chdir).toBe(join(cwd, 'site/static'));
    expect(load(['-c', 'site/x.toml', '--chdir', 'other']).settings.chdir).toBe(join(cwd, 'other'));
    write('site/x.toml', 'chdir = "other"');
    expect(mistakes(['-c', 'site/x.toml', '--chdir', 'other'])).toBe(
      `site/x.toml:1: "other" is no good value for chdir. There is no folder ${join(cwd, 'site/other')}.`,
    );
  });

  it('is not asked for by --help and --version', () => {
    write('tunicorn.toml', 'x = ');
    expect([load(['--help']).action, load(['-v']).action]).toEqual(['help', 'version']);
  });
});

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { compareSettings, reloadedSettings } from '../../src/config/change.ts';
import { loadSettings } from '../../src/config/load.ts';
import { mountsOf } from '../../src/config/mounts.ts';
import type { Settings } from '../../src/config/options.ts';
import { renderSettings } from '../../src/config/render.ts';
import { UserError } from '../../src/errors.ts';

let cwd: string;
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'tunicorn-mounts-'));
  mkdirSync(join(cwd, 'api'));
});
afterEach(() => rmSync(cwd, { recursive: true }));

function load(...argv: string[]) {
  return loadSettings({ argv, env: {}, cwd });
}

/** The settings of the applications by their prefixes. */
function mounts(...argv: string[]): Record<string, Settings> {
  return byPrefix(load(...argv).settings);
}

function byPrefix(settings: Settings): Record<string, Settings> {
  return Object.fromEntries(mountsOf(settings).map((mount) => [mount.prefix, mount.settings]));
}

function refusal(...argv: string[]): string {
  try {
    load(...argv);
  } catch (error) {
    if (error instanceof UserError) return error.message;
    throw error;
  }
  return '';
}

function fromFile(text: string) {
  writeFileSync(join(cwd, 'tunicorn.toml'), text);
  return load();
}

describe('what an application has', () => {
  test('without --mount the one there is stands at /', () => {
    expect(mounts('shop.wsgi', '-w', '3')).toMatchObject({ '/': { app: 'shop.wsgi', workers: { min: 3 } } });
  });

  test('what it does not say it takes from the server', () => {
    const found = mounts('-w', '4', '-t', '9', '--mount', '/api=api:app workers=2', '--mount', '/=shop.wsgi');
    expect(Object.keys(found)).toEqual(['/api', '/']);
    expect(found).toMatchObject({
      '/api': { app: 'api:app', workers: { min: 2, max: 2 }, timeout: 9 },
      '/': { app: 'shop.wsgi', workers: { min: 4, max: 4 }, timeout: 9 },
    });
  });

  test('the application that is named by itself is the one at /', () => {
    const found = mounts('shop.wsgi', '-w', '2', '--mount', '/api=api:app');
    expect(Object.keys(found)).toEqual(['/', '/api']);
    expect(found['/']).toMatchObject({ app: 'shop.wsgi', workers: { min: 2 } });
  });

  test('its kind follows from its file, whatever was chosen for the server', () => {
    const found = mounts('-k', 'gthread', '--mount', '/api=server.ts', '--mount', '/=shop.wsgi');
    expect(found).toMatchObject({
      '/api': { workerClass: 'node', threads: 100 },
      '/': { workerClass: 'python', threads: 1 },
    });
    expect(mounts('--threads', '4', '--mount', '/api=server.ts')['/api']?.threads).toBe(4);
    expect(refusal('--mount', '/api=server.ts worker-class=gthread')).toMatch(/asks for Python workers/);
  });

  test('its paths start from its own folder', () => {
    const found = mounts('--mount', '/api=app chdir=api pythonpath=lib', '--mount', '/=app pythonpath=lib');
    expect(found['/api']).toMatchObject({ chdir: join(cwd, 'api'), pythonpath: [join(cwd, 'api/lib')] });
    expect(found['/']).toMatchObject({ chdir: cwd, pythonpath: [join(cwd, 'lib')] });
  });

  test('its variables come on top of those of the server', () => {
    const found = mounts('-e', 'A=1', '--mount', '/api=app env=A=2 env=B=3', '--mount', '/=app');
    expect(found['/api']?.env).toEqual(['A=1', 'A=2', 'B=3']);
    expect(found['/']?.env).toEqual(['A=1']);
  });

  test('its processes are named by it, or by the server and the prefix', () => {
    expect(mounts('--mount', '/api=api', '--mount', '/=shop')).toMatchObject({
      '/api': { name: 'api' },
      '/': { name: 'shop' },
    });
    expect(mounts('-n', 'Site', '--mount', '/api=api', '--mount', '/=shop')).toMatchObject({
      '/api': { name: 'Site /api' },
      '/': { name: 'Site' },
    });
    expect(load('--mount', '/api=api', '--mount', '/=shop').settings.name).toBe('api shop');
  });

  test('either spelling of a name will do, and a flag may stand alone', () => {
    expect(mounts('--mount', '/=app preload queue_size=7 max-memory=1k')['/']).toMatchObject({
      preload: true,
      queueSize: 7,
      maxMemory: 1024,
    });
  });

  test('what has no meaning for a Node worker is told', () => {
    expect(load('--mount', '/api=server.ts preload').notes).toEqual([
      '--mount /api: --preload has no effect on server.ts: a Node process cannot be forked.',
    ]);
    expect(load('--preload', '--mount', '/api=server.ts', '--mount', '/=shop').notes).toEqual([]);
  });

  test('a variable names one a line', () => {
    const env = { TUNICORN_MOUNT: '/=shop.wsgi\n/api=server.ts workers=2\n' };
    const { settings } = loadSettings({ argv: [], env, cwd });
    expect(Object.keys(byPrefix(settings))).toEqual(['/', '/api']);
  });
});

describe('refusals', () => {
  test.each<[string[], string]>([
    [['--mount', '/api=a wokers=2'], '--mount /api: There is no option wokers. Did you mean workers?'],
    [
      ['--mount', '/api=a bind=:80'],
      '--mount /api: bind belongs to the server as a whole. Set it outside --mount.',
    ],
    [['--mount', '/api=a threads'], '--mount /api: threads needs a value: threads=…'],
    [
      ['--mount', '/api=a retry=always'],
      '--mount /api: "always" is no good value for retry. Good values are safe and off.',
    ],
    [
      ['--mount', '/api=a', '--mount', '/api/=b'],
      '--mount /api is given twice. One application answers under each prefix.',
    ],
    [
      ['shop', '--mount', '/=b'],
      'shop is the application at /, and --mount /=b names one there, too. Leave out one of the two.',
    ],
    [
      ['--fronts', '2', '-w', '2', '--mount', '/api=a workers=1', '--mount', '/=b'],
      '--mount /api has 1 of --workers, and --fronts is 2: each front needs a worker of each application. Use --fronts 1 or give it workers=2.',
    ],
  ])('%j', (argv, message) => {
    expect(refusal(...argv)).toBe(message);
  });

  test('every mistake is told', () => {
    const message = refusal('--mount', '/a=x wokers=1', '--mount', '/b=x timeout=y');
    expect(message.split('\n')).toHaveLength(2);
  });
});

describe('tunicorn.toml', () => {
  test('a table for each', () => {
    const { settings, sources } = fromFile(`workers = 4

[[mount]]
prefix = "/api"
app = "server.ts"
workers = 2
timeout = 0.5
env = { NAME = "it's a b", OTHER = "" }

[[mount]]
prefix = "/"
app = "shop:make('x y')"
max_memory = "1k"
preload = false
`);
    expect(byPrefix(settings)).toMatchObject({
      '/api': { app: 'server.ts', workers: { min: 2 }, timeout: 0.5, env: ["NAME=it's a b", 'OTHER='] },
      '/': { app: "shop:make('x y')", workers: { min: 4 }, maxMemory: 1024, preload: false },
    });
    expect(sources.mount).toBe('tunicorn.toml:3');
  });

  test('or texts as on the command line', () => {
    const { settings } = fromFile('mount = ["/=shop", "/api=server.ts workers=2"]');
    expect(byPrefix(settings)).toMatchObject({ '/api': { workers: { min: 2 } } });
  });

  test('or a table of applications, where there is little to say', () => {
    const { settings } = fromFile('[mount]\n"/" = "shop"\n"/api" = "server.ts workers=2"\n');
    expect(byPrefix(settings)).toMatchObject({ '/': { app: 'shop' }, '/api': { workers: { min: 2 } } });
    expect(() => fromFile('mount = 5')).toThrow(
      'mount takes text or a list of texts, or a table of "/PREFIX" = "APP".',
    );
  });

  test('the command line is stronger, as a whole', () => {
    writeFileSync(join(cwd, 'tunicorn.toml'), '[[mount]]\nprefix = "/a"\napp = "a"\n');
    expect(Object.keys(mounts('--mount', '/b=b'))).toEqual(['/b']);
  });

  test('mistakes are told with their lines, each in its own table', () => {
    const text = `[[mount]]
prefix = "/"
app = "a"
[[mount]]
prefix = "/api"
app = 5
wokers = 2
bind = ":80"
threads = true
[[mount]]
app = "c"
`;
    expect(() => fromFile(text)).toThrow(
      [
        'tunicorn.toml:6: app takes text, such as "mysite.wsgi".',
        'tunicorn.toml:7: There is no option wokers. Did you mean workers?',
        'tunicorn.toml:8: bind belongs to the server as a whole. It stands outside [[mount]].',
        'tunicorn.toml:9: threads takes a number, or text.',
        'tunicorn.toml:10: A mount needs prefix = "/…".',
      ].join('\n'),
    );
  });

  test('a value that is not good is told with the line of its table', () => {
    expect(() =>
      fromFile('[[mount]]\nprefix = "/"\napp = "a"\n\n[[mount]]\nprefix = "/b"\ntimeout = -1\n'),
    ).toThrow('tunicorn.toml:5: /b: "-1" is no good value for timeout.');
  });
});

describe('a reload', () => {
  const ONE = ['--mount', '/api=a workers=1', '--mount', '/=b'];

  test('takes up what an application has, in the order of before', () => {
    const before = load(...ONE).settings;
    const after = load('--mount', '/=c', '--mount', '/api=a workers=3').settings;
    expect(compareSettings(before, after).needRestart).toEqual([]);
    const { mount } = reloadedSettings(before, after);
    expect(mount.map(({ prefix, settings }) => [prefix, settings.app, settings.workers.min])).toEqual([
      ['/api', 'a', 3],
      ['/', 'c', 1],
    ]);
  });

  test.each<[string[]]>([[['b']], [['--mount', '/v2=a', '--mount', '/=b']], [[...ONE, '--mount', '/x=c']]])(
    'leaves other prefixes to a restart: %j',
    (argv) => {
      const before = load(...ONE).settings;
      const after = load(...argv).settings;
      expect(compareSettings(before, after).needRestart).toContain('mount');
      expect(reloadedSettings(before, after)).toMatchObject({ app: before.app, mount: before.mount });
    },
  );
});

test('--print-config shows them as they would be written', () => {
  const shown = renderSettings(
    load('--mount', "/api=server.ts workers=2 env='SECRET=a b'", '--mount', '/=b'),
  );
  expect(shown).toContain("= /api=server.ts workers=2 'env=SECRET=…', /=b   (--mount)");
});

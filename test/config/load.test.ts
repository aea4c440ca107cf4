import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { defaultSettings, loadSettings } from '../../src/config/load.ts';
import { UserError } from '../../src/errors.ts';

const cwd = mkdtempSync(join(tmpdir(), 'tunicorn-load-'));
mkdirSync(join(cwd, 'site/static'), { recursive: true });
afterAll(() => rmSync(cwd, { recursive: true }));

function load(argv: readonly string[] = [], env: Record<string, string> = {}) {
  return loadSettings({ argv, env, cwd });
}

describe('loadSettings', () => {
  it('gives the defaults of gunicorn, and ours', () => {
    expect(defaultSettings(cwd)).toEqual({
      app: '',
      bind: ['127.0.0.1:8000'],
      backlog: 2048,
      workers: { min: 1, max: 1 },
      workerClass: 'python',
      threads: 1,
      timeout: 30,
      gracefulTimeout: 30,
      mount: [],
      keepAlive: 2,
      limitRequestLine: 4094,
      limitRequestFields: 100,
      limitRequestFieldSize: 8190,
      limitRequestBody: 1024 ** 3,
      chdir: cwd,
      pythonpath: [],
      env: [],
      pid: '',
      accessLogfile: '',
      accessLogformat: '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"',
      errorLogfile: '-',
      logLevel: 'info',
      captureOutput: false,
      name: '',
      user: '',
      group: '',
      umask: 0,
      forwardedAllowIps: ['127.0.0.1', '::1'],
      forwardedHeaders: ['x-forwarded-for', 'x-forwarded-proto'],
      checkConfig: false,
      printConfig: false,
      preload: false,
      scaleIdle: 60,
      retry: 'safe',
      control: 'signal',
      queueTarget: 0.5,
      maxRequests: 0,
      maxRequestsJitter: 0,
      maxMemory: 0,
      maxAge: 0,
      reloadSurge: 1,
      hooks: '',
      onStart: '',
      onReload: '',
      onExit: '',
      bootTimeout: 60,
      metrics: '',
      config: '',
      python: '',
      fronts: 1,
      queueSize: 2048,
      queueTimeout: 10,
      bodyMemory: 65_536,
      memoryLimit: 256 * 1024 ** 2,
      spoolDir: '/var/tmp',
      spoolLimit: 8 * 1024 ** 3,
      static: [],
      sendfileRoot: [],
      accel: [],
      clientHeaderTimeout: 30,
      clientBodyTimeout: 30,
      sendTimeout: 60,
    });
  });

  it('gives the application in both places, and its name to the processes', () => {
    const { app, settings } = load(['-w', '2', 'mysite.wsgi']);
    expect([app, settings.app, settings.name]).toEqual(['mysite.wsgi', 'mysite.wsgi', 'mysite.wsgi']);
    expect(load(['-n', 'shop', 'mysite.wsgi']).settings.name).toBe('shop');
  });

  it('refuses a second application, which is most often the value of an option', () => {
    expect(() => load(['app:app', 'reload'])).toThrow(
      'One application at a time: "app:app" and "reload" were given',
    );
  });

  it('counts the cores for auto', () => {
    const cores = availableParallelism();
    expect(load(['-w', 'auto']).settings.workers).toEqual({ min: cores, max: cores });
  });

  it('starts relative paths from --chdir, and that from the folder of the call', () => {
    const { settings } = load([
      '--chdir',
      'site',
      '--static',
      '/s=static',
      '-p',
      'x.pid',
      '-b',
      'unix:x.sock',
      '--access-logfile',
      'a.log',
      '--pythonpath',
      '../lib',
    ]);
    const site = join(cwd, 'site');
    expect(settings).toMatchObject({
      chdir: site,
      static: [{ prefix: '/s/', folder: join(site, 'static') }],
      pid: join(site, 'x.pid'),
      bind: [`unix:${join(site, 'x.sock')}`],
      accessLogfile: join(site, 'a.log'),
      pythonpath: [join(cwd, 'lib')],
    });
  });

  describe('ranks its sources:', () => {
    const everywhere = { TUNICORN_WORKERS: '3', GUNICORN_CMD_ARGS: '--workers 4', WEB_CONCURRENCY: '5' };
    const without = (...names: string[]) =>
      Object.fromEntries(Object.entries(everywhere).filter(([name]) => !names.includes(name)));

    it.each<[string, string[], Record<string, string>, number, string]>([
      ['the command line first', ['-w2'], everywhere, 2, '--workers'],
      ['then TUNICORN_…', [], everywhere, 3, 'TUNICORN_WORKERS'],
      ['then GUNICORN_CMD_ARGS', [], without('TUNICORN_WORKERS'), 4, '--workers in GUNICORN_CMD_ARGS'],
      ['then WEB_CONCURRENCY', [], without('TUNICORN_WORKERS', 'GUNICORN_CMD_ARGS'), 5, 'WEB_CONCURRENCY'],
      ['then the default', [], {}, 1, 'default'],
    ])('%s', (_name, argv, env, workers, source) => {
      const loaded = load(argv, env);
      expect([loaded.settings.workers, loaded.sources.workers]).toEqual([
        { min: workers, max: workers },
        source,
      ]);
    });

    it('a stronger list replaces a weaker one whole', () => {
      const env = { TUNICORN_BIND: ':1,:2', GUNICORN_CMD_ARGS: '-b :3' };
      expect(load(['-b', ':4', '-b', ':5'], env).settings.bind).toEqual(['0.0.0.0:4', '0.0.0.0:5']);
      expect(load([], env).settings.bind).toEqual(['0.0.0.0:1', '0.0.0.0:2']);
    });
  });

  it('reads PORT as gunicorn does: it changes only the default address', () => {
    expect(load([], { PORT: '5000' }).settings.bind).toEqual(['0.0.0.0:5000']);
    expect(load(['-b', ':1'], { PORT: '5000' }).settings.bind).toEqual(['0.0.0.0:1']);
    expect(load([], { PORT: '5000', GUNICORN_CMD_ARGS: '-b :2' }).settings.bind).toEqual(['0.0.0.0:2']);
    expect(load([], { PORT: '' }).settings.bind).toEqual(['127.0.0.1:8000']);
  });

  it('reads FORWARDED_ALLOW_IPS, where empty means nobody', () => {
    expect(load([], { FORWARDED_ALLOW_IPS: '*' }).settings.forwardedAllowIps).toEqual(['*']);
    expect(load([], { FORWARDED_ALLOW_IPS: '' }).settings.forwardedAllowIps).toEqual([]);
    expect(load(['--forwarded-allow-ips='], {}).settings.forwardedAllowIps).toEqual([]);
  });

  it('reads flags, times and sizes from variables', () => {
    const env = {
      TUNICORN_CAPTURE_OUTPUT: 'true',
      TUNICORN_QUEUE_TIMEOUT: '0.5',
      TUNICORN_LIMIT_REQUEST_FIELD_SIZE: '16k',
    };
    expect(load([], env).settings).toMatchObject({
      captureOutput: true,
      queueTimeout: 0.5,
      limitRequestFieldSize: 16_384,
    });
  });

  it('takes an empty variable for one that is not set', () => {
    expect(load([], { TUNICORN_WORKERS: '', WEB_CONCURRENCY: '' }).settings.workers).toEqual({
      min: 1,
      max: 1,
    });
  });

  it.each<[string, string[], Record<string, string>, string]>([
    [
      'a flag',
      ['--threads', '0'],
      {},
      '"0" is no good value for --threads. A good value is a whole number from 1 up.',
    ],
    [
      'a variable',
      [],
      { TUNICORN_THREADS: 'x' },
      '"x" is no good value for TUNICORN_THREADS, which sets --threads. A good',
    ],
    [
      'a platform',
      [],
      { WEB_CONCURRENCY: 'x' },
      '"x" is no good value for WEB_CONCURRENCY, which sets --workers. A good',
    ],
    ['PORT', [], { PORT: 'x' }, '"0.0.0.0:x" is no good value for PORT, which sets --bind.'],
    [
      'GUNICORN_CMD_ARGS',
      [],
      { GUNICORN_CMD_ARGS: '--threads x' },
      'for --threads in GUNICORN_CMD_ARGS. A good',
    ],
    [
      'an unknown option there',
      [],
      { GUNICORN_CMD_ARGS: '--treads 1' },
      'no option --treads in GUNICORN_CMD_ARGS. Did you mean --threads?',
    ],
    ['a folder that is not there', ['--chdir', 'nowhere'], {}, 'for --chdir. There is no folder'],
    [
      'a kind of worker',
      ['-k', 'gevent'],
      {},
      '"gevent" is no good value for --worker-class. It is a pool of green threads',
    ],
  ])('says where a bad value came from: %s', (_name, argv, env, message) => {
    expect(() => load(argv, env)).toThrow(UserError);
    expect(() => load(argv, env)).toThrow(message);
  });

  it('refuses what it cannot do, all at once', () => {
    expect(() => load(['--reload', '--keyfile', 'k', '--certfile', 'c'])).toThrow(
      /^--reload cannot be used\. .*\n--keyfile, --certfile cannot be used\. TLS is not there yet\. Put nginx or Caddy in front/,
    );
  });

  it.each([
    [['--paste', 'x.ini'], 'paste.deploy.loadapp'],
    [['-D'], 'systemd unit'],
    [['--statsd-host', 'x:1'], '--metrics 127.0.0.1:9100'],
    [['--control-socket', '/x'], 'runtime folder'],
    [['--proxy-protocol'], 'X-Forwarded-For'],
    [['--protocol', 'uwsgi'], 'proxy_pass'],
  ])('says what to use instead of %j', (argv, message) => {
    expect(() => load(argv)).toThrow(message);
  });

  it("says nothing about a flag that is given gunicorn's own default", () => {
    const argv = [
      '--proxy-protocol',
      'off',
      '--http-protocols=h1',
      '--max-requests',
      '0',
      '--header-map',
      'drop',
    ];
    expect(load(argv).notes).toEqual([]);
  });

  it('notes a flag that changes nothing, with the reason', () => {
    const { notes } = load(
      ['--worker-tmp-dir', '/dev/shm', '--reuse-port', '--preload', '--max-requests=1000'],
      {
        GUNICORN_CMD_ARGS: '--worker-tmp-dir /tmp',
      },
    );
    expect(notes).toEqual([
      '--worker-tmp-dir has no effect: there are no heartbeat files; a stuck worker is found by the deadline of its request.',
      expect.stringMatching(/^--reuse-port has no effect: all processes share one listening socket/),
    ]);
  });

  it('notes what somebody may believe is read', () => {
    writeFileSync(join(cwd, 'gunicorn.conf.py'), '');
    const { notes } = load([], {
      GUNICORN_CMD_ARGS: 'app:app',
      TUNICORN_WORKRES: '4',
      TUNICORN_SERVICE_HOST: '10.0.0.1',
    });
    rmSync(join(cwd, 'gunicorn.conf.py'));
    expect(notes).toEqual([
      '"app:app" in GUNICORN_CMD_ARGS is not read; as in gunicorn the application stands on the command line.',
      expect.stringMatching(
        /gunicorn\.conf\.py is not read, because nobody named it: -c gunicorn\.conf\.py\.$/,
      ),
      'The variable TUNICORN_WORKRES is not read. Did you mean TUNICORN_WORKERS?',
    ]);
  });

  it.each([
    [['app'], 'serve'],
    [['--help'], 'help'],
    [['-h', '--reload', '--workers', 'x'], 'help'],
    [['--version'], 'version'],
    [['-v'], 'version'],
    [['--check-config', 'app'], 'check-config'],
    [['--print-config', 'app'], 'print-config'],
  ])('finds the action of %j', (argv, action) => {
    expect(load(argv).action).toBe(action);
  });
});

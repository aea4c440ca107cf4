/** Configuration files of gunicorn's, executed by real Pythons. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readSettings } from '../../src/arbiter/settings.ts';
import { UserError } from '../../src/errors.ts';
import { python, pythons } from '../support/python.ts';

let cwd: string;
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'tunicorn-conf-'));
});
afterEach(() => rmSync(cwd, { recursive: true }));

interface Options {
  readonly argv?: readonly string[];
  readonly env?: Record<string, string>;
  readonly path?: string;
  readonly timeoutMs?: number;
}

function read(text: string, { argv = ['-c', 'gunicorn.conf.py'], env = {}, path, timeoutMs }: Options = {}) {
  writeFileSync(join(cwd, 'gunicorn.conf.py'), text);
  return readSettings({
    argv: ['--python', path ?? python().path, ...argv],
    env: { PATH: process.env.PATH ?? '', ...env },
    cwd,
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
  });
}

async function mistakes(text: string, options?: Options): Promise<string> {
  const error = await read(text, options).catch((thrown: unknown) => thrown);
  if (error instanceof UserError) return error.message;
  throw error;
}

/** The names and values of the example that gunicorn's documentation points to (examples/example_config.py). */
const EXAMPLE = `
bind = '127.0.0.1:8000'
backlog = 2048
workers = 1
worker_class = 'sync'
worker_connections = 1000
timeout = 30
keepalive = 2
spew = False
daemon = False
raw_env = ['DJANGO_SECRET_KEY=something', 'SPAM=eggs']
pidfile = None
umask = 0
user = None
group = None
tmp_upload_dir = None
errorlog = '-'
loglevel = 'info'
accesslog = '-'
access_log_format = '%(h)s "%(r)s" %(s)s'
proc_name = None
def post_fork(server, worker): pass
def pre_fork(server, worker): pass
def pre_exec(server): pass
def when_ready(server): pass
def worker_int(worker): pass
def worker_abort(worker): pass
`;

describe.each(pythons().map(({ version, path }) => [version, path]))('on Python %s', (_version, path) => {
  it('reads the example of gunicorn', async () => {
    const { settings, notes, file } = await read(EXAMPLE, { path });
    expect(file).toBe(join(cwd, 'gunicorn.conf.py'));
    expect(settings).toMatchObject({
      bind: ['127.0.0.1:8000'],
      workers: { min: 1, max: 1 },
      keepAlive: 2,
      env: ['DJANGO_SECRET_KEY=something', 'SPAM=eggs'],
      pid: '',
      accessLogfile: '-',
      accessLogformat: '%(h)s "%(r)s" %(s)s',
    });
    expect(notes).toEqual([
      'gunicorn.conf.py has hooks that are not run: when_ready, pre_fork, post_fork, worker_int, worker_abort, pre_exec. Here post_fork is post_fork of --hooks; worker_abort is worker_abort of --hooks; nothing does what when_ready, pre_fork, worker_int, pre_exec did.',
    ]);
  });

  it('tells an exception with its line, and a mistake of the grammar with its', async () => {
    expect(await mistakes('a = 1\nb = c\n', { path })).toBe(
      "gunicorn.conf.py:2: NameError: name 'c' is not defined",
    );
    expect(await mistakes('a = 1\nb = (\n', { path })).toMatch(/^gunicorn\.conf\.py:\d: SyntaxError: /);
  });
});

describe('a gunicorn.conf.py', () => {
  it("is taken with gunicorn's names and types, and each with its line", async () => {
    mkdirSync(join(cwd, 'site'));
    const { settings, sources } = await read(
      `import multiprocessing, os
class gthread: pass
gthread.__module__ = "gunicorn.workers"
bind = [":1", "unix:x.sock"]
if True:
    workers = multiprocessing.cpu_count() * 0 + 3
worker_class = "gthread"
umask = 0o22
user = os.getuid()
forwarded_allow_ips = "10.0.0.1,10.0.0.2"
limit_request_field_size = 100
preload_app = True
max_requests = 5
capture_output = "True"
raw_env = ("A=1",)
pythonpath = "a,b"
pidfile = " x.pid "
proc_name = "shop"
chdir = "site"
wsgi_app = "mysite:app"
wrk = 5
CONFIG = "ignored"
`,
    );
    const site = join(cwd, 'site');
    expect(settings).toMatchObject({
      app: 'mysite:app',
      bind: ['0.0.0.0:1', `unix:${join(site, 'x.sock')}`],
      workers: { min: 3, max: 3 },
      umask: 0o22,
      user: String(process.getuid?.()),
      forwardedAllowIps: ['10.0.0.1', '10.0.0.2'],
      limitRequestFieldSize: 100,
      preload: true,
      maxRequests: 5,
      captureOutput: true,
      env: ['A=1'],
      pythonpath: [join(site, 'a'), join(site, 'b')],
      pid: join(site, 'x.pid'),
      name: 'shop',
      chdir: site,
    });
    expect(sources).toMatchObject({
      workers: 'gunicorn.conf.py:6',
      app: 'gunicorn.conf.py:20',
      threads: 'default',
    });
  });

  it('is weaker than the command line, and than GUNICORN_CMD_ARGS, which can name it', async () => {
    const env = { GUNICORN_CMD_ARGS: '-c file:gunicorn.conf.py --threads 3' };
    const { settings } = await read('threads = 2\nworkers = 2\ntimeout = 2\nwsgi_app = "a:a"', {
      argv: ['-w', '4', 'b:b'],
      env,
    });
    expect(settings).toMatchObject({ threads: 3, workers: { min: 4 }, timeout: 2, app: 'b:b' });
  });

  it('can be a module, found in the folder of --chdir', async () => {
    mkdirSync(join(cwd, 'site'));
    writeFileSync(join(cwd, 'site/settings.py'), 'import frames\nthreads = frames.N');
    writeFileSync(join(cwd, 'site/frames.py'), 'N = 7');
    const { settings, sources } = await read('', { argv: ['--chdir', 'site', '-c', 'python:settings'] });
    expect([settings.threads, sources.threads]).toEqual([7, 'site/settings.py:2']);
    expect(await mistakes('', { argv: ['-c', 'python:nowhere'] })).toBe(
      "python:nowhere: ModuleNotFoundError: No module named 'nowhere'",
    );
  });

  it.each([
    [
      'threads = 0',
      'gunicorn.conf.py:1: "0" is no good value for threads. A good value is a whole number from 1 up.',
    ],
    ['keepalive = [1]', 'gunicorn.conf.py:1: keepalive cannot be a Python object of type list.'],
    ['keepalive = ["1"]', 'gunicorn.conf.py:1: keepalive cannot be a list.'],
    [
      'bind = ":1,:2"',
      'gunicorn.conf.py:1: ":1,:2" is no good value for bind. ":1,:2" is not an address. Good ones: 127.0.0.1:8000, [::1]:8000, :8000, unix:/run/site.sock, fd://3.',
    ],
    ['bind = 8000', 'gunicorn.conf.py:1: bind cannot be 8000.'],
    ['loglevel = True', 'gunicorn.conf.py:1: loglevel cannot be True.'],
    ['def keepalive(): pass', 'gunicorn.conf.py:1: keepalive cannot be a function.'],
    ['workers = object()', 'gunicorn.conf.py:1: workers cannot be a Python object of type object.'],
    ['wsgi_app = 1', 'gunicorn.conf.py:1: wsgi_app cannot be 1.'],
  ])('tells the mistake in %j', async (text, message) => {
    expect(await mistakes(text)).toBe(message);
  });

  it('tells all that cannot be used at once', async () => {
    const text = [
      'reload = True',
      'certfile = "x"',
      'logconfig_dict = {"version": 1}',
      'secure_scheme_headers = {"X-SSL": "1"}',
      'worker_class = "gevent"',
      'suppress_ragged_eofs = False',
    ].join('\n');
    expect((await mistakes(text)).split('\n')).toEqual([
      expect.stringMatching(/^gunicorn\.conf\.py:1: reload cannot be used\. Reloading at a change/),
      expect.stringMatching(/^gunicorn\.conf\.py:2: certfile cannot be used\. TLS/),
      expect.stringMatching(/^gunicorn\.conf\.py:3: logconfig_dict cannot be used\./),
      expect.stringMatching(/^gunicorn\.conf\.py:4: secure_scheme_headers cannot be used\./),
      expect.stringMatching(
        /^gunicorn\.conf\.py:5: "gevent" is no good value for worker_class\. It is a pool/,
      ),
      expect.stringMatching(/^gunicorn\.conf\.py:6: suppress_ragged_eofs cannot be used\. TLS/),
    ]);
  });

  it('says nothing of what is as it was, and why something has no effect', async () => {
    const { notes } = await read(
      `sendfile = True
suppress_ragged_eofs = True
reload = False
proxy_protocol = False
dirty_apps = []
worker_connections = 1000
secure_scheme_headers = {"X-Forwarded-Proto": "https"}
worker_tmp_dir = "/dev/shm"
sendfile = False
`,
    );
    expect(notes).toEqual([
      expect.stringMatching(/^gunicorn\.conf\.py:9: sendfile has no effect: files are sent by the front/),
      expect.stringMatching(
        /^gunicorn\.conf\.py:8: worker_tmp_dir has no effect: there are no heartbeat files/,
      ),
    ]);
  });

  it('shows the way of an exception into other files', async () => {
    writeFileSync(join(cwd, 'other.py'), 'def f():\n    raise OSError("no network")\n');
    const message = await mistakes('import other\n\nother.f()');
    expect(message.split('\n')[0]).toBe('gunicorn.conf.py:3: OSError: no network');
    expect(message).toContain('other.py", line 2, in f');
    expect(message).not.toContain('tunicorn-config.py');
  });

  it.each([
    ['import sys; sys.exit("no")', 'gunicorn.conf.py:1: SystemExit: no'],
    ['import os; os._exit(4)', 'The configuration file gunicorn.conf.py ended Python with status 4.'],
    [
      'import os; os.kill(os.getpid(), 9)',
      'The configuration file gunicorn.conf.py ended Python with signal',
    ],
  ])('that ends Python is told: %j', async (text, message) => {
    expect(await mistakes(text)).toContain(message);
  });

  it.each([
    ['itself', 'import time\ntime.sleep(600)'],
    // It keeps the descriptor of the report, and ends by itself some time later.
    ['a process of its own', 'import os, time\nif os.fork() == 0:\n    time.sleep(5)\n    os._exit(0)'],
  ])('that never ends is ended: %s', async (_name, text) => {
    expect(await mistakes(text, { timeoutMs: 1000 })).toBe(
      'The configuration file gunicorn.conf.py was not done after 1 s. It should only set names.',
    );
  });

  it('is not executed for --help', async () => {
    const { action } = await read('raise SystemExit', { argv: ['-c', 'gunicorn.conf.py', '--help'] });
    expect(action).toBe('help');
  });
});

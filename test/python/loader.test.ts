/** APP in every form, and every way to fail: one clear message each. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { isOwnWord } from '../../src/arbiter/worker.ts';
import type { FromWorker, WorkerStart } from '../../src/messages.ts';
import { pythons } from '../support/python.ts';
import { Harness, type Options, within } from './harness.ts';

const all = pythons();
/** The oldest and the newest: what differs between versions differs most between these. */
const ends = [...all].sort((a, b) => a.version.localeCompare(b.version, 'en', { numeric: true }));
const chosen = [...new Set([ends[0], ends.at(-1)])].filter((each) => each !== undefined);

const HELLO = `
def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [NAME.encode()]
`;

/** Files of a site: every module says its own name. */
const SITE: Readonly<Record<string, string>> = {
  'app.py': `NAME = 'app'\n${HELLO}`,
  'usual.py': `NAME = 'usual'\n${HELLO}app = application\ndel application\n`,
  'both.py': `NAME = 'both'\n${HELLO}app = None\n`,
  'pkg/__init__.py': '',
  'pkg/wsgi.py': `NAME = 'pkg.wsgi'\n${HELLO}`,
  'factory.py': `
class Holder:
    def __init__(self, text):
        def application(environ, start_response):
            start_response('200 OK', [('Content-Type', 'text/plain')])
            return [text.encode()]
        self.application = application
    def make(self, more):
        return Holder(more).application

def create_app(*args, **kwargs):
    return Holder(repr((args, kwargs))).application

def strict(one, two):
    raise AssertionError('must not be called')

def broken():
    raise LookupError('no database')

def typed():
    return 1 + 'x'

def nothing():
    pass

holder = Holder('held')
`,
  'my-site/site app.py': `
import beside
NAME = beside.NAME
${HELLO}`,
  'my-site/beside.py': "NAME = 'a file beside'\n",
  'my-site/json.py': `
import json, sys
NAME = 'json is json: %s' % hasattr(sys.modules['json'], 'dumps')
${HELLO}`,
  'shadow.py': `
import lane, protocol, tunicorn, main
NAME = ' '.join([lane.NAME, protocol.NAME, tunicorn.NAME, main.NAME])
${HELLO}`,
  'lane.py': "NAME = 'my lane'\n",
  'protocol.py': "NAME = 'my protocol'\n",
  'tunicorn.py': "NAME = 'my tunicorn'\n",
  'main.py': "NAME = 'my main'\n",
  'path.py': `
import sys
NAME = repr(sys.path)
${HELLO}`,
  // A project below: what its files import is named from the folder of its manage.py.
  'project/manage.py': '',
  'project/inner/settings.py': "NAME = 'named from the project'\n",
  'project/inner/wsgi.py': `from inner.settings import NAME\n${HELLO}`,
  'missing_import.py': 'import surely_not_installed\n',
  'broken.py': '\n\ndef f():\n    return 1 +\n',
  'imports_broken.py': 'import broken\n',
  'raising.py': "def deep():\n    raise LookupError('no such thing.')\ndeep()\n",
  'leaving.py': 'import sys\nsys.exit(7)\n',
  'near.py': `NAME = 'near'\n${HELLO}def create_app():\n    return application\nclass Thing: pass\n`,
  'bare.py': "def create_app():\n    pass\nfrom os.path import join\nVALUE = 'x'\n",
  'empty.py': '',
  'kinds.py': `
import functools
text = 'I am text'
nothing = None
async def asgi(scope, receive, send): pass
async def wsgi_async(environ, start_response): pass
def asgi_plain(scope, receive, send): pass
class Starlette:
    async def __call__(self, scope, receive, send): pass
starlette = Starlette()
class Two:
    def __init__(self, scope): pass
    async def __call__(self, receive, send): pass
bound = functools.partial(asgi, None)
class Flask:
    def __init__(self, name): pass
def make(): pass
def one(environ): pass
class Application:
    def __init__(self, environ, start_response):
        start_response('200 OK', [('Content-Type', 'text/plain')])
    def __iter__(self):
        yield b'a class'
@functools.wraps(one)
def wrapped(*args):
    return Application(*args)
class Instance:
    def __call__(self, environ, start_response):
        return Application(environ, start_response)
instance = Instance()
`,
};

/** Starts a worker with APP and gives its first word. */
async function load(app: string, options: Options & { start?: Partial<WorkerStart> } = {}) {
  const harness = await Harness.open({ files: SITE, ...options, start: { ...options.start, app } });
  try {
    const said = await harness.said.first(isOwnWord, `a word about ${app}`);
    const body = said.event === 'loaded' ? `${(await harness.ask()).body}` : '';
    const code = said.event === 'failed' ? (await within(harness.exit, 'the exit')).code : null;
    return { said, body, code, folder: join(harness.folder, 'site'), stderr: harness.stderr };
  } finally {
    await harness.close();
  }
}

function failure(said: FromWorker): Extract<FromWorker, { event: 'failed' }> {
  if (said.event !== 'failed') throw new Error(`It was loaded: ${JSON.stringify(said)}`);
  return said;
}

describe.each(chosen)('Python $version', ({ path }) => {
  test.each([
    ['app', 'app:application', 'app'],
    ['app:application', 'app:application', 'app'],
    ['usual', 'usual:app', 'usual'],
    ['both', 'both:application', 'both'],
    ['pkg.wsgi', 'pkg.wsgi:application', 'pkg.wsgi'],
    ['app.py', 'app.py:application', 'app'],
    ['pkg/wsgi.py:application', 'pkg/wsgi.py:application', 'pkg.wsgi'],
    ['./usual.py', './usual.py:app', 'usual'],
    ['project/inner/wsgi.py', 'project/inner/wsgi.py:application', 'named from the project'],
    ['my-site/site app.py', 'my-site/site app.py:application', 'a file beside'],
    ['my-site/json.py', 'my-site/json.py:application', 'json is json: True'],
    ['factory:create_app()', 'factory:create_app()', '((), {})'],
    [
      'factory:create_app("a:b/c.py", -1, [2], key={"x": None}, debug=False)',
      'factory:create_app("a:b/c.py", -1, [2], key={"x": None}, debug=False)',
      "(('a:b/c.py', -1, [2]), {'key': {'x': None}, 'debug': False})",
    ],
    ['factory:holder.application', 'factory:holder.application', 'held'],
    ['factory:holder.make("made")', 'factory:holder.make("made")', 'made'],
    ['factory.py:create_app(1)', 'factory.py:create_app(1)', '((1,), {})'],
    ['kinds:Application', 'kinds:Application', 'a class'],
    ['kinds:wrapped', 'kinds:wrapped', 'a class'],
    ['kinds:instance', 'kinds:instance', 'a class'],
    ['shadow', 'shadow:application', 'my lane my protocol my tunicorn my main'],
  ])('%s', async (app, name, body) => {
    const loaded = await load(app, { python: path });
    expect(loaded.said).toEqual({
      event: 'loaded',
      app: name,
      framework: '',
      ms: expect.any(Number),
      found: '',
      mounts: [],
      mountsWhy: '',
      hooks: [],
    });
    expect(loaded.body).toBe(body);
  });

  const cases: [app: string, code: string, message: string, traceback: RegExp | ''][] = [
    [
      'ap',
      'no-module',
      "there is no module ap in FOLDER or elsewhere on Python's path. Did you mean app?",
      '',
    ],
    [
      'pkg.wsg',
      'no-module',
      "there is no module pkg.wsg in FOLDER or elsewhere on Python's path. Did you mean pkg.wsgi?",
      '',
    ],
    [
      'pgk.wsgi',
      'no-module',
      "there is no module pgk in FOLDER or elsewhere on Python's path. Did you mean pkg.wsgi?",
      '',
    ],
    ['mysite.wsgi', 'no-module', 'Did you mean pkg.wsgi?', ''],
    ['zzzzzz', 'no-module', 'Name its folder with --chdir or --pythonpath.', ''],
    [
      'app.application',
      'no-module',
      'app is a module, not a package, so there is no app.application in it. Before the callable stands a colon: app:application.',
      '',
    ],
    ['pkg/wsg.py', 'no-module', 'there is no file FOLDER/pkg/wsg.py. Did you mean pkg.wsgi?', ''],
    ['pkg.wsgi.py', 'no-module', 'there is no file FOLDER/pkg.wsgi.py. Did you mean pkg.wsgi?', ''],
    ['pkg/', 'no-module', 'FOLDER/pkg/ is a folder.', ''],
    ['project/manage.py', 'no-callable', "manage.py is Django's command line. Name the site", ''],
    [
      'my-app',
      'bad-application',
      "'my-app' does not name an application: before the colon stands a module such as mysite.wsgi",
      '',
    ],
    ['app:a+b', 'bad-application', 'after the colon stands a name', ''],
    ['app:f(x)', 'bad-application', 'after the colon stands a name', ''],
    ['app:f(*[1])', 'bad-application', 'after the colon stands a name', ''],
    ['app:f(**{})', 'bad-application', 'after the colon stands a name', ''],
    ['app:(', 'bad-application', 'after the colon stands a name', ''],
    [
      'missing_import',
      'application-failed',
      "ModuleNotFoundError: No module named 'surely_not_installed'. If surely_not_installed is a package, install it for ",
      /^Traceback.*\n {2}File ".*missing_import\.py", line 1/,
    ],
    ['broken', 'syntax-error', 'syntax error in FOLDER/broken.py, line 4: invalid syntax: return 1 +', ''],
    [
      'imports_broken',
      'syntax-error',
      'syntax error in FOLDER/broken.py, line 4: invalid syntax: return 1 +',
      '',
    ],
    ['broken.py', 'syntax-error', 'syntax error in FOLDER/broken.py, line 4: invalid syntax: return 1 +', ''],
    [
      'raising',
      'application-failed',
      'Cannot load raising: LookupError: no such thing.',
      /^Traceback.*\n {2}File ".*raising\.py", line 3, in <module>/,
    ],
    [
      'raising.py',
      'application-failed',
      'Cannot load raising.py: LookupError: no such thing.',
      /^Traceback.*\n {2}File ".*raising\.py", line 3, in <module>/,
    ],
    [
      'leaving',
      'application-failed',
      'it ended itself with sys.exit(7) while it was loaded.',
      /SystemExit: 7/,
    ],
    [
      'near:aplication',
      'no-callable',
      'module near has no aplication. Did you mean application? It has: application, create_app().',
      '',
    ],
    ['near:Thin', 'no-callable', 'Did you mean Thing?', ''],
    [
      'bare',
      'no-callable',
      'module bare has neither application nor app. It has: create_app(). Name one: bare:create_app().',
      '',
    ],
    [
      'empty',
      'no-callable',
      'module empty has neither application nor app. It has nothing that looks like an application.',
      '',
    ],
    [
      'factory:holder.aplication',
      'no-callable',
      'holder has no attribute aplication. Did you mean application?',
      '',
    ],
    ['factory:holder.application.x', 'no-callable', 'holder.application has no attribute x.', ''],
    ['factory:strict(1)', 'bad-application', 'the factory takes other arguments: ', ''],
    ['factory:broken()', 'application-failed', 'LookupError: no database', /line \d+, in broken/],
    ['factory:typed()', 'application-failed', 'TypeError: ', /line \d+, in typed/],
    [
      'factory:nothing()',
      'not-callable',
      'it is None, not a callable that takes environ and start_response.',
      '',
    ],
    ['factory:nothing()()', 'bad-application', 'after the colon stands a name', ''],
    ['kinds:text()', 'not-callable', 'kinds:text is no function that can be called.', ''],
    ['kinds:text', 'not-callable', "it is a str ('I am text'), not a callable", ''],
    ['kinds:nothing', 'not-callable', 'it is None, not a callable', ''],
    [
      'kinds:asgi',
      'asgi',
      'it is an ASGI application, and Tunicorn speaks WSGI. Wrap it (pip install a2wsgi)',
      '',
    ],
    ['kinds:asgi_plain', 'asgi', 'it is an ASGI application, and Tunicorn speaks WSGI', ''],
    ['kinds:starlette', 'asgi', 'it is an ASGI application (kinds.Starlette), and Tunicorn speaks WSGI', ''],
    ['kinds:Two', 'asgi', 'it is an ASGI application (kinds.Two)', ''],
    ['kinds:wsgi_async', 'not-wsgi', 'it is an async function', ''],
    [
      'kinds:Flask',
      'not-wsgi',
      'it is the class kinds.Flask, not a WSGI application. Name an instance of it.',
      '',
    ],
    [
      'kinds:make',
      'not-wsgi',
      'a WSGI application takes two arguments (environ, start_response), this function takes none. If it makes the application, name it as a call: kinds:make().',
      '',
    ],
    ['kinds:one', 'not-wsgi', 'this function takes 1 (environ).', ''],
    ['', 'no-application', "No application was named, and FOLDER has no manage.py to find Django's by.", ''],
  ];
  test.each(cases)('%s fails as %s', async (app, code, message, traceback) => {
    const { said, code: status, folder, stderr } = await load(app, { python: path });
    const failed = failure(said);
    expect(failed.code).toBe(code);
    expect(failed.message).toContain(message.replaceAll('FOLDER', folder));
    expect(failed.message).not.toContain('\n');
    if (traceback === '') expect(failed.traceback).toBe('');
    else expect(failed.traceback).toMatch(traceback);
    // The application's own frames only.
    expect(failed.traceback).not.toMatch(/python\/tunicorn|importlib/);
    expect(status).toBe(3);
    expect(stderr).toBe('');
  });
});

test('--pythonpath comes first on sys.path, then the application folder; nothing of ours is there', async () => {
  const { body, folder } = await load('path', { start: { pythonpath: ['/first', '/second'] } });
  expect(body.startsWith(`['/first', '/second', '${folder}', `)).toBe(true);
  expect(body).not.toContain(join(import.meta.dirname, '../../python'));
});

test('a worker script behind a symbolic link leaves nothing on sys.path either', async () => {
  const { body } = await load('path', { env: { PYTHONSAFEPATH: '1' } });
  expect(body).not.toContain(join(import.meta.dirname, '../../python'));
});

/** Django and Flask as the worker finds them. Skipped where the tests' virtual environment lacks them. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { KIND } from '../../src/gateway/frames.ts';
import { python } from '../support/python.ts';
import { Harness, type Options } from './harness.ts';

const has = (module: string): boolean => {
  try {
    execFileSync(python().path, ['-c', `import ${module}`], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
};

const SETTINGS = `
SECRET_KEY = 'x'
DEBUG = True
ALLOWED_HOSTS = ['*']
ROOT_URLCONF = 'mysite.urls'
INSTALLED_APPS = ['django.contrib.staticfiles', 'polls']
STATIC_URL = 'static/'
WSGI_APPLICATION = 'mysite.wsgi.application'
`;

const SITE: Readonly<Record<string, string>> = {
  'manage.py': `
import os, sys
def main():
    os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'mysite.settings')
    raise AssertionError('read, not run')
if __name__ == '__main__':
    main()
`,
  'mysite/__init__.py': '',
  'mysite/settings.py': SETTINGS,
  'mysite/other.py': `${SETTINGS}\nOTHER = True\n`,
  'mysite/urls.py': `
from django.conf import settings
from django.http import HttpResponse
from django.urls import path
from django.templatetags.static import static
def index(request):
    return HttpResponse('other=%s static=%s' % (getattr(settings, 'OTHER', False), static('x.css')))
urlpatterns = [path('', index)]
`,
  'mysite/wsgi.py': `
import os
from django.core.wsgi import get_wsgi_application
os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'mysite.settings')
application = get_wsgi_application()
`,
  'mysite/asgi.py': `
import os
from django.core.asgi import get_asgi_application
os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'mysite.settings')
application = get_asgi_application()
`,
  'polls/__init__.py': '',
  'polls/static/polls.css': 'p {}',
};

async function load(app: string, options: Options = {}) {
  const files = { ...SITE, ...options.files };
  const harness = await Harness.open({ ...options, files, start: { ...options.start, app } });
  try {
    const said = await harness.said.first(() => true, `a word about ${app}`);
    const answer = said.event === 'loaded' ? await harness.ask({ path: '/' }) : null;
    return { said, answer, folder: realpathSync(join(harness.folder, 'site')) };
  } finally {
    await harness.close();
  }
}

const settings = (more: string): Options => ({ files: { 'mysite/settings.py': `${SETTINGS}${more}` } });

describe.skipIf(!has('django'))('Django', () => {
  test('is found by manage.py when no application is named', async () => {
    const { said, answer, folder } = await load('');
    expect(said).toMatchObject({
      event: 'loaded',
      app: 'mysite.wsgi:application',
      framework: expect.stringMatching(/^Django \d+\.\d+/),
      found: "found in manage.py's settings",
      mounts: [{ prefix: '/static/', folders: [join(folder, 'polls/static')] }],
      mountsWhy: 'DEBUG is on',
    });
    expect(`${answer?.body}`).toBe('other=False static=/static/x.css');
  });

  test('gives a whole HttpResponse in one frame', async () => {
    const { answer } = await load('mysite.wsgi');
    expect(answer?.frames.map((frame) => frame.kind)).toEqual([KIND.RESPONSE]);
    expect(answer?.fields.map(([name]) => name)).not.toContain('Content-Length');
  });

  test('DJANGO_SETTINGS_MODULE wins over manage.py', async () => {
    const { said, answer } = await load('', { env: { DJANGO_SETTINGS_MODULE: 'mysite.other' } });
    expect(said).toMatchObject({ found: 'found in the settings that DJANGO_SETTINGS_MODULE names' });
    expect(`${answer?.body}`).toContain('other=True');
  });

  test('manage.py may assign the variable', async () => {
    const manage = "from os import environ\nenviron['DJANGO_SETTINGS_MODULE'] = 'mysite.other'\n";
    const { answer } = await load('', { files: { 'manage.py': manage } });
    expect(`${answer?.body}`).toContain('other=True');
  });

  test('without WSGI_APPLICATION gives its own', async () => {
    const { said } = await load('', settings('del WSGI_APPLICATION\n'));
    expect(said).toMatchObject({ event: 'loaded', app: 'django.core.wsgi:get_wsgi_application()' });
  });

  test('named applications say nothing about where they were found', async () => {
    const { said } = await load('mysite.wsgi:application');
    expect(said).toMatchObject({ app: 'mysite.wsgi:application', found: '', mountsWhy: 'DEBUG is on' });
  });

  test.each([
    [
      'manage.py without the variable',
      { files: { 'manage.py': 'pass\n' } },
      'no-application',
      'does not set DJANGO_SETTINGS_MODULE',
    ],
    ['manage.py that is no Python', { files: { 'manage.py': 'def (' } }, 'syntax-error', 'manage.py, line 1'],
    [
      'settings that are not there',
      { env: { DJANGO_SETTINGS_MODULE: 'mysite.setings' } },
      'bad-settings',
      "Django's settings module mysite.setings cannot be imported: No module named 'mysite.setings'. Check",
    ],
    ['settings that fail', settings('1/0\n'), 'application-failed', 'ZeroDivisionError: division by zero'],
    [
      'an app that is not there',
      settings("INSTALLED_APPS.append('nowhere')\n"),
      'application-failed',
      "No module named 'nowhere'. If nowhere is a package, install it",
    ],
    [
      'settings that Django refuses',
      settings("INSTALLED_APPS.append('polls')\n"),
      'bad-settings',
      'ImproperlyConfigured: ',
    ],
  ])('%s', async (_name, options: Options, code, message) => {
    const { said } = await load('', options);
    expect(said).toMatchObject({ event: 'failed', code, message: expect.stringContaining(message) });
  });

  test('its ASGI application is recognised', async () => {
    const { said } = await load('mysite.asgi');
    expect(said).toMatchObject({
      event: 'failed',
      code: 'asgi',
      message:
        'Cannot serve mysite.asgi:application: it is an ASGI application (django.core.handlers.asgi.ASGIHandler), ' +
        'and Tunicorn speaks WSGI. Django has both: use mysite.wsgi:application.',
    });
  });

  describe('static files', () => {
    const root = mkdtempSync(join(tmpdir(), 'tunicorn-static-'));
    for (const name of ['filled', 'empty', 'extra', 'prefixed']) mkdirSync(join(root, name));
    writeFileSync(join(root, 'filled/a.css'), '');
    afterAll(() => rmSync(root, { recursive: true }));
    const filled = `DEBUG = False\nSTATIC_ROOT = '${root}/filled'\n`;

    test.each([
      ['STATIC_ROOT when it is filled', filled, {}, [['/static/', ['ROOT/filled']]], 'STATIC_ROOT is filled'],
      [
        'DEBUG before a filled STATIC_ROOT: a file that is worked on must not be hidden',
        `${filled}DEBUG = True\n`,
        {},
        [['/static/', ['SITE/polls/static']]],
        'DEBUG is on',
      ],
      [
        'an empty STATIC_ROOT is none, and that is told',
        `DEBUG = False\nSTATIC_ROOT = '${root}/empty'\n`,
        {},
        [],
        `Static files /static/ are not served: DEBUG is off and STATIC_ROOT ${root}/empty is empty. Run manage.py collectstatic`,
      ],
      [
        'a STATIC_ROOT that is not there is none',
        `DEBUG = False\nSTATIC_ROOT = '${root}/no'\n`,
        {},
        [],
        `Static files /static/ are not served: DEBUG is off and STATIC_ROOT ${root}/no is empty. Run manage.py collectstatic`,
      ],
      [
        'none without DEBUG',
        'DEBUG = False\n',
        {},
        [],
        'Static files /static/ are not served: DEBUG is off and STATIC_ROOT is not set. Run manage.py collectstatic',
      ],
      ['none without the staticfiles app', "INSTALLED_APPS = ['polls']\n", {}, [], ''],
      ['none on another host', `${filled}STATIC_URL = 'https://cdn.example/'\n`, {}, [], ''],
      ['none on another host, same scheme', `${filled}STATIC_URL = '//cdn.example/'\n`, {}, [], ''],
      ['none at the root', `${filled}STATIC_URL = '/'\n`, {}, [], ''],
      ['none when unset', `${filled}STATIC_URL = None\n`, {}, [], ''],
      [
        'an absolute path',
        `${filled}STATIC_URL = '/assets/'\n`,
        {},
        [['/assets/', ['ROOT/filled']]],
        'STATIC_ROOT is filled',
      ],
      [
        'a relative one below SCRIPT_NAME',
        filled,
        { SCRIPT_NAME: '/below' },
        [['/below/static/', ['ROOT/filled']]],
        'STATIC_ROOT is filled',
      ],
      [
        'every place the finders look in, in order, with prefixes',
        `STATICFILES_DIRS = ['${root}/extra', ('in/side', '${root}/prefixed'), '${root}/no']\n`,
        {},
        [
          ['/static/', ['ROOT/extra', 'SITE/polls/static']],
          ['/static/in/side/', ['ROOT/prefixed']],
        ],
        'DEBUG is on',
      ],
    ] as const)('%s', async (_name, more, env, mounts, why) => {
      const { said, folder } = await load('mysite.wsgi', { ...settings(more), env });
      const place = (text: string): string => text.replace('ROOT', root).replace('SITE', folder);
      const expected = mounts.map(([prefix, folders]) => ({ prefix, folders: folders.map(place) }));
      expect(said).toMatchObject({ event: 'loaded', mounts: expected, mountsWhy: why });
    });

    test.skipIf(!has('whitenoise'))('nothing is told where WhiteNoise serves them', async () => {
      const middleware = "DEBUG = False\nMIDDLEWARE = ['whitenoise.middleware.WhiteNoiseMiddleware']\n";
      const { said } = await load('mysite.wsgi', settings(middleware));
      expect(said).toMatchObject({ event: 'loaded', mounts: [], mountsWhy: '' });
    });

    test('looking does not change the URLs that the site makes under SCRIPT_NAME', async () => {
      const harness = await Harness.ready({
        files: SITE,
        start: { app: 'mysite.wsgi' },
        env: { SCRIPT_NAME: '/below' },
      });
      try {
        const answer = await harness.ask({ path: '/below/' });
        expect(`${answer.body}`).toBe('other=False static=/below/static/x.css');
      } finally {
        await harness.close();
      }
    });
  });
});

test('without Django, manage.py leads to a sentence that says so', async () => {
  const blocked = { 'django.py': "raise ModuleNotFoundError(\"No module named 'django'\", name='django')\n" };
  const { said } = await load('', { files: { ...blocked } });
  expect(said).toMatchObject({
    event: 'failed',
    message: expect.stringMatching(/No module named 'django'\. If django/),
  });
});

describe.skipIf(!has('flask'))('Flask', () => {
  const site = `
from flask import Flask
app = Flask(__name__)
@app.route('/')
def index():
    return 'flask'
class Middleware:
    def __init__(self, inner): self.inner = inner
    def __call__(self, environ, start_response): return self.inner(environ, start_response)
wrapped = Middleware(app)
def create_app(): return app
`;
  test.each([
    ['shop:app', 'shop:app'],
    ['shop:wrapped', 'shop:wrapped'],
    ['shop:create_app()', 'shop:create_app()'],
    ['shop.py', 'shop.py:app'],
  ])('%s', async (app, name) => {
    const { said, answer } = await load(app, { files: { 'shop.py': site } });
    expect(said).toMatchObject({
      event: 'loaded',
      app: name,
      framework: expect.stringMatching(/^Flask \d/),
      mounts: [],
    });
    expect(`${answer?.body}`).toBe('flask');
    expect(answer?.frames.length).toBe(1);
  });

  test('objects that mean something only within a request do no harm to the search for names', async () => {
    const files = { 'shop.py': `from flask import current_app, g, request, session\n${site}` };
    const { said } = await load('shop:nope', { files });
    expect(said).toMatchObject({ code: 'no-callable', message: expect.stringContaining('It has: app, ') });
  });

  test('a factory without parentheses is recognised', async () => {
    const { said } = await load('shop:create_app', { files: { 'shop.py': site } });
    expect(said).toMatchObject({ code: 'not-wsgi', message: expect.stringContaining('shop:create_app()') });
  });
});

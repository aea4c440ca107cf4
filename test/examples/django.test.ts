import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hasModule, type Server, startTunicorn } from '../support/tunicorn.ts';
import { csrfToken, logIn, makeSite, SITE, type Site } from './django.ts';
import { linked, Visitor } from './visitor.ts';

const CHROMIUM = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(
  existsSync,
);
const LOGIN = '/admin/login/';
const TYPES: Readonly<Record<string, string>> = {
  css: 'text/css; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  svg: 'image/svg+xml',
  png: 'image/png',
};
/** More than is kept in memory, and no multiple of anything. */
const FILE = randomBytes(5 * 1024 * 1024 + 13);

describe.skipIf(!hasModule('django'))('the Django example', () => {
  let site: Site;

  beforeAll(async () => {
    site = await makeSite();
    await site.manage('collectstatic', '--no-input', '--verbosity', '0');
  });
  afterAll(() => site.remove());

  function start(args: readonly string[] = [], env: Readonly<Record<string, string>> = {}): Promise<Server> {
    return startTunicorn({ args, cwd: SITE, env: { ...site.env, ...env } });
  }

  /** Fetches what the login page links, and what that links. */
  async function expectLinks(visitor: Visitor): Promise<void> {
    const seen = new Set<string>();
    const look = async (path: string) => {
      for (const url of linked(await visitor.get(path), path)) {
        if (seen.has(url)) continue;
        seen.add(url);
        const { status, headers } = await visitor.get(url);
        expect([url, status, headers.get('content-type')]).toEqual([
          url,
          200,
          TYPES[url.split('.').pop() ?? ''],
        ]);
        if (url.endsWith('.css')) await look(url);
      }
    };
    await look(LOGIN);
    expect([...seen].filter((url) => url.endsWith('.css')).length).toBeGreaterThan(2);
    expect([...seen].filter((url) => url.endsWith('.js')).length).toBeGreaterThan(0);
    expect([...seen].filter((url) => url.endsWith('.svg')).length).toBeGreaterThan(0);
  }

  describe('as it is in the checkout', () => {
    let server: Server;

    beforeAll(async () => {
      server = await start(['--workers', '2']);
    });
    afterAll(() => server[Symbol.asyncDispose]());

    test('is found without a name, with its static files', () => {
      const log = server.log();
      expect(log).toMatch(
        /Application mysite\.wsgi:application \(Django \d\.\d+(\.\d+)?\), found in .*settings/,
      );
      expect(log).toMatch(/Static files \/static\/ from .*admin\/static, .*library\/static \(DEBUG is on\)/);
    });

    test('every address that the login page links is served with its type', async () => {
      await expectLinks(new Visitor(server.url));
    });

    test('a static file that the browser has is not sent again', async () => {
      const visitor = new Visitor(server.url);
      const path = '/static/admin/css/base.css';
      const first = await visitor.get(path);
      const again = await visitor.get(path, { 'if-none-match': first.headers.get('etag') ?? '' });
      expect([again.status, again.body.length]).toEqual([304, 0]);
      const part = await visitor.get(path, { range: 'bytes=10-19' });
      expect(part.status).toBe(206);
      expect(part.body).toEqual(first.body.subarray(10, 20));
    });

    test('logs in, adds a document in the admin, and gives it back byte for byte', async () => {
      const visitor = new Visitor(server.url);
      const answer = await logIn(visitor);
      expect([answer.status, answer.headers.get('location')]).toEqual([302, '/admin/']);
      expect(visitor.cookie('sessionid')).toMatch(/^[a-z0-9]{32}$/);
      expect((await visitor.get('/admin/')).text).toContain('Site administration');

      const path = '/admin/library/document/add/';
      const form = new FormData();
      form.set('csrfmiddlewaretoken', csrfToken(await visitor.get(path)));
      form.set('title', 'From the admin');
      form.set('file', new Blob([FILE]), 'admin file.bin');
      expect((await visitor.post(path, form)).status).toBe(302);

      const list = await visitor.get('/admin/library/document/');
      const pk = /\/admin\/library\/document\/(\d+)\/change\/">From the admin</.exec(list.text)?.[1];
      const download = await visitor.get(`/documents/${pk}/`);
      expect(download.status).toBe(200);
      expect(download.headers.get('content-length')).toBe(String(FILE.length));
      expect(download.body.equals(FILE)).toBe(true);
    });

    test('takes a file from the form of the site, and counts it in the session', async () => {
      const visitor = new Visitor(server.url);
      const form = new FormData();
      form.set('csrfmiddlewaretoken', csrfToken(await visitor.get('/')));
      form.set('title', 'Ünïcode & <tags>');
      form.set('file', new Blob([FILE]), 'file.bin');
      expect((await visitor.post('/', form)).status).toBe(302);
      const page = await visitor.get('/');
      expect(page.text).toContain('You have added 1 document in this session');
      const path = /href="(\/documents\/\d+\/)">Ünïcode &amp; &lt;tags&gt;</.exec(page.text)?.[1] ?? '';
      expect((await visitor.get(path)).body.equals(FILE)).toBe(true);
      expect((await new Visitor(server.url).get('/')).text).toContain('You have added 0 documents');
    });

    test('refuses a form without its token', async () => {
      const form = new URLSearchParams({ title: 'x' });
      expect((await new Visitor(server.url).post('/', form)).status).toBe(403);
    });

    test.skipIf(CHROMIUM === undefined)(
      'looks as it should in Chromium (skipped without Chromium)',
      async () => {
        const browser = await chromium.launch({
          executablePath: CHROMIUM ?? '',
          args: [
            '--headless',
            '--no-sandbox',
            '--disable-gpu',
            '--disable-quic',
            '--no-first-run',
            '--disable-background-networking',
            '--disable-component-update',
            '--disable-sync',
          ],
        });
        try {
          const page = await browser.newPage();
          const bad: string[] = [];
          page.on('response', (response) => {
            if (response.status() >= 400 && !response.url().endsWith('/favicon.ico'))
              bad.push(response.url());
          });
          page.on('pageerror', (error) => bad.push(error.message));
          const style = (selector: string, name: string) =>
            page.evaluate(
              `getComputedStyle(document.querySelector('${selector}')).getPropertyValue('${name}')`,
            );

          await page.goto(server.url + LOGIN, { waitUntil: 'load' });
          expect(await style('#header', 'background-color')).toBe('rgb(65, 118, 144)');
          expect(await style('#container', 'display')).toBe('flex');
          await page.goto(`${server.url}/`, { waitUntil: 'load' });
          expect(await style('h1', 'color')).toBe('rgb(11, 110, 79)');
          expect(bad).toEqual([]);
        } finally {
          await browser.close();
        }
      },
    );
  });

  test('without DEBUG its static files come from STATIC_ROOT', async () => {
    await using server = await start([], { DJANGO_DEBUG: '0', DJANGO_SECRET_KEY: 'only for this test' });
    expect(server.log()).toMatch(
      new RegExp(`Static files /static/ from ${site.env.DJANGO_STATIC} \\(.*STATIC_ROOT`),
    );
    const visitor = new Visitor(server.url);
    await expectLinks(visitor);
    expect((await logIn(visitor)).status).toBe(302);
    expect((await visitor.get('/static/..%2fdb.sqlite3')).status).toBe(404);
    expect((await visitor.get('/static/none.css')).text).not.toContain('Django');
  });

  test('a folder named with --static is looked through first', async () => {
    const folder = join(site.folder, 'own');
    await mkdir(join(folder, 'library'), { recursive: true });
    await writeFile(join(folder, 'library', 'site.css'), 'h1 { color: blue }');
    await using server = await start(['--static', `/static/=${folder}`]);
    const visitor = new Visitor(server.url);
    expect((await visitor.get('/static/library/site.css')).text).toBe('h1 { color: blue }');
    await expectLinks(visitor);
  });
});

import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hasModule, ROOT, type Server, startTunicorn } from '../support/tunicorn.ts';
import { csrfToken, logIn, makeSite, SITE, type Site } from './django.ts';
import { Visitor } from './visitor.ts';

/** `wsgiref.validate.validator` between the server and each example: it must find nothing to say. */
describe('wsgiref.validate', () => {
  function start(options: { cwd: string; validated: string; env?: Readonly<Record<string, string>> }) {
    return startTunicorn({
      args: ['--pythonpath', join(ROOT, 'test/apps'), 'wsgi_validated'],
      cwd: options.cwd,
      env: { VALIDATED: options.validated, PYTHONDONTWRITEBYTECODE: '1', ...options.env },
    });
  }

  async function expectNoComplaint(server: Server): Promise<void> {
    // Iterators that nobody closed complain when they are collected, at the latest as the worker leaves.
    await server.stop();
    expect(server.log()).not.toMatch(/Traceback|AssertionError|WSGIWarning|garbage collected/);
  }

  test.each(['heyo:application', 'heyo:heyo'])('%s', async (validated) => {
    await using server = await start({ cwd: join(ROOT, 'examples/heyo'), validated });
    const visitor = new Visitor(server.url);
    const page = await visitor.get('/a%20path?editor=vim');
    expect(page.status).toBe(200);
    expect(page.text).toContain('Heyo');
    expect(page.text).toContain('wsgi.errors: <wsgiref.validate.ErrorWrapper');
    await expectNoComplaint(server);
  });

  test.skipIf(!hasModule('flask'))('Flask', async () => {
    await using server = await start({ cwd: join(ROOT, 'examples/flask'), validated: 'app:app' });
    const visitor = new Visitor(server.url);
    for (const path of [
      '/',
      '/api/echo?a=1',
      '/countdown?from=2&pause=0',
      '/download/100',
      '/download/this-file',
    ]) {
      expect([path, (await visitor.get(path)).status]).toEqual([path, 200]);
    }
    expect((await visitor.post('/api/echo', new URLSearchParams({ a: '1' }))).status).toBe(200);
    expect((await fetch(`${server.url}/`, { method: 'HEAD' })).status).toBe(200);
    await expectNoComplaint(server);
  });

  describe.skipIf(!hasModule('django'))('Django', () => {
    let site: Site;
    beforeAll(async () => {
      site = await makeSite();
    });
    afterAll(() => site.remove());

    test('every kind of request', async () => {
      await using server = await start({ cwd: SITE, validated: 'mysite.wsgi:application', env: site.env });
      const visitor = new Visitor(server.url);
      // Longer than what is kept in memory: read from the spool file.
      const content = 'content '.repeat(50_000);
      expect((await logIn(visitor)).status).toBe(302);
      const form = new FormData();
      form.set('csrfmiddlewaretoken', csrfToken(await visitor.get('/')));
      form.set('title', 'Validated');
      form.set('file', new Blob([content]), 'file.txt');
      expect((await visitor.post('/', form)).status).toBe(302);
      expect((await visitor.get('/documents/1/')).text).toBe(content);
      expect((await visitor.get('/none')).status).toBe(404);
      await expectNoComplaint(server);
    });
  });
});

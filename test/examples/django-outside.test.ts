import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { cleanEnvironment, hasModule, PYTHON, startTunicorn } from '../support/tunicorn.ts';
import { Visitor } from './visitor.ts';

describe.skipIf(!hasModule('django'))('a Django project outside the checkout', () => {
  let folder = '';

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tunicorn-outside-'));
    const args = ['-m', 'django', 'startproject', 'shop', folder];
    await promisify(execFile)(PYTHON, args, { env: cleanEnvironment() });
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  test.each([
    ['no name', []],
    ['shop.wsgi', ['shop.wsgi']],
    ['shop.wsgi:application', ['shop.wsgi:application']],
    ['a path', ['shop/wsgi.py']],
  ])('is served from its folder by %s', async (_, args) => {
    await using server = await startTunicorn({ args, cwd: folder });
    if (args.length === 0) expect(server.log()).toMatch(/shop\.wsgi.* \(Django .*\), found in .*settings/);
    const visitor = new Visitor(server.url);
    expect((await visitor.get('/')).text).toContain('The install worked successfully');
    expect((await visitor.get('/admin/login/')).text).toContain('csrfmiddlewaretoken');
    expect((await visitor.get('/static/admin/css/base.css')).status).toBe(200);
    expect(await server.stop()).toEqual({ code: 0, signal: null });
  });

  test('is served from another folder with --chdir', async () => {
    await using server = await startTunicorn({ args: ['--chdir', folder], cwd: tmpdir() });
    expect((await new Visitor(server.url).get('/')).status).toBe(200);
  });
});

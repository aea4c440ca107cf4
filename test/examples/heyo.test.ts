/** The tutorial's program in Python, through the whole server. */
import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fetchOnce, field } from '../support/client.ts';
import { pythons } from '../support/python.ts';
import { ROOT, type Server, startTunicorn } from '../support/tunicorn.ts';

describe('heyo', () => {
  let server: Server;
  beforeAll(async () => {
    server = await startTunicorn({ args: ['heyo'], cwd: `${ROOT}examples/heyo` });
  });
  afterAll(() => server[Symbol.asyncDispose]());

  test('answers "Heyo" and environ, and points out vim', async () => {
    const fields = { 'X-Editor': 'VIM', 'X-Other': 'ed', 'X-Latin': 'caf\u00e9' };
    const answer = await fetchOnce({ port: server.port }, '/a%20b?editor=vim&x=1', { fields });
    const lines = answer.body.toString().split('\n');
    expect(answer.status).toBe(200);
    expect(field(answer, 'Content-Type')).toBe('text/plain; charset=utf-8');
    expect(lines[0]).toBe('Heyo');
    expect(lines).toContain('PATH_INFO: /a b');
    expect(lines).toContain('HTTP_X_LATIN: caf\u00e9');
    expect(lines).toContain('wsgi.version: (1, 0)');
    expect(lines.filter((line) => line.endsWith('  <-- vim!'))).toEqual([
      'HTTP_X_EDITOR: VIM  <-- vim!',
      'QUERY_STRING: editor=vim&x=1  <-- vim!',
      'RAW_URI: /a%20b?editor=vim&x=1  <-- vim!',
      'REQUEST_URI: /a%20b?editor=vim&x=1  <-- vim!',
    ]);
    const keys = lines.slice(1, -1).map((line) => line.slice(0, line.indexOf(': ')));
    expect(keys).toEqual([...keys].sort());
  });
});

describe('the middleware of the old tutorials, which compares str with bytes', () => {
  test('gives a 500 and a traceback in the log, and the server goes on', async () => {
    await using server = await startTunicorn({ args: ['heyo_broken'], cwd: `${ROOT}test/apps` });
    const [worker] = await server.workers();
    const broken = await fetchOnce({ port: server.port }, '/broken');
    expect(broken.status).toBe(500);
    expect(broken.body.toString()).not.toContain('TypeError');
    const { index = 0 } = await server.waitForLog(/TypeError: a bytes-like object is required, not 'str'/);
    const before = server.log().slice(0, index);
    expect(before).toContain('Traceback (most recent call last):');
    expect(before).toMatch(/heyo_broken\.py", line \d+, in __call__/);
    for (let i = 0; i < 3; i += 1) {
      expect((await fetchOnce({ port: server.port }, '/')).body.toString()).toMatch(/^Heyo\n/);
      expect((await fetchOnce({ port: server.port }, '/broken')).status).toBe(500);
    }
    expect(await server.workers()).toEqual([worker]);
  });
});

/** wsgiref's own server and validator, so that the example leans on nothing that only Tunicorn does. */
describe.each(pythons())('Python $version', ({ path }) => {
  test("wsgiref's validator finds nothing to say over it", () => {
    const program = `
import sys, warnings
sys.path.insert(0, "examples/heyo")
warnings.simplefilter("error")
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator
from heyo import application
environ = {"QUERY_STRING": "editor=vim"}
setup_testing_defaults(environ)
result = validator(application)(environ, lambda status, headers, exc_info=None: print)
text = b"".join(result)
result.close()
sys.stdout.buffer.write(text)
`;
    const text = execFileSync(path, ['-c', program], { cwd: ROOT, encoding: 'utf8' });
    expect(text).toMatch(/^Heyo\n/);
    expect(text).toContain('QUERY_STRING: editor=vim  <-- vim!\n');
  });
});

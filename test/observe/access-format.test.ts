import { describe, expect, it } from 'vitest';
import { OPTIONS } from '../../src/config/options.ts';
import { type AccessEntry, ATOMS, compileAccessFormat } from '../../src/observe/access-format.ts';

const START = new Date(2026, 10, 22, 22, 48, 38).getTime();
const OFFSET = '[+-]\\d{4}';

function entry(
  changes: Partial<AccessEntry> & {
    fields?: string[];
    request?: string[];
    environ?: [string, string][];
    attempt?: number;
  } = {},
): AccessEntry {
  const { request = [], environ, attempt = 1, ...rest } = changes;
  return {
    head: { method: 'GET', path: '/a%20b/', query: 'x=1&y=%22', minor: 1, fields: request },
    requestLine: 'GET /a%20b/?x=1&y=%22 HTTP/1.1',
    peer: { address: '192.0.2.7' },
    exchange: { trace: { pid: 4711, attempt, environ: environ ? new Map(environ) : null } },
    status: 200,
    fields: [],
    bytes: 512,
    ...rest,
  };
}

function render(format: string, changes: Parameters<typeof entry>[0] = {}, durationMs = 1234.5678) {
  return compileAccessFormat(format).render(entry(changes), { start: START, durationMs });
}

describe('compileAccessFormat', () => {
  it('marks a request that ran twice, at the end of its line', () => {
    expect([render('%(s)s'), render('%(s)s', { attempt: 2 })]).toEqual(['200', '200 attempt=2']);
  });

  it.each([
    ['%(h)s', '192.0.2.7'],
    ['%(l)s', '-'],
    ['%(u)s', '-'],
    ['%(r)s', 'GET /a%20b/?x=1&y=%22 HTTP/1.1'],
    ['%(m)s', 'GET'],
    ['%(U)s', '/a b/'],
    ['%(q)s', 'x=1&y=%22'],
    ['%(H)s', 'HTTP/1.1'],
    ['%(s)s', '200'],
    ['%(B)s', '512'],
    ['%(b)s', '512'],
    ['%(f)s', '-'],
    ['%(a)s', '-'],
    ['%(T)s', '1'],
    ['%(M)s', '1234'],
    ['%(D)s', '1234567'],
    ['%(L)s', '1.234568'],
    ['%(p)s', '<4711>'],
    ['%%', '%'],
    ['100%% of %(s)s%%', '100% of 200%'],
    ['%(unknown)s', '-'],
    ['%(constructor)s', '-'],
    ['%(s)5s|', '  200|'],
    ['%(s)-5s|', '200  |'],
    ['%(r).3s|', 'GET|'],
    ['%(D)d', '1234567'],
    ['50% off', '50% off'],
    ['%(h', '%(h'],
    ['', ''],
  ])('renders %j', (format, line) => {
    expect(render(format)).toBe(line);
  });

  it('knows every atom of gunicorn', () => {
    expect(Object.keys(ATOMS).sort()).toEqual([...'BDHLMTUabfhlmpqrstu'].sort());
  });

  it('dates the line to the begin of the request, in local time', () => {
    expect(render('%(t)s')).toMatch(new RegExp(`^\\[22/Nov/2026:22:48:38 ${OFFSET}\\]$`));
    const other = compileAccessFormat('%(t)s').render(entry(), { start: START + 1000, durationMs: 1 });
    expect(other).toContain(':22:48:39 ');
  });

  it('renders the default format of both servers', () => {
    const request = [
      'referer',
      'http://a/',
      'user-agent',
      'curl/8',
      'authorization',
      'Basic YW5uOnNlY3JldA==',
    ];
    expect(render(OPTIONS.accessLogformat.default, { request })).toMatch(
      new RegExp(
        `^192\\.0\\.2\\.7 - ann \\[22/Nov/2026:22:48:38 ${OFFSET}\\] "GET /a%20b/\\?x=1&y=%22 HTTP/1\\.1" 200 512 "http://a/" "curl/8"$`,
      ),
    );
  });

  it.each([
    ['Basic YW5uOnNlY3JldA==', 'ann'],
    ['basic YW5uOg==', 'ann'],
    ['Basic Og==', '-'],
    ['Basic ???', '-'],
    ['Bearer YW5uOnNlY3JldA==', '-'],
    [`Basic ${Buffer.from('a "b":x').toString('base64')}`, 'a\\x20\\"b\\"'],
    [`Basic ${Buffer.from('a\nb:x').toString('base64')}`, 'a\\x0ab'],
  ])('takes the user from %s', (authorization, user) => {
    expect(render('%(u)s', { request: ['authorization', authorization] })).toBe(user);
  });

  it('shows fields of request and response by name, in any case, joined when repeated', () => {
    const changes = {
      request: ['x-id', '7', 'accept', 'a', 'accept', 'b'],
      fields: ['Content-Type', 'text/html'],
    };
    expect(render('%({X-Id}i)s %({accept}i)s %({content-type}o)s %({x}i)s %({x}o)s', changes)).toBe(
      '7 a, b text/html - -',
    );
  });

  it('shows keys of environ, and says which it needs in the case that the worker knows', () => {
    const format = compileAccessFormat('%({remote_user}e)s %({wsgi.url_scheme}e)s %({HTTP_X}e)s');
    expect(format.needs.environ).toEqual(
      expect.arrayContaining(['remote_user', 'REMOTE_USER', 'wsgi.url_scheme', 'HTTP_X']),
    );
    const environ: [string, string][] = [
      ['REMOTE_USER', 'ann'],
      ['wsgi.url_scheme', 'https'],
    ];
    const line = format.render(entry({ environ }), { start: START, durationMs: 1 });
    expect(line).toBe('ann https -');
    expect(compileAccessFormat('%(h)s').needs.environ).toEqual([]);
  });

  it('renders a request that could not be read, or reached no worker', () => {
    const broken = { head: null, exchange: null, requestLine: '', status: 400 };
    expect(render('%(r)s %(m)s %(U)s %(q)s %(H)s %(s)s %(u)s %(a)s %(p)s %({x}i)s %({x}e)s', broken)).toBe(
      '- - - - - 400 - - - - -',
    );
  });

  it.each([
    ['a newline', 'x\n192.0.2.1 - - forged', 'x\\x0a192.0.2.1 - - forged'],
    ['a quote', 'x" 200 0 "', 'x\\" 200 0 \\"'],
    ['a backslash before a quote', 'x\\"', 'x\\\\\\"'],
    ['a terminal sequence', '\x1b[2J', '\\x1b[2J'],
    ['a C1 control', '\x9b2J', '\\x9b2J'],
    ['latin-1', 'caf\xe9', 'caf\\xe9'],
    ['what is beyond latin-1', '\u2028', '\\u2028'],
  ])('escapes %s', (_name, value, shown) => {
    const changes = {
      requestLine: value,
      request: ['user-agent', value, 'x', value],
      fields: ['y', value],
      environ: [['Z', value]] as [string, string][],
    };
    expect(render('%(r)s|%(a)s|%({x}i)s|%({y}o)s|%({Z}e)s', changes)).toBe(Array(5).fill(shown).join('|'));
  });

  it('escapes what a decoded path brings to light', () => {
    const head = { method: 'GET', path: '/%0a%22%C3%A4', query: '', minor: 1, fields: [] } as const;
    expect(render('%(U)s', { head: { ...head, fields: [] } })).toBe('/\\x0a\\"\\xc3\\xa4');
  });
});

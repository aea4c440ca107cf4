import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connect, fetchOnce, formatRequest } from '../support/client.ts';
import { ROOT, type Server, startTunicorn } from '../support/tunicorn.ts';
import { findNginx, type Nginx, startNginx } from './nginx.ts';

/** No proxy of ours, as far as the server knows: it trusts 127.0.0.1 and ::1. */
const CLIENT = '127.0.0.5';
const nginx = process.platform === 'linux' ? findNginx() : null;

/** The usual four lines. */
const FOUR = `
  proxy_set_header Host $host;
  proxy_set_header X-Real-IP $remote_addr;
  proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
  proxy_set_header X-Forwarded-Proto $scheme;`;

type Environ = Readonly<Record<string, string>>;

/** What a hostile client sends, and what of it must not count. */
const HOSTILE: readonly (readonly [string, readonly (readonly [string, string])[]])[] = [
  ['an address', [['X-Forwarded-For', '6.6.6.6']]],
  ['an address of ours', [['X-Forwarded-For', '127.0.0.1']]],
  ['a list', [['X-Forwarded-For', '6.6.6.6, 127.0.0.1, ::1']]],
  [
    'several fields',
    [
      ['X-Forwarded-For', '6.6.6.6'],
      ['X-Forwarded-For', '127.0.0.1'],
    ],
  ],
  [
    'junk',
    [
      ['X-Forwarded-For', '"'],
      ['x-forwarded-for', ',,;'],
    ],
  ],
  [
    'an underscore',
    [
      ['X_Forwarded_For', '6.6.6.6'],
      ['X_Forwarded_Proto', 'https'],
      ['X-Forwarded_Proto', 'https'],
    ],
  ],
  ['an address of nginx', [['X-Real-IP', '6.6.6.6']]],
  ['a scheme', [['X-Forwarded-Proto', 'https']]],
  [
    'two schemes',
    [
      ['X-Forwarded-Proto', 'https'],
      ['X-Forwarded-Proto', 'http'],
    ],
  ],
  [
    'other schemes',
    [
      ['X-Forwarded-Ssl', 'on'],
      ['X-Forwarded-Protocol', 'ssl'],
      ['Front-End-Https', 'on'],
      ['X-Url-Scheme', 'https'],
      ['X-Forwarded-Scheme', 'https'],
    ],
  ],
  ['Forwarded', [['Forwarded', 'for=6.6.6.6;proto=https;host=evil.example']]],
  [
    'a host and a port',
    [
      ['X-Forwarded-Host', 'evil.example'],
      ['X-Forwarded-Port', '444'],
      ['X-Forwarded-Server', 'evil.example'],
    ],
  ],
  [
    'a place in the tree',
    [
      ['Script-Name', '/evil'],
      ['X-Script-Name', '/evil'],
      ['X-Forwarded-Prefix', '/evil'],
      ['Path-Info', '/evil'],
    ],
  ],
  [
    'other addresses',
    [
      ['Client-IP', '6.6.6.6'],
      ['True-Client-IP', '6.6.6.6'],
      ['X-Client-IP', '6.6.6.6'],
      ['Remote-Addr', '6.6.6.6'],
      ['CF-Connecting-IP', '6.6.6.6'],
    ],
  ],
  ['a proxy', [['Proxy', 'http://evil.example']]],
];

async function ask(port: number, lines: readonly (readonly [string, string])[] = [], localAddress = CLIENT) {
  using connection = await connect({ port, localAddress });
  const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  await connection.send(`GET /a%20b?c=d HTTP/1.1\r\nHost: shop.example\r\n${head}\r\n`);
  const answer = await connection.read();
  return {
    status: answer.status,
    environ: answer.status === 200 ? (JSON.parse(answer.body.toString()) as Environ) : {},
  };
}

/** What no client may change. */
function essence(environ: Environ): Environ {
  const keys = [
    'REMOTE_ADDR',
    'REMOTE_PORT',
    'wsgi.url_scheme',
    'SERVER_NAME',
    'SERVER_PORT',
    'SCRIPT_NAME',
    'PATH_INFO',
    'HTTP_HOST',
    'HTTP_X_REAL_IP',
    'HTTP_X_FORWARDED_PROTO',
    'HTTP_PROXY',
    'HTTPS',
  ];
  return Object.fromEntries(keys.map((key) => [key, environ[key] ?? 'none']));
}

describe.skipIf(nginx === null)('behind nginx (skipped where there is none)', () => {
  let folder = '';
  let server: Server;
  let front: Nginx;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tunicorn-nginx-'));
    const socket = join(folder, 'app.sock');
    const app = ['--pythonpath', join(ROOT, 'test/apps'), 'environ_json'];
    server = await startTunicorn({ args: ['-b', '127.0.0.1:0', '-b', `unix:${socket}`, ...app] });
    const tcp = `proxy_pass http://127.0.0.1:${server.port};`;
    front = await startNginx(nginx ?? '', join(folder, 'nginx'), {
      tcp: `location / { ${tcp} ${FOUR} }`,
      unix: `location / { proxy_pass http://unix:${socket}; ${FOUR} }`,
      lax: `underscores_in_headers on; ignore_invalid_headers off; location / { ${tcp} ${FOUR} }`,
      keep: `location / { ${tcp} proxy_http_version 1.1; proxy_set_header Connection ""; proxy_request_buffering off; ${FOUR} }`,
      outer: `location / { proxy_pass http://127.0.0.1:$PORT_tcp; ${FOUR} }`,
      tls: `location / { ${tcp} ${FOUR.replace('$scheme', 'https')} }`,
      none: `location / { ${tcp} }`,
    });
  }, 120_000);
  afterAll(async () => {
    await front?.[Symbol.asyncDispose]();
    await server?.[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  describe.each(['tcp', 'unix', 'lax', 'keep', 'outer'])('%s', (name) => {
    const port = () => front.ports[name] ?? 0;

    test('the application sees the client, not nginx', async () => {
      const { environ } = await ask(port());
      expect(environ).toMatchObject({
        REMOTE_ADDR: CLIENT,
        'wsgi.url_scheme': 'http',
        SCRIPT_NAME: '',
        PATH_INFO: '/a b',
        QUERY_STRING: 'c=d',
        HTTP_HOST: 'shop.example',
        HTTP_X_FORWARDED_PROTO: 'http',
      });
      expect(environ.REMOTE_PORT).toBeUndefined();
      expect(environ.SERVER_NAME).not.toBe('');
      expect(environ.SERVER_PORT).toMatch(/^\d+$/);
    });

    test.each(HOSTILE)('a client that forges %s changes nothing', async (_, lines) => {
      const [plain, forged] = [await ask(port()), await ask(port(), lines)];
      expect(forged.status).toBe(200);
      expect(essence(forged.environ)).toEqual(essence(plain.environ));
    });
  });

  test('a scheme that nginx sets counts', async () => {
    const { environ } = await ask(front.ports.tls ?? 0, [['X-Forwarded-Proto', 'http']]);
    expect(environ['wsgi.url_scheme']).toBe('https');
  });

  test('behind an nginx that sets nothing the client is still not believed further than nginx is', async () => {
    const { environ } = await ask(front.ports.none ?? 0);
    expect(environ.REMOTE_ADDR).toBe('127.0.0.1');
  });

  test.each(['tcp', 'unix', 'keep'])('%s: a body arrives byte for byte', async (name) => {
    const body = randomBytes(3_000_001);
    const answer = await fetchOnce({ port: front.ports[name] ?? 0 }, '/', { method: 'POST', body });
    const { 'body.sha256': hash } = JSON.parse(answer.body.toString()) as Environ;
    expect(hash).toBe(createHash('sha256').update(body).digest('hex'));
  });

  test('many requests over connections that nginx keeps', async () => {
    using connection = await connect({ port: front.ports.keep ?? 0, localAddress: CLIENT });
    for (let i = 0; i < 200; i += 1) {
      await connection.send(formatRequest('GET', `/${i}`));
      const answer = await connection.read();
      expect((JSON.parse(answer.body.toString()) as Environ).PATH_INFO).toBe(`/${i}`);
    }
  });

  test.each(HOSTILE)(
    'without nginx in between, a stranger that forges %s changes nothing',
    async (_, lines) => {
      const [plain, forged] = [await ask(server.port), await ask(server.port, lines)];
      expect(forged.status).toBe(200);
      const address = { REMOTE_PORT: 'any', HTTP_X_REAL_IP: 'any', HTTP_X_FORWARDED_PROTO: 'any' };
      expect({ ...essence(forged.environ), ...address }).toEqual({ ...essence(plain.environ), ...address });
      expect(forged.environ.REMOTE_ADDR).toBe(CLIENT);
    },
  );

  test('two schemes from a trusted peer are refused', async () => {
    const lines = [
      ['X-Forwarded-Proto', 'https'],
      ['X-Forwarded-Proto', 'http'],
    ] as const;
    expect((await ask(server.port, lines, '127.0.0.1')).status).toBe(400);
  });
});

/** `wsgi.early_hints` through the whole server. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { connect, formatRequest } from '../support/client.ts';
import { KINDS, writeApp } from '../support/kinds.ts';
import { startTunicorn } from '../support/tunicorn.ts';

const PYTHON = `
import os, time

def application(environ, start_response):
    environ["wsgi.early_hints"]([("Link", "</a.css>; rel=preload; as=style")])
    while not os.path.exists(os.environ["GATE"]):
        time.sleep(0.002)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"answer"]
`;

const NODE = `
import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Application } from 'tunicorn';
const app: Application = async (environ, startResponse) => {
  environ['wsgi.early_hints']?.([['Link', '</a.css>; rel=preload; as=style']]);
  while (!existsSync(process.env.GATE ?? '')) await sleep(2);
  startResponse('200 OK', [['Content-Type', 'text/plain']]);
  return ['answer'];
};
export default app;
`;

let site = '';
beforeEach(() => {
  site = mkdtempSync(join(tmpdir(), 'early-'));
});
afterEach(() => rmSync(site, { recursive: true }));

test.each(KINDS)(
  '%s worker: the client has the hints while the application still works on its answer',
  async (kind) => {
    const app = writeApp(site, { kind, sources: { python: PYTHON, node: NODE } });
    const gate = join(site, 'gate');
    const args = ['--access-logfile', '-', app];
    await using server = await startTunicorn({ cwd: site, args, env: { GATE: gate } });
    using client = await connect({ port: server.port });
    await client.send(formatRequest('GET', '/'));
    expect(await client.read({ interim: true })).toMatchObject({
      status: 103,
      fields: [['Link', '</a.css>; rel=preload; as=style']],
    });
    writeFileSync(gate, '');
    expect(await client.read({ interim: true })).toMatchObject({ status: 200, body: Buffer.from('answer') });
    expect((await client.request('GET', '/again')).status).toBe(200);
    await server.stop();
    expect(server.log().match(/HTTP\/1\.1" 200 6/g)).toHaveLength(2);
    expect(server.log()).not.toContain('" 103');
  },
);

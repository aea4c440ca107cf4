/** The example as people start it: compiled, and as it is, on every Node that is supported. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, test } from 'vitest';
import { nodes } from '../../scripts/nodes.mjs';
import { fetchOnce, field } from '../support/client.ts';
import { cleanEnvironment, ROOT, startTunicorn } from '../support/tunicorn.ts';

const PROGRAM = fileURLToPath(new URL('../../dist/examples/heyo-ts/heyo.js', import.meta.url));

const children: ChildProcess[] = [];

afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

function run(args: string[], env: Record<string, string> = {}) {
  const child = spawn(process.execPath, args, {
    env: cleanEnvironment(env),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.push(child);
  return child;
}

/** What it says first, and its port. */
async function start(env: Record<string, string>) {
  const child = run([PROGRAM], env);
  const [text] = await once(child.stdout, 'data');
  const port = Number(/^Listening at http:\/\/127\.0\.0\.1:(\d+) /.exec(String(text))?.[1]);
  return { child, port };
}

/** Asks once, and looks at all of the answer. */
async function expectHeyo(port: number): Promise<void> {
  const answer = await fetchOnce({ port }, '/a%20b?editor=vim&x=1', {
    fields: { 'X-Editor': 'VIM', 'X-Other': 'ed' },
  });
  const lines = answer.body.toString().split('\n');
  expect(answer.status).toBe(200);
  expect(field(answer, 'Content-Type')).toBe('text/plain; charset=utf-8');
  expect(lines[0]).toBe('Heyo');
  expect(lines).toContain('PATH_INFO: /a b');
  expect(lines).toContain('HTTP_X_OTHER: ed');
  expect(lines.filter((line) => line.endsWith('  <-- vim!'))).toEqual([
    'HTTP_X_EDITOR: VIM  <-- vim!',
    'QUERY_STRING: editor=vim&x=1  <-- vim!',
    'RAW_URI: /a%20b?editor=vim&x=1  <-- vim!',
    'REQUEST_URI: /a%20b?editor=vim&x=1  <-- vim!',
  ]);
  const keys = lines.slice(1, -1).map((line) => line.slice(0, line.indexOf(': ')));
  expect(keys).toEqual([...keys].sort());
}

test('answers "Heyo" and environ, and points out vim', async () => {
  const { port } = await start({ PORT: '0' });
  await expectHeyo(port);
});

describe.each(nodes(ROOT))('on Node $major', ({ path: node }) => {
  const cwd = join(ROOT, 'examples/heyo-ts');

  // Where it strips types itself nothing has to be imported, and that it is does no harm.
  const canStrip =
    spawnSync(node, ['-p', 'process.features.typescript']).stdout.toString().trim() === 'strip';
  test.each([['--import', 'tunicorn/ts'], ...(canStrip ? [[]] : [])])(
    'node %s %s heyo.ts',
    async (...words) => {
      const flags = words.filter((word) => typeof word === 'string');
      await using server = await startTunicorn({
        command: [node, ...flags, 'heyo.ts'],
        args: [],
        cwd,
        env: { PORT: '0' },
        python: null,
        ready: 'Listening at ',
      });
      await expectHeyo(server.port);
      expect(await server.stop()).toEqual({ code: 0, signal: null });
    },
  );

  test('tunicorn heyo.ts:app', async () => {
    await using server = await startTunicorn({
      command: [node, join(ROOT, 'bin/tunicorn')],
      args: ['heyo.ts:app'],
      cwd,
      python: null,
    });
    await expectHeyo(server.port);
    expect(await server.stop()).toEqual({ code: 0, signal: null });
    expect(server.log()).toContain('Application heyo.ts:app (WSGI)');
  });
});

test.each(['SIGINT', 'SIGTERM'] as const)('%s ends it without a word', async (signal) => {
  const { child, port } = await start({ PORT: '0' });
  await fetchOnce({ port }, '/');
  let said = '';
  child.stderr.on('data', (text: Buffer) => {
    said += text;
  });
  child.kill(signal);
  const [code] = await once(child, 'close');
  expect([code, said]).toEqual([0, '']);
});

test('a port that is taken is told in a sentence', async () => {
  const { port } = await start({ PORT: '0' });
  const second = run([PROGRAM], { PORT: String(port) });
  const [text] = await once(second.stderr, 'data');
  const [code] = await once(second, 'close');
  expect([code, String(text)]).toEqual([
    1,
    `Cannot listen on *:${port}: another program listens there. Stop it, or choose another port (0 takes any free one).\n`,
  ]);
});

test('imported, it starts nothing', async () => {
  const child = run([
    '--input-type=module',
    '-e',
    `const { app } = await import(${JSON.stringify(PROGRAM)}); console.log(typeof app);`,
  ]);
  const [text] = await once(child.stdout, 'data');
  const [code] = await once(child, 'close');
  expect([code, String(text)]).toEqual([0, 'function\n']);
});

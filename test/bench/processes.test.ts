import { execFileSync, spawn } from 'node:child_process';
import { expect, test } from 'vitest';
import { packagesOf } from '../../bench/install.mjs';
import { get } from '../../bench/load/client.mjs';
import { birthOf, cpuMs, memoryOf, residentOf, treeOf } from '../../bench/processes.mjs';
import { freePort, Server } from '../../bench/server.mjs';
import { ROOT } from '../support/tunicorn.ts';

const MIB = 1024 * 1024;
const QUESTION = { bytes: get('/'), expected: Buffer.from('Hello, world!\n') };

test('the tree holds grandchildren; CPU time and memory are counted', async () => {
  const busy = 'const b = Buffer.alloc(64 << 20, 1); for (;;) b[0]++;';
  const shell = spawn('sh', ['-c', '"$0" -e "$1" & echo $!; wait', process.execPath, busy], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const pid = Number(await new Promise<Buffer>((resolve) => shell.stdout.once('data', resolve)));
  try {
    await expect.poll(() => cpuMs([pid]), { timeout: 20_000 }).toBeGreaterThan(100);
    const tree = treeOf([shell.pid ?? 0]);
    expect(tree).toEqual([shell.pid, pid]);
    await expect.poll(() => memoryOf(tree), { timeout: 20_000 }).toBeGreaterThan(64 * MIB);
    expect(residentOf(pid)).toBeGreaterThan(64 * MIB);
  } finally {
    process.kill(pid, 'SIGKILL');
    shell.kill('SIGKILL');
  }
  await expect.poll(() => birthOf(pid)).toBeNull();
});

test('the memory of a program’s file is counted once for all its processes', async () => {
  const children = [0, 1, 2].map(() => spawn('sleep', ['60'], { stdio: 'ignore' }));
  try {
    const pids = children.map((child) => child.pid ?? 0);
    await expect.poll(() => memoryOf(pids)).toBeGreaterThan(0);
    const apart = pids.reduce((sum, pid) => sum + memoryOf([pid]), 0);
    expect(memoryOf(pids)).toBeLessThan(apart);
  } finally {
    for (const child of children) child.kill('SIGKILL');
  }
});

test('a server is started, answers, and leaves no process', async () => {
  const port = await freePort();
  const command = { program: process.execPath, args: [`${ROOT}/bench/apps/node-http.mjs`, String(port)] };
  const server = new Server([command], { cwd: ROOT, env: process.env, port });
  const pids = server.pids;
  expect(await server.ready(QUESTION)).toBeGreaterThan(QUESTION.expected.length);
  await server.end();
  expect(pids.map(birthOf)).toEqual([null]);
});

test('one that ends at once, or is not there, says why', async () => {
  const options = { cwd: ROOT, env: process.env, port: await freePort() };
  const failing = {
    program: process.execPath,
    args: ['-e', 'console.error("no such app"); process.exit(1)'],
  };
  for (const [command, reason] of [
    [failing, 'it said: no such app'],
    [{ program: '/nowhere/server', args: [] }, 'ENOENT'],
  ] as const) {
    const server = new Server([command], options);
    await expect(server.ready(QUESTION)).rejects.toThrow(reason);
    await server.end();
  }
});

test('requirements without their comments', () => {
  expect(packagesOf('# a\n\ndjango~=5.2.0\ngunicorn # newest\n')).toEqual(['django~=5.2.0', 'gunicorn']);
});

test('the applications compile on the oldest Python too', () => {
  const files = ['plain', 'django_site', 'expect'].map((name) => `bench/apps/${name}.py`);
  const code =
    'import ast, sys; [ast.parse(open(name).read(), feature_version=(3, 8)) for name in sys.argv[1:]]';
  execFileSync('python3', ['-c', code, ...files], { cwd: ROOT });
});

/** Who owns what in an upgrade, whichever of the two ends first. Under load it is proved in proof/upgrade.test.ts. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, unlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { fetchOnce } from '../support/client.ts';
import { KINDS, type Sources, writeApp } from '../support/kinds.ts';
import { freePort } from '../support/port.ts';
import { isAlive, type Server, startTunicorn } from '../support/tunicorn.ts';

const BROKEN: Sources = { python: '1 / 0\n', node: 'throw new Error("broken");\n' };

const saying = (text: string): Sources => ({
  python: `def application(environ, start_response):\n    start_response("200 OK", [])\n    return [b"${text}"]\n`,
  node: `export const app = (environ, startResponse) => {\n  startResponse('200 OK', []);\n  return ['${text}'];\n};\n`,
});

describe.each(KINDS)('%s workers', (kind) => {
  let site = '';
  let extra: number[] = [];
  let app = '';
  beforeEach(() => {
    site = mkdtempSync(join(tmpdir(), 'upgrade-'));
  });
  afterEach(async () => {
    for (const pid of extra.splice(0)) await end(pid);
    extra = [];
    rmSync(site, { recursive: true });
  });

  function deploy(folder: string, text: string): void {
    mkdirSync(folder, { recursive: true });
    app = writeApp(folder, { kind, sources: text === 'broken' ? BROKEN : saying(text) });
  }

  async function end(pid: number): Promise<void> {
    if (isAlive(pid)) process.kill(pid, 'SIGTERM');
    await expect.poll(() => isAlive(pid), { timeout: 10_000 }).toBe(false);
  }

  /** Asks for an upgrade, and waits until the new one serves. @returns its pid. */
  async function upgrade(server: Server): Promise<number> {
    const before = [...server.log().matchAll(/new Tunicorn with pid (\d+) serves/g)].length;
    server.signal('SIGUSR2');
    await server.waitForLog(new RegExp(`(?:new Tunicorn with pid \\d+ serves[\\s\\S]*){${before + 1}}`));
    const pid = Number([...server.log().matchAll(/new Tunicorn with pid (\d+) serves/g)].at(-1)?.[1]);
    extra.push(pid);
    return pid;
  }

  describe('a UNIX socket', () => {
    const socket = () => join(site, 'web.sock');
    const ask = async () => String((await fetchOnce({ path: socket() }, '/')).body);
    const start = (args: readonly string[] = []) => {
      deploy(site, 'old');
      return startTunicorn({ cwd: site, args: ['-b', `unix:${socket()}`, ...args, app] });
    };

    test('stays when the upgrade fails, and when the new one is told to end', async () => {
      await using server = await start();
      deploy(site, 'broken');
      server.signal('SIGUSR2');
      await server.waitForLog('ended with status 3. This one goes on');
      expect(await ask()).toBe('old');
      deploy(site, 'new');
      await end(await upgrade(server));
      expect(await ask()).toBe('old');
    });

    test('is the new one’s when the old one ends, also before the new one is ready', async () => {
      await using server = await start(['--metrics', '127.0.0.1:0']);
      deploy(site, 'new');
      server.signal('SIGUSR2');
      await server.waitForLog('Upgrade: a new Tunicorn starts');
      server.signal('SIGTERM');
      await server.exited;
      await expect.poll(() => existsSync(socket())).toBe(true);
      expect(await ask()).toBe('new');
      const pid = Number([...server.log().matchAll(/\[(\d+)\] \[INFO\] Ready: /g)].at(-1)?.[1]);
      await end(pid);
      expect(existsSync(socket())).toBe(false);
    });
  });

  test('a folder that is a link to the newest release: the new one serves that', async () => {
    for (const name of ['first', 'second']) deploy(join(site, name), name);
    const current = join(site, 'current');
    symlinkSync('first', current);
    await using server = await startTunicorn({ cwd: current, args: [app], env: { PWD: current } });
    const ask = async () => String((await fetchOnce({ port: server.port }, '/')).body);
    expect(await ask()).toBe('first');
    unlinkSync(current);
    symlinkSync('second', current);
    await upgrade(server);
    server.signal('SIGTERM');
    await server.exited;
    expect(await ask()).toBe('second');
  });

  // The arbiter alone decides these, whatever workers it has.
  if (kind === 'python') {
    test('a metrics address that the old one still has is taken when it has gone', async () => {
      deploy(site, 'old');
      const port = await freePort();
      await using server = await startTunicorn({ cwd: site, args: ['--metrics', `127.0.0.1:${port}`, app] });
      await upgrade(server);
      server.signal('SIGTERM');
      await server.exited;
      await expect
        .poll(
          () =>
            fetchOnce({ port }, '/metrics').then(
              ({ status }) => status,
              () => 0,
            ),
          { timeout: 10_000 },
        )
        .toBe(200);
    });

    test('parked after USR2, the old one comes back by itself when the new one dies', async () => {
      deploy(site, 'old');
      const pidFile = join(site, 'pid');
      await using server = await startTunicorn({ cwd: site, args: ['--pid', pidFile, app] });
      const successor = await upgrade(server);
      expect(readFileSync(`${pidFile}.2`, 'utf8')).toBe(`${successor}\n`);
      server.signal('SIGUSR2');
      await server.waitForLog(`The upgrade was begun already: its process is ${successor}.`);
      server.signal('SIGWINCH');
      await server.waitForLog('fronts and workers finish and end');
      await expect.poll(async () => (await server.fronts()).length, { timeout: 10_000 }).toBeLessThan(2);
      process.kill(successor, 'SIGKILL');
      await server.waitForLog('The upgrade failed: fronts and workers start again');
      expect(String((await fetchOnce({ port: server.port }, '/')).body)).toBe('old');
      expect(existsSync(`${pidFile}.2`)).toBe(false);
    });
  }
});

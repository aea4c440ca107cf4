/** What systemd gives, and what it is told: with its protocol, and with its own tools where they are installed. */
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { fetchOnce } from '../support/client.ts';
import { KINDS, type Kind, type Sources, writeApp } from '../support/kinds.ts';
import { freePort } from '../support/port.ts';
import {
  cleanEnvironment,
  hasProgram,
  PYTHON,
  ROOT,
  type Server,
  startTunicorn,
} from '../support/tunicorn.ts';

/** Runs what stands in the file `code`, and answers with its `TEXT`, or with what it knows of systemd. */
const APP: Sources = {
  python: `
import os, time
time.sleep(float(os.environ.get("IMPORT_SECONDS", "0")))
with open(os.path.join(os.environ["SITE"], "code")) as file:
    exec(file.read())
def application(environ, start_response):
    start_response("200 OK", [])
    names = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "TUNICORN_UPGRADE")
    return [(" ".join(name for name in names if name in os.environ) or TEXT).encode()]
`,
  node: `
import fs from 'node:fs';
globalThis.fs = fs;
globalThis.sleep = (ms: number) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
sleep(1000 * Number(process.env.IMPORT_SECONDS ?? 0));
(0, eval)(fs.readFileSync(process.env.SITE + '/code', 'utf8'));
const NAMES = ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID', 'LISTEN_FDS', 'LISTEN_PID', 'TUNICORN_UPGRADE'];
export default (environ: unknown, startResponse: (status: string, headers: []) => void) => {
  startResponse('200 OK', []);
  return [NAMES.filter((name) => name in process.env).join(' ') || TEXT];
};
`,
};

/** An import in which all but the first worker wait for a file. */
const FIRST_ALONE: Sources = {
  python: `
try:
    open(os.environ["SITE"] + "/first", "x")
except FileExistsError:
    while not os.path.exists(os.environ["SITE"] + "/go"):
        time.sleep(0.02)
TEXT = "first"
`,
  node: `
try {
  fs.writeFileSync(process.env.SITE + '/first', '', { flag: 'wx' });
} catch {
  while (!fs.existsSync(process.env.SITE + '/go')) sleep(20);
}
TEXT = 'first';
`,
};

/** An error in both languages. */
const BROKEN = 'nobody_knows_this_name';

/** Without Python it is systemd's own tool that speaks. */
const isMute = (kind: Kind) => kind === 'node' && !hasProgram('systemd-notify');

let site = '';
/** As the command takes it. */
let app = '';
beforeEach(() => {
  site = mkdtempSync(join(tmpdir(), 'systemd-'));
  writeFileSync(join(site, 'code'), 'TEXT = "first"\n');
});
afterEach(() => rmSync(site, { recursive: true }));

interface Activation {
  readonly sockets?: readonly (readonly [name: string, address: string])[];
  readonly notify?: 'path' | 'abstract';
  readonly watchdog?: number;
}

function start(
  activation: Activation,
  {
    args = [],
    env = {},
    ready,
  }: { args?: string[]; env?: Record<string, string>; ready?: string | RegExp } = {},
): Promise<Server> {
  const program = join(ROOT, 'test/support/systemd.py');
  return startTunicorn({
    command: [PYTHON, program, JSON.stringify(activation), join(ROOT, 'bin/tunicorn')],
    cwd: site,
    args: [...args, app],
    // Named, so that no --bind of the tests' own is put in front; unset all the same.
    env: { SITE: site, ...(activation.sockets === undefined ? {} : { TUNICORN_BIND: undefined }), ...env },
    ...(ready === undefined ? {} : { ready }),
  });
}

/** What was said; where systemd's own tool says it, that waits with a BARRIER until it was read. */
const messages = (server: Server): string[] =>
  [...server.log().matchAll(/^NOTIFY (.*)$/gm)]
    .map((match) => JSON.parse(match[1] ?? '') as string)
    .filter((message) => message !== 'BARRIER=1');

async function body(server: Server): Promise<string> {
  return String((await fetchOnce({ port: server.port }, '/')).body);
}

describe.each(KINDS)('with a %s worker', (kind) => {
  beforeEach(() => {
    app = writeApp(site, { kind, sources: APP });
  });

  describe('sockets', () => {
    test('without --bind all of them are served, by their names, and no child hears of them', async () => {
      const path = join(site, 'web.sock');
      await using server = await start({
        sockets: [
          ['web', 'tcp'],
          ['local', path],
        ],
      });
      expect(server.log()).toMatch(/Listening at http:\/\/127\.0\.0\.1:\d+ \(from systemd, web\)/);
      expect(server.log()).toContain(`Listening at unix:${path} (from systemd, local)`);
      expect(await body(server)).toBe('first');
      expect(String((await fetchOnce({ path }, '/')).body)).toBe('first');
    });

    test('fd:// takes one, and one that nobody names is closed with a word', async () => {
      await using server = await start(
        {
          sockets: [
            ['web', 'tcp'],
            ['spare', 'tcp'],
          ],
        },
        { args: ['-b', 'fd://3'] },
      );
      expect(server.log()).toMatch(
        /The socket .* \(from systemd, spare\) was passed on, and no --bind names it/,
      );
      expect(server.urls()).toHaveLength(1);
      expect(await body(server)).toBe('first');
    });

    test('a datagram socket is refused', async () => {
      await using server = await start({ sockets: [['web', 'udp']] }, { ready: 'Cannot listen' });
      expect((await server.exited).code).toBe(1);
    });

    test.skipIf(!hasProgram('systemd-socket-activate'))('as systemd-socket-activate does it', async () => {
      const port = await freePort();
      const args = ['-l', `127.0.0.1:${port}`, ...['SITE', 'PATH', 'HOME'].map((name) => `--setenv=${name}`)];
      const child = spawn(
        'systemd-socket-activate',
        [...args, join(ROOT, 'bin/tunicorn'), '--python', PYTHON, app],
        {
          cwd: site,
          env: { ...cleanEnvironment(), SITE: site },
          stdio: 'ignore',
        },
      );
      const ended = new Promise((resolve) => child.once('exit', resolve));
      try {
        await expect
          .poll(
            () =>
              fetchOnce({ port }, '/').then(
                (answer) => String(answer.body),
                () => '',
              ),
            { timeout: 20_000 },
          )
          .toBe('first');
      } finally {
        child.kill('SIGTERM');
        await ended;
      }
    });
  });

  describe.skipIf(isMute(kind))('notification', () => {
    test.each(['path', 'abstract'] as const)(
      'READY only when a worker is, then STOPPING (%s)',
      async (notify) => {
        await using server = await start(
          { notify, sockets: [['web', 'tcp']] },
          { env: { IMPORT_SECONDS: '1' }, ready: /Listening/ },
        );
        expect(messages(server)).toEqual([]);
        await server.waitForLog('NOTIFY');
        expect(server.log()).toContain('Ready: 1 worker');
        expect(messages(server)).toEqual([`READY=1\nMAINPID=${server.pid}\nSTATUS=1 worker, generation 1`]);
        // The application could speak in our name.
        expect(await body(server)).toBe('first');
        server.signal('SIGTERM');
        await server.waitForLog('STOPPING');
        expect(messages(server).at(-1)).toBe('STOPPING=1');
      },
    );

    test('READY with the first of several workers, and a new status when all are ready', async () => {
      writeFileSync(join(site, 'code'), FIRST_ALONE[kind]);
      await using server = await start({ notify: 'path' }, { args: ['-w', '3'], ready: 'NOTIFY' });
      expect(messages(server)).toEqual([
        `READY=1\nMAINPID=${server.pid}\nSTATUS=1 of 3 workers, generation 1`,
      ]);
      expect(server.log()).not.toContain('Ready: ');
      expect(await body(server)).toBe('first');
      writeFileSync(join(site, 'go'), '');
      await server.waitForLog('Ready: 3 workers');
      await expect
        .poll(() => messages(server).at(-1), { timeout: 10_000 })
        .toBe('STATUS=3 workers, generation 1');
    });

    test('with 0..N READY once the front listens: broken code is found at the first request', async () => {
      writeFileSync(join(site, 'code'), BROKEN);
      await using server = await start(
        { notify: 'path' },
        { args: ['-w', '0..2', '--queue-timeout', '2'], ready: 'NOTIFY' },
      );
      expect(messages(server)).toEqual([`READY=1\nMAINPID=${server.pid}\nSTATUS=0 workers, generation 1`]);
      expect((await fetchOnce({ port: server.port }, '/')).status).toBe(503);
      expect(server.log()).toMatch(/NameError|ReferenceError/);
      writeFileSync(join(site, 'code'), 'TEXT = "mended"');
      await expect.poll(() => body(server), { timeout: 20_000 }).toBe('mended');
    });

    test('RELOADING with the time, and READY again, also when the code is broken', async () => {
      await using server = await start({ notify: 'path', sockets: [['web', 'tcp']] });
      await server.waitForLog('NOTIFY');
      for (const [code, generation] of [
        ['TEXT = "second"', 2],
        [BROKEN, 2],
      ] as const) {
        writeFileSync(join(site, 'code'), code);
        const before = messages(server).length;
        server.signal('SIGHUP');
        await expect.poll(() => messages(server).length, { timeout: 20_000 }).toBe(before + 2);
        expect(messages(server).slice(before)).toEqual([
          expect.stringMatching(/^RELOADING=1\nMONOTONIC_USEC=\d+$/),
          `READY=1\nMAINPID=${server.pid}\nSTATUS=1 worker, generation ${generation}`,
        ]);
        expect(await body(server)).toBe('second');
      }
    });

    test('WATCHDOG while the loop turns, and none while it does not', async () => {
      await using server = await start({ notify: 'path', watchdog: 6_000_000, sockets: [['web', 'tcp']] });
      const barks = () => messages(server).filter((message) => message === 'WATCHDOG=1').length;
      await expect.poll(barks, { timeout: 10_000 }).toBeGreaterThan(1);
      server.signal('SIGSTOP');
      const before = barks();
      await new Promise((resolve) => setTimeout(resolve, 4000));
      expect(barks()).toBeLessThanOrEqual(before + 1);
      server.signal('SIGCONT');
      await expect.poll(barks, { timeout: 10_000 }).toBeGreaterThan(before + 1);
    });
  });

  describe.skipIf(isMute(kind))('an upgrade', () => {
    test('takes over the sockets of systemd, says who is the main process now, and goes on with the watchdog', async () => {
      const path = join(site, 'web.sock');
      await using server = await start({
        notify: 'path',
        watchdog: 6_000_000,
        sockets: [
          ['web', 'tcp'],
          ['local', path],
        ],
      });
      const { port } = server;
      server.signal('SIGUSR2');
      await server.waitForLog(/the new Tunicorn with pid \d+ serves/);
      const successor = Number(/the new Tunicorn with pid (\d+) serves/.exec(server.log())?.[1]);
      try {
        await expect
          .poll(() => messages(server), { timeout: 10_000 })
          .toContain(`READY=1\nMAINPID=${successor}\nSTATUS=1 worker, generation 1`);
        server.signal('SIGTERM');
        await server.exited;
        expect(String((await fetchOnce({ port }, '/')).body)).toBe('first');
        expect(String((await fetchOnce({ path }, '/')).body)).toBe('first');
        expect(messages(server)).not.toContain('STOPPING=1');
      } finally {
        process.kill(successor, 'SIGTERM');
      }
    });

    test('the old one speaks again, and owns its sockets and files, when the new one dies', async () => {
      const pidFile = join(site, 'pid');
      await using server = await start(
        { notify: 'path' },
        { args: ['-b', `unix:${join(site, 'own.sock')}`, '--pid', pidFile] },
      );
      server.signal('SIGUSR2');
      await server.waitForLog(/the new Tunicorn with pid \d+ serves/);
      const successor = Number(/the new Tunicorn with pid (\d+) serves/.exec(server.log())?.[1]);
      expect(readFileSync(`${pidFile}.2`, 'utf8')).toBe(`${successor}\n`);
      const before = messages(server).length;
      process.kill(successor, 'SIGKILL');
      await expect
        .poll(() => messages(server).slice(before), { timeout: 10_000 })
        .toContain(`READY=1\nMAINPID=${server.pid}\nSTATUS=1 worker, generation 1`);
      expect(() => readFileSync(`${pidFile}.2`)).toThrow('ENOENT');
      const path = join(site, 'own.sock');
      await expect
        .poll(() =>
          fetchOnce({ path }, '/').then(
            (answer) => answer.status,
            () => 0,
          ),
        )
        .toBe(200);
      server.signal('SIGTERM');
      await server.exited;
      expect(() => readFileSync(path)).toThrow('ENOENT');
      expect(() => readFileSync(pidFile)).toThrow('ENOENT');
    });
  });
});

test.skipIf(!hasProgram('systemd-analyze'))('the example is a unit that systemd understands', () => {
  const folder = join(ROOT, 'examples/systemd');
  for (const name of ['mysite.service', 'mysite.socket']) {
    const text = readFileSync(join(folder, name), 'utf8').replaceAll(
      '/srv/tunicorn',
      ROOT.replace(/\/$/, ''),
    );
    writeFileSync(join(site, name), text);
  }
  const units = ['mysite.service', 'mysite.socket'].map((name) => join(site, name));
  const said = execFileSync('systemd-analyze', ['verify', ...units], { stdio: 'pipe' }).toString();
  expect(said).toBe('');
});

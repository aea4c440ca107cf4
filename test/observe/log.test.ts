import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, fstatSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { UserError } from '../../src/errors.ts';
import { createLogger, formatEntry, LOG_LEVELS, openLogFile, zoneOffset } from '../../src/observe/log.ts';

const folder = mkdtempSync(join(tmpdir(), 'tunicorn-log-'));
afterAll(() => rmSync(folder, { recursive: true }));

let files = 0;

function logged(
  write: (log: ReturnType<typeof createLogger>) => void,
  level: (typeof LOG_LEVELS)[number] = 'info',
) {
  files += 1;
  const path = join(folder, `${files}.log`);
  const fd = openLogFile(path);
  write(createLogger({ fd, level }));
  closeSync(fd);
  return readFileSync(path, 'utf8');
}

describe('createLogger', () => {
  it("writes gunicorn's lines", () => {
    expect(logged((log) => log.info('Listening'))).toMatch(
      new RegExp(
        `^\\[\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d [+-]\\d{4}\\] \\[${process.pid}\\] \\[INFO\\] Listening\\n$`,
      ),
    );
  });

  it.each(LOG_LEVELS)('writes %s and what is graver', (level) => {
    const text = logged((log) => {
      for (const each of LOG_LEVELS) log[each](each);
    }, level);
    const names = [...text.matchAll(/\] \[([A-Z]+)\] (\w+)/g)].map(([, shown, name]) => `${shown} ${name}`);
    expect(names).toEqual(
      LOG_LEVELS.slice(LOG_LEVELS.indexOf(level)).map((each) => `${each.toUpperCase()} ${each}`),
    );
  });

  it('names its descriptor for children', () => {
    expect(createLogger({ fd: 2, level: 'info' }).fd).toBe(2);
  });

  it('keeps texts of several lines together', () => {
    expect(logged((log) => log.error('Traceback:\n\tline 1\n'))).toMatch(/\[ERROR\] Traceback:\n\tline 1\n$/);
  });

  it('never throws, also when nobody can read any more', () => {
    const fd = openSync(join(folder, 'closed'), 'a');
    const log = createLogger({ fd, level: 'info' });
    closeSync(fd);
    expect(() => log.info('x')).not.toThrow();
    expect(() => log.info('x')).not.toThrow();
  });

  it('never throws when the disk is full', () => {
    const fd = openSync('/dev/full', 'w');
    const log = createLogger({ fd, level: 'info' });
    const started = performance.now();
    for (let i = 0; i < 100; i += 1) expect(() => log.info('x')).not.toThrow();
    closeSync(fd);
    expect(performance.now() - started).toBeLessThan(20_000);
  });
});

/**
 * Python makes what Node cannot: a pipe, non-blocking at its writing end, of which the test decides when it is
 * read. `slow`: a moment late. `stopped`: only after the writer said so on standard error; when the pipe is
 * empty again the writer is told on standard input. `gone`: never.
 */
const PIPE = `
import os, select, subprocess, sys, time
mode = os.environ["MODE"]
reader, writer = os.pipe()
os.set_blocking(writer, False)
child = subprocess.Popen(sys.argv[1:], stdout=writer, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
os.close(writer)
if mode == "gone":
    os.close(reader)
    child.stdin.close()
    sys.exit(child.wait())
if mode == "stopped":
    child.stderr.readline()
    while select.select([reader], [], [], 0)[0]:
        os.write(1, os.read(reader, 65536))
    child.stdin.close()
else:
    time.sleep(0.3)
while True:
    part = os.read(reader, 65536)
    if not part:
        break
    os.write(1, part)
sys.exit(child.wait())
`;

function throughPipe(mode: 'slow' | 'stopped' | 'gone', script: string): string {
  const source = new URL('../../dist/observe/log.js', import.meta.url).href;
  const code = `import { readFileSync } from 'node:fs'; import { createLogger } from '${source}'; const log = createLogger({ fd: 1, level: 'info' });\n${script}`;
  return execFileSync('python3', ['-c', PIPE, process.execPath, '--input-type=module', '-e', code], {
    env: { ...process.env, MODE: mode },
    encoding: 'utf8',
    maxBuffer: 1 << 26,
    timeout: 30_000,
  });
}

describe('createLogger on a non-blocking pipe', () => {
  it('writes long entries whole, though the reader is slow', () => {
    const text = throughPipe(
      'slow',
      `for (let i = 0; i < 20; i += 1) log.info(i + ' ' + 'x'.repeat(100_000));`,
    );
    const lines = text.trimEnd().split('\n');
    expect(lines.map((line) => / \[INFO\] (\d+) x{100000}$/.exec(line)?.[1])).toEqual(
      Array.from({ length: 20 }, (_, i) => String(i)),
    );
  });

  it('is not held for ever by a reader that has stopped, and tells later how much is missing', () => {
    const text = throughPipe(
      'stopped',
      `const started = performance.now();
       for (let i = 0; i < 500; i += 1) log.info('x'.repeat(1000));
       if (performance.now() - started > 15_000) process.exit(9);
       process.stderr.write('full\\n');
       readFileSync(0);
       log.info('afterwards');`,
    );
    const lines = text.trimEnd().split('\n');
    const told = lines.findIndex((line) =>
      / \[WARNING\] The reader of this log was too slow: \d+ entries are missing here$/.test(line),
    );
    const missing = Number(/(\d+) entries/.exec(lines[told] ?? '')?.[1]);
    const whole = lines.filter((line) => / \[INFO\] x{1000}$/.test(line)).length;
    expect(whole + missing).toBe(500);
    expect(told).toBe(lines.length - 2);
    expect(lines.at(-1)).toMatch(/\[INFO\] afterwards$/);
  });

  it('goes on without a reader', () => {
    const script = 'readFileSync(0); for (let i = 0; i < 1000; i += 1) log.info("x"); process.exit(0);';
    expect(() => throughPipe('gone', script)).not.toThrow();
  });
});

describe('formatEntry', () => {
  it('shows local time with its offset', async () => {
    const code = `import { formatEntry } from '${new URL('../../dist/observe/log.js', import.meta.url).href}';
      process.stdout.write(formatEntry('info', 'x', new Date('2026-11-22T22:48:38Z')));`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', code], {
      env: { ...process.env, TZ: 'Asia/Kolkata' },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    child.stdout.setEncoding('utf8');
    let text = '';
    child.stdout.on('data', (part) => {
      text += part;
    });
    await once(child, 'close');
    expect(text).toBe(`[2026-11-23 04:18:38 +0530] [${child.pid}] [INFO] x\n`);
  });

  it('makes controls visible, so that no text can speak to the terminal', () => {
    expect(formatEntry('info', 'a\x1b[2Jb\rc\0d\x9be', new Date())).toMatch(
      /a\\x1b\[2Jb\\x0dc\\x00d\\x9be\n$/,
    );
  });
});

describe('zoneOffset', () => {
  it.each([
    [0, '+0000'],
    [-330, '+0530'],
    [210, '-0330'],
    [-60, '+0100'],
  ])('writes %i minutes as %s', (minutes, text) => {
    const date = new Date();
    date.getTimezoneOffset = () => minutes;
    expect(zoneOffset(date)).toBe(text);
  });
});

describe('openLogFile', () => {
  it('takes - for the standard streams', () => {
    const same = (fd: number, standard: number) => fstatSync(fd).ino === fstatSync(standard).ino;
    expect([same(openLogFile('-'), 2), same(openLogFile('-', 1), 1)]).toEqual([true, true]);
  });

  it('appends', () => {
    const path = join(folder, 'append.log');
    for (const text of ['one', 'two']) {
      const fd = openLogFile(path);
      createLogger({ fd, level: 'info' }).info(text);
      closeSync(fd);
    }
    expect(readFileSync(path, 'utf8').split('\n')).toHaveLength(3);
  });

  it.each([
    ['nowhere/x.log', 'its folder does not exist'],
    ['.', 'it is a folder'],
    ['append.log/x', 'a part of its path is not a folder'],
  ])('says why %s cannot be written, and what to do', (name, reason) => {
    expect(() => openLogFile(join(folder, name))).toThrow(UserError);
    expect(() => openLogFile(join(folder, name))).toThrow(`${reason}. Name a file in a folder that exists`);
  });
});

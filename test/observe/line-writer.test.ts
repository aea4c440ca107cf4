import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { LineWriter } from '../../src/observe/line-writer.ts';

const folder = mkdtempSync(join(tmpdir(), 'tunicorn-lines-'));
afterAll(() => rmSync(folder, { recursive: true }));

describe('LineWriter', () => {
  it('writes lines in order, over many turns', async () => {
    const path = join(folder, 'order');
    const fd = openSync(path, 'a');
    const writer = new LineWriter({ fd });
    const expected: string[] = [];
    for (let turn = 0; turn < 50; turn += 1) {
      for (let i = 0; i < 20; i += 1) {
        expected.push(`${turn} ${i}`);
        writer.write(`${turn} ${i}`);
      }
      if (turn % 7 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await writer.flush();
    closeSync(fd);
    expect(readFileSync(path, 'utf8')).toBe(`${expected.join('\n')}\n`);
  });

  it('does not write within the turn, and flushes at once when there is nothing', async () => {
    const path = join(folder, 'turn');
    const fd = openSync(path, 'a');
    const writer = new LineWriter({ fd });
    await writer.flush();
    writer.write('x');
    expect(readFileSync(path, 'utf8')).toBe('');
    await writer.flush();
    expect(readFileSync(path, 'utf8')).toBe('x\n');
    closeSync(fd);
  });

  it('holds no more than its limit, and tells how many lines were lost', async () => {
    const path = join(folder, 'limit');
    const fd = openSync(path, 'a');
    const lost: number[] = [];
    const writer = new LineWriter({ fd, limitChars: 100, onLost: (lines) => lost.push(lines) });
    for (let i = 0; i < 100; i += 1) writer.write('123456789');
    await writer.flush();
    expect(readFileSync(path, 'utf8').split('\n').length - 1 + (lost[0] ?? 0)).toBe(100);
    expect(lost).toHaveLength(1);
    for (let i = 0; i < 5; i += 1) writer.write('afterwards');
    await writer.flush();
    expect(readFileSync(path, 'utf8').match(/afterwards/g)).toHaveLength(5);
    closeSync(fd);
  });

  it('counts what a full disk refuses', async () => {
    const fd = openSync('/dev/full', 'w');
    const lost: number[] = [];
    const writer = new LineWriter({ fd, onLost: (lines) => lost.push(lines) });
    writer.write('one');
    writer.write('two');
    await writer.flush();
    closeSync(fd);
    expect(lost).toEqual([2]);
  });

  it('falls silent when its reader is gone', async () => {
    const fd = openSync(join(folder, 'closed'), 'a');
    closeSync(fd);
    const writer = new LineWriter({ fd });
    writer.write('x');
    await writer.flush();
    writer.write('y');
    await writer.flush();
  });

  it('waits for a slow reader of a non-blocking pipe, without holding the event loop', () => {
    const source = new URL('../../dist/observe/line-writer.js', import.meta.url).href;
    const code = `
      import { LineWriter } from '${source}';
      const writer = new LineWriter({ fd: 1 });
      for (let i = 0; i < 5000; i += 1) writer.write(i + ' ' + 'x'.repeat(100));
      let turns = 0;
      const timer = setInterval(() => { turns += 1; }, 1);
      await writer.flush();
      clearInterval(timer);
      if (turns < 10) process.exit(9);`;
    const pipe = `
import os, subprocess, sys, time
reader, writer = os.pipe()
os.set_blocking(writer, False)
child = subprocess.Popen(sys.argv[1:], stdout=writer)
os.close(writer)
time.sleep(0.8)
while True:
    part = os.read(reader, 65536)
    if not part: break
    os.write(1, part)
sys.exit(child.wait())`;
    const text = execFileSync('python3', ['-c', pipe, process.execPath, '--input-type=module', '-e', code], {
      encoding: 'utf8',
      maxBuffer: 1 << 24,
      timeout: 30_000,
    });
    const lines = text.trimEnd().split('\n');
    expect(lines.map((line) => Number(line.split(' ')[0]))).toEqual(
      Array.from({ length: 5000 }, (_, i) => i),
    );
  });
});

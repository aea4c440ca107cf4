/** Signals in the application's C code: which orders bring them, and what bears them. */
import { execFileSync } from 'node:child_process';
import { closeSync, existsSync, constants as files, openSync, readFileSync, writeSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { encodeFrame, KIND } from '../../src/gateway/frames.ts';
import { buildExtension } from '../support/extension.ts';
import { pythons } from '../support/python.ts';
import { type Connection, Harness, type Options, requestFrame } from './harness.ts';

const app = readFileSync(join(import.meta.dirname, 'eintr.py'), 'utf8');
const TIMEOUT = { timeout: 20_000, interval: 5 };
const RECALL = encodeFrame({ kind: KIND.RECALL, id: 0, head: 'lane\u00000' });

let open: Harness[] = [];
afterEach(async () => {
  for (const harness of open.splice(0)) await harness.close();
});

function count(control: Connection, kind: number): number {
  return control.frames.all.filter((frame) => frame.kind === kind).length;
}

/** Sends an order, and waits until the worker has answered it. */
async function ordered(control: Connection, order: Buffer, answer: number): Promise<void> {
  const before = count(control, answer);
  control.write(order);
  await expect.poll(() => count(control, answer), TIMEOUT).toBeGreaterThan(before);
}

const recall = (control: Connection): Promise<void> => ordered(control, RECALL, KIND.RECALLED);
const dump = (control: Connection): Promise<void> =>
  ordered(control, encodeFrame({ kind: KIND.DUMP, id: 0 }), KIND.STACK);

/** Opened for both, which waits for no reader: the application may have gone on already. */
function fill(pipe: string): void {
  const descriptor = openSync(pipe, files.O_RDWR);
  writeSync(descriptor, 'word\n');
  closeSync(descriptor);
}

/** Whether the worker's main thread waits for something. */
function sleeps(pid: number): boolean {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return stat.slice(stat.lastIndexOf(')') + 2).startsWith('S');
}

describe.each(pythons())('Python $version', ({ path: python }) => {
  const extension = buildExtension(python, join(import.meta.dirname, 'fragile.c'));
  const why = extension.why === '' ? '' : ` (skipped: ${extension.why})`;

  async function start(options: Options['start'] = {}) {
    const harness = await Harness.open({
      app,
      python,
      start: { pythonpath: [extension.folder ?? ''], ...options },
    });
    open = [...open, harness];
    const control = await harness.control();
    return { harness, control, lane: await harness.lane(0) };
  }

  /** A request whose application waits for a pipe; `release` writes into it. */
  async function wait(harness: Harness, { id, path }: { readonly id: number; readonly path: string }) {
    const pipe = join(harness.folder, `pipe-${id}`);
    execFileSync('mkfifo', [pipe]);
    const lane = await harness.lane(0);
    lane.write(requestFrame(id, { path, environ: { HTTP_X_PIPE: pipe } }));
    await expect.poll(() => existsSync(`${pipe}.begun`) && sleeps(harness.pid), TIMEOUT).toBe(true);
    return {
      release: () => fill(pipe),
      answer: async () => String((await lane.answer(id)).body),
    };
  }

  describe.skipIf(extension.folder === null)(`a read that is not repeated at EINTR${why}`, () => {
    test('sees none of what comes over the lane', async () => {
      const { harness, lane } = await start();
      const { release, answer } = await wait(harness, { id: 1, path: '/read' });
      lane.write(requestFrame(2, { path: '/quick' }), encodeFrame({ kind: KIND.PING, id: 0 }));
      lane.write(requestFrame(3, { path: '/quick' }));
      release();
      expect(await answer()).toBe('read');
      await lane.answer(3);
    });

    test('sees none of DRAIN, which comes when the lane is empty', async () => {
      const { harness } = await start();
      const { release, answer } = await wait(harness, { id: 1, path: '/read' });
      release();
      expect(await answer()).toBe('read');
      await harness.order(KIND.DRAIN);
      expect(await harness.exit).toEqual({ code: 0, signal: null });
    });

    test.each(['RECALL', 'DUMP'] as const)('sees one of %s', async (order) => {
      const { harness, control } = await start();
      const once = await wait(harness, { id: 1, path: '/read' });
      await (order === 'DUMP' ? dump : recall)(control);
      // It gave up by itself.
      expect(await once.answer()).toBe('EINTR');
      const { release, answer } = await wait(harness, { id: 2, path: '/reads' });
      for (let i = 0; i < 3; i++) {
        // It has to be back in its read: a signal before that interrupts nothing.
        await expect.poll(() => sleeps(harness.pid), TIMEOUT).toBe(true);
        await (order === 'DUMP' ? dump : recall)(control);
      }
      release();
      expect(await answer()).toBe('3');
    });

    test('sees none of any order with --control thread', async () => {
      const { harness, control } = await start({ control: 'thread' });
      const { release, answer } = await wait(harness, { id: 1, path: '/read' });
      control.write(encodeFrame({ kind: KIND.ABANDON, id: 99 }), encodeFrame({ kind: KIND.REOPEN, id: 0 }));
      await recall(control);
      for (let i = 0; i < 3; i++) await dump(control);
      release();
      expect(await answer()).toBe('read');
    });

    test('sees none of any order with several lanes', async () => {
      const { harness, control } = await start({ threads: 2 });
      const { release, answer } = await wait(harness, { id: 1, path: '/read' });
      await recall(control);
      for (let i = 0; i < 3; i++) await dump(control);
      release();
      expect(await answer()).toBe('read');
    });
  });

  describe.skipIf(extension.folder === null)(`a program that the application runs${why}`, () => {
    test.each([
      ['/child', "[3, 'word\\n', 'aside\\n']"],
      ['/waits', '4'],
    ])('%s ends as if no signal had come', async (path, expected) => {
      const { harness, control } = await start();
      const { release, answer } = await wait(harness, { id: 1, path });
      for (let i = 0; i < 20; i++) await (i % 2 === 0 ? dump : recall)(control);
      release();
      expect(await answer()).toBe(expected);
    });

    test.each(['signal', 'thread'] as const)('has SIGIO neither blocked nor ignored: %s', async (how) => {
      const { harness } = await start({ control: how });
      const masks = String((await harness.ask({ path: '/inherits' })).body);
      const sigio = 1n << BigInt(constants.signals.SIGIO - 1);
      const set = [...masks.matchAll(/(SigBlk|SigIgn) (\w+)/g)].map(
        ([, name, mask]) => [name, (BigInt(`0x${mask}`) & sigio) !== 0n] as const,
      );
      expect(set).toEqual([
        ['SigBlk', false],
        ['SigIgn', false],
      ]);
    });
  });
});

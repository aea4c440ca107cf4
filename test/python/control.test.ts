/** Orders to a worker in the middle of a request: where is it, and let go of it. */
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { encodeFrame, FLAG, type Frame, KIND } from '../../src/gateway/frames.ts';
import { dumpStacks } from '../../src/stack-file.ts';
import { pythons } from '../support/python.ts';
import { Harness, type Options, requestFrame } from './harness.ts';

const app = readFileSync(join(import.meta.dirname, 'stuck.py'), 'utf8');
const TIMEOUT = { timeout: 20_000, interval: 5 };

let open: Harness[] = [];
afterEach(async () => {
  for (const harness of open.splice(0)) await harness.close();
});

async function ready(options: Options): Promise<Harness> {
  const harness = await Harness.open({ app, ...options });
  open = [...open, harness];
  await harness.control();
  return harness;
}

let ids = 1;

/** Sends a request and waits until the application is in it. */
async function stick(harness: Harness, place: string, lane = 0) {
  const id = ids++;
  const gate = join(harness.folder, `gate-${id}`);
  const connection = await harness.lane(lane);
  connection.write(requestFrame(id, { path: `/${place}`, environ: { HTTP_X_GATE: gate } }));
  await expect.poll(() => existsSync(`${gate}.begun`), TIMEOUT).toBe(true);
  // It says that it is about to be stuck, since it cannot say so afterwards.
  if (place !== 'in_c')
    await expect.poll(async () => (await dump(harness, id)).text, TIMEOUT).toContain(`in ${place}`);
  return { id, answer: () => connection.answer(id) };
}

/** The answer to DUMP: its head and its text. */
async function dump(harness: Harness, id: number): Promise<{ head: string; text: string }> {
  const control = await harness.control();
  const stacks = (): Frame[] =>
    control.frames.all.filter((frame) => frame.kind === KIND.STACK && frame.id === id);
  const before = stacks().length;
  control.write(encodeFrame({ kind: KIND.DUMP, id }));
  await expect.poll(() => stacks().length, TIMEOUT).toBeGreaterThan(before);
  const frame = stacks()[before];
  return { head: frame?.head.replaceAll('\0', ' ') ?? '', text: frame?.body.toString() ?? '' };
}

async function interrupt(harness: Harness, id: number): Promise<void> {
  (await harness.control()).write(encodeFrame({ kind: KIND.INTERRUPT, id }));
}

describe.each(pythons())('Python $version', ({ path }) => {
  const start = (threads: number, options: Options = {}) =>
    ready({ ...options, python: path, start: { threads } });

  describe.each([1, 3])('%d lane(s)', (threads) => {
    const lane = threads - 1;

    test.each(['busy', 'asleep', 'in_recv', 'in_lock'])('DUMP tells where it is: %s', async (place) => {
      const harness = await start(threads);
      const { id } = await stick(harness, place, lane);
      const { head, text } = await dump(harness, id);
      expect(head).toBe(`thread lane-${lane}`);
      expect(text).toMatch(new RegExp(`in application\\n.*PLACES\\[name\\]\\(\\)\\n.*in ${place}\\n`));
      // Nothing of ours: neither the way to the application nor the handler.
      expect(text).not.toContain('control.py');
      expect(text).not.toContain('lane.py');
      expect(text.trimEnd().split('\n').at(-1)).not.toContain('File');
    });

    test('DUMP of a request that does not run, and of all threads', async () => {
      const harness = await start(threads);
      expect(await dump(harness, 4711)).toEqual({ head: '', text: '' });
      await stick(harness, 'asleep', lane);
      const { text } = await dump(harness, 0);
      expect(text).toContain('(GET /asleep):\n');
      expect(text).toContain('in asleep\n');
      if (threads > 1) expect(text).toContain('Thread lane-0 (no request)');
    });

    test.each(threads === 1 ? ['busy', 'asleep', 'in_recv', 'in_lock', 'in_regex'] : ['busy'])(
      'INTERRUPT ends it: %s',
      async (place) => {
        const harness = await start(threads);
        const { id, answer } = await stick(harness, place, lane);
        await interrupt(harness, id);
        const { failed } = await answer();
        expect(failed).toMatchObject({ error: 'RequestTimeout' });
        expect(failed?.traceback).toContain(`in ${place}`);
        // The lane and its siblings are whole.
        for (let each = 0; each < threads; each++)
          expect(`${(await harness.ask({ path: '/well' }, each)).body}`).toBe('well');
        expect(harness.errorLog).toBe('');
      },
    );

    test('INTERRUPT of another request changes nothing', async () => {
      const harness = await start(threads);
      const { id } = await stick(harness, 'asleep', lane);
      await interrupt(harness, id + 1000);
      expect((await dump(harness, id)).text).toContain('in asleep');
    });

    test('who catches everything goes on', async () => {
      const harness = await start(threads);
      if (threads > 1) return; // A thread asleep hears nothing until it wakes.
      const { id, answer } = await stick(harness, 'catching', lane);
      await interrupt(harness, id);
      expect((await answer()).failed).toBeNull();
    });

    test('interrupts at any moment tear no frame, lose no answer and hit no other request', async () => {
      const harness = await start(threads);
      const control = await harness.control();
      let interrupted = 0;
      // Until it has struck often enough.
      for (let round = 0; round < 100 || (interrupted < 15 && round < 3000); round++) {
        const wave = await Promise.all(
          Array.from({ length: threads }, async (_, each) => {
            const connection = await harness.lane(each);
            const id = ids++;
            const path = round % 2 === 0 ? '/stream' : '/short';
            connection.write(requestFrame(id, { path }), requestFrame(id + 1_000_000, { path: '/after' }));
            return { connection, id, path };
          }),
        );
        // At the beginning, somewhere in it, or when it is over.
        const turns = round % 7;
        for (let turn = 0; turn < turns; turn++) await new Promise(setImmediate);
        if (round % 5 === 0) await sleep(1);
        for (const { id } of wave) control.write(encodeFrame({ kind: KIND.INTERRUPT, id }));
        for (const { connection, id, path } of wave) {
          const after = await connection.answer(id + 1_000_000);
          expect(`${after.body}`).toBe('after');
          const frames = connection.frames.all.filter((frame) => frame.id === id);
          if (isWhole(frames)) continue;
          interrupted++;
          // In a thread it may come when the end has been noted and not been sent: then nothing follows.
          if (threads === 1) expect(frames.at(-1)?.kind).toBe(KIND.FAILED);
          expect(frames.filter((frame) => frame.kind === KIND.FAILED).length).toBeLessThanOrEqual(1);
          expect(path).toMatch(/stream|short/);
        }
      }
      expect(interrupted).toBeGreaterThanOrEqual(15);
      expect(harness.errorLog).toBe('');
    });
  });

  test('SIGURG writes every stack, also while a C call holds the interpreter', async () => {
    const harness = await ready({
      python: path,
      start: (folder) => ({ stackFile: join(folder, 'stack-1') }),
    });
    const { stackFile } = harness.start;
    await stick(harness, 'in_c');
    let text = '';
    const look = async () => {
      text = await dumpStacks(harness.pid, stackFile);
      return text;
    };
    await expect.poll(look, TIMEOUT).toMatch(/line \d+ in in_c/);
    expect(text).toMatch(/line \d+ in application/);
    // Once more: only what is new.
    expect((await dumpStacks(harness.pid, stackFile)).match(/in in_c/g)?.length).toBe(1);
  });

  test('an application with a SIGIO handler of its own is heard by a thread', async () => {
    const harness = await start(1);
    await harness.ask({ path: '/own_sigio' });
    const { id } = await stick(harness, 'asleep');
    expect((await dump(harness, id)).text).toContain('in asleep');
    expect(harness.errorLog).toContain('The application uses SIGIO');
  });

  test.each(['DUMP', 'DRAIN'] as const)(
    '%s is heard by an idle worker whose signal was lost',
    async (order) => {
      const harness = await start(1);
      await harness.ask({ path: '/no_signals' });
      if (order === 'DUMP') {
        expect((await dump(harness, 0)).text).toContain('no request');
        return;
      }
      await harness.order(KIND.DRAIN);
      expect(await harness.exit).toEqual({ code: 0, signal: null });
    },
  );

  test('REOPEN: what is logged later goes to the new file', async () => {
    const harness = await Harness.open({
      app,
      python: path,
      start: (folder) => ({ errorLogfile: join(folder, 'error.log') }),
    });
    open = [...open, harness];
    await harness.control();
    await harness.ask({ path: '/print' });
    expect(harness.errorLog).toBe('to the log\n');
    renameSync(join(harness.folder, 'error.log'), join(harness.folder, 'error.log.1'));
    await harness.order(KIND.REOPEN);
    await expect.poll(() => existsSync(join(harness.folder, 'error.log')), TIMEOUT).toBe(true);
    await harness.ask({ path: '/print' });
    expect(harness.errorLog).toBe('to the log\n');
    expect(readFileSync(join(harness.folder, 'error.log.1'), 'utf8')).toBe('to the log\n');
    // What cannot be opened leaves the old one in use.
    renameSync(join(harness.folder, 'error.log'), join(harness.folder, 'error.log.2'));
    mkdirSync(join(harness.folder, 'error.log'));
    await harness.order(KIND.REOPEN);
    const old = () => readFileSync(join(harness.folder, 'error.log.2'), 'utf8');
    await expect.poll(old, TIMEOUT).toMatch(/Cannot reopen the log .*error\.log: Is a directory/);
  });
});

function isWhole(frames: readonly Frame[]): boolean {
  const last = frames.at(-1);
  return last !== undefined && last.kind !== KIND.FAILED && (last.flags & FLAG.LAST) !== 0;
}

/** Answers that are files, as the Python worker offers them to the front, on every CPython of this machine. */
import {
  closeSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  truncateSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { readOffer } from '../../src/front/worker-file.ts';
import { encodeFrame, FLAG, type Frame, KIND } from '../../src/gateway/frames.ts';
import { python, pythons } from '../support/python.ts';
import { type Connection, Harness, requestFrame } from './harness.ts';

const app = readFileSync(join(import.meta.dirname, 'files.py'), 'utf8');
const CONTENT = Buffer.from(Array.from({ length: 256 * 800 }, (_, i) => i & 255));
const TIMEOUT = { timeout: 20_000 };

/** The bytes that a FILE frame offers, read as the front does: by the worker's descriptor. */
function offered(frame: Frame | undefined, pid: number): Buffer {
  const offer = readOffer(frame?.body ?? Buffer.alloc(0));
  if (offer === null) throw new Error('There is no offer.');
  const bytes = Buffer.alloc(offer.length + 1);
  const fd = openSync(`/proc/${pid}/fd/${offer.fd}`, 'r');
  const count = readSync(fd, bytes, 0, bytes.length, offer.offset);
  closeSync(fd);
  return bytes.subarray(0, count);
}

/** OPENED; `refused` as the front says it. */
function opened(id: number, refused = ''): Buffer {
  return encodeFrame({ kind: KIND.OPENED, id, head: refused === '' ? '' : `refused\0${refused}` });
}

function isWhole(frame: Frame | undefined): boolean {
  return frame?.kind === KIND.FILE && frame.flags === FLAG.LAST;
}

/** How often the worker has the file of this name open. */
function openCount(pid: number, name = '/content'): number {
  return readdirSync(`/proc/${pid}/fd`).filter((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`).endsWith(name);
    } catch {
      return false;
    }
  }).length;
}

describe.each(pythons())('Python $version', ({ path }) => {
  let worker: Harness;
  let lane: Connection;
  let ids = 1000;

  beforeAll(async () => {
    worker = await Harness.ready({ app, python: path });
    lane = await worker.lane();
  });
  afterAll(() => worker.close());

  const ask = async (name: string, query = '', method = 'GET') => {
    const id = ids++;
    lane.write(requestFrame(id, { method, path: `/${name}`, environ: { QUERY_STRING: query } }));
    return { id, answer: await lane.answer(id) };
  };
  const events = async () => JSON.parse(`${(await ask('events')).answer.body}`) as string[];

  test.each([
    ['raw', CONTENT],
    ['buffered', CONTENT],
    ['random', CONTENT],
    ['positioned', CONTENT.subarray(1000)],
    ['last', CONTENT.subarray(-1)],
    ['named', CONTENT],
    ['unlinked', CONTENT],
    ['changed', Buffer.concat([Buffer.from('ANGED'), CONTENT.subarray(7)])],
    ['proxy', CONTENT],
    ['begun', CONTENT.subarray(256 * 1024)],
  ])('%s: the front is offered what is left of it', async (name, content) => {
    const { id, answer } = await ask(name);
    if (content.length === 0) return expect(answer.frames[0]?.kind).toBe(KIND.RESPONSE);
    expect(answer.frames.map(isWhole)).toEqual([true]);
    expect(answer.frames[0]?.head.split('\0')).toEqual([
      '200 OK',
      'Content-Type',
      'application/x-test',
      'X-Name',
      name,
    ]);
    expect(offered(answer.frames[0], worker.pid).equals(content)).toBe(true);
    lane.write(opened(id));
    return undefined;
  });

  test.each([
    ['gzip', CONTENT],
    ['zip', CONTENT],
    ['memory', 'in memory'],
    ['spooled', CONTENT],
    ['upper', 'PLAIN TEXT'],
    ['upper-raw', 'PLAIN TEXT'],
    ['wrapped', 'alp'],
    ['own-read', ''],
    ['pipe', 'from a pipe'],
    ['socket', 'from a socket'],
    ['proc', /^\S+\n$/],
    ['sys', /^.*\n$/],
    ['device', ''],
    ['empty', ''],
    ['at-end', ''],
    ['past-end', ''],
    ['middleware', CONTENT],
    ['written', 'before plain text'],
  ])('%s: is read by the worker', async (name, content) => {
    const { answer } = await ask(name);
    expect([answer.failed, answer.frames[0]?.kind]).toEqual([null, KIND.RESPONSE]);
    if (content instanceof RegExp) expect(`${answer.body}`).toMatch(content);
    else if (name === 'wrapped') expect(`${answer.body}`).toHaveLength('plain text'.length);
    else expect(answer.body.equals(Buffer.from(content))).toBe(true);
  });

  test.each([
    ['text', 'AssertionError'],
    ['closed', 'ValueError'],
    ['detached', 'ValueError'],
    ['failing', 'RuntimeError'],
    ['write-only', 'UnsupportedOperation'],
    ['silent', 'AssertionError'],
  ])('%s: fails as it would without a front', async (name, error) => {
    const { answer } = await ask(name);
    expect(answer.failed?.error).toBe(error);
  });

  test.each([
    ['buffered', CONTENT.length],
    ['buffered', 10],
    ['positioned', CONTENT.length - 1000],
  ])('%s with a Content-Length of %d is offered', async (name, length) => {
    const { id, answer } = await ask(name, `length=${length}`);
    expect(answer.frames.map(isWhole)).toEqual([true]);
    expect(answer.frames[0]?.head).toContain(`Content-Length\x00${length}`);
    lane.write(opened(id));
  });

  test('more than there is cannot be promised: then it is read, and the front sees the end', async () => {
    const { answer } = await ask('buffered', `length=${CONTENT.length + 1}`);
    expect(answer.frames[0]?.kind).toBe(KIND.RESPONSE);
    expect(answer.body.equals(CONTENT)).toBe(true);
  });

  test('the application closes its file at once, and once; the worker has it until the front says OPENED', async () => {
    await events();
    const before = openCount(worker.pid);
    const { id } = await ask('counted');
    expect(await events()).toEqual(['closed']);
    expect(openCount(worker.pid)).toBe(before + 1);
    lane.write(opened(id), opened(id), opened(12));
    await expect.poll(() => openCount(worker.pid), TIMEOUT).toBe(before);
    expect(await events()).toEqual([]);
    await ask('written');
    expect(await events()).toEqual(['closed']);
  });

  test('a close() that fails is logged, and takes nothing from the answer', async () => {
    const { id, answer } = await ask('close-raises');
    expect(answer.frames.map(isWhole)).toEqual([true]);
    await expect.poll(() => worker.errorLog, TIMEOUT).toContain('Error closing the response to GET');
    lane.write(opened(id));
  });

  test('a child that the application forks lets go of it', async () => {
    const { id } = await ask('buffered');
    expect(`${(await ask('fork')).answer.body}`).toBe('0');
    lane.write(opened(id));
  });

  describe('refused', () => {
    const refuse = async (id: number, why: string) => {
      const from = lane.frames.all.length;
      lane.write(opened(id, why));
      const isEnd = (frame: Frame, at: number) =>
        at >= from && frame.id === id && (frame.kind === KIND.FAILED || (frame.flags & FLAG.LAST) !== 0);
      await expect.poll(() => lane.frames.all.some(isEnd), TIMEOUT).toBe(true);
      const frames = lane.frames.all.slice(from).filter((frame) => frame.id === id);
      return { frames, body: Buffer.concat(frames.map((frame) => frame.body)) };
    };

    test.each([
      ['buffered', '', CONTENT],
      ['positioned', '', CONTENT.subarray(1000)],
      ['unlinked', '', CONTENT],
      ['buffered', 'length=10', CONTENT.subarray(0, 10)],
      ['buffered', 'length=0', CONTENT.subarray(0, 0)],
    ])('%s %s: the worker sends it with its length, and offers the next', async (name, query, content) => {
      const { id } = await ask(name, query);
      const { frames, body } = await refuse(id, 'file');
      expect(body.equals(content)).toBe(true);
      expect(frames[0]?.head.split('\0').slice(-2)).toEqual(['Content-Length', `${content.length}`]);
      expect(frames.map(({ kind }) => kind)).toEqual(
        frames.map((_, i) => (i === 0 ? KIND.RESPONSE : KIND.BODY)),
      );
      const next = await ask('buffered');
      expect(next.answer.frames.map(isWhole)).toEqual([true]);
      lane.write(opened(next.id));
      await expect.poll(() => openCount(worker.pid), TIMEOUT).toBe(0);
    });

    test('HEAD: nothing is read', async () => {
      const { id } = await ask('buffered', '', 'HEAD');
      const { frames } = await refuse(id, 'file');
      expect(frames).toHaveLength(1);
      expect([frames[0]?.body.length, frames[0]?.head]).toEqual([
        0,
        expect.stringContaining(`Content-Length\x00${CONTENT.length}`),
      ]);
    });

    test('in its turn among the requests', async () => {
      const { id } = await ask('buffered');
      const [one, two] = [ids++, ids++];
      const from = lane.frames.all.length;
      const small = (each: number) => requestFrame(each, { path: '/small', environ: { QUERY_STRING: '' } });
      lane.write(small(one), opened(id, 'file'), small(two));
      await expect.poll(() => lane.frames.all.at(-1)?.id, TIMEOUT).toBe(two);
      const order = lane.frames.all.slice(from).map((frame) => frame.id);
      expect(order.filter((each, i) => order[i - 1] !== each)).toEqual([one, id, two]);
    });

    test('a file that became shorter: the answer fails', async () => {
      const { id, answer } = await ask('named');
      const offer = readOffer(answer.frames[0]?.body ?? Buffer.alloc(0));
      truncateSync(`/proc/${worker.pid}/fd/${offer?.fd}`, 1000);
      const { frames } = await refuse(id, 'file');
      expect(frames.map(({ kind }) => kind)).toEqual([KIND.RESPONSE, KIND.FAILED]);
      expect(worker.errorLog).toContain('became shorter');
    });

    test('a client that has gone: the rest is not read', async () => {
      const { id } = await ask('buffered');
      const control = await worker.control();
      await worker.order(KIND.ABANDON, id);
      await worker.order(KIND.DUMP, id);
      // By the answer to this it has heard of that.
      await control.frames.first((frame) => frame.kind === KIND.STACK && frame.id === id, 'STACK');
      const { body } = await refuse(id, 'file');
      expect(body.length).toBe(0);
    });
  });
});

describe('one worker', () => {
  let open: Harness | null = null;
  afterEach(async () => {
    await open?.close();
    open = null;
  });

  const start = async (options = {}) => {
    open = await Harness.ready({ app, python: python().path, ...options });
    return open;
  };
  const get = (name: string, id: number, environ: Record<string, string> = {}) =>
    requestFrame(id, { path: `/${name}`, environ: { QUERY_STRING: '', ...environ } });

  test('that is told that none of its files can be opened offers no more', async () => {
    const worker = await start();
    const lane = await worker.lane();
    lane.write(get('buffered', 1), get('buffered', 2), get('buffered', 3));
    await lane.answer(3);
    lane.write(opened(1, 'worker'), opened(2, 'worker'), opened(3, 'worker'), get('buffered', 4));
    const answer = await lane.answer(4);
    expect(answer.frames[0]?.kind).toBe(KIND.RESPONSE);
    expect(answer.body.equals(CONTENT)).toBe(true);
    for (const id of [1, 2, 3]) {
      const frames = lane.frames.all.filter((frame) => frame.id === id && frame.kind !== KIND.FILE);
      expect(Buffer.concat(frames.map((frame) => frame.body)).equals(CONTENT)).toBe(true);
    }
    // Its own close() comes after the answer.
    await expect.poll(() => openCount(worker.pid), TIMEOUT).toBe(0);
  });

  test('whose front dies lets go of what it would have opened', async () => {
    const worker = await start();
    const lane = await worker.lane();
    lane.write(get('buffered', 1), get('unlinked', 2));
    await lane.answer(2);
    expect(openCount(worker.pid)).toBe(1);
    await worker.killFront();
    await expect.poll(() => openCount(worker.pid), TIMEOUT).toBe(0);
  });

  test.each(['signal', 'thread'] as const)(
    'RECALL by %s leaves it what it has to send itself',
    async (control) => {
      const worker = await start({ start: { control } });
      const [lane, orders] = [await worker.lane(), await worker.control()];
      lane.write(get('buffered', 1), get('buffered', 2));
      await lane.answer(2);
      const gate = join(worker.folder, 'gate');
      lane.write(
        get('stuck', 3, { HTTP_X_GATE: gate }),
        ...(control === 'signal' ? [get('small', 4), opened(1, 'file'), get('small', 5)] : [get('small', 5)]),
        opened(2, 'file'),
      );
      await new Promise((resolve) => setTimeout(resolve, 100));
      orders.write(encodeFrame({ kind: KIND.RECALL, id: 0, head: 'lane\x000' }));
      const isAnswer = (frame: Frame) => frame.kind === KIND.RECALLED;
      const { head } = await orders.frames.first(isAnswer, 'RECALLED');
      const ids = (head.split('\0')[3] ?? '').split(' ').filter(Boolean);
      // A thread takes only what stands behind the last of them: nothing, here.
      expect(ids).toEqual(control === 'signal' ? ['4', '5'] : []);
      closeSync(openSync(gate, 'w'));
      for (const id of control === 'signal' ? [1, 2] : [2]) {
        await lane.frames.first(
          (frame) => frame.id === id && frame.kind !== KIND.FILE && (frame.flags & FLAG.LAST) !== 0,
          `answer ${id}`,
        );
        const frames = lane.frames.all.filter((frame) => frame.id === id && frame.kind !== KIND.FILE);
        expect(Buffer.concat(frames.map((frame) => frame.body)).equals(CONTENT)).toBe(true);
      }
    },
  );

  test('of several threads offers in each of its lanes', async () => {
    const worker = await start({ start: { threads: 2 } });
    for (const number of [0, 1]) {
      const lane = await worker.lane(number);
      lane.write(get('buffered', 1 + number));
      const answer = await lane.answer(1 + number);
      expect(offered(answer.frames[0], worker.pid).equals(CONTENT)).toBe(true);
      lane.write(opened(1 + number));
    }
    await expect.poll(() => openCount(worker.pid), TIMEOUT).toBe(0);
  });

  test('tells the access log what it wants of environ', async () => {
    const worker = await start({ start: { logEnviron: ['REMOTE_ADDR'] } });
    const lane = await worker.lane();
    lane.write(get('buffered', 1));
    const { frames } = await lane.answer(1);
    expect(frames[0]?.head).toContain(':environ.REMOTE_ADDR\x00127.0.0.1');
  });
});

/** PEP 3333 as the Python worker keeps it, on every CPython of this machine. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { encodeFrame, FLAG, KIND } from '../../src/gateway/frames.ts';
import { pythons } from '../support/python.ts';
import { type Answer, Harness, requestFrame } from './harness.ts';

const app = readFileSync(join(import.meta.dirname, 'cases.py'), 'utf8');
const LAST = FLAG.LAST;

describe.each(pythons())('Python $version', ({ path }) => {
  let worker: Harness;
  let gates = 0;
  let ids = 1000;

  beforeAll(async () => {
    worker = await Harness.ready({ app, python: path });
  });
  afterAll(() => worker.close());
  beforeEach(async () => {
    await worker.ask({ path: '/events' });
  });

  const get = (name: string, query = '', environ: Record<string, string> = {}): Promise<Answer> =>
    worker.ask({
      path: `/${name}`,
      environ: { QUERY_STRING: query, RAW_URI: `/${name}?${query}`, ...environ },
    });

  const events = async (): Promise<string[]> => JSON.parse(`${(await get('events')).body}`) as string[];

  /** Asks for a case that waits for a file: `open` lets it go on. */
  const gated = async (name: string) => {
    const gate = join(worker.folder, `gate-${gates++}`);
    const id = ids++;
    const lane = await worker.lane();
    lane.write(requestFrame(id, { path: `/${name}`, environ: { HTTP_X_GATE: gate } }));
    const frame = (fits: (kind: number, flags: number, body: string) => boolean) =>
      lane.frames.first(
        (each) => each.id === id && fits(each.kind, each.flags, `${each.body}`),
        `a frame of ${name}`,
      );
    return { id, frame, open: () => writeFileSync(gate, ''), answer: () => lane.answer(id) };
  };

  /** Kind, flags and body of each frame. */
  const shape = (answer: Answer): [number, number, string][] =>
    answer.frames.map((frame) => [frame.kind, frame.flags, `${frame.body}`]);

  /** What the error log gained since `before`. */
  const logged = (before: string): string => worker.errorLog.slice(before.length);

  describe('environ', () => {
    test('has every key of the request, of PEP 3333 and of others, with the right types', async () => {
      const answer = await get('show-environ', 'q=%20', {
        PATH_INFO: '/show-environ',
        CONTENT_TYPE: 'text/plain',
        CONTENT_LENGTH: '0',
        HTTP_X_CAFE: 'caf\xe9',
      });
      const { type, types, values } = JSON.parse(`${answer.body}`);
      expect(type).toBe('dict');
      expect(values).toEqual({
        REQUEST_METHOD: 'GET',
        SCRIPT_NAME: '',
        PATH_INFO: '/show-environ',
        QUERY_STRING: 'q=%20',
        CONTENT_TYPE: 'text/plain',
        CONTENT_LENGTH: '0',
        SERVER_NAME: '127.0.0.1',
        SERVER_PORT: '8000',
        SERVER_PROTOCOL: 'HTTP/1.1',
        SERVER_SOFTWARE: 'tunicorn/0.1.0',
        REMOTE_ADDR: '127.0.0.1',
        REMOTE_PORT: '54321',
        RAW_URI: '/show-environ?q=%20',
        REQUEST_URI: '/show-environ',
        HTTP_HOST: '127.0.0.1:8000',
        HTTP_X_CAFE: 'caf\xe9',
        'wsgi.url_scheme': 'http',
        'wsgi.version': [1, 0],
        'wsgi.multithread': false,
        'wsgi.multiprocess': false,
        'wsgi.run_once': false,
        'wsgi.input_terminated': true,
      });
      const others = Object.keys(types).filter((key) => !(key in values));
      expect(others.sort()).toEqual(['wsgi.early_hints', 'wsgi.errors', 'wsgi.file_wrapper', 'wsgi.input']);
      expect(types['wsgi.version']).toBe('tuple');
    });

    test('is a new one for each request', async () => {
      await get('show-environ', '', { HTTP_X_ONCE: '1' });
      expect(`${(await get('show-environ')).body}`).not.toContain('HTTP_X_ONCE');
    });
  });

  describe('wsgi.input', () => {
    const body = 'line 1\nline 2\r\n\nno end';
    const expected: Record<string, string[]> = {
      read: [body, '', ''],
      'read-n': ['lin', '', 'e 1\n', 'line 2\r\n\nno end', ''],
      'read-minus': [body, ''],
      readline: ['line 1\n', 'line 2\r\n', '\n', 'no end', ''],
      'readline-n': ['li', 'ne 1\n', 'line 2\r\n', '\n', 'no end'],
      readlines: ['line 1\n', 'line 2\r\n', '\n', 'no end'],
      'readlines-hint': ['line 1\n'],
      iterate: ['line 1\n', 'line 2\r\n', '\n', 'no end'],
      mixed: ['li', 'ne 1\n', 'line 2\r\n', '\nno end'],
    };
    test.each(Object.keys(expected))('%s, from memory and from a spool file', async (how) => {
      const file = join(worker.folder, 'spööl');
      writeFileSync(file, body);
      const request = { method: 'POST', path: '/read-input', environ: { QUERY_STRING: how } };
      for (const source of [{ body: Buffer.from(body) }, { spool: file }]) {
        const answer = await worker.ask({ ...request, ...source });
        expect(JSON.parse(`${answer.body}`)).toEqual(expected[how]);
      }
    });

    test('a body of 16 MiB comes whole', async () => {
      const bytes = Buffer.alloc(16 * 1024 * 1024, 'tunicorn');
      const answer = await worker.ask({ method: 'POST', path: '/echo', body: bytes });
      expect(answer.body.equals(bytes)).toBe(true);
    });

    test('a spool file that is gone fails that request alone', async () => {
      const answer = await worker.ask({ method: 'POST', path: '/echo', spool: '/nowhere/spool' });
      expect(answer.failed?.error).toBe('FileNotFoundError');
      expect((await get('hello')).status).toBe('200 OK');
    });
  });

  describe('blocks', () => {
    test.each(['single', 'list', 'tuple', 'iterator', 'length-single'])(
      '%s: a body that is all there is one frame',
      async (query) => {
        expect(shape(await get('blocks', query))).toEqual([[KIND.RESPONSE, LAST, 'one two three']]);
      },
    );

    test.each(['empty-list', 'empty-generator'])('%s: an empty body is one frame', async (query) => {
      expect(shape(await get('blocks', query))).toEqual([[KIND.RESPONSE, LAST, '']]);
    });

    test.each(['generator', 'getitem'])('%s: a frame for each block that is not empty', async (query) => {
      expect(shape(await get('blocks', query))).toEqual([
        [KIND.RESPONSE, 0, 'one '],
        [KIND.BODY, 0, 'two '],
        [KIND.BODY, 0, 'three'],
        [KIND.BODY, LAST, ''],
      ]);
    });

    test.each(['length-generator', 'length-body'])(
      '%s: the block that fills Content-Length is the last frame',
      async (query) => {
        expect(shape(await get('blocks', query))).toEqual([
          [KIND.RESPONSE, 0, 'one '],
          [KIND.BODY, 0, 'two '],
          [KIND.BODY, LAST, 'three'],
        ]);
      },
    );

    test('a block is out before the next one is asked for', async () => {
      const request = await gated('lazy');
      await request.frame((kind, flags, body) => kind === KIND.RESPONSE && flags === 0 && body === 'first');
      request.open();
      expect(`${(await request.answer()).body}`).toBe('firstsecond');
    });

    test('a complete answer is out before close() is called', async () => {
      const request = await gated('close-waits');
      await request.frame((_kind, flags) => flags === LAST);
      request.open();
    });

    test.each([
      [16 * 1024 * 1024, 1],
      [40 * 1024 * 1024, 40],
    ])('%d bytes in one block are %d frames', async (size, frames) => {
      const answer = await get('big', `${size}`);
      expect(answer.frames.length).toBe(frames);
      expect(answer.frames.at(-1)?.flags).toBe(LAST);
      expect(answer.body.length).toBe(size);
      expect(answer.body.subarray(-256).equals(answer.body.subarray(0, 256))).toBe(true);
    });

    test.each([
      'str',
      'int',
      'zero',
      'none',
      'bytearray',
      'second',
      'generated',
      'generated-empty',
      'iterator',
      'written',
    ])('%s: a block that is not bytes is a 500', async (query) => {
      const answer = await get('bad-block', query);
      expect(answer.failed).toMatchObject({ error: 'AssertionError' });
      expect(answer.failed?.message).toMatch(/must be bytes, not .*PEP 3333/);
      expect(answer.frames.length).toBe(1);
    });

    test('a later block that is not bytes cuts the answer', async () => {
      const answer = await get('bad-block', 'generated-second');
      expect(answer.frames.map((frame) => frame.kind)).toEqual([KIND.RESPONSE, KIND.FAILED]);
    });

    test.each(['none', 'bytes', 'str', 'int', 'function'])(
      '%s: a result that is no iterable of bytes is a 500',
      async (query) => {
        const answer = await get('bad-result', query);
        expect(answer.failed?.message).toMatch(/^The application returned .*, not an iterable of bytes/);
        if (query === 'function') expect(answer.failed?.message).toContain('module:factory()');
      },
    );
  });

  describe('write()', () => {
    test('sends each block before it returns, ahead of the iterable', async () => {
      const request = await gated('uses-write');
      await request.frame(
        (kind, flags, body) => kind === KIND.RESPONSE && flags === 0 && body === 'written ',
      );
      request.open();
      expect(shape(await request.answer())).toEqual([
        [KIND.RESPONSE, 0, 'written '],
        [KIND.BODY, 0, 'twice '],
        [KIND.BODY, LAST, 'and returned'],
      ]);
      expect(await events()).toEqual(['write gave None']);
    });

    test('sends the head even with an empty block', async () => {
      const request = await gated('writes-empty');
      await request.frame((kind, flags, body) => kind === KIND.RESPONSE && flags === 0 && body === '');
      request.open();
      await request.answer();
    });

    test('that fills Content-Length ends the answer', async () => {
      expect(shape(await get('writes-all'))).toEqual([[KIND.RESPONSE, LAST, 'full']]);
    });
  });

  describe('start_response', () => {
    test('twice without exc_info is an error', async () => {
      const { failed } = await get('starts-twice');
      expect(failed?.message).toMatch(/called twice without exc_info \(PEP 3333/);
    });

    test('with exc_info before the head is out replaces it', async () => {
      const answer = await get('replaces-head');
      expect(answer.status).toBe('500 Oops');
      expect(answer.fields).toContainEqual(['X-Error', 'yes']);
      expect(`${answer.body}`).toBe('sorry');
    });

    test('with exc_info after the head is out raises it again', async () => {
      const answer = await get('too-late');
      expect(answer.frames.map((frame) => frame.kind)).toEqual([KIND.RESPONSE, KIND.FAILED]);
      expect(answer.failed).toMatchObject({ error: 'LookupError', message: 'too late' });
      expect(answer.failed?.traceback).toContain('raise LookupError("too late")');
      expect(await events()).toEqual(['raised again']);
    });

    test('must have been called before the first block', async () => {
      for (const query of ['list', 'generator']) {
        expect((await get('never-starts', query)).failed?.message).toMatch(
          /before it called start_response\(\)/,
        );
      }
    });

    test('may be called as late as the first block', async () => {
      expect((await get('late-start')).status).toBe('200 OK');
    });

    test('refuses what may not be sent', async () => {
      const heads = JSON.parse(`${(await get('list-heads')).body}`) as string[];
      expect(heads.length).toBeGreaterThan(30);
      for (const head of heads) {
        const answer = await get('bad-head', head);
        expect([head, answer.failed?.error]).toEqual([
          head,
          expect.stringMatching(/^(Assertion|Value)Error$/),
        ]);
        expect([head, answer.failed?.message]).toEqual([head, expect.stringMatching(/PEP 3333|RFC 9110/)]);
        // Raised in the application: it sees its own call in the traceback.
        expect(answer.failed?.traceback).toContain('in bad_head');
      }
    });

    test('passes on what may be sent, unchanged', async () => {
      const answer = await get('good-head');
      expect(answer.status).toBe("299 It's f\xefne");
      expect(answer.fields).toEqual([
        ['X-One', '1'],
        ['x-one', '2'],
        ['Empty', ''],
        ['X-Latin', 'caf\xe9'],
        ['Set-Cookie', 'a=b; c'],
        ["!#$%&'*+.^_`|~-9", '\t x'],
        ['X-Sub', 'class'],
      ]);
    });

    test('takes a status without reason as gunicorn does', async () => {
      expect((await get('bare-status')).status).toBe('200 ');
    });
  });

  describe('an application that raises', () => {
    test.each([
      ['value', 'ValueError', 'café \\u20ac   end'],
      ['odd', 'Odd', '(its text cannot be made)'],
      ['exit', 'SystemExit', '4'],
      ['interrupt', 'KeyboardInterrupt', ''],
      ['generator-exit', 'GeneratorExit', ''],
      ['base', 'BaseException', 'base'],
      ['stop', 'StopIteration', ''],
      ['surrogate', 'ValueError', '\\udc80'],
      ['unprintable', 'Unprintable', '(its text cannot be made)'],
      ['long', 'ValueError', 'x'.repeat(2000)],
    ])('%s: fails that request alone, and is logged once', async (query, error, message) => {
      const before = worker.errorLog;
      const answer = await get('raises', query);
      expect(answer.frames.length).toBe(1);
      expect(answer.failed).toMatchObject({ error, message });
      const log = logged(before);
      const entry = new RegExp(
        `^\\[\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d [+-]\\d{4}\\] \\[${worker.pid}\\] \\[ERROR\\] ` +
          `Error handling request GET /raises\\?${query}\\nTraceback \\(most recent call last\\):\\n  File ".*app.py"`,
      );
      expect(log).toMatch(entry);
      expect(log.match(/Traceback/g)?.length).toBe(1);
      expect(log).not.toContain('python/tunicorn');
      if (query !== 'long') expect(log).toContain(answer.failed?.traceback);
      expect((await get('hello')).status).toBe('200 OK');
    });

    test.each(['value', 'exit', 'interrupt', 'generator-exit'])(
      '%s: after the head, the answer ends in FAILED',
      async (query) => {
        const answer = await get('raises-later', query);
        expect(answer.frames.map((frame) => frame.kind)).toEqual([KIND.RESPONSE, KIND.FAILED]);
        expect(await events()).toEqual(['closed body']);
      },
    );

    test('at the end of its stack, is answered and logged', async () => {
      expect((await get('deep')).failed?.error).toBe('RecursionError');
      expect((await get('hello')).status).toBe('200 OK');
    });

    test('before the first block that is not empty, the head is not out yet', async () => {
      const answer = await get('raises-before-block');
      expect(answer.frames.map((frame) => frame.kind)).toEqual([KIND.FAILED]);
      expect(await events()).toEqual(['closed body']);
    });

    test('after its last byte, is logged and nothing more', async () => {
      const before = worker.errorLog;
      expect(shape(await get('raises-complete'))).toEqual([[KIND.RESPONSE, LAST, 'some']]);
      expect(await events()).toEqual(['closed body']);
      expect(logged(before)).toContain('ValueError: after the end');
    });
  });

  describe('close()', () => {
    test('is called after a normal answer', async () => {
      await get('closes');
      expect(await events()).toEqual(['closed normally']);
    });

    test('is called after HEAD', async () => {
      const answer = await worker.ask({ method: 'HEAD', path: '/head-method' });
      expect(answer.fields).toContainEqual(['Content-Length', '10']);
      expect(await events()).toEqual(['closed head']);
    });

    test('that cannot even be looked up is logged', async () => {
      const before = worker.errorLog;
      expect((await get('close-is-broken')).failed).toBeNull();
      expect((await get('hello')).failed).toBeNull();
      expect(logged(before)).toContain('LookupError: no close');
    });

    test('that fails is logged and does not harm the answer', async () => {
      const before = worker.errorLog;
      const answer = await get('close-fails');
      expect(answer.failed).toBeNull();
      expect(await events()).toEqual(['closed badly']);
      expect(logged(before)).toMatch(/Error closing the response to GET \/close-fails/);
      expect(logged(before)).toContain('OSError: close failed');
    });
  });

  describe('Content-Length', () => {
    test('more than that is cut, and logged', async () => {
      const before = worker.errorLog;
      expect(shape(await get('too-much'))).toEqual([
        [KIND.RESPONSE, 0, '12'],
        [KIND.BODY, LAST, '34'],
      ]);
      expect(await events()).toEqual(['closed too much']);
      expect(logged(before)).toMatch(
        /more than its Content-Length of 4 bytes; the rest is cut: GET \/too-much/,
      );
      expect(shape(await get('too-much', 'write'))).toEqual([[KIND.RESPONSE, LAST, '1234']]);
    });
  });

  describe('streams', () => {
    test('wsgi.errors writes raw text to the error log at once', async () => {
      const before = worker.errorLog;
      await get('errors');
      expect(logged(before)).toBe('raw fïrst\nsecond €\nprinted\n');
    });

    test('a printed line is seen at once', async () => {
      const request = await gated('prints');
      let text = '';
      worker.child.stdout?.on('data', (data: Buffer) => {
        text += data.toString();
      });
      await expect.poll(() => text, { timeout: 20_000 }).toBe('to stdout\n');
      request.open();
      await request.answer();
    });
  });

  describe('wsgi.file_wrapper', () => {
    test('sends a file in large blocks', async () => {
      const file = join(worker.folder, 'download');
      const bytes = Buffer.alloc(600 * 1024, 'abcdefg');
      writeFileSync(file, bytes);
      const answer = await get('wrapper', 'file', { HTTP_X_FILE: file });
      expect(answer.body.equals(bytes)).toBe(true);
      expect(answer.frames.map((frame) => frame.body.length)).toEqual([262144, 262144, 90112, 0]);
      const memory = await get('wrapper', 'memory');
      expect(memory.frames.map((frame) => frame.body.length)).toEqual([100_000, 0]);
      const sized = await get('wrapper', 'length', { HTTP_X_FILE: file });
      expect(sized.frames.map((frame) => frame.flags)).toEqual([0, 0, LAST]);
    });

    test('asks what is no file for blocks of the size that was suggested, and closes it', async () => {
      const answer = await get('wrapper', 'reader');
      expect(answer.frames.map((frame) => `${frame.body}`)).toEqual(['ab', 'c', '']);
      expect(await events()).toEqual(['reader closed after [10, 10, 10]']);
    });
  });

  describe('several requests at once', () => {
    test('are answered in order, however the bytes are cut', async () => {
      const lane = await worker.lane();
      const first = ids;
      const frames = Array.from({ length: 40 }, () =>
        requestFrame(ids++, { method: 'POST', path: '/echo', body: Buffer.from(`${ids}`.repeat(ids % 50)) }),
      );
      const bytes = Buffer.concat(frames);
      for (let at = 0, step = 1; at < bytes.length; at += step, step = (step * 7) % 1999) {
        lane.write(bytes.subarray(at, at + step));
      }
      for (let id = first; id < first + 40; id++) {
        expect(`${(await lane.answer(id)).body}`).toBe(`${id + 1}`.repeat((id + 1) % 50));
      }
      const order = lane.frames.all.map((frame) => frame.id).filter((id) => id >= first && id < first + 40);
      expect(order).toEqual(Array.from({ length: 40 }, (_, index) => first + index));
    });

    test('a finished answer does not wait for the requests behind it', async () => {
      const lane = await worker.lane();
      const gate = join(worker.folder, `gate-${gates++}`);
      const [quick, slow] = [ids++, ids++];
      lane.write(
        requestFrame(quick, { path: '/hello' }),
        requestFrame(slow, { path: '/lazy', environ: { HTTP_X_GATE: gate } }),
      );
      await lane.answer(quick);
      writeFileSync(gate, '');
      await lane.answer(slow);
    });

    test('PING is answered by PONG', async () => {
      const lane = await worker.lane();
      lane.write(encodeFrame({ kind: KIND.PING, id: 9 }));
      await lane.frames.first((frame) => frame.kind === KIND.PONG && frame.id === 9, 'PONG');
    });
  });

  describe('ABANDON', () => {
    test('no further block is asked for, close() is called, and the lane is free', async () => {
      const lane = await worker.lane();
      const id = ids++;
      lane.write(requestFrame(id, { path: '/endless' }));
      await lane.frames.first((frame) => frame.id === id && frame.kind === KIND.BODY, 'a block');
      await worker.order(KIND.ABANDON, id);
      const answer = await lane.answer(id);
      expect(answer.failed).toBeNull();
      expect(await events()).toEqual(['endless closed']);
    });

    test('may come before the application has answered', async () => {
      const request = await gated('abandoned-early');
      await worker.order(KIND.ABANDON, request.id);
      request.open();
      expect((await request.answer()).failed).toBeNull();
      expect(await events()).toEqual(['closed abandoned']);
    });

    test('may come before the request itself', async () => {
      const id = ids++;
      await worker.order(KIND.ABANDON, id);
      await get('hello');
      const lane = await worker.lane();
      lane.write(requestFrame(id, { path: '/endless' }));
      expect((await lane.answer(id)).failed).toBeNull();
    });
  });

  test('wsgiref.validate finds nothing', async () => {
    const file = join(worker.folder, 'validated');
    writeFileSync(file, 'x'.repeat(10_000));
    const environ = { HTTP_X_VALIDATE: '1', HTTP_X_FILE: file, CONTENT_LENGTH: '0' };
    for (const [name, query] of [
      ['show-environ', ''],
      ['blocks', 'list'],
      ['blocks', 'generator'],
      ['blocks', 'length-generator'],
      ['read-input', 'readline'],
      ['read-input', 'iterate'],
      ['late-start', ''],
      ['errors', ''],
      ['hello', ''],
      ['wrapper', 'file'],
      ['replaces-head', ''],
    ] as const) {
      const answer = await get(name, query, environ);
      expect([name, query, answer.failed]).toEqual([name, query, null]);
    }
    expect(worker.stderr).toBe('');
  });
});

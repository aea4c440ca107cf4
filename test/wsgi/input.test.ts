import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RequestBody } from '../../src/http/exchange.ts';
import { BodyInput } from '../../src/wsgi/input.ts';

const BYTES = Buffer.from(`one\ntwo\n\n${'x'.repeat(200_000)}\nend`);
let folder = '';
const spools: number[] = [];

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tunicorn-input-'));
});

afterAll(() => {
  for (const fd of spools) closeSync(fd);
  rmSync(folder, { recursive: true });
});

const open = {
  memory: (bytes = BYTES, contentType = '') =>
    new BodyInput({ length: bytes.length, memory: bytes, file: null }, () => contentType),
  file: (bytes = BYTES, contentType = '') => new BodyInput(spooled(bytes), () => contentType),
};

/** The bytes in an unlinked file, as the front keeps those of a long body. */
function spooled(bytes: Buffer): RequestBody {
  const path = join(folder, `body-${spools.length}`);
  writeFileSync(path, bytes);
  const fd = openSync(path, 'r');
  rmSync(path);
  spools.push(fd);
  return { length: bytes.length, memory: Buffer.alloc(0), file: { fd, path: `/proc/self/fd/${fd}` } };
}

async function gather(stream: ReadableStream<Uint8Array>): Promise<Buffer[]> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(Buffer.from(chunk));
  return chunks;
}

describe.each(['memory', 'file'] as const)('from %s', (kind) => {
  const input = () => open[kind]();
  const LONG = 200_001;

  test('read without a size, or a negative one, gives all that is left, then nothing', () => {
    const all = input();
    expect(all.read(4).toString()).toBe('one\n');
    expect(all.read().equals(BYTES.subarray(4))).toBe(true);
    expect(all.read()).toHaveLength(0);
    expect(input().read(-1).equals(BYTES)).toBe(true);
  });

  test('read gives what was asked for, fewer at the end', () => {
    const all = input();
    expect(all.read(0)).toHaveLength(0);
    expect(all.read(BYTES.length - 1)).toHaveLength(BYTES.length - 1);
    expect(all.read(10).toString()).toBe('d');
  });

  test('readline', () => {
    const all = input();
    expect(all.readline().toString()).toBe('one\n');
    expect(all.readline(2).toString()).toBe('tw');
    expect(all.readline(100).toString()).toBe('o\n');
    expect(all.readline(0)).toHaveLength(0);
    expect(all.readline(-1).toString()).toBe('\n');
    expect(all.readline(100_000)).toHaveLength(100_000);
    expect(all.readline()).toHaveLength(LONG - 100_000);
    expect(all.readline().toString()).toBe('end');
    expect(all.readline()).toHaveLength(0);
  });

  test('readlines, with and without a hint', () => {
    expect(
      input()
        .readlines()
        .map((line) => line.length),
    ).toEqual([4, 4, 1, LONG, 3]);
    expect(
      input()
        .readlines(5)
        .map((line) => line.length),
    ).toEqual([4, 4]);
    expect(input().readlines(0)).toHaveLength(5);
  });

  test('lines by iteration, after a read', () => {
    const all = input();
    all.read(2);
    expect([...all].map((line) => line.length)).toEqual([2, 4, 1, LONG, 3]);
  });

  const of = (text: string, contentType?: string) => open[kind](Buffer.from(text), contentType);

  test('text is what is left, in UTF-8', async () => {
    const all = of('één\ntwé');
    all.readline();
    expect(await all.text()).toBe('twé');
    expect(await all.text()).toBe('');
    expect(await of('\ufeffx').text()).toBe('x');
    const bytes = input();
    bytes.read(4);
    expect(await bytes.text()).toBe(BYTES.subarray(4).toString());
  });

  test('text leaves nothing for others as soon as it is called', async () => {
    const all = input();
    const text = all.text();
    expect(all.read()).toHaveLength(0);
    expect(await text).toHaveLength(BYTES.length);
  });

  test('json', async () => {
    const all = of('skip\n{"a": [1, "é"]}');
    all.readline();
    expect(await all.json()).toEqual({ a: [1, 'é'] });
  });

  test.each(['', '{"a":', 'nope'])('json of %j is an error that says so', async (text) => {
    await expect(of(text).json()).rejects.toThrow(/^The request body is no JSON: /);
    await expect(of(text).json()).rejects.toBeInstanceOf(SyntaxError);
  });

  test('a form of fields', async () => {
    const form = await of(
      'a=1&b=%C3%A9+x&a=2',
      'Application/x-www-form-urlencoded; charset=utf-8',
    ).formData();
    expect([...form]).toEqual([
      ['a', '1'],
      ['b', 'é x'],
      ['a', '2'],
    ]);
  });

  test('a form of parts, with a file', async () => {
    const given = new FormData();
    given.append('name', 'é');
    given.append('upload', new Blob([BYTES], { type: 'text/x-lines' }), 'línes.txt');
    const request = new Response(given);
    const contentType = request.headers.get('content-type') ?? '';
    const form = await open[kind](Buffer.from(await request.arrayBuffer()), contentType).formData();
    expect(form.get('name')).toBe('é');
    const file = form.get('upload') as File;
    expect([file.name, file.type]).toEqual(['línes.txt', 'text/x-lines']);
    expect(BYTES.equals(Buffer.from(await file.arrayBuffer()))).toBe(true);
  });

  test.each([
    ['', 'The request has no Content-Type: formData() reads multipart/form-data'],
    ['application/json', 'The Content-Type is application/json: formData() reads multipart/form-data'],
    ['multipart/form-data', 'names no boundary'],
    ['multipart/form-data; boundary=a', 'not the multipart/form-data that its Content-Type says'],
  ])('no form: %j', async (contentType, message) => {
    const all = of('--a\r\nbroken', contentType);
    await expect(all.formData()).rejects.toThrow(message);
    await expect(of('--a', contentType).formData()).rejects.toBeInstanceOf(TypeError);
  });

  test('a body that is no form is left to be read', async () => {
    const all = of('{}', 'application/json');
    await expect(all.formData()).rejects.toThrow();
    expect(await all.json()).toEqual({});
  });

  test('the stream gives what is left, piece by piece', async () => {
    const all = input();
    all.read(4);
    const chunks = await gather(all.stream);
    expect(chunks.length).toBeGreaterThan(2);
    expect(Math.max(...chunks.map((chunk) => chunk.length))).toBeLessThanOrEqual(64 * 1024);
    expect(Buffer.concat(chunks).equals(BYTES.subarray(4))).toBe(true);
    expect(await gather(all.stream)).toEqual([]);
  });

  test('the stream takes nothing before it is asked, and leaves what it did not take', async () => {
    const all = input();
    const { stream } = all;
    expect(all.read(4).toString()).toBe('one\n');
    const reader = stream.getReader();
    const first = await reader.read();
    await reader.cancel();
    const rest = all.read();
    const taken = Buffer.from(first.value ?? []);
    expect(taken.length).toBeGreaterThan(0);
    expect(Buffer.concat([taken, rest]).equals(BYTES.subarray(4))).toBe(true);
  });

  test('the stream is a byte stream, for readers with a buffer of their own', async () => {
    const reader = input().stream.getReader({ mode: 'byob' });
    const { value } = await reader.read(new Uint8Array(7));
    expect(Buffer.from(value ?? []).toString()).toBe('one\ntwo');
  });

  test('the stream changes nothing of the body', async () => {
    const bytes = Buffer.from('hello');
    const all = open[kind](bytes);
    for (const chunk of await gather(all.stream)) chunk.fill(0);
    expect(bytes.toString()).toBe('hello');
  });

  test('nothing after the end of the request', async () => {
    const all = open[kind](BYTES, 'application/x-www-form-urlencoded');
    const reader = all.stream.getReader();
    all.end();
    const over = 'wsgi.input was read after the request was over.';
    expect(() => all.read()).toThrow(over);
    expect(() => all.readline()).toThrow(over);
    expect(() => all.readlines()).toThrow(over);
    expect(() => [...all]).toThrow(over);
    for (const name of ['text', 'json', 'formData'] as const) await expect(all[name]()).rejects.toThrow(over);
    await expect(reader.read()).rejects.toThrow(over);
    await expect(all.stream.getReader().read()).rejects.toThrow(over);
  });
});

test('what is read as the request ends is not given: its descriptor may be that of another file by now', async () => {
  const inputs = [open.file(), open.file()] as const;
  const late = [inputs[0].text(), inputs[1].stream.getReader().read()];
  for (const input of inputs) input.end();
  const results = await Promise.allSettled(late);
  expect(results.map((result) => String((result as PromiseRejectedResult).reason))).toEqual(
    Array(2).fill('Error: wsgi.input was read after the request was over.'),
  );
});

test('a spool file that is shorter than it should be is told', async () => {
  const short = () => new BodyInput({ ...spooled(BYTES), length: BYTES.length + 1 });
  const message = `ends at ${BYTES.length} of ${BYTES.length + 1} bytes`;
  expect(() => short().read()).toThrow(message);
  await expect(short().text()).rejects.toThrow(message);
  await expect(gather(short().stream)).rejects.toThrow(message);
});

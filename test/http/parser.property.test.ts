import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DEFAULT_LIMITS } from '../../src/http/limits.ts';
import { mulberry32 } from '../support/random.mjs';
import { limitsOf, rawBytes, readCorpus } from './corpus.ts';
import { feed, plain } from './feed.ts';
import { checkInvariants } from './invariants.ts';
import { mutate } from './mutate.ts';

const CORPUS = readCorpus().filter((entry) => rawBytes(entry).length < 4096);
const TEXTS = CORPUS.map((entry) => rawBytes(entry).toString('latin1'));

const cuts = (length: number) =>
  fc.array(fc.nat(length), { maxLength: 30 }).map((list) => list.sort((left, right) => left - right));

/** Text of bytes that an HTTP parser looks at, so that random input gets further than the first line. */
const httpish = fc
  .array(
    fc.oneof(
      {
        weight: 6,
        arbitrary: fc.constantFrom(
          ...'GET / HTTP/1.1\r\nHost: aContent-Length: 5Transfer-Encoding: chunked0;="'.split(''),
        ),
      },
      {
        weight: 2,
        arbitrary: fc.constantFrom(
          'GET / HTTP/1.1\r\n',
          'POST / HTTP/1.1\r\n',
          'Host: a\r\n',
          '\r\n',
          'Transfer-Encoding: chunked\r\n',
          'Content-Length: 3\r\n',
          '0\r\n',
          '3\r\nabc\r\n',
        ),
      },
      { weight: 1, arbitrary: fc.nat(255).map((code) => String.fromCharCode(code)) },
    ),
    { maxLength: 60 },
  )
  .map((parts) => Buffer.from(parts.join(''), 'latin1'));

describe('for any bytes', () => {
  test('random bytes give events or HttpError, the same however they are cut', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), fc.nat(), (bytes, seed) => {
        checkInvariants(Buffer.from(bytes), DEFAULT_LIMITS, mulberry32(seed));
      }),
      { numRuns: 500 },
    );
  });

  test('so do bytes that look like HTTP', () => {
    fc.assert(
      fc.property(httpish, fc.nat(), (bytes, seed) => {
        checkInvariants(bytes, DEFAULT_LIMITS, mulberry32(seed));
      }),
      { numRuns: 2000 },
    );
  });

  test('so do mutated cases of the corpus', () => {
    fc.assert(
      fc.property(fc.constantFrom(...CORPUS), fc.nat(), (entry, seed) => {
        const random = mulberry32(seed);
        const mutant = mutate(rawBytes(entry).toString('latin1'), random, TEXTS);
        checkInvariants(Buffer.from(mutant, 'latin1'), limitsOf(entry), random);
      }),
      { numRuns: 3000 },
    );
  });
});

describe('for a valid request', () => {
  const token = fc.string({
    unit: fc.constantFrom(..."!#$%&'*+-.^_`|~0189AZaz".split('')),
    minLength: 1,
    maxLength: 12,
  });
  const value = fc
    .string({
      unit: fc
        .integer({ min: 0x20, max: 0xff })
        .filter((code) => code !== 0x7f)
        .map((code) => String.fromCharCode(code)),
      maxLength: 40,
    })
    .map((text) => text.replace(/^[ \t]+|[ \t]+$/g, ''));
  const SPECIAL = new Set(['host', 'content-length', 'transfer-encoding', 'connection', 'expect']);
  const fields = fc.array(
    fc.tuple(token, value).filter(([name]) => !SPECIAL.has(name.toLowerCase())),
    { maxLength: 8 },
  );
  const chunks = fc.array(fc.uint8Array({ minLength: 1, maxLength: 50 }), { maxLength: 5 });
  const request = fc.record({
    method: token.filter((name) => name !== 'CONNECT'),
    fields,
    chunks,
    isChunked: fc.boolean(),
  });

  test('a row of them comes out as it went in, however it is cut', () => {
    const row = fc.array(request, { minLength: 1, maxLength: 4 }).chain((list) => {
      const bytes = Buffer.concat(list.map(encode));
      return fc.tuple(fc.constant(list), fc.constant(bytes), cuts(bytes.length));
    });
    fc.assert(
      fc.property(row, ([list, bytes, where]) => {
        const outcome = feed(bytes, where, DEFAULT_LIMITS);
        expect(outcome.error).toBeNull();
        expect(plain(outcome)).toEqual(plain(feed(bytes, [], DEFAULT_LIMITS)));
        expect(
          outcome.requests.map((seen) => [seen.head.method, seen.head.fields.slice(2, 2 + 2 * 8), seen.body]),
        ).toEqual(list.map((sent) => [sent.method, expectedFields(sent), bodyOf(sent).toString('latin1')]));
      }),
      { numRuns: 1000 },
    );
  });

  interface Sent {
    readonly method: string;
    readonly fields: ReadonlyArray<readonly [string, string]>;
    readonly chunks: readonly Uint8Array[];
    readonly isChunked: boolean;
  }

  function bodyOf(sent: Sent): Buffer {
    return Buffer.concat(sent.chunks);
  }

  function framing(sent: Sent): readonly [string, string] {
    return sent.isChunked ? ['transfer-encoding', 'chunked'] : ['content-length', `${bodyOf(sent).length}`];
  }

  function expectedFields(sent: Sent): string[] {
    const all = [...sent.fields.map(([name, text]) => [name.toLowerCase(), text]), framing(sent)];
    return all.flat().slice(0, 16);
  }

  function encode(sent: Sent): Buffer {
    const lines = [
      `${sent.method} / HTTP/1.1`,
      'Host: a',
      ...[...sent.fields, framing(sent)].map((field) => field.join(': ')),
    ];
    const head = Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
    if (!sent.isChunked) return Buffer.concat([head, bodyOf(sent)]);
    const parts = sent.chunks.flatMap((chunk) => [
      Buffer.from(`${chunk.length.toString(16)}\r\n`),
      chunk,
      Buffer.from('\r\n'),
    ]);
    return Buffer.concat([head, ...parts, Buffer.from('0\r\n\r\n')]);
  }
});

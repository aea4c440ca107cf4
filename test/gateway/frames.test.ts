import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  encodeFrame,
  FLAG,
  type Frame,
  FrameDecoder,
  FrameError,
  HEADER_LENGTH,
  KIND,
  MAX_PART,
} from '../../src/gateway/frames.ts';

interface VectorFrame {
  readonly kind: keyof typeof KIND;
  readonly flags: number;
  readonly id: number;
  readonly head: readonly string[];
  readonly body: string;
}

interface Vectors {
  readonly valid: readonly {
    readonly name: string;
    readonly hex: string;
    readonly frames: readonly VectorFrame[];
    readonly pending: number;
  }[];
  readonly invalid: readonly { readonly name: string; readonly hex: string }[];
}

const file = join(import.meta.dirname, '../corpus/frames.json');
const vectors = JSON.parse(readFileSync(file, 'utf8')) as Vectors;

function toFrame(frame: VectorFrame): Frame {
  return {
    kind: KIND[frame.kind],
    flags: frame.flags,
    id: frame.id,
    head: frame.head.join('\0'),
    body: Buffer.from(frame.body, 'hex'),
  };
}

/** Feeds the bytes in pieces of `size`. */
function decode(bytes: Buffer, size: number): { frames: Frame[]; pending: number } {
  const decoder = new FrameDecoder();
  const frames: Frame[] = [];
  for (let at = 0; at < bytes.length; at += size) frames.push(...decoder.push(bytes.subarray(at, at + size)));
  return { frames, pending: decoder.pending };
}

describe('valid vectors', () => {
  test.each(vectors.valid)('$name', ({ hex, frames, pending }) => {
    const bytes = Buffer.from(hex, 'hex');
    const expected = frames.map(toFrame);
    for (const size of [bytes.length + 1, 1, 3, 16]) {
      expect(decode(bytes, size)).toEqual({ frames: expected, pending });
    }
    const whole = Buffer.concat(expected.map((frame) => encodeFrame(frame)));
    expect(whole.toString('hex')).toBe(hex.slice(0, whole.length * 2));
    expect(whole.length).toBe(bytes.length - pending);
  });

  test('name every kind and every flag', () => {
    const frames = vectors.valid.flatMap((vector) => vector.frames);
    expect(new Set(frames.map((frame) => frame.kind))).toEqual(new Set(Object.keys(KIND)));
    expect(new Set(frames.map((frame) => frame.flags))).toEqual(new Set([0, FLAG.LAST, FLAG.SPOOLED]));
  });
});

describe('invalid vectors', () => {
  test.each(vectors.invalid)('$name', ({ hex }) => {
    const bytes = Buffer.from(hex, 'hex');
    expect(() => decode(bytes, bytes.length)).toThrow(FrameError);
    expect(() => decode(bytes, 1)).toThrow(FrameError);
  });
});

test('a part of 16 MiB goes through, one byte more does not', () => {
  const body = Buffer.alloc(MAX_PART, 7);
  const bytes = encodeFrame({ kind: KIND.BODY, id: 1, body });
  expect(bytes.length).toBe(HEADER_LENGTH + MAX_PART);
  const { frames } = decode(bytes, 1024 * 1024);
  expect(frames).toHaveLength(1);
  expect(frames[0]?.body.equals(body)).toBe(true);
  expect(() => encodeFrame({ kind: KIND.BODY, id: 1, body: Buffer.alloc(MAX_PART + 1) })).toThrow(FrameError);
  expect(() => encodeFrame({ kind: KIND.BODY, id: 1, head: 'x'.repeat(MAX_PART + 1) })).toThrow(FrameError);
});

const frame = fc.record({
  kind: fc.constantFrom(...Object.values(KIND)),
  flags: fc.nat(255),
  id: fc.nat(0xffffffff),
  head: fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)) }),
  body: fc.uint8Array().map((bytes) => Buffer.from(bytes)),
});

test('frames come out as they went in, however the bytes are cut', () => {
  fc.assert(
    fc.property(fc.array(frame), fc.integer({ min: 1, max: 40 }), (frames, size) => {
      const bytes = Buffer.concat(frames.map((each) => encodeFrame(each)));
      expect(decode(bytes, size)).toEqual({ frames, pending: 0 });
    }),
  );
});

test('random bytes give frames or a FrameError, never anything else', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.integer({ min: 1, max: 64 }), (bytes, size) => {
      try {
        decode(Buffer.from(bytes), size);
      } catch (error) {
        expect(error).toBeInstanceOf(FrameError);
      }
    }),
  );
});

import type { Application, Chunk } from '../../src/wsgi/types.ts';

/** Parts that note what is called on them. */
class Closeable implements Iterable<Chunk> {
  readonly #notes: string[];

  constructor(notes: string[]) {
    this.#notes = notes;
  }

  *[Symbol.iterator](): Generator<Chunk, void> {
    try {
      yield 'one';
      yield 'two';
    } finally {
      this.#notes.push('return');
    }
  }

  close(): void {
    this.#notes.push('close');
  }
}

const TEXT = [['Content-Type', 'text/plain']] as const;

/** Applications with every kind of body, which all say "onetwo". `notes` takes what is called at the end of those that can tell. */
export const BODY_KINDS: Readonly<Record<string, (notes: string[]) => Application>> = {
  'an array': () => (_, startResponse) => {
    startResponse('200 OK', TEXT);
    return ['one', Buffer.from('two')];
  },
  'an array with close': (notes) => (_, startResponse) => {
    startResponse('200 OK', TEXT);
    return Object.assign(['one', 'two'], { close: () => notes.push('close') });
  },
  'an iterable with close': (notes) => (_, startResponse) => {
    startResponse('200 OK', TEXT);
    return new Closeable(notes);
  },
  'a generator': (notes) =>
    function* (_, startResponse) {
      startResponse('200 OK', TEXT);
      try {
        yield 'one';
        yield '';
        yield new Uint8Array(Buffer.from('two'));
      } finally {
        notes.push('return');
      }
    },
  'an async generator': (notes) =>
    async function* (_, startResponse) {
      await Promise.resolve();
      startResponse('200 OK', TEXT);
      try {
        yield 'one';
        await Promise.resolve();
        yield 'two';
      } finally {
        notes.push('return');
      }
    },
  'a stream': (notes) => (_, startResponse) => {
    startResponse('200 OK', TEXT);
    const parts = ['one', 'two'].map((part) => new Uint8Array(Buffer.from(part)));
    return new ReadableStream<Uint8Array>(
      {
        pull: (controller) => {
          const part = parts.shift();
          part === undefined ? controller.close() : controller.enqueue(part);
        },
        cancel: () => void notes.push('return'),
      },
      { highWaterMark: 0 },
    );
  },
  'a promise of an array': () => async (_, startResponse) => {
    await Promise.resolve();
    startResponse('200 OK', TEXT);
    return ['onetwo'];
  },
  'a promise of an iterable with close': (notes) => async (_, startResponse) => {
    await Promise.resolve();
    startResponse('200 OK', TEXT);
    return new Closeable(notes);
  },
  'write, then an array': () => (_, startResponse) => {
    const write = startResponse('200 OK', TEXT);
    void write('one');
    return ['two'];
  },
};

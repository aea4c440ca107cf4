/** `wsgi.input` and `wsgi.errors`, watched from both sides (wsgiref.validate: `InputWrapper`, `ErrorWrapper`). */
import { isPromise, kindOf } from './kind.ts';
import type { ErrorStream, InputStream } from './types.ts';
import { application, server } from './violation.ts';

export class ValidatedInput implements InputStream {
  readonly #input: InputStream;

  constructor(input: InputStream) {
    this.#input = input;
  }

  read(...args: readonly number[]): Buffer {
    if (args.length !== 1) {
      application.breaks(
        'streams',
        `wsgi.input.read() takes the number of bytes, and nothing else: servers need not know more. It got ${args.length} arguments.`,
      );
    }
    return bytes('read', this.#input.read(...sizes('read', args)));
  }

  readline(...args: readonly number[]): Buffer {
    return bytes('readline', this.#input.readline(...sizes('readline', args)));
  }

  readlines(...args: readonly number[]): Buffer[] {
    const lines: unknown = this.#input.readlines(...sizes('readlines', args));
    if (!Array.isArray(lines))
      server.breaks('streams', `wsgi.input.readlines() must give an array, not ${kindOf(lines)}.`);
    return lines.map((line) => bytes('readlines', line));
  }

  *[Symbol.iterator](): Generator<Buffer, void, undefined> {
    for (const line of this.#input) yield bytes('iteration', line);
  }

  text(...args: readonly unknown[]): Promise<string> {
    return this.#promised('text', args, (given) => typeof given === 'string') as Promise<string>;
  }

  json(...args: readonly unknown[]): Promise<unknown> {
    return this.#promised('json', args, () => true);
  }

  formData(...args: readonly unknown[]): Promise<FormData> {
    return this.#promised('formData', args, (given) => given instanceof FormData) as Promise<FormData>;
  }

  get stream(): ReadableStream<Uint8Array> {
    const stream: unknown = this.#input.stream;
    if (!(stream instanceof ReadableStream)) {
      server.breaks('streams', `wsgi.input.stream must be a ReadableStream, not ${kindOf(stream)}.`);
    }
    return stream;
  }

  close(): never {
    return application.breaks('streams', "wsgi.input.close() may not be called: the stream is the server's.");
  }

  async #promised(
    name: 'text' | 'json' | 'formData',
    args: readonly unknown[],
    isRight: (given: unknown) => boolean,
  ): Promise<unknown> {
    if (args.length > 0) application.breaks('streams', `wsgi.input.${name}() takes no argument.`);
    const promise: unknown = this.#input[name]();
    if (!isPromise(promise))
      server.breaks('streams', `wsgi.input.${name}() must give a promise, not ${kindOf(promise)}.`);
    const given = await promise;
    if (!isRight(given)) server.breaks('streams', `wsgi.input.${name}() gave ${kindOf(given)}.`);
    return given;
  }
}

/** The one size or hint that may be given. */
function sizes(name: string, args: readonly unknown[]): [number?] {
  if (args.length > 1)
    application.breaks('streams', `wsgi.input.${name}() takes one argument, not ${args.length}.`);
  if (args.length === 0) return [];
  const [size] = args;
  if (!Number.isInteger(size)) {
    application.breaks(
      'streams',
      `wsgi.input.${name}() takes a whole number of bytes, not ${typeof size === 'number' ? size : kindOf(size)}.`,
    );
  }
  return [size as number];
}

function bytes(name: string, given: unknown): Buffer {
  if (!Buffer.isBuffer(given))
    server.breaks('streams', `wsgi.input: ${name} must give a Buffer, not ${kindOf(given)}.`);
  return given;
}

export class ValidatedErrors implements ErrorStream {
  readonly #errors: ErrorStream;

  constructor(errors: ErrorStream) {
    this.#errors = errors;
  }

  write(...args: readonly unknown[]): void {
    const [text] = args;
    if (args.length !== 1)
      application.breaks('streams', `wsgi.errors.write() takes one argument, not ${args.length}.`);
    if (typeof text !== 'string')
      application.breaks('streams', `wsgi.errors.write() takes a string, not ${kindOf(text)}.`);
    this.#errors.write(text);
  }

  flush(): void {
    this.#errors.flush();
  }

  writelines(lines: Iterable<string>): void {
    if (typeof lines === 'string')
      application.breaks('streams', 'wsgi.errors.writelines() takes lines, not one string.');
    for (const line of lines) this.write(line);
  }

  close(): never {
    return application.breaks(
      'streams',
      "wsgi.errors.close() may not be called: the stream is the server's.",
    );
  }
}

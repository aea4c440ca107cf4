import { expect, test } from 'vitest';
import type { Application, InputStream } from '../../src/wsgi/types.ts';
import { validator } from '../../src/wsgi/validator.ts';
import { FakeExchange } from './fake-exchange.ts';
import { runApp } from './run-app.ts';
import { type Check, hello, testChecks, using } from './validation.ts';

const input = (act: (input: InputStream) => unknown) => using((environ) => act(environ['wsgi.input']));
/** An input of the server's, of which the application uses one method. */
const serverInput = (spoiled: Record<string, unknown>, act: (input: InputStream) => unknown) => {
  const names = ['read', 'readline', 'readlines', Symbol.iterator, 'text', 'json', 'formData', 'stream'];
  const good = Object.fromEntries(names.map((name) => [name, () => undefined]));
  return using((given) => act(given['wsgi.input']), { environ: { 'wsgi.input': { ...good, ...spoiled } } });
};

const wsgiref: readonly Check[] = [
  ['read() without a size', 'application', 'streams', 'It got 0 arguments', input((given) => given.read())],
  [
    'read() with two',
    'application',
    'streams',
    'It got 2 arguments',
    input((given) => (given.read as (...args: number[]) => unknown)(1, 2)),
  ],
  [
    'read() that gives no bytes',
    'server',
    'streams',
    'read must give a Buffer, not a string',
    serverInput({ read: () => 'text' }, (given) => given.read(1)),
  ],
  [
    'readline() with two',
    'application',
    'streams',
    'readline() takes one argument, not 2',
    input((given) => (given.readline as (...args: number[]) => unknown)(1, 2)),
  ],
  [
    'readline() that gives no bytes',
    'server',
    'streams',
    'readline must give a Buffer, not null',
    serverInput({ readline: () => null }, (given) => given.readline()),
  ],
  [
    'readlines() with two',
    'application',
    'streams',
    'readlines() takes one argument, not 2',
    input((given) => (given.readlines as (...args: number[]) => unknown)(1, 2)),
  ],
  [
    'readlines() that gives no array',
    'server',
    'streams',
    'readlines() must give an array, not a Set',
    serverInput({ readlines: () => new Set() }, (given) => given.readlines()),
  ],
  [
    'readlines() that gives no bytes',
    'server',
    'streams',
    'readlines must give a Buffer, not a string',
    serverInput({ readlines: () => ['a'] }, (given) => given.readlines()),
  ],
  [
    'iteration that gives no bytes',
    'server',
    'streams',
    'iteration must give a Buffer, not a string',
    serverInput(
      {
        *[Symbol.iterator]() {
          yield 'a';
        },
      },
      (given) => [...given],
    ),
  ],
  [
    'close() of wsgi.input',
    'application',
    'streams',
    'wsgi.input.close() may not be called',
    input((given) => (given as unknown as { close(): void }).close()),
  ],
  [
    'errors.write() of what is no string',
    'application',
    'streams',
    'takes a string, not a Buffer',
    using((environ) => environ['wsgi.errors'].write(Buffer.from('a') as never)),
  ],
  [
    'errors.writelines() of what are no strings',
    'application',
    'streams',
    'takes a string, not a number',
    using((environ) => environ['wsgi.errors'].writelines([1] as never)),
  ],
  [
    'close() of wsgi.errors',
    'application',
    'streams',
    'wsgi.errors.close() may not be called',
    using((environ) => (environ['wsgi.errors'] as unknown as { close(): void }).close()),
  ],
];

const beyond: readonly Check[] = [
  [
    'a size that is no number',
    'application',
    'streams',
    'read() takes a whole number of bytes, not a string',
    input((given) => given.read('1' as never)),
  ],
  [
    'a size that is undefined',
    'application',
    'streams',
    'read() takes a whole number of bytes, not undefined',
    input((given) => given.read(undefined)),
  ],
  [
    'a size that is not whole',
    'application',
    'streams',
    'readline() takes a whole number of bytes, not 1.5',
    input((given) => given.readline(1.5)),
  ],
  [
    'text() with an argument',
    'application',
    'streams',
    'wsgi.input.text() takes no argument',
    input((given) => (given.text as (encoding: string) => unknown)('latin1')),
  ],
  [
    'text() that gives no promise',
    'server',
    'streams',
    'text() must give a promise, not a string',
    serverInput({ text: () => 'a' }, (given) => given.text()),
  ],
  [
    'text() of another type',
    'server',
    'streams',
    'text() gave a number',
    serverInput({ text: async () => 1 }, (given) => given.text()),
  ],
  [
    'json() that gives no promise',
    'server',
    'streams',
    'json() must give a promise, not an object',
    serverInput({ json: () => ({}) }, (given) => given.json()),
  ],
  [
    'formData() of another type',
    'server',
    'streams',
    'formData() gave a Map',
    serverInput({ formData: async () => new Map() }, (given) => given.formData()),
  ],
  [
    'stream of another type',
    'server',
    'streams',
    'stream must be a ReadableStream, not an array',
    serverInput({ stream: [] }, (given) => given.stream),
  ],
  [
    'errors.write() with two',
    'application',
    'streams',
    'write() takes one argument, not 2',
    using((environ) => (environ['wsgi.errors'].write as (...args: string[]) => void)('a', 'b')),
  ],
  [
    'errors.writelines() of one string',
    'application',
    'streams',
    'takes lines, not one string',
    using((environ) => environ['wsgi.errors'].writelines('abc')),
  ],
];

testChecks({ wsgiref, beyond });

test('what the application reads and writes passes as it is', async () => {
  const exchange = new FakeExchange({
    head: { fields: ['content-type', 'application/x-www-form-urlencoded'] },
    body: 'one\ntwo\nthree\nfour\na=1',
  });
  const seen: unknown[] = [];
  const app: Application = async (environ, startResponse) => {
    const stdin = environ['wsgi.input'];
    seen.push(
      String(stdin.read(2)),
      String(stdin.readline()),
      String(stdin.readline(2)),
      stdin.readlines(1).map(String),
    );
    for (const line of stdin) {
      seen.push(String(line));
      if (String(line) === 'four\n') break;
    }
    const form = await stdin.formData();
    seen.push(form.get('a'), await stdin.text(), (await stdin.stream.getReader().read()).done);
    await expect(stdin.json()).rejects.toThrow(SyntaxError);
    environ['wsgi.errors'].write('x');
    environ['wsgi.errors'].writelines(['y', 'z']);
    environ['wsgi.errors'].flush();
    return hello(environ, startResponse);
  };
  const result = await runApp(validator(app), exchange);
  expect(result).toEqual({
    calls: ['respond 200 OK Content-Type=text/plain [hello] last', 'release'],
    errors: 'xyz',
  });
  expect(seen).toEqual(['on', 'e\n', 'tw', ['o\n'], 'three\n', 'four\n', '1', '', true]);
});

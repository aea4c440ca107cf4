import { expect, test } from 'vitest';
import { compose } from '../../src/wsgi/compose.ts';
import type { Application, Environ, Middleware } from '../../src/wsgi/types.ts';

const app: Application = () => ['app'];
const named =
  (name: string): Middleware =>
  (inner) =>
  async (environ, startResponse) => [name, ...((await inner(environ, startResponse)) as string[])];

const call = (given: Application) => given({} as Environ, () => () => Promise.resolve());

test('the first is the outermost', async () => {
  expect(await call(compose(named('a'), named('b'))(app))).toEqual(['a', 'b', 'app']);
});

test('of nothing it is the application itself', () => {
  expect(compose()(app)).toBe(app);
});

import { expect, test } from 'vitest';
import { UserError } from '../../src/errors.ts';
import { type RequestIdOptions, requestId } from '../../src/wsgi/request-id.ts';
import type { Application, Header } from '../../src/wsgi/types.ts';
import { FakeExchange } from './fake-exchange.ts';
import { runApp } from './run-app.ts';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** What the application and the client see. */
async function idsOf(
  options: RequestIdOptions,
  { brought, headers = [] }: { brought?: string; headers?: readonly Header[] } = {},
) {
  let inside: unknown[] = [];
  const app: Application = (environ, startResponse) => {
    inside = [environ['tunicorn.request_id'], environ.HTTP_X_REQUEST_ID];
    startResponse('200 OK', headers);
    return [];
  };
  const fields = brought === undefined ? [] : ['x-request-id', brought];
  const { calls } = await runApp(requestId(options)(app), new FakeExchange({ head: { fields } }));
  return { inside, sent: calls[0] };
}

test('each request gets an id of its own, in environ and in the response', async () => {
  const one = await idsOf({});
  const two = await idsOf({});
  expect(one.inside[0]).toMatch(UUID);
  expect(one.inside[1]).toBe(one.inside[0]);
  expect(one.sent).toBe(`respond 200 OK X-Request-ID=${one.inside[0]} [] last`);
  expect(two.inside[0]).not.toBe(one.inside[0]);
});

test('the id that a request brings is replaced, for the application too', async () => {
  const { inside, sent } = await idsOf({ make: () => 'made' }, { brought: 'forged' });
  expect(inside).toEqual(['made', 'made']);
  expect(sent).toContain('X-Request-ID=made');
});

test('unless it is trusted', async () => {
  const { inside, sent } = await idsOf({ trust: true }, { brought: 'Root=1-67891233:abc/d+e.f@g' });
  expect(inside).toEqual(Array(2).fill('Root=1-67891233:abc/d+e.f@g'));
  expect(sent).toContain('X-Request-ID=Root=1-67891233:abc/d+e.f@g');
});

test.each(['', ' ', 'a b', 'a,b', 'a"b', 'a;b', 'caf\xe9', 'x'.repeat(129)])(
  'and no id even then: %j',
  async (brought) => {
    expect((await idsOf({ trust: true, make: () => 'made' }, { brought })).inside).toEqual(['made', 'made']);
  },
);

test('without one it is made, also where it would be trusted', async () => {
  expect((await idsOf({ trust: true, make: () => 'made' })).inside).toEqual(['made', 'made']);
  expect((await idsOf({ trust: true }, { brought: 'x'.repeat(128) })).inside[0]).toBe('x'.repeat(128));
});

test('the response has one, whatever the application says', async () => {
  const headers: Header[] = [
    ['x-request-id', 'own'],
    ['X-A', '1'],
  ];
  const { sent } = await idsOf({ make: () => 'made' }, { headers });
  expect(sent).toBe('respond 200 OK X-A=1 X-Request-ID=made [] last');
});

test('in another header', async () => {
  let seen: unknown;
  const app: Application = (environ, startResponse) => {
    seen = environ.HTTP_X_TRACE_ID;
    startResponse('200 OK', []);
    return [];
  };
  const { calls } = await runApp(requestId({ header: 'X-Trace-Id', make: () => 'made' })(app));
  expect(seen).toBe('made');
  expect(calls[0]).toBe('respond 200 OK X-Trace-Id=made [] last');
});

test.each(['', 'X Id', 'Connection'])('a header that cannot be: %j', (header) => {
  expect(() => requestId({ header })).toThrow(UserError);
});

test('headers that are none are left to the server to refuse', async () => {
  for (const headers of [{ a: 'b' }, null, [null]]) {
    const app: Application = (_, startResponse) => {
      startResponse('200 OK', headers as never);
      return [];
    };
    expect((await runApp(requestId()(app))).errors).toMatch(/TypeError: (The headers|A header) must be/);
  }
});

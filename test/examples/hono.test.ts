import { createHash, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Server } from '../support/tunicorn.ts';
import { EventSource } from './event-source.ts';
import { Visitor } from './visitor.ts';
import { startExample, ways } from './ways.ts';

/** More than is kept in memory of a request body. */
const FILE = randomBytes(5 * 1024 * 1024);

describe.each(ways)('the Hono example by %s', (way) => {
  let server: Server;
  let visitor: Visitor;
  beforeAll(async () => {
    server = await startExample('hono', way);
    visitor = new Visitor(server.url);
  });
  afterAll(() => server[Symbol.asyncDispose]());

  test('writes what a form says into its book', async () => {
    const answer = await visitor.post(
      '/entries',
      new URLSearchParams({ name: 'Grüß <b>', text: 'Heyo & so' }),
    );
    expect([answer.status, answer.headers.get('location')]).toEqual([303, '/']);
    const page = await visitor.get('/');
    expect([page.status, page.headers.get('content-type')]).toEqual([200, 'text/html; charset=UTF-8']);
    expect(page.text).toContain('<li>Grüß &lt;b&gt;: Heyo &amp; so</li>');
    expect(JSON.parse((await visitor.get('/entries')).text)).toContainEqual({
      name: 'Grüß <b>',
      text: 'Heyo & so',
    });
  });

  test('says what an entry lacks', async () => {
    const answer = await visitor.post('/entries', new URLSearchParams({ name: 'Somebody', text: ' ' }));
    expect([answer.status, answer.text]).toEqual([400, 'An entry needs a name and a text.\n']);
  });

  test('tells every open page of a new entry at once', async () => {
    using one = await EventSource.open(`${server.url}/events`);
    using other = await EventSource.open(`${server.url}/events`);
    expect(one.headers.get('content-type')).toBe('text/event-stream');
    for (const events of [one, other]) expect((await events.next()).event).toBe('hello');
    for (const text of ['first', 'second']) {
      await visitor.post('/entries', new URLSearchParams({ name: 'Somebody', text }));
      for (const events of [one, other]) {
        const { event, data } = await events.next();
        expect([event, JSON.parse(data)]).toEqual(['entry', { name: 'Somebody', text }]);
      }
    }
  });

  test('takes a long file', async () => {
    const form = new FormData();
    form.set('file', new Blob([FILE]), 'a file.bin');
    const answer = await visitor.post('/upload', form);
    expect(JSON.parse(answer.text)).toEqual({
      name: 'a file.bin',
      size: FILE.length,
      sha256: createHash('sha256').update(FILE).digest('hex'),
    });
  });

  test('says that a form has no file', async () => {
    const answer = await visitor.post('/upload', new FormData());
    expect([answer.status, answer.text]).toEqual([400, 'The form has no file named "file".\n']);
  });

  test('ends when it is told to, with a page still open', async () => {
    await using other = await startExample('hono', way);
    using events = await EventSource.open(`${other.url}/events`);
    await events.next();
    other.signal('SIGTERM');
    expect((await other.exited).code).toBe(0);
  });
});

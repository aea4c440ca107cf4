import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fetchOnce } from '../support/client.ts';
import type { Server } from '../support/tunicorn.ts';
import { EventSource } from './event-source.ts';
import { Visitor } from './visitor.ts';
import { startExample, ways } from './ways.ts';

/** 5 MiB, which is more than is kept in memory of a request body. */
const BALLOTS = 'nano\n'.repeat(1024 * 1024);

describe.each(ways)('the Express example by %s', (way) => {
  let server: Server;
  let visitor: Visitor;
  beforeAll(async () => {
    server = await startExample('express', way);
    visitor = new Visitor(server.url);
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const votes = async () => JSON.parse((await visitor.get('/votes')).text) as Record<string, number>;

  test('has a page with a form', async () => {
    const page = await visitor.get('/');
    expect([page.status, page.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8']);
    expect(page.text).toContain('<button name="choice" value="vim">vim</button>');
    // Not by `fetch`, which adds Cache-Control: no-cache, and so wants it whole.
    const fields = { 'If-None-Match': page.headers.get('etag') ?? '' };
    const again = await fetchOnce({ port: server.port }, '/', { fields });
    expect([again.status, again.body.length]).toEqual([304, 0]);
  });

  test('counts what a form says', async () => {
    const { emacs = 0 } = await votes();
    const answer = await visitor.post('/votes', new URLSearchParams({ choice: 'emacs' }));
    expect([answer.status, answer.headers.get('location')]).toEqual([303, '/']);
    expect((await votes()).emacs).toBe(emacs + 1);
  });

  test('says what can be chosen', async () => {
    const answer = await visitor.post('/votes', new URLSearchParams({ choice: 'ed' }));
    expect([answer.status, answer.text]).toEqual([400, 'Choose one of: vim, emacs, nano.\n']);
  });

  test('tells every open page of a vote at once', async () => {
    const { vim = 0 } = await votes();
    using one = await EventSource.open(`${server.url}/events`);
    using other = await EventSource.open(`${server.url}/events`);
    expect(one.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    const count = async (events: EventSource) => JSON.parse((await events.next()).data).vim as number;
    for (const events of [one, other]) expect(await count(events)).toBe(vim);
    for (const more of [1, 2]) {
      await visitor.post('/votes', new URLSearchParams({ choice: 'vim' }));
      for (const events of [one, other]) expect(await count(events)).toBe(vim + more);
    }
  });

  test('takes a long file', async () => {
    const { nano = 0 } = await votes();
    const form = new FormData();
    form.set('file', new Blob([BALLOTS]), 'ballots.txt');
    const answer = await visitor.post('/upload', form);
    expect(JSON.parse(answer.text)).toEqual({
      name: 'ballots.txt',
      size: BALLOTS.length,
      counted: 1024 * 1024,
    });
    expect((await votes()).nano).toBe(nano + 1024 * 1024);
  });

  test('says that a form has no file', async () => {
    const form = new FormData();
    form.set('other', 'x');
    const answer = await visitor.post('/upload', form);
    expect([answer.status, answer.text]).toEqual([400, 'The form has no file named "file".\n']);
  });

  test('ends when it is told to, with a page still open', async () => {
    await using other = await startExample('express', way);
    using events = await EventSource.open(`${other.url}/events`);
    await events.next();
    other.signal('SIGTERM');
    expect((await other.exited).code).toBe(0);
  });
});

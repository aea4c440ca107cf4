import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Turn } from '../../src/front/turn.ts';
import { formatRequest } from '../support/client.ts';
import { openStage, reply } from './harness.ts';
import { openPair, type Pair, received } from './pair.ts';

let turn: Turn;
let pair: Pair;
let writes: ReturnType<typeof vi.spyOn>;

beforeEach(async () => {
  pair = await openPair();
  writes = vi.spyOn(pair.socket, 'write');
  turn = new Turn();
});
afterEach(() => {
  vi.restoreAllMocks();
  return pair[Symbol.asyncDispose]();
});

/** Gives an answer that came at once. */
function give(head: string): void {
  expect(turn.admits(performance.now())).toBe(true);
  expect(pair.outgoing.writeHead(head, [], turn)).toBe(true);
}

/** Lets the clock say that so much time has passed. */
function pass(ms: number): void {
  const now = performance.now() + ms;
  vi.spyOn(performance, 'now').mockReturnValue(now);
}

test('what is given at once leaves at the end of the turn, in one write', async () => {
  const left = vi.fn();
  pair.outgoing.onLeft = left;
  pass(0);
  give('one ');
  give('two ');
  expect([writes.mock.calls.length, pair.outgoing.unsent, pair.outgoing.empty]).toEqual([0, 8, true]);
  await new Promise(setImmediate);
  expect([writes.mock.calls.length, left.mock.calls.length]).toEqual([1, 1]);
  expect(String(await received(pair, 8))).toBe('one two ');
});

test('what comes after it stays behind it', async () => {
  pass(0);
  give('one ');
  pair.outgoing.write([Buffer.from('two ')]);
  give('three ');
  pair.outgoing.writeHead('four ', []);
  give('five ');
  pair.outgoing.flush();
  expect(String(await received(pair, 24))).toBe('one two three four five ');
});

test('the first waits a millisecond, then all leave', () => {
  pass(0);
  give('one ');
  pass(1);
  give('two ');
  expect(writes).toHaveBeenCalledTimes(1);
});

test('no answer waits that has taken its time', () => {
  pass(0);
  const startedAt = performance.now();
  expect(turn.admits(startedAt)).toBe(true);
  pass(1);
  expect(turn.admits(startedAt)).toBe(false);
});

test('more than a few kilobytes do not wait', () => {
  pass(0);
  give('x'.repeat(4000));
  give('x'.repeat(4000));
  expect(writes).toHaveBeenCalledTimes(1);
});

test('an end does not overtake the last answer', async () => {
  await using stage = await openStage((exchange) => reply(exchange, exchange.head.target));
  const client = await stage.connect();
  const last = { fields: { Connection: 'close' } };
  await client.send(Buffer.concat([formatRequest('GET', '/a'), formatRequest('GET', '/b', last)]));
  expect([String((await client.read()).body), String((await client.read()).body)]).toEqual(['/a', '/b']);
  expect(await client.ended()).toMatchObject({ how: 'cut', rest: Buffer.alloc(0) });
});

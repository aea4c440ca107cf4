import { expect, test } from 'vitest';
import { Inquiries } from '../../src/arbiter/inquiry.ts';
import type { FrontReport, ToFront } from '../../src/messages.ts';

const PATIENCE_MS = 20_000;
const report = (pid: number): FrontReport => ({
  pid,
  connections: 0,
  memory: 0,
  spooled: 0,
  statuses: {},
  mounts: [],
});

function open() {
  const told: [number, ToFront][] = [];
  return { told, inquiries: new Inquiries((slot, message) => void told.push([slot, message])) };
}

test('each front is asked, and its own answer goes to who asked', async () => {
  const { told, inquiries } = open();
  const answers = Promise.all([inquiries.report(0, PATIENCE_MS), inquiries.report(1, PATIENCE_MS)]);
  expect(told).toEqual([
    [0, { type: 'report' }],
    [1, { type: 'report' }],
  ]);
  inquiries.take(1, { type: 'report', report: report(20) });
  inquiries.take(0, { type: 'report', report: report(10) });
  expect((await answers).map((answer) => answer?.pid)).toEqual([10, 20]);
});

test('stacks are told apart by worker, whichever front says them', async () => {
  const { told, inquiries } = open();
  const first = inquiries.stacks(0, { worker: 1, patienceMs: PATIENCE_MS });
  const second = inquiries.stacks(0, { worker: 2, patienceMs: PATIENCE_MS });
  expect(told.map(([, message]) => message)).toEqual([
    { type: 'stacks', worker: 1 },
    { type: 'stacks', worker: 2 },
  ]);
  inquiries.take(0, { type: 'stacks', worker: 2, text: 'of two' });
  inquiries.take(0, { type: 'stacks', worker: 1, text: 'of one' });
  expect([await first, await second]).toEqual(['of one', 'of two']);
});

test('who asks while the question is open gets the same answer; who asks later asks anew', async () => {
  const { told, inquiries } = open();
  const both = Promise.all([inquiries.report(0, PATIENCE_MS), inquiries.report(0, PATIENCE_MS)]);
  expect(told).toHaveLength(1);
  inquiries.take(0, { type: 'report', report: report(10) });
  expect((await both).map((answer) => answer?.pid)).toEqual([10, 10]);
  const again = inquiries.report(0, PATIENCE_MS);
  expect(told).toHaveLength(2);
  inquiries.take(0, { type: 'report', report: report(11) });
  expect((await again)?.pid).toBe(11);
});

test('no answer in time: null, or no text; one that comes later is for nobody', async () => {
  const { told, inquiries } = open();
  expect(await inquiries.report(0, 1)).toBeNull();
  expect(await inquiries.stacks(0, { worker: 1, patienceMs: 1 })).toBe('');
  inquiries.take(0, { type: 'report', report: report(10) });
  const again = inquiries.report(0, PATIENCE_MS);
  expect(told).toHaveLength(3);
  inquiries.take(0, { type: 'report', report: report(11) });
  expect((await again)?.pid).toBe(11);
});

test('who asked later is answered, though the first has given up', async () => {
  const { inquiries } = open();
  const first = inquiries.report(0, 1);
  const second = inquiries.report(0, PATIENCE_MS);
  expect(await first).toBeNull();
  inquiries.take(0, { type: 'report', report: report(10) });
  expect((await second)?.pid).toBe(10);
});

test('an answer that nobody asked for changes nothing', () => {
  const { inquiries, told } = open();
  inquiries.take(0, { type: 'stacks', worker: 7, text: 'unasked' });
  expect(told).toEqual([]);
});

import { Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { Claims } from '../../src/workers/claims.ts';

test('who comes first has it, and asking again changes nothing', () => {
  const claims = new Claims();
  expect([claims.begin(7), claims.giveBack(7), claims.begin(7)]).toEqual([true, false, true]);
  expect([claims.giveBack(8), claims.giveBack(8), claims.begin(8)]).toEqual([true, true, false]);
});

test('the very first ids of a front', () => {
  const claims = new Claims();
  expect([claims.giveBack(2), claims.begin(2), claims.begin(1), claims.giveBack(1)]).toEqual([
    true,
    false,
    true,
    false,
  ]);
});

test('an id whose slot a later one has taken was begun or given back long ago', () => {
  const claims = new Claims();
  expect([claims.begin(7), claims.begin(7 + 4096)]).toEqual([true, true]);
  expect(claims.giveBack(7)).toBe(false);
});

test('an id that stands there since ids went round stops nobody from beginning', () => {
  const claims = new Claims();
  // More than half of all ids later the old one seems to be ahead.
  const [old, young] = [4096, 4096 + 0x20000000 + 4096];
  expect([claims.begin(old), claims.giveBack(young), claims.begin(young)]).toEqual([true, false, true]);
  expect([claims.begin(0xffffffff), claims.giveBack(4095)]).toEqual([true, true]);
  expect(claims.begin(4095)).toBe(false);
});

test('one that was given back is passed over, also when an earlier one of the same slot is begun meanwhile', () => {
  const claims = new Claims();
  expect([claims.giveBack(7 + 4096), claims.begin(7), claims.begin(7 + 4096)]).toEqual([true, true, false]);
  expect([claims.begin(7 + 2 * 4096), claims.giveBack(7 + 4096)]).toEqual([true, false]);
});

test('of two threads each id goes to exactly one', async () => {
  const claims = new Claims();
  const COUNT = 200_000;
  const code = `
    const { parentPort, workerData } = require('node:worker_threads');
    import(workerData.module).then(({ Claims }) => {
      const claims = new Claims(workerData.memory);
      const mine = new Uint8Array(${COUNT});
      parentPort.postMessage('ready');
      // Where the other begins is looked for from far ahead, so that they meet everywhere.
      for (let id = 1; id < ${COUNT}; id++) mine[id] = claims.giveBack(id) ? 1 : 0;
      parentPort.postMessage(mine);
    });`;
  const module = new URL('../../dist/workers/claims.js', import.meta.url).href;
  const thread = new Worker(code, { eval: true, workerData: { module, memory: claims.memory } });
  const next = () => new Promise<unknown>((resolve) => thread.once('message', resolve));
  await next();
  const theirs = next();
  const ours = new Uint8Array(COUNT);
  for (let id = 1; id < COUNT; id++) ours[id] = claims.begin(id) ? 1 : 0;
  const given = (await theirs) as Uint8Array;
  expect(ours.findIndex((has, id) => id > 0 && has + (given[id] ?? 0) > 1)).toBe(-1);
  expect(given.includes(1) || ours.includes(1)).toBe(true);
  await thread.terminate();
});

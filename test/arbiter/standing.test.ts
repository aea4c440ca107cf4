import { expect, test } from 'vitest';
import { apply } from '../../src/arbiter/apply.ts';
import { Standing } from '../../src/arbiter/standing.ts';
import { poolAt } from '../../src/arbiter/state.ts';
import { keepLog, servingState } from './stand-ins.ts';

function open() {
  const state = servingState(1, { min: 1, max: 1 }, 2);
  const pool = poolAt(state, 1);
  const standing = new Standing(pool, { log: keepLog(), rights: null });
  const reload = (index: number) =>
    apply(state, { type: 'reload', pool: index, limits: pool.limits, range: null }, 0);
  return { state, standing, reload };
}

test('before it has served a failure is one of the start', () => {
  const { standing } = open();
  expect(standing.blame(1, 'No module named shop')).toBe('start');
});

test('code on trial is blamed for what was said first; what is not on trial is tried again', () => {
  const { standing, reload } = open();
  standing.served = true;
  expect(standing.blame(1, 'It crashed.')).toBe('later');
  reload(1);
  expect(standing.blame(1, 'It crashed.')).toBe('later');
  expect(standing.blame(2, 'No module named shop')).toBe('trial');
  expect(standing.blame(2, 'Worker 7 ended with status 3.')).toBe('trial');
  expect(standing.failure).toBe('No module named shop');
  standing.renew();
  expect(standing.failure).toBe('');
});

test('a trial of another application is none of its own', () => {
  const { standing, reload } = open();
  standing.served = true;
  reload(0);
  expect(standing.isOnTrial(2)).toBe(false);
});

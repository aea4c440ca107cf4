import { expect, test } from 'vitest';
import { evaluate, GOALS, type Goal } from '../../bench/goals.mjs';
import { PEERS, whyNot } from '../../bench/peers.mjs';
import { summarize } from '../../bench/summary.mjs';
import { FIGURES, WORKLOADS } from '../../bench/workloads.mjs';
import { entry, run } from './results.ts';

const RUNS = {
  tunicorn: [run(120, { kept: 0.95 })],
  'gunicorn-sync': [run(20)],
  uwsgi: [run(100)],
  'node-http': [run(500)],
};

function judge(bound: Omit<Goal, 'workload' | 'text'>, runs: typeof RUNS | Record<string, never> = RUNS) {
  const goal = { workload: 'hello-32', text: '', ...bound };
  return evaluate(goal, { rows: summarize(entry(runs)), references: ['node-http'] });
}

test.each([
  ['a ratio to one server', { figure: 'rate', peer: ['gunicorn-sync'], least: 6 }, 6, null, true],
  ['one that is missed', { figure: 'rate', peer: ['uwsgi'], least: 1.3 }, 1.2, null, false],
  ['less is better', { figure: 'cpuUs', peer: ['uwsgi'], most: 1 }, 100 / 120, null, true],
  ['the best of several', { figure: 'rate', peer: ['gunicorn-sync', 'uwsgi'], least: 1 }, 1.2, 'uwsgi', true],
  ['a reference is no peer', { figure: 'rate', peer: 'every', least: 1 }, 1.2, 'uwsgi', true],
  ['a figure of its own', { figure: 'kept', least: 0.9 }, 0.95, null, true],
] as const)('%s', (_, bound, value, against, isMet) => {
  expect(judge(bound)).toEqual({ value: expect.closeTo(value, 6), against, isMet });
});

test('what was not measured is neither met nor missed', () => {
  const unknown = { value: null, against: null, isMet: null };
  expect(judge({ figure: 'rate', peer: ['uwsgi'], least: 1 }, {})).toEqual(unknown);
  expect(judge({ figure: 'rate', peer: ['granian'], least: 1 })).toEqual(unknown);
  expect(judge({ figure: 'slowestShare', least: 0.5 })).toEqual(unknown);
});

test('each goal names a workload, a figure of it, and servers that take part in it', () => {
  for (const { workload: id, figure, peer = [], text } of GOALS) {
    const workload = WORKLOADS.find((one) => one.id === id);
    const keys = [...FIGURES, ...(workload?.more ?? [])].map(({ key }) => key);
    expect(keys, text).toContain(figure);
    for (const name of peer === 'every' ? [] : peer) {
      const found = PEERS.find((one) => one.id === name);
      expect(found && whyNot(found, id), text).toBeNull();
    }
  }
});

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Agenda } from '../../src/arbiter/agenda.ts';

test('whatever is entered when, the first that falls due is in front, and equals in their order', () => {
  fc.assert(
    fc.property(fc.array(fc.option(fc.integer({ min: 0, max: 9 }))), (steps) => {
      const agenda = new Agenda();
      let model: { at: number; worker: number }[] = [];
      for (const [worker, at] of steps.entries()) {
        if (at === null) {
          if (agenda.peek() !== undefined) agenda.pop();
          model.shift();
        } else {
          agenda.push({ at, worker });
          model = [...model, { at, worker }].sort((a, b) => a.at - b.at || a.worker - b.worker);
        }
        expect(agenda.peek()).toEqual(model[0]);
      }
    }),
  );
});

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Line, Link } from '../../src/front/line.ts';

function order(line: Line<number>): number[] {
  const items: number[] = [];
  for (let link = line.first; link !== null; link = link.after) items.push(link.item);
  return items;
}

test('it keeps the order, whoever leaves or moves', () => {
  const step = fc.record({ what: fc.constantFrom('a', 'b', 'remove a', 'remove b'), which: fc.nat(9) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const links = Array.from({ length: 10 }, (_, i) => new Link(i));
      const lines = { a: new Line<number>(), b: new Line<number>() };
      const model = { a: [] as number[], b: [] as number[] };
      for (const [at, { what, which }] of steps.entries()) {
        const link = links[which] as Link<number>;
        const name = what.endsWith('a') ? 'a' : 'b';
        if (what === name) {
          lines[name].push(link, at);
          for (const each of ['a', 'b'] as const) model[each] = model[each].filter((item) => item !== which);
          model[name].push(which);
          expect(link.at).toBe(at);
        } else {
          expect(lines[name].remove(link)).toBe(model[name].includes(which));
          model[name] = model[name].filter((item) => item !== which);
        }
        for (const each of ['a', 'b'] as const) {
          expect([order(lines[each]), lines[each].length]).toEqual([model[each], model[each].length]);
        }
      }
    }),
  );
});

test('what has left holds nobody who stood beside it', () => {
  const line = new Line<number>();
  const links = [1, 2, 3].map((item) => new Link(item));
  for (const link of links) line.push(link, 0);
  line.remove(links[1] as Link<number>);
  expect(links[1]).toEqual({ item: 2, at: 0, line: null, before: null, after: null });
});

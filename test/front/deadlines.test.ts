import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Deadlines } from '../../src/front/deadlines.ts';
import { Link } from '../../src/front/line.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

type Item = Link<{ readonly name: string }>;
type Named = Item['item'];

function lists(...delays: number[]) {
  const deadlines = new Deadlines();
  const due: string[] = [];
  const made = delays.map((delay) =>
    deadlines.list<Named>(delay, (item) => due.push(`${item.name}@${Math.round(performance.now() - start)}`)),
  );
  const start = performance.now();
  return { due, lists: made };
}

function items(count: number): Item[] {
  return Array.from({ length: count }, (_, i) => new Link({ name: String(i) }));
}

test('items fall due in order, each after its delay, with one timer', () => {
  const {
    due,
    lists: [short, long],
  } = lists(100, 300);
  const [a, b, c] = items(3) as [Item, Item, Item];
  long?.add(a);
  short?.add(b);
  vi.advanceTimersByTime(50);
  short?.add(c);
  expect(vi.getTimerCount()).toBe(1);
  vi.advanceTimersByTime(1000);
  expect(due).toEqual(['1@100', '2@150', '0@300']);
  expect([vi.getTimerCount(), short?.nextAt, short?.has(b)]).toEqual([0, Number.POSITIVE_INFINITY, false]);
});

test('adding again restarts, deleting ends', () => {
  const {
    due,
    lists: [list],
  } = lists(100);
  const [a, b, c] = items(3) as [Item, Item, Item];
  for (const item of [a, b, c]) list?.add(item);
  vi.advanceTimersByTime(60);
  list?.add(a);
  list?.delete(b);
  expect([list?.has(a), list?.has(b)]).toEqual([true, false]);
  vi.advanceTimersByTime(1000);
  expect(due).toEqual(['2@100', '0@160']);
});

test('restarted for ever it never falls due', () => {
  const {
    due,
    lists: [list],
  } = lists(100);
  const [a] = items(1) as [Item];
  for (let i = 0; i < 50; i++) {
    list?.add(a);
    vi.advanceTimersByTime(99);
  }
  expect(due).toEqual([]);
  vi.advanceTimersByTime(1);
  expect(due.length).toBe(1);
});

test('a delay of 0 is none', () => {
  const {
    due,
    lists: [list],
  } = lists(0);
  const [a] = items(1) as [Item];
  list?.add(a);
  expect([list?.has(a), vi.getTimerCount()]).toEqual([false, 0]);
  vi.advanceTimersByTime(1e6);
  expect(due).toEqual([]);
});

test('a link stands in one list: adding it to another takes it out of the first', () => {
  const {
    due,
    lists: [short, long, never],
  } = lists(100, 300, 0);
  const [a, b, c] = items(3) as [Item, Item, Item];
  for (const item of [a, b, c]) short?.add(item);
  long?.add(b);
  never?.add(c);
  expect([short?.has(b), long?.has(b), short?.has(c)]).toEqual([false, true, false]);
  vi.advanceTimersByTime(1000);
  expect(due).toEqual(['0@100', '1@300']);
});

test('a changed delay moves those that wait, and 0 lets them go', () => {
  const {
    due,
    lists: [list, other],
  } = lists(100, 200);
  const [a, b] = items(2) as [Item, Item];
  if (list === undefined || other === undefined) throw new Error('There are two.');
  list.add(a);
  other.add(b);
  list.delayMs = 250;
  other.delayMs = 0;
  vi.advanceTimersByTime(1000);
  expect(due).toEqual(['0@250']);
});

test('a single deadline is started, started anew, kept and stopped', () => {
  const deadlines = new Deadlines();
  const due: number[] = [];
  const single = deadlines.single(100, () => due.push(performance.now() - start));
  const start = performance.now();
  single.start();
  vi.advanceTimersByTime(60);
  single.start();
  vi.advanceTimersByTime(60);
  single.ensure();
  vi.advanceTimersByTime(100);
  expect(due).toEqual([160]);
  single.ensure();
  single.stop();
  vi.advanceTimersByTime(1000);
  expect(due).toEqual([160]);
  single.ensure(30);
  single.ensure(5000);
  vi.advanceTimersByTime(1000);
  expect(due.map(Math.round)).toEqual([160, 1250]);
});

test('a keyed list finds the links of those that keep none', () => {
  const deadlines = new Deadlines();
  const due: string[] = [];
  const list = deadlines.keyed<string>(100, (item) => due.push(item));
  for (const item of ['a', 'b', 'c', 'a']) list.add(item);
  list.delete('b');
  list.delete('nobody');
  list.ensure('c');
  vi.advanceTimersByTime(1000);
  expect(due).toEqual(['c', 'a']);
  list.add('a');
  list.delayMs = 0;
  vi.advanceTimersByTime(1000);
  expect(due).toEqual(['c', 'a']);
});

test('an owner may add, delete and restart while items fall due', () => {
  const deadlines = new Deadlines();
  const [a, b, c] = items(3) as [Item, Item, Item];
  const due: string[] = [];
  const again = deadlines.list<Named>(50, (item) => due.push(`again ${item.name}`));
  const list = deadlines.list<Named>(100, (item) => {
    due.push(item.name);
    if (item === a.item) {
      list.delete(b);
      list.add(a);
      again.add(new Link(c.item));
    }
  });
  for (const item of [a, b, c]) list.add(item);
  vi.advanceTimersByTime(100);
  expect(due).toEqual(['0', '2']);
  vi.advanceTimersByTime(50);
  expect(due).toEqual(['0', '2', 'again 2']);
  vi.advanceTimersByTime(50);
  expect(due).toEqual(['0', '2', 'again 2', '0']);
});

test('10,000 items with restarts at random: none early, none forgotten', () => {
  const deadlines = new Deadlines();
  const dueAt = new Map<Named, number>();
  let fired = 0;
  const made = [70, 200, 1000].map((delay) => ({
    delay,
    list: deadlines.list<Named>(delay, (item) => {
      fired++;
      const at = dueAt.get(item) ?? Number.NaN;
      if (!(performance.now() >= at && performance.now() <= at + 2))
        throw new Error(`Due ${performance.now() - at} ms off.`);
      dueAt.delete(item);
    }),
  }));
  const all = items(10_000);
  let seed = 5;
  const random = (below: number) => {
    seed = (seed * 48_271) % 2_147_483_647;
    return seed % below;
  };
  for (let round = 0; round < 300; round++) {
    for (let i = 0; i < 100; i++) {
      const index = random(all.length);
      const item = all[index] as Item;
      const { list, delay } = made[index % made.length] as (typeof made)[number];
      if (random(4) === 0) {
        list.delete(item);
        dueAt.delete(item.item);
      } else {
        list.add(item);
        dueAt.set(item.item, performance.now() + delay);
      }
    }
    vi.advanceTimersByTime(random(20));
  }
  vi.advanceTimersByTime(2000);
  expect([dueAt.size, fired > 1000, vi.getTimerCount()]).toEqual([0, true, 0]);
});

test('real timers never wake it early', async () => {
  vi.useRealTimers();
  const deadlines = new Deadlines();
  const started = performance.now();
  const waits = [3, 7, 11, 23].map(
    (delay) =>
      new Promise<number>((resolve) => {
        deadlines
          .list<Named>(delay, () => resolve(performance.now() - started - delay))
          .add(new Link({ name: '' }));
      }),
  );
  // The timer does not keep a process alive; this one does.
  const alive = setTimeout(() => {}, 10_000);
  for (const late of await Promise.all(waits)) expect(late).toBeGreaterThanOrEqual(0);
  clearTimeout(alive);
});

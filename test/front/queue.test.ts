import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Link } from '../../src/front/line.ts';
import {
  DEEPEST,
  type LaneLimits,
  Queue,
  type QueueLimits,
  SLOW_MS,
  TRIAL_MS,
} from '../../src/front/queue.ts';

class Request {
  readonly name: string;
  readonly shares: boolean;
  suspect = false;
  readonly link = new Link<Request>(this);

  constructor(name: string, shares: boolean) {
    this.name = name;
    this.shares = shares;
  }
}

const LIMITS: QueueLimits = { size: 10, timeoutMs: 10_000, targetMs: 500 };
const ONE = { capacity: 1, batch: DEEPEST };

function get(name: string): Request {
  return new Request(name, true);
}

function post(name: string): Request {
  return new Request(name, false);
}

/** Each lane is a worker by itself unless it is said to be one of another's. */
function add<L>(
  queue: Queue<Request, L>,
  lane: L,
  limits: Omit<LaneLimits, 'worker'> & Partial<LaneLimits>,
): void {
  queue.open(lane, { worker: {}, ...limits });
}

function open(limits: Partial<QueueLimits> = {}, lanes: readonly string[] = []): Queue<Request, string> {
  const queue = new Queue<Request, string>({ ...LIMITS, ...limits });
  for (const lane of lanes) add(queue, lane, ONE);
  return queue;
}

/** What is given out now: `lane: names`. */
function deal(queue: Queue<Request, string>, now = 0): string[] {
  const dealt: string[] = [];
  for (let next = queue.next(now); next !== null; next = queue.next(now))
    dealt.push(`${next.lane}${next.request.name}`);
  return dealt;
}

/** A lane whose requests take so many milliseconds. */
function quick(ms: number, limits: Partial<QueueLimits> = {}): Queue<Request, string> {
  const queue = open(limits, ['a']);
  queue.push(get('first'), 0);
  deal(queue, 0);
  queue.done('a', { count: 1, now: ms, answered: true });
  return queue;
}

test('first come, first served, by the lane used last', () => {
  const queue = open({}, ['a', 'b', 'c']);
  expect(queue.next(0)).toBe(null);
  queue.push(get('1'), 100);
  queue.push(get('2'), 110);
  expect(queue.next(130)).toMatchObject({ request: { name: '1' }, lane: 'c', waitedMs: 30 });
  queue.done('c', { count: 1, now: 130, answered: true });
  expect(queue.next(130)).toMatchObject({ request: { name: '2' }, lane: 'c', waitedMs: 20 });
  expect([queue.next(130), queue.length, queue.idle]).toEqual([null, 0, 2]);
});

test('no more than its size may wait', () => {
  const queue = open({ size: 2 });
  const requests = ['1', '2', '3'].map(get) as [Request, Request, Request];
  expect(requests.map((request) => queue.push(request, 0))).toEqual([true, true, false]);
  expect([queue.leave(requests[0]), queue.leave(requests[0]), queue.leave(requests[2])]).toEqual([
    true,
    false,
    false,
  ]);
  expect([queue.push(get('4'), 0), queue.length]).toEqual([true, 2]);
});

test('what idle lanes can take at once is never refused', () => {
  const queue = open({ size: 0 });
  expect(queue.push(get('1'), 0)).toBe(false);
  add(queue, 'a', ONE);
  add(queue, 'b', { capacity: 2, batch: 2 });
  expect(['2', '3', '4', '5'].map((name) => queue.push(get(name), 0))).toEqual([true, true, true, false]);
  expect(deal(queue)).toEqual(['b2', 'a3', 'b4']);
});

test('of lanes that run many at once the one with the least to do comes first', () => {
  const queue = open();
  for (const lane of ['a', 'b', 'c']) add(queue, lane, { capacity: 3, batch: 1 });
  for (const name of '1234567'.split('')) queue.push(get(name), 0);
  expect(deal(queue)).toEqual(['c1', 'b2', 'a3', 'c4', 'b5', 'a6', 'c7']);
  queue.done('b', { count: 2, now: 1, answered: true });
  for (const name of '8901'.split('')) queue.push(get(name), 1);
  expect(deal(queue, 1)).toEqual(['b8', 'b9', 'b0', 'a1']);
});

test('what one of these may not have begun is asked back when another is at half as much at most, and again when it has more', () => {
  const queue = open();
  add(queue, 'a', { capacity: 5, batch: 1 });
  for (const name of '123'.split('')) queue.push(get(name), 0);
  deal(queue);
  expect([queue.shared, [...queue.recalls(SLOW_MS)]]).toEqual([false, []]);
  add(queue, 'b', { capacity: 5, batch: 1 });
  expect(queue.shared).toBe(true);
  for (const name of '45'.split('')) queue.push(get(name), 0);
  expect(deal(queue)).toEqual(['b4', 'b5']);
  expect([...queue.recalls(SLOW_MS)]).toEqual([]);
  queue.done('b', { count: 1, now: SLOW_MS, answered: true });
  expect([...queue.recalls(SLOW_MS - 0.1)]).toEqual([]);
  expect([[...queue.recalls(SLOW_MS)], [...queue.recalls(50)], queue.shared]).toEqual([['a'], [], false]);
  queue.hold('b');
  queue.push(get('6'), 50);
  expect(deal(queue)).toEqual(['a6']);
  add(queue, 'b', { capacity: 5, batch: 1 });
  expect([...queue.recalls(50)]).toEqual(['a']);
});

test('a lane that is held takes nothing until it is opened again, one that is dropped is forgotten', () => {
  const queue = open({}, ['a', 'b']);
  queue.hold('b');
  for (const name of ['1', '2']) queue.push(get(name), 0);
  expect(deal(queue)).toEqual(['a1']);
  add(queue, 'b', ONE);
  expect(deal(queue)).toEqual(['b2']);
  queue.hold('b');
  queue.done('b', { count: 1, now: 1, answered: true });
  queue.drop('a');
  queue.done('a', { count: 1, now: 1, answered: true });
  queue.push(get('3'), 1);
  expect(deal(queue, 1)).toEqual([]);
});

test('a lane is filled ahead by two milliseconds of work, by 32 at most, and not before it is known', () => {
  for (const [ms, depth] of [
    [0.001, 32],
    [0.1, 20],
    [0.4, 5],
    [0.9, 2],
    [1.1, 1],
    [200, 1],
  ] as const) {
    const queue = quick(ms, { size: 100 });
    for (let i = 0; i < 50; i++) queue.push(get(`${i}`), ms);
    expect(deal(queue, ms).length).toBe(depth);
  }
  const fresh = open({}, ['a']);
  for (const name of ['1', '2']) fresh.push(get(name), 0);
  expect(deal(fresh)).toEqual(['a1']);
  const careful = quick(0.1);
  careful.unbatch('a');
  for (const name of ['1', '2']) careful.push(get(name), 1);
  expect(deal(careful, 1)).toEqual(['a1']);
});

test('idle lanes first, then those with the least in them', () => {
  const queue = open();
  for (const lane of ['a', 'b']) {
    add(queue, lane, ONE);
    queue.push(get('x'), 0);
    deal(queue, 0);
    queue.done(lane, { count: 1, now: 0.1, answered: true });
    queue.hold(lane);
  }
  for (const lane of ['a', 'b']) add(queue, lane, ONE);
  for (let i = 1; i < 6; i++) queue.push(get(`${i}`), 1);
  expect(deal(queue, 1)).toEqual(['b1', 'a2', 'a3', 'b4', 'a5']);
});

test('what is unsafe or has a body shares a lane with nothing, and those behind it wait their turn', () => {
  const queue = quick(0.1);
  queue.push(get('1'), 1);
  queue.push(post('2'), 1);
  queue.push(get('3'), 1);
  expect(deal(queue, 1)).toEqual(['a1']);
  queue.done('a', { count: 1, now: 1.1, answered: true });
  expect(deal(queue, 1.1)).toEqual(['a2']);
  queue.done('a', { count: 1, now: 1.2, answered: true });
  expect(deal(queue, 1.2)).toEqual(['a3']);
});

test('nothing lines up behind a head that is slow or streams, until it is done', () => {
  const queue = quick(0.1);
  for (const name of ['1', '2', '3']) queue.push(get(name), 1);
  expect(deal(queue, 1)).toEqual(['a1', 'a2', 'a3']);
  queue.push(get('4'), 1);
  expect(deal(queue, 1 + SLOW_MS + 0.1)).toEqual([]);
  queue.done('a', { count: 3, now: 1.2, answered: true });
  queue.push(get('5'), 1.2);
  expect(deal(queue, 1.2)).toEqual(['a4', 'a5']);
  queue.streams('a');
  queue.push(get('6'), 1.3);
  expect(deal(queue, 1.3)).toEqual([]);
});

test('what stands behind a slow head is asked back, once, and goes before all others', () => {
  const queue = quick(0.1);
  const [one, two, three] = ['1', '2', '3'].map(get) as [Request, Request, Request];
  for (const request of [one, two]) queue.push(request, 1);
  expect(queue.shared).toBe(false);
  deal(queue, 1);
  expect([queue.shared, [...queue.recalls(1 + SLOW_MS - 0.1)]]).toEqual([true, []]);
  expect([[...queue.recalls(1 + SLOW_MS)], [...queue.recalls(50)], queue.shared]).toEqual([['a'], [], false]);
  queue.push(three, 50);
  queue.done('a', { count: 1, now: 51, answered: false });
  queue.pushAgain(two, 51);
  add(queue, 'b', ONE);
  expect(deal(queue, 51)).toEqual(['b2']);
});

test('a request that is answered anew has its lane for itself', () => {
  const queue = quick(0.1);
  queue.push(get('file'), 1);
  expect(deal(queue, 1)).toEqual(['afile']);
  queue.again('a');
  queue.done('a', { count: 1, now: 1.1, answered: true });
  queue.push(get('next'), 2);
  expect([deal(queue, 2), queue.idle, queue.shared]).toEqual([[], 0, false]);
  queue.done('a', { count: 1, now: 3, answered: true });
  expect(deal(queue, 3)).toEqual(['anext']);
  queue.again('gone');
});

test('one request alone is never asked back', () => {
  const queue = quick(0.1);
  queue.push(get('1'), 1);
  deal(queue, 1);
  expect([queue.shared, [...queue.recalls(1000)]]).toEqual([false, []]);
});

test('who waited too long is taken out, the first in front', () => {
  const queue = open({ timeoutMs: 100, targetMs: 0 });
  for (const [i, name] of ['1', '2', '3'].entries()) queue.push(get(name), i * 50);
  expect(queue.expire(99)).toEqual([]);
  expect(queue.expire(151).map(({ name }) => name)).toEqual(['1', '2']);
  expect([queue.length, queue.since]).toEqual([1, 100]);
});

/** A queue whose first has been late for long, since when so many left and were served. */
function late({ left, served }: { readonly left: number; readonly served: number }): Queue<Request, string> {
  const queue = open({ size: 1000 }, []);
  const lucky = Array.from({ length: served }, (_, i) => get(`lucky ${i}`));
  const leavers = Array.from({ length: left }, (_, i) => get(`leaver ${i}`));
  for (const request of [...lucky, get('old'), ...leavers]) queue.push(request, 0);
  expect([queue.expire(101), queue.expire(199)]).toEqual([[], []]);
  for (const request of leavers) queue.leave(request);
  for (const { name } of lucky) {
    add(queue, name, ONE);
    queue.next(200);
  }
  return queue;
}

test('while clients give up, the old are refused; where none does, they may still be served', () => {
  const names = (requests: readonly Request[]) => requests.map(({ name }) => name);
  expect(names(late({ left: 0, served: 0 }).expire(5000))).toEqual([]);
  expect(names(late({ left: 9, served: 0 }).expire(5000))).toEqual([]);
  expect(names(late({ left: 10, served: 0 }).expire(5000))).toEqual(['old']);
  expect(names(late({ left: 10, served: 100 }).expire(5000))).toEqual([]);
});

test('overload lasts as long as the first in the queue is late', () => {
  const queue = late({ left: 10, served: 0 });
  queue.push(get('young'), 4800);
  expect(queue.expire(5000).length).toBe(1);
  // Nobody leaves any more, since the old are refused in time.
  expect(queue.expire(5301).map(({ name }) => name)).toEqual(['young']);
  queue.push(get('next'), 5310);
  queue.expire(5320);
  expect(queue.expire(9000)).toEqual([]);
});

test('a request whose lane failed it is not refused for being late', () => {
  const queue = late({ left: 10, served: 0 });
  queue.pushAgain(get('again'), 500);
  expect(queue.expire(5000).map(({ name }) => name)).toEqual(['old']);
  expect(queue.expire(10_501).map(({ name }) => name)).toEqual(['again']);
});

test('does as a plain list would', () => {
  const step = fc.oneof(
    fc.record({ push: fc.nat(30) }),
    fc.record({ leave: fc.nat(30) }),
    fc.record({ done: fc.nat(4) }),
    fc.record({ hold: fc.nat(4) }),
    fc.record({ open: fc.nat(4) }),
    fc.constant('next' as const),
  );
  fc.assert(
    fc.property(fc.nat(6), fc.array(step, { maxLength: 100 }), (size, steps) => {
      const requests = Array.from({ length: 31 }, (_, i) => post(`${i}`));
      const queue = new Queue<Request, number>({ size, timeoutMs: 0, targetMs: 0 });
      let waiting: number[] = [];
      let idle: number[] = [];
      const known = new Set<number>();
      const held = new Set<number>();
      const busy = new Set<number>();
      const offer = (lane: number) => {
        if (!idle.includes(lane) && !busy.has(lane) && !held.has(lane)) idle.push(lane);
      };
      for (const given of steps) {
        if (given === 'next') {
          const expected = waiting.length > 0 && idle.length > 0 ? [waiting.shift(), idle.pop()] : null;
          if (expected !== null) busy.add(expected[1] as number);
          const got = queue.next(0);
          expect(got && [Number(got.request.name), got.lane]).toEqual(expected);
        } else if ('push' in given) {
          if (waiting.includes(given.push)) continue;
          const fits = waiting.length < size + idle.length;
          expect(queue.push(requests[given.push] as Request, 0)).toBe(fits);
          if (fits) waiting.push(given.push);
        } else if ('leave' in given) {
          expect(queue.leave(requests[given.leave] as Request)).toBe(waiting.includes(given.leave));
          waiting = waiting.filter((each) => each !== given.leave);
        } else if ('done' in given) {
          if (!busy.delete(given.done)) continue;
          queue.done(given.done, { count: 1, now: 0, answered: true });
          offer(given.done);
        } else if ('hold' in given) {
          queue.hold(given.hold);
          if (known.has(given.hold)) held.add(given.hold);
          idle = idle.filter((each) => each !== given.hold);
        } else {
          add(queue, given.open, ONE);
          known.add(given.open);
          held.delete(given.open);
          offer(given.open);
        }
        expect([queue.length, queue.idle]).toEqual([waiting.length, idle.length]);
      }
    }),
  );
});

test('it tells for how long nobody can come to have waited too long', () => {
  const queue = open();
  expect(queue.calmMs(5)).toBe(Number.POSITIVE_INFINITY);
  queue.push(get('1'), 10);
  queue.push(get('2'), 40);
  expect([queue.calmMs(10), queue.calmMs(70), queue.calmMs(150)]).toEqual([100, 40, -40]);
  queue.pushAgain(get('3'), 60);
  expect(queue.calmMs(70)).toBe(40);
  const hasty = open({ timeoutMs: 30 });
  hasty.push(get('1'), 10);
  expect(hasty.calmMs(20)).toBe(20);
});

function suspect(name: string): Request {
  const request = new Request(name, false);
  request.suspect = true;
  return request;
}

test('suspects go first and the last in front, one at a time in each worker, and hold up nobody else', () => {
  const queue = open();
  const [one, other] = [{}, {}];
  for (const lane of ['a', 'b', 'c']) add(queue, lane, { ...ONE, worker: one });
  add(queue, 'd', { capacity: 2, batch: 2, worker: other });
  const [first, second] = [suspect('1'), suspect('2')];
  queue.push(get('x'), 0);
  queue.push(get('y'), 0);
  for (const again of [suspect('4'), suspect('3'), second, first]) queue.pushAgain(again, 0);
  expect(deal(queue)).toEqual(['d1', 'c2', 'bx', 'ay']);
  expect([queue.length, queue.suspects, queue.idle, queue.since]).toEqual([2, 2, 1, 0]);
  // It has been answered, or its worker has died of it.
  queue.done('d', { count: 1, now: 1, answered: true });
  queue.tried(first, other);
  expect(deal(queue, 1)).toEqual(['d3']);
  queue.drop('a');
  queue.drop('b');
  expect(deal(queue, 1)).toEqual([]);
  // Long enough without harm.
  expect(deal(queue, 1 + TRIAL_MS)).toEqual(['d4']);
  expect(queue.suspects).toBe(0);
});

test('a suspect leaves, and waits no longer than others', () => {
  const queue = open({ timeoutMs: 1000 });
  const [first, second] = [suspect('1'), suspect('2')];
  queue.pushAgain(first, 0);
  queue.pushAgain(second, 10);
  expect([queue.leave(first), queue.leave(first), queue.since]).toEqual([true, false, 10]);
  expect([queue.expire(1000), queue.expire(1010)]).toEqual([[], [second]]);
});

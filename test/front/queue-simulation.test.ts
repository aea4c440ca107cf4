/** Thousands of random histories of queue, lanes and workers; and for each rule a broken front that they catch. */
import { expect, test } from 'vitest';
import { type LaneLimits, Queue } from '../../src/front/queue.ts';
import { mulberry32 } from '../support/random.mjs';
import { type Lane, type Request, RULES, type Rules, World } from './queue-simulation.ts';

const HISTORIES = 2000;

function play(seed: number, rules: Rules = RULES): World {
  const world = new World(mulberry32(seed), rules);
  world.run();
  return world;
}

test(`in ${HISTORIES} random histories no rule is broken`, () => {
  const total: Record<string, number> = {};
  for (let seed = 1; seed <= HISTORIES; seed++) {
    const { violations, seen } = play(seed);
    expect([seed, ...violations]).toEqual([seed]);
    for (const [what, count] of Object.entries(seen)) total[what] = (total[what] ?? 0) + count;
  }
  // Else it proves nothing.
  for (const what of ['shared', 'recalled', 'retried', 'convicted', 'refused', 'left'])
    expect(total[what], what).toBeGreaterThan(100);
}, 300_000);

class Broken extends Queue<Request, Lane> {}

/** Takes the latest first. */
class LastFirst extends Broken {
  #stack: Request[] = [];
  override push(request: Request, now: number): boolean {
    this.#stack.push(request);
    if (this.#stack.length < 3) return super.push(request, now);
    const taken = super.push(request, now);
    const [earlier] = this.#stack.splice(0, 1);
    if (earlier !== undefined && earlier.fate === 'waits' && super.leave(earlier)) super.push(earlier, now);
    return taken;
  }
}

class NeverExpires extends Broken {
  override expire(): Request[] {
    return [];
  }
}

class NoEnd extends Broken {
  override push(request: Request, now: number): boolean {
    const { limits } = this;
    this.limits = { ...limits, size: 1e9 };
    const taken = super.push(request, now);
    this.limits = limits;
    return taken;
  }
}

class Stingy extends Broken {
  override push(request: Request, now: number): boolean {
    return this.length < 5 && super.push(request, now);
  }
}

class Deaf extends Broken {
  override hold(lane: Lane): void {
    if (lane.flight.length === 0) super.hold(lane);
  }
}

class Forgetful extends Broken {
  override drop(): void {}
}

class Hasty extends Broken {
  override expire(now: number): Request[] {
    return super.expire(now + 300);
  }
}

class Crowded extends Broken {
  override open(lane: Lane, limits: LaneLimits): void {
    super.open(lane, { ...limits, capacity: 2 });
  }
}

/** Every lane is a process by itself. */
class Trusting extends Broken {
  override open(lane: Lane, limits: LaneLimits): void {
    super.open(lane, { ...limits, worker: lane });
  }
}

class Unforgiving extends Broken {
  override tried(): void {}
}

const keep = (): void => {};
const inCompany = (request: Request): void => {
  request.shares = request.safe;
};

const BROKEN: Readonly<Record<string, Partial<Rules>>> = {
  'what is unsafe shares a lane': {
    makeQueue: (limits) =>
      new (class extends Broken {
        override push(request: Request, now: number): boolean {
          request.shares = true;
          return super.push(request, now);
        }
      })(limits),
  },
  'an unsafe request is tried again': { mayRunAgain: ({ deaths }) => deaths < 2 },
  'a request is tried three times': { mayRunAgain: ({ safe, deaths }) => safe && deaths < 3 },
  'what failed in company is put into company again': { afterwards: inCompany },
  'RECALLED is honoured for what was answered': { honour: (named) => named },
  'RECALLED is not honoured': { honour: () => [] },
  'a client that left is served': { leaves: keep },
  'the latest first': { makeQueue: (limits) => new LastFirst(limits) },
  'nobody is refused for waiting': { makeQueue: (limits) => new NeverExpires(limits) },
  'the queue has no end': { makeQueue: (limits) => new NoEnd(limits) },
  'refused while there is room': { makeQueue: (limits) => new Stingy(limits) },
  'a lane that drains is given more': { makeQueue: (limits) => new Deaf(limits) },
  'a lane that is gone is given more': { makeQueue: (limits) => new Forgetful(limits) },
  'refused before its time': { makeQueue: (limits) => new Hasty(limits) },
  'a worker runs two suspects at once': { makeQueue: (limits) => new Trusting(limits) },
  'nobody is acquitted': { makeQueue: (limits) => new Unforgiving(limits) },
  'lanes take two at once while others are idle': { makeQueue: (limits) => new Crowded(limits) },
};

test.each(Object.entries(BROKEN))('it is noticed when %s', (_what, broken) => {
  const noticed = () => {
    for (let seed = 1; seed <= 400; seed++)
      if (play(seed, { ...RULES, ...broken }).violations.size > 0) return true;
    return false;
  };
  expect(noticed()).toBe(true);
});

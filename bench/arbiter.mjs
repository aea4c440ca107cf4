/**
 * What the arbiter's deciding costs with 100, 1,000 and 10,000 simulated workers: `npm run -s build && node bench/arbiter.mjs`.
 * Beside it stands what gunicorn does in the same places, in Python: it sorts all workers by age in each turn of its
 * loop, and takes the oldest from the front of that list. No process is started but the one Python. README.md tells
 * the method. What is timed is the process's time on the processor: by the clock on the wall a busy machine would charge
 * the long measurement with the turns of others, which it sits through more often than the short one. The exit status is 1 when the cost grows faster with the workers than it may.
 */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { apply } from '../dist/arbiter/apply.js';
import { plan } from '../dist/arbiter/plan.js';
import { createState, NO_LIMITS } from '../dist/arbiter/state.js';

const SIZES = [100, 1000, 10_000];
/** The compiler warms up in the first rounds; then the sizes take turns, so that a noisy moment meets all. */
const WARM_UP = 5;
const ROUNDS = 40;
/** Turns that are timed together: growing a table is a part of the cost, and falls on few of them. */
const BATCH = 200;
const GUNICORN_TURNS = 50;
const GRACE_MS = 30_000;
/** A turn may cost twice as much with 100 times the workers; shrinking 12 times as much with 10 times. */
const MOST_TURN = 2;
const MOST_SHRINK = 12;

const ROOT = fileURLToPath(new URL('../', import.meta.url));
const VENV = `${ROOT}.venv-test/bin/python`;
const PYTHON = existsSync(VENV) ? VENV : 'python3';

/** As `manage_workers` of gunicorn's arbiter: the time of the sorting and of the taking alone. */
const GUNICORN = `
import json, statistics, sys, time

class Worker:
    def __init__(self, age):
        self.age = age

def fleet(size):
    return {pid: Worker(pid) for pid in range(1, size + 1)}

def turn(workers, next_pid, victim):
    began = time.process_time()
    del workers[victim]
    workers[next_pid] = Worker(next_pid)
    sorted(workers.items(), key=lambda w: w[1].age)
    return (time.process_time() - began) * 1e6

def shrink(size):
    workers = fleet(size)
    began = time.process_time()
    by_age = sorted(workers.items(), key=lambda w: w[1].age)
    while len(by_age) > size // 2:
        pid, _ = by_age.pop(0)
        del workers[pid]
    return (time.process_time() - began) * 1e6

def measure(size, turns, shrinks):
    workers = fleet(size)
    times = [turn(workers, size + 1 + n, n + 1) for n in range(turns)]
    return {"turn": statistics.median(times), "shrink": statistics.median(shrink(size) for _ in range(shrinks))}

sizes, turns, shrinks = json.loads(sys.argv[1])
print(json.dumps([measure(size, turns, shrinks) for size in sizes]))
`;

/** A fleet in which every worker serves. */
function fleet(size) {
  const limits = { ...NO_LIMITS, graceMs: GRACE_MS };
  const state = createState({ min: size, max: size, fronts: 1, limits });
  turn(state, { type: 'scale', min: size, max: size, target: size }, 0);
  apply(state, { type: 'front-listening', slot: 0 }, 1);
  for (const worker of [...state.workers.keys()]) apply(state, { type: 'worker-ready', worker }, 2);
  // All have settled: what comes is everyday.
  turn(state, { type: 'worker-ready', worker: size }, GRACE_MS);
  return state;
}

/** One turn of the loop in arbiter.ts, without its children: an event, then plans until there is nothing to do. */
function turn(state, event, now) {
  apply(state, event, now);
  for (;;) {
    const { actions } = plan(state, now);
    if (actions.length === 0) return;
    for (const action of actions) apply(state, action, now);
  }
}

/** Microseconds of a turn with one event, over a batch: by turns the oldest dies, and its replacement is ready. */
function turns(size) {
  const state = fleet(size);
  const events = Array.from({ length: BATCH }, (_, n) => {
    const nth = Math.floor(n / 2);
    if (n % 2 === 0) return { type: 'worker-gone', worker: nth + 1 };
    return { type: 'worker-ready', worker: size + nth + 1 };
  });
  const time = timed(() => {
    for (const [n, event] of events.entries()) turn(state, event, 2 * GRACE_MS + n * 10_000);
  });
  if (state.workers.size !== size || state.booting.size > 0)
    throw new Error('Not every worker was replaced.');
  return time / BATCH;
}

/** Microseconds from the order for half as many workers until the last of the other half is gone. */
function shrink(size) {
  const state = fleet(size);
  const now = 2 * GRACE_MS;
  const half = size / 2;
  const time = timed(() => {
    turn(state, { type: 'scale', min: half, max: half, target: half }, now);
    for (let worker = 1; worker <= half; worker++) turn(state, { type: 'worker-gone', worker }, now + 1);
  });
  const [oldest] = state.workers.keys();
  if (state.workers.size !== half || oldest !== half + 1)
    throw new Error('Others than the oldest half left.');
  return time;
}

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc');

/** A real fleet is old: that the engine moves a new one to where old objects lie is no part of a turn. */
function timed(act) {
  for (let i = 0; i < 2; i++) collectGarbage({ type: 'minor' });
  const began = process.cpuUsage();
  act();
  const { user, system } = process.cpuUsage(began);
  return user + system;
}

function median(numbers) {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];
}

function measure() {
  const times = SIZES.map(() => ({ turn: [], shrink: [] }));
  for (let round = 0; round < WARM_UP + ROUNDS; round++) {
    for (const [at, size] of SIZES.entries()) {
      const [each, half] = [turns(size), shrink(size)];
      if (round < WARM_UP) continue;
      times[at].turn.push(each);
      times[at].shrink.push(half);
    }
  }
  return times.map((each) => ({ turn: median(each.turn), shrink: median(each.shrink) }));
}

function report(ours, theirs) {
  const us = (value) => (value < 100 ? value.toFixed(1) : Math.round(value).toLocaleString('en'));
  console.log(`Node ${process.version}, ${PYTHON}; medians in µs of processor time`);
  console.log('| workers | turn with one event | gunicorn’s | shrinking by half | gunicorn’s |');
  console.log('|---|---|---|---|---|');
  for (const [at, size] of SIZES.entries()) {
    const cells = [ours[at].turn, theirs[at].turn, ours[at].shrink, theirs[at].shrink].map(us);
    console.log(`| ${size.toLocaleString('en')} | ${cells.join(' | ')} |`);
  }
}

/** Whether the growth is within its bound, told in a line. */
function isWithin(what, growth, most) {
  console.log(`${what}: × ${growth.toFixed(2)}, at most × ${most}${growth > most ? ': TOO MUCH' : ''}`);
  return growth <= most;
}

const ours = measure();
const order = JSON.stringify([SIZES, GUNICORN_TURNS, ROUNDS]);
const theirs = JSON.parse(execFileSync(PYTHON, ['-c', GUNICORN, order], { encoding: 'utf8' }));
report(ours, theirs);
const [small, middle, large] = ours;
const good = [
  isWithin('A turn, 10,000 workers : 100', large.turn / small.turn, MOST_TURN),
  isWithin('Shrinking, 10,000 workers : 1,000', large.shrink / middle.shrink, MOST_SHRINK),
];
process.exitCode = good.every(Boolean) ? 0 : 1;

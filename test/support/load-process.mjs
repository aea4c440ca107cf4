/**
 * The load, as a process of its own, so that neither it nor the test's loop disturbs the other. Its parent is
 * load.ts. It never asks twice and never connects anew in silence: each request has one fate, which is recorded.
 */
import { writeFileSync } from 'node:fs';
import { setPriority } from 'node:os';
import { LoadConnection, now } from './load-connection.mjs';
import { mulberry32 } from './random.mjs';

/** @typedef {import('./load-connection.mjs').Fated} Fated */

/**
 * @typedef {object} LoadOptions
 * @property {number} port
 * @property {number} connections kept alive; with `rate` null each of them asks again as soon as it is answered
 * @property {number | null} rate requests a second, whether answered or not; null: as fast as it goes; 0: none
 * @property {number} fresh share of requests on a new connection, 0 to 1
 * @property {number} posts share of POST, 0 to 1
 * @property {string} path
 * @property {{ path: string, every: number } | null} slow another path for one of so many requests, at random among them
 * @property {number} keepAliveMs the server's --keep-alive
 * @property {number} patienceMs until a request without an answer is `silent`
 * @property {number} seed
 */

/** @typedef {{ type: 'once', id: number, method: string, path: string } | { type: 'stop' }} ToLoad */

const options = /** @type {LoadOptions} */ (JSON.parse(process.argv[2] ?? ''));
const TICK_MS = 5;
try {
  // Who measures should not have to wait for those that are measured; only root may ask for it.
  setPriority(-10);
} catch {}
/** Behind this many unanswered requests the harness itself would be the fault. */
const MOST_IN_FLIGHT = 5000;

const counts = { opened: 0, closed: 0, idleResets: 0, stray: 0 };
/** @type {(Fated & { dueMs: number })[]} */ const fates = [];
/** @type {number[]} */ const late = [];
let ticks = 0;
/** @type {LoadConnection[]} */ let idle = [];
let kept = 0;
let inFlight = 0;
let failed = 0;
let asked = 0;
let unsent = 0;
let stopping = false;
/** Which of the next `slow.every` requests is the slow one. */
let slowAt = 0;

/** The same load for the same seed. */
const random = mulberry32(options.seed);

/** @param {Partial<import('./load-connection.mjs').Wanted>} given */
function nextRequest(given) {
  const method = random() < options.posts ? 'POST' : 'GET';
  const nonce = `${process.pid}-${options.seed}-${asked}`;
  const path = nextPath(asked++);
  return { method, path, nonce, fresh: random() < options.fresh, ...given };
}

/** @param {number} number of the request */
function nextPath(number) {
  if (options.slow === null) return options.path;
  const { path, every } = options.slow;
  if (number % every === 0) slowAt = Math.floor(random() * every);
  return number % every === slowAt ? path : options.path;
}

/**
 * @param {Partial<import('./load-connection.mjs').Wanted>} [given]
 * @param {number} [dueMs] when it should have been sent
 * @returns {Promise<Fated>}
 */
async function ask(given = {}, dueMs = now()) {
  const wanted = nextRequest(given);
  inFlight++;
  const connection = wanted.fresh ? new LoadConnection(options, counts) : takeIdle();
  if (connection === null) wanted.fresh = true;
  const used = connection ?? new LoadConnection(options, counts);
  const fated = { ...(await used.ask(wanted)), dueMs };
  inFlight--;
  fates.push(fated);
  if (fated.fate !== 'ok') failed++;
  if (!wanted.fresh) giveBack(used);
  return fated;
}

/** A connection at rest, or a new one while there are fewer than wanted; null when all are busy. */
function takeIdle() {
  // One that the server has closed is replaced: a new connection, counted as such.
  kept -= idle.filter((each) => each.isOver).length;
  idle = idle.filter((each) => !each.isOver);
  const taken = idle.shift();
  if (taken !== undefined) return taken;
  if (kept >= options.connections) return null;
  kept++;
  return new LoadConnection(options, counts);
}

/** @param {LoadConnection} connection */
function giveBack(connection) {
  if (connection.isOver) kept--;
  else idle.push(connection);
}

async function askWithoutPause() {
  while (!stopping) {
    const { fate } = await ask();
    // A server that refuses would otherwise be asked in a loop that starves everything else.
    if (fate === 'refused') await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** @param {number} rate */
function askAtRate(rate) {
  const began = now();
  let sent = 0;
  const timer = setInterval(() => {
    if (stopping) return clearInterval(timer);
    const due = Math.floor(((now() - began) * rate) / 1000);
    for (; sent < due; sent++) {
      if (inFlight < MOST_IN_FLIGHT) void ask({}, began + ((sent + 1) * 1000) / rate);
      else unsent++;
    }
  }, 2);
}

/** When and by how much this process's own timers ran late: [when it should have run, how late in ms, …]. */
function watchTimer() {
  let due = now() + TICK_MS;
  const tick = () => {
    const at = now();
    ticks++;
    if (at - due > 1) late.push(due, at - due);
    due = at + TICK_MS;
    setTimeout(tick, TICK_MS);
  };
  setTimeout(tick, TICK_MS);
}

async function stop() {
  stopping = true;
  while (inFlight > 0) await new Promise((resolve) => setTimeout(resolve, 5));
  const report = { counts, fates: pack(fates), late: Float64Array.from(late), ticks, unsent };
  process.send?.({ type: 'report', report }, () => process.exit(0));
}

/** Those that went well are many: their strings would take longer than the load. @param {typeof fates} all */
function pack(all) {
  const ok = all.filter(({ fate }) => fate === 'ok');
  return {
    failed: all.filter(({ fate }) => fate !== 'ok'),
    dueMs: Float64Array.from(ok, ({ dueMs }) => dueMs),
    sentMs: Float64Array.from(ok, ({ sentMs }) => sentMs),
    doneMs: Float64Array.from(ok, ({ doneMs }) => doneMs),
    slow: Uint8Array.from(ok, ({ path }) => Number(path === options.slow?.path)),
    workers: Float64Array.from(ok, ({ worker }) => worker),
    fresh: ok.filter(({ fresh }) => fresh).length,
    posted: ok.filter(({ method }) => method === 'POST').map(({ nonce }) => nonce),
  };
}

try {
  // It judges times: nobody on the machine should make its timers late. Only root may. Where the kernel shares the CPU
  // out by sessions (sched(7), autogroup), priority counts within one only: this process is one of its own.
  setPriority(-10);
  writeFileSync('/proc/self/autogroup', '-10');
} catch {
  // Then the strikes that came at such moments are left out.
}
process.on('disconnect', () => process.exit(1));
process.on('message', (/** @type {ToLoad} */ message) => {
  if (message.type === 'stop') return void stop();
  const { id, method, path } = message;
  void ask({ method, path, fresh: true }).then((fated) => process.send?.({ type: 'fated', id, fated }));
});
setInterval(() => {
  process.send?.({ type: 'progress', done: fates.length, failed });
}, 50).unref();
watchTimer();
if (options.rate === null) for (let i = 0; i < options.connections; i++) void askWithoutPause();
else if (options.rate > 0) askAtRate(options.rate);

/**
 * The mixed load, open loop: requests come when they come, whether or not earlier ones are answered, as those of people
 * do. A time is counted from the moment a request was due, so that a server (or this client) that is late cannot hide it.
 */
import { Client } from './client.mjs';

/** A connection that was idle longer is not used again: a server may be closing it, 2 s is the least of them. */
const IDLE_MS = 1000;
/** Answers that come later than this after the last request was sent count as missing. */
const PATIENCE_MS = 10_000;

/**
 * @typedef {{ bytes: Buffer, expected: Buffer, isSlow: boolean }} Request
 * @param {{ port: number, ratePerSecond: number, seconds: number, random: () => number, next: () => Request }} load
 * @returns {Promise<{ fastMs: number[], requests: number }>} times of the fast ones, in no order.
 * @throws {Error} when one answer was wrong, cut or missing.
 */
export async function openLoop({ port, ratePerSecond, seconds, random, next }) {
  const due = arrivals({ ratePerSecond, seconds, random });
  const idle = [];
  const busy = new Set();
  const fastMs = [];
  const answers = [];
  const send = async (dueAt) => {
    const { bytes, expected, isSlow } = next();
    const client = takeOpen(idle) ?? new Client(port);
    busy.add(client);
    await client.request(bytes, expected);
    if (!isSlow) fastMs.push(performance.now() - dueAt);
    busy.delete(client);
    idle.push({ client, since: performance.now() });
  };
  try {
    await dispatch(due, (dueAt) => {
      const answer = send(dueAt);
      answer.catch(() => {});
      answers.push(answer);
    });
    await within(PATIENCE_MS, Promise.all(answers));
  } finally {
    for (const client of [...idle.map((each) => each.client), ...busy]) client.end();
    await Promise.allSettled(answers);
  }
  return { fastMs, requests: due.length };
}

/**
 * Poisson arrivals: independent of each other.
 * @param {{ ratePerSecond: number, seconds: number, random: () => number }} of
 * @returns {number[]} ms from the start, rising.
 */
export function arrivals({ ratePerSecond, seconds, random }) {
  const due = [];
  let at = 0;
  for (;;) {
    at += (-Math.log(1 - random()) * 1000) / ratePerSecond;
    if (at >= seconds * 1000) return due;
    due.push(at);
  }
}

/** The one used last: a pool with as few connections as are needed. A closed or an old one is not taken. */
function takeOpen(idle) {
  const oldest = performance.now() - IDLE_MS;
  while (idle.length > 0 && idle[0].since < oldest) idle.shift().client.end();
  for (;;) {
    const client = idle.pop()?.client;
    if (client === undefined || client.isOpen) return client;
  }
}

/** Timers are only as fine as 1 ms: what is due within the next one is sent now, and counted from now. */
function dispatch(due, send) {
  const began = performance.now();
  let nth = 0;
  return new Promise((resolve) => {
    const timer = setInterval(() => {
      const now = performance.now();
      while (nth < due.length && began + due[nth] <= now + 0.5) send(Math.min(began + due[nth++], now));
      if (nth < due.length) return;
      clearInterval(timer);
      resolve(undefined);
    }, 1);
  });
}

async function within(ms, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`answers missing after ${ms / 1000} s`)), ms);
  });
  try {
    await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * What `makeServer` is worth beside Node's own `http`: `npm run -s build && node bench/make-server.mjs [ROUNDS]`. README.md tells
 * the method. The exit status is 1 when a goal is missed.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { measure, verify } from './load/wrk.mjs';
import { median } from './summary.mjs';

const ROUNDS = Number(process.argv[2] ?? 7);
const SECONDS = 3;
const CONNECTIONS = 32;
const MOST_START_MS = 50;
const LEAST_RATIO = 1.5;
const TICKS_PER_SECOND = 100;
const BODY = 'Hello, world!\n';

const folder = mkdtempSync(join(tmpdir(), 'bench-make-server-'));
const expectedFile = join(folder, 'expected');
writeFileSync(expectedFile, BODY);

/** @returns {Promise<number>} a port that is free at the moment. */
async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  server.close();
  await once(server, 'close');
  return port;
}

/** @param {number} port */
async function listens(port) {
  for (;;) {
    const socket = connect(port, '127.0.0.1');
    const isThere = await new Promise((resolve) =>
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false)),
    );
    socket.destroy();
    if (isThere) return;
  }
}

/** Processor time of a process so far, in µs. @param {number} pid */
function cpuUs(pid) {
  const words = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return ((Number(words[11]) + Number(words[12])) * 1e6) / TICKS_PER_SECOND;
}

/** @param {string} program @returns one run: requests/s, processor time per request, and what the program said first. */
async function run(program) {
  const port = await freePort();
  const path = fileURLToPath(new URL(`apps/${program}`, import.meta.url));
  const child = spawn(process.execPath, [path, String(port)], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text) => (said += text));
  try {
    await listens(port);
    const load = { url: `http://127.0.0.1:${port}/`, connections: CONNECTIONS, expectedFile };
    await verify({ ...load, seconds: 1 });
    const answerBytes = await answerLength(port);
    const before = cpuUs(child.pid ?? 0);
    const { rate, requests } = await measure({ ...load, seconds: SECONDS, answerBytes });
    return { rate, cpuUs: (cpuUs(child.pid ?? 0) - before) / requests, said };
  } finally {
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
}

/** @param {number} port */
async function answerLength(port) {
  const socket = connect(port, '127.0.0.1');
  socket.write('GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n');
  let length = 0;
  for await (const chunk of socket) {
    length += chunk.length;
    if (chunk.toString('latin1').endsWith(BODY)) break;
  }
  return length;
}

const starts = [];
const rates = [];
const costs = [];
try {
  for (let round = 0; round < ROUNDS; round++) {
    const programs = ['make-server.mjs', 'node-http.mjs'];
    if (round % 2 === 1) programs.reverse();
    /** @type {Record<string, Awaited<ReturnType<typeof run>>>} */
    const found = {};
    for (const program of programs) found[program] = await run(program);
    const [ours, nodes] = [found['make-server.mjs'], found['node-http.mjs']];
    if (ours === undefined || nodes === undefined) throw new Error('A run is missing.');
    starts.push(Number(ours.said));
    rates.push(ours.rate / nodes.rate);
    costs.push(ours.cpuUs / nodes.cpuUs);
    console.log(
      `makeServer ${Math.round(ours.rate)}/s, ${ours.cpuUs.toFixed(1)} µs; Node's http ${Math.round(nodes.rate)}/s, ${nodes.cpuUs.toFixed(1)} µs`,
    );
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}

const [start, rate, cost] = [median(starts), median(rates), median(costs)];
console.log(`From the import to listening: ${start.toFixed(0)} ms (goal < ${MOST_START_MS}).`);
console.log(
  `Requests/s: ${rate.toFixed(2)} × Node's http (goal ≥ ${LEAST_RATIO}); processor time ${cost.toFixed(2)} ×.`,
);
process.exitCode = start < MOST_START_MS && rate >= LEAST_RATIO ? 0 : 1;

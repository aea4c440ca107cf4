/**
 * Tunicorn beside gunicorn on this machine, in turns: `npm run bench [-- --rounds N --seconds S --workers W]`.
 * Prints for each workload the median of requests/s and of CPU per request over the whole process tree, and the
 * ratio of the two servers; then the memory of each process. README.md tells the method.
 */
import { execFile, spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createConnection, createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';

const ROOT = fileURLToPath(new URL('../', import.meta.url));
const APPS = `${ROOT}bench/apps`;
const PYTHON = `${ROOT}.venv-test/bin/python`;
const TICKS_PER_SECOND = 100;

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '4' },
    workers: { type: 'string', default: '2' },
  },
});
const [rounds, seconds, workers] = [values.rounds, values.seconds, values.workers].map(Number);

const WORKLOADS = [
  { name: 'hello', app: 'hello:application', path: '/', connections: 32 },
  { name: 'Django hello', app: 'django_hello:application', path: '/', connections: 32 },
  { name: 'Django page', app: 'django_hello:application', path: '/page', connections: 32 },
];

const SERVERS = {
  tunicorn: (app, port) => [
    process.execPath,
    `${ROOT}bin/tunicorn`,
    ...['--python', PYTHON, '-w', String(workers), '-b', `127.0.0.1:${port}`, '--log-level', 'error', app],
  ],
  gunicorn: (app, port) => [
    PYTHON,
    ...['-m', 'gunicorn', '-w', String(workers), '-b', `127.0.0.1:${port}`, '--log-level', 'error', app],
  ],
};

if (!existsSync(PYTHON))
  throw new Error('Run `npm test` once: it makes .venv-test/ with Django and gunicorn.');

const results = new Map();
for (let round = 0; round < rounds; round++) {
  for (const workload of WORKLOADS) {
    for (const server of Object.keys(SERVERS)) {
      const key = `${workload.name}\0${server}`;
      results.set(key, [...(results.get(key) ?? []), await measure(SERVERS[server], workload)]);
    }
  }
}
report();

/** One server, one load. @returns {Promise<{ rate: number, cpu: number, memory: object[] }>} */
async function measure(command, { app, path, connections }) {
  const port = await freePort();
  const [program, ...args] = command(app, port);
  const child = spawn(program, args, { cwd: APPS, stdio: ['ignore', 'ignore', 'inherit'] });
  try {
    await listening(port);
    const url = `http://127.0.0.1:${port}${path}`;
    await wrk(url, connections, 1);
    const before = cpuMs(child.pid);
    const { requests, rate } = await wrk(url, connections, seconds);
    return { rate, cpu: ((cpuMs(child.pid) - before) * 1000) / requests, memory: memory(child.pid) };
  } finally {
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    await ended;
  }
}

async function wrk(url, connections, duration) {
  const { stdout } = await promisify(execFile)('wrk', ['-t1', `-c${connections}`, `-d${duration}s`, url]);
  // A run with an error is no result.
  const errors = /Socket errors.*|Non-2xx.*/.exec(stdout);
  if (errors) throw new Error(`${url}: ${errors[0]}`);
  return {
    requests: Number(/(\d+) requests in/.exec(stdout)[1]),
    rate: Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)[1]),
  };
}

/** CPU time of a process and all below it, in ms. */
function cpuMs(pid) {
  let ticks = 0;
  for (const one of tree(pid)) {
    const fields = stat(one);
    ticks += Number(fields[11]) + Number(fields[12]);
  }
  return (ticks * 1000) / TICKS_PER_SECOND;
}

/** PSS in MiB of each process of the tree. */
function memory(pid) {
  return tree(pid).map((one) => ({
    title: readFileSync(`/proc/${one}/cmdline`, 'latin1').replaceAll('\0', ' ').trim().slice(-60),
    pss: Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${one}/smaps_rollup`, 'latin1'))[1]) / 1024,
  }));
}

function tree(root) {
  const children = new Map();
  for (const name of readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))) {
    try {
      const parent = Number(stat(name)[1]);
      children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
    } catch {}
  }
  const found = [root];
  for (const pid of found) found.push(...(children.get(pid) ?? []));
  return found;
}

/** Fields of /proc/PID/stat from the state on: [0] state, [1] parent, [11] utime, [12] stime. */
function stat(pid) {
  const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
  return text.slice(text.lastIndexOf(')') + 2).split(' ');
}

function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

/** Waits until the server answers a request. */
async function listening(port) {
  const deadline = performance.now() + 20_000;
  while (performance.now() < deadline) {
    if (await answers(port)) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`Nothing answers on port ${port}.`);
}

function answers(port) {
  return new Promise((resolve) => {
    const socket = createConnection(port, '127.0.0.1', () => socket.write('GET / HTTP/1.0\r\n\r\n'));
    socket.once('data', () => resolve(true) || socket.destroy());
    socket.once('error', () => resolve(false));
    socket.once('close', () => resolve(false));
  });
}

function median(numbers) {
  const sorted = numbers.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

function report() {
  console.log(`${rounds} rounds of ${seconds} s, ${workers} workers, medians; ratio = Tunicorn : gunicorn`);
  console.log(
    '| workload | Tunicorn req/s | gunicorn req/s | ratio | Tunicorn µs CPU/req | gunicorn µs CPU/req |',
  );
  console.log('|---|---|---|---|---|---|');
  for (const { name } of WORKLOADS) {
    const [ours, theirs] = ['tunicorn', 'gunicorn'].map((server) => results.get(`${name}\0${server}`));
    const ratio = median(ours.map((run, i) => run.rate / theirs[i].rate));
    const cells = [ours, theirs].map((runs) => Math.round(median(runs.map((run) => run.rate))));
    const cpu = [ours, theirs].map((runs) => Math.round(median(runs.map((run) => run.cpu))));
    console.log(`| ${name} | ${cells[0]} | ${cells[1]} | ${ratio.toFixed(2)} | ${cpu[0]} | ${cpu[1]} |`);
  }
  for (const server of Object.keys(SERVERS)) {
    const last = results.get(`Django hello\0${server}`).at(-1);
    console.log(`\n${server}, Django, after the load (PSS):`);
    for (const { title, pss } of last.memory) console.log(`  ${pss.toFixed(1)} MiB  ${title}`);
  }
}

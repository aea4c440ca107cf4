/**
 * What --preload is worth, with eight real workers and the Django site of examples/: `npm run -s build && node bench/preload.mjs`.
 * README.md tells the method. The exit status is 1 when a preloaded replacement takes longer than it may, or the workers are
 * not smaller.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const WORKERS = 8;
const IMPORT_SECONDS = 2;
/** Each worker once: a replacement that is killed right away counts as a crash, and the next one waits 0.1 s. */
const KILLS = WORKERS;
const REQUESTS = 500 * WORKERS;
const CONNECTIONS = 16;
const PATIENCE_MS = 60_000;
/** What is promised for a replacement, whatever the import takes. */
const MOST_MS = 50;

const ROOT = fileURLToPath(new URL('../', import.meta.url));
const PYTHON = `${ROOT}.venv-test/bin/python`;
const SITE = `${ROOT}examples/django`;
const folder = mkdtempSync(join(tmpdir(), 'bench-preload-'));
const ENV = { ...process.env, DJANGO_DB: join(folder, 'db.sqlite3'), XDG_RUNTIME_DIR: folder };
const SLOW = `import time\ntime.sleep(${IMPORT_SECONDS})\nfrom mysite.wsgi import application\n`;

/** A server in a process of its own, and its log. */
class Server {
  #child;
  #log = '';
  #news = () => {};

  constructor(app, options) {
    const args = ['-w', String(WORKERS), '-b', '127.0.0.1:0', '--python', PYTHON, '--pythonpath', folder];
    this.#child = spawn(`${ROOT}bin/tunicorn`, [...args, ...options, app], {
      cwd: SITE,
      env: ENV,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.#child.stderr.setEncoding('utf8').on('data', (text) => {
      this.#log += text;
      this.#news();
    });
  }

  /** Waits for what `pattern` finds behind the first `from` characters of the log. */
  async told(pattern, from = 0) {
    const deadline = performance.now() + PATIENCE_MS;
    for (;;) {
      const found = this.#log.slice(from).match(pattern);
      if (found !== null) return found;
      if (this.#child.exitCode !== null || performance.now() > deadline) throw new Error(this.#log);
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, deadline - performance.now());
        this.#news = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  get length() {
    return this.#log.length;
  }

  async port() {
    return Number((await this.told(/Listening at http:\/\/127\.0\.0\.1:(\d+)/))[1]);
  }

  /** Pids of the Python processes: the workers, and the one that they are forked from. */
  pythons() {
    const workers = [];
    for (let todo = [this.#child.pid]; todo.length > 0; ) {
      todo = todo.flatMap(childrenOf);
      workers.push(...todo.filter((pid) => read(`/proc/${pid}/cmdline`).includes('tunicorn-worker.py')));
    }
    return workers;
  }

  async stop() {
    const ended = this.#child.exitCode === null ? once(this.#child, 'exit') : null;
    this.#child.kill('SIGTERM');
    await ended;
  }
}

const read = (path) => readFileSync(path, 'utf8');

function childrenOf(pid) {
  return readdirSync(`/proc/${pid}/task`).flatMap((task) =>
    read(`/proc/${pid}/task/${task}/children`).split(' ').filter(Boolean).map(Number),
  );
}

/** MiB, in which a page that n processes share counts as one nth for each. */
function memoryOf(pid) {
  return Number(/^Pss:\s+(\d+) kB/m.exec(read(`/proc/${pid}/smaps_rollup`))[1]) / 1024;
}

async function serve(app, options, act) {
  const server = new Server(app, options);
  try {
    const [, ms] = await server.told(/Ready: \d+ workers in (\d+) ms/);
    return { start: Number(ms) / 1000, ...(await act(server)) };
  } finally {
    await server.stop();
  }
}

/** Milliseconds from `kill -9` of a worker to the log's word that its replacement is ready. */
async function replacements(server, isPreloaded) {
  const times = [];
  for (let kill = 0; kill < KILLS; kill++) {
    // With --preload the first is the process that they are forked from.
    const victim = server.pythons()[isPreloaded ? 1 : 0];
    const from = server.length;
    const began = performance.now();
    process.kill(victim, 'SIGKILL');
    await server.told(/Worker \d+ \(pid \d+\) is ready/, from);
    times.push(performance.now() - began);
  }
  return times.sort((a, b) => a - b);
}

async function load(port) {
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  let left = REQUESTS;
  const client = async () => {
    while (left-- > 0) {
      const [answer] = await once(get({ port, host: '127.0.0.1', agent }), 'response');
      if (answer.statusCode !== 200) throw new Error(`An answer with status ${answer.statusCode}.`);
      await once(answer.resume(), 'end');
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, client));
  agent.destroy();
}

async function measure(isPreloaded) {
  const options = isPreloaded ? ['--preload'] : [];
  const django = await serve('mysite.wsgi', options, async (server) => {
    await load(await server.port());
    const pythons = server.pythons();
    const memory = pythons.map(memoryOf);
    const own = isPreloaded ? memory.slice(1) : memory;
    const sum = (numbers) => numbers.reduce((a, b) => a + b, 0);
    return {
      worker: sum(own) / own.length,
      all: sum(memory),
      times: await replacements(server, isPreloaded),
    };
  });
  const slow = await serve('slow_site', options, async (server) => ({
    times: await replacements(server, isPreloaded),
  }));
  return { django, slow };
}

function report(ours, alone) {
  const seconds = ({ start }) => `${start.toFixed(2)} s`;
  const mebi = (value) => `${value.toFixed(1)} MiB`;
  const span = ({ times }) =>
    `${median(times).toFixed(0)} ms (${times[0].toFixed(0)} to ${times.at(-1).toFixed(0)})`;
  const version = execFileSync(PYTHON, ['--version'], { encoding: 'utf8' }).trim();
  console.log(`${version}, Node ${process.version}, ${WORKERS} workers`);
  console.log('| | with `--preload` | without |');
  console.log('| --- | --- | --- |');
  for (const [what, of] of [
    ['start to all ready, Django', (each) => seconds(each.django)],
    [`start to all ready, an import of ${IMPORT_SECONDS} s more`, (each) => seconds(each.slow)],
    [`\`kill -9\` to its replacement ready, Django, median of ${KILLS} (all)`, (each) => span(each.django)],
    [`the same, an import of ${IMPORT_SECONDS} s more`, (each) => span(each.slow)],
    [
      `memory of a worker after ${REQUESTS / WORKERS} requests each (PSS)`,
      (each) => mebi(each.django.worker),
    ],
    ['memory of all: workers, and the process that they are forked from', (each) => mebi(each.django.all)],
  ])
    console.log(`| ${what} | ${of(ours)} | ${of(alone)} |`);
}

function median(sorted) {
  return sorted[Math.floor(sorted.length / 2)];
}

try {
  writeFileSync(join(folder, 'slow_site.py'), SLOW);
  execFileSync(PYTHON, ['manage.py', 'migrate'], { cwd: SITE, env: ENV, stdio: 'ignore' });
  const ours = await measure(true);
  const alone = await measure(false);
  report(ours, alone);
  const late = median(ours.slow.times);
  const isGood = late < MOST_MS && ours.django.all < alone.django.all;
  console.log(`A replacement with --preload: ${late.toFixed(0)} ms, at most ${MOST_MS} ms`);
  console.log(`Memory of all: ${Math.round((ours.django.all / alone.django.all) * 100)} % of that without`);
  process.exitCode = isGood ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true });
}

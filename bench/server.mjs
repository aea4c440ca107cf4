/** A server under measurement: started, waited for, and ended with everything that it started. */
import { spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { Client } from './load/client.mjs';
import { birthOf, treeOf } from './processes.mjs';

const READY_WITHIN_MS = 20_000;
const END_WITHIN_MS = 5000;
const LAST_WORDS = 4000;

/** @typedef {{ program: string, args: readonly string[], env?: Record<string, string> }} Command */

/** Those that run now, so that none is left behind whatever ends the benchmark. */
const running = new Set();
process.on('exit', () => {
  for (const server of running) server.kill();
});

export class Server {
  #children;
  #words = '';

  /**
   * @param {Command[]} commands @param {{ cwd: string, env: NodeJS.ProcessEnv, port: number }} options
   */
  constructor(commands, { cwd, env, port }) {
    this.port = port;
    running.add(this);
    this.#children = commands.map(({ program, args, env: own }) => {
      const child = spawn(program, args, {
        cwd,
        env: { ...env, ...own },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => this.#hear(text));
      child.on('error', (error) => this.#hear(error.message));
      return child;
    });
  }

  get #roots() {
    return this.#children.flatMap((child) => (child.pid === undefined ? [] : [child.pid]));
  }

  /** @returns {number[]} of all its processes. */
  get pids() {
    return treeOf(this.#roots);
  }

  /**
   * Waits for the first answer.
   * @param {{ bytes: Buffer, expected: Buffer }} question
   * @returns {Promise<number>} length of the answer.
   * @throws {Error} when none comes in time, with what the server said last.
   */
  async ready({ bytes, expected }) {
    const deadline = performance.now() + READY_WITHIN_MS;
    let reason = 'it ended';
    while (performance.now() < deadline && this.#children.every((child) => child.exitCode === null)) {
      try {
        return await ask(this.port, { bytes, expected });
      } catch (error) {
        reason = error.message;
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`does not serve: ${reason}${this.#lastWords()}`);
  }

  /** Politely, then by force; returns when all of its processes are gone. */
  async end() {
    const births = new Map(this.pids.map((pid) => [pid, birthOf(pid)]));
    for (const child of this.#children.toReversed()) child.kill('SIGTERM');
    const isLeft = (pid) => births.get(pid) !== null && birthOf(pid) === births.get(pid);
    const deadline = performance.now() + END_WITHIN_MS;
    let left = [...births.keys()];
    while (left.length > 0 && performance.now() < deadline + 2000) {
      if (performance.now() > deadline) for (const pid of left) killOne(pid);
      await new Promise((resolve) => setTimeout(resolve, 20));
      left = left.filter(isLeft);
    }
    running.delete(this);
  }

  /** At once, without waiting. */
  kill() {
    for (const pid of this.pids) killOne(pid);
  }

  #hear(text) {
    this.#words = (this.#words + text).slice(-LAST_WORDS);
  }

  #lastWords() {
    const line = this.#words.trim().split('\n').at(-1)?.trim();
    return line ? `; it said: ${line}` : '';
  }
}

function killOne(pid) {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It is gone already.
  }
}

async function ask(port, { bytes, expected }) {
  const client = new Client(port);
  const late = setTimeout(() => client.end(), 2000);
  try {
    return await client.request(bytes, expected);
  } finally {
    clearTimeout(late);
    client.end();
  }
}

/** @returns {Promise<number>} of 127.0.0.1 */
export function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer().on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(address !== null && typeof address === 'object' ? address.port : 0));
    });
  });
}

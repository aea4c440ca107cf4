/** What the scenarios have in common: the application that goes wrong, its folder, and what /proc and the command tell. */
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { Status } from '../../../src/status.ts';
import { appArgs, type Kind } from '../../support/kinds.ts';
import { type Load, type LoadReport, monotonicMs, startLoad } from '../../support/load.ts';
import { cleanEnvironment, ROOT, type Server, startTunicorn } from '../../support/tunicorn.ts';

/** Long enough that no scenario meets the race of RFC 9112 §9.3.1. */
const KEEP_ALIVE = ['--keep-alive', '75'];
const LOOK_EVERY_MS = 20;
/** Requests. */
const CALIBRATE_BY = 500;

export interface Ran {
  readonly code: number;
  /** stdout and stderr. */
  readonly text: string;
}

/** A server of test/apps/faults.py or faults.ts, with its folder of files that decide what goes wrong. */
export class Scenario implements AsyncDisposable {
  readonly folder: string;
  readonly server: Server;
  readonly #env: Readonly<Record<string, string>>;

  constructor(folder: string, { server, env }: { server: Server; env: Readonly<Record<string, string>> }) {
    this.folder = folder;
    this.server = server;
    this.#env = env;
  }

  /** Tells the application something. */
  tell(name: string, text: string): void {
    writeFileSync(join(this.folder, name), text);
  }

  /** Takes it back. */
  untell(name: string): void {
    rmSync(join(this.folder, name));
  }

  has(name: string): boolean {
    return existsSync(join(this.folder, name));
  }

  /** Nonces of the POST requests that reached the application, as often as they did. */
  posts(): string[] {
    return this.has('posts') ? readFileSync(join(this.folder, 'posts'), 'utf8').trim().split('\n') : [];
  }

  get pidFile(): string {
    return join(this.folder, 'pid');
  }

  /** Runs `tunicorn COMMAND` for this server. */
  command(name: string, ...args: readonly string[]): Promise<Ran> {
    const all = [name, ...args, '--pid', this.pidFile];
    const env = cleanEnvironment(this.#env);
    return new Promise((resolve) => {
      execFile(
        `${ROOT}bin/tunicorn`,
        all,
        { env, cwd: this.folder, timeout: 60_000 },
        (error, stdout, stderr) => {
          const code = typeof error?.code === 'number' ? error.code : error === null ? 0 : -1;
          resolve({ code, text: stdout + stderr });
        },
      );
    });
  }

  async status(): Promise<Status> {
    const { code, text } = await this.command('status', '--json');
    if (code !== 0) throw new Error(`No status: ${text}`);
    return JSON.parse(text) as Status;
  }

  /** Waits until there are so many workers, all of them ready. */
  async settled(workers: number, timeoutMs = 20_000): Promise<void> {
    const look = async () => {
      const status = await this.status();
      return status.workers.length === workers && status.workers.every(({ state }) => state === 'ready');
    };
    await until(`${workers} workers, all ready`, look, { timeoutMs, everyMs: 100 });
  }

  load(options: Partial<Parameters<typeof startLoad>[0]> = {}): Load {
    return startLoad({ port: this.server.port, ...options });
  }

  /** What 70 % of the load is that its workers can just bear: asked without a pause for a moment. */
  async steadyRate(path = '/echo'): Promise<number> {
    await using load = this.load({ rate: null, connections: 16, path });
    await load.answered(100);
    const began = performance.now();
    await load.answered(CALIBRATE_BY);
    const seconds = (performance.now() - began) / 1000;
    const report = await load.stop();
    unharmed(report);
    const rate = Math.round((0.7 * CALIBRATE_BY) / seconds);
    console.info(`70 % of the load that it bears: ${rate} requests a second.`);
    return rate;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server[Symbol.asyncDispose]();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export interface ScenarioOptions {
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly app?: string;
  /** Which workers run it; Python's when not given. */
  readonly kind?: Kind;
  /** Files of the application's folder, before it starts. */
  readonly told?: Readonly<Record<string, string>>;
}

export async function startScenario({
  args,
  env = {},
  app = 'faults',
  kind = 'python',
  told = {},
}: ScenarioOptions): Promise<Scenario> {
  const folder = mkdtempSync(join(tmpdir(), 'proof-'));
  for (const [name, text] of Object.entries(told)) writeFileSync(join(folder, name), text);
  const all = { FAULTS: folder, XDG_RUNTIME_DIR: folder, PYTHONDONTWRITEBYTECODE: '1', ...env };
  const fixed = ['--access-logfile', '/dev/null', '-p', join(folder, 'pid'), ...KEEP_ALIVE];
  const server = await startTunicorn({
    args: [...fixed, ...args, ...appArgs(kind, app)],
    cwd: folder,
    env: all,
  });
  return new Scenario(folder, { server, env: all });
}

/** Not one request failed, no connection was reset, and nobody got what he had not asked for. */
export function unharmed(report: LoadReport): void {
  const { idleResets, stray } = report.connections;
  const examples = report.failed.slice(0, 5);
  expect({ fates: report.fates(), idleResets, stray, unsent: report.unsent, examples }).toEqual({
    fates: { ok: report.ok },
    idleResets: 0,
    stray: 0,
    unsent: 0,
    examples: [],
  });
  expect(report.ok).toBeGreaterThan(0);
}

/** Waits for what the log cannot tell. @throws {Error} after `timeoutMs` */
export async function until(
  what: string,
  look: () => boolean | Promise<boolean>,
  {
    timeoutMs = 20_000,
    everyMs = LOOK_EVERY_MS,
  }: { readonly timeoutMs?: number; readonly everyMs?: number } = {},
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await look())) {
    if (performance.now() > deadline) throw new Error(`Not within ${timeoutMs} ms: ${what}`);
    await pause(everyMs);
  }
}

/** Lets a time pass that is part of the scenario: between strikes, or the length of the observation. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Milliseconds of CPU that a process has used, over all its threads. */
export function cpuMs(pid: number): number {
  // Nanoseconds; the ticks of /proc/PID/stat are 10 ms each.
  return (
    sumOverThreads(pid, (folder) => Number(readFileSync(`${folder}/schedstat`, 'utf8').split(' ')[0])) / 1e6
  );
}

/** How often a process has woken up by itself, over all its threads. */
export function wakeUps(pid: number): number {
  return sumOverThreads(pid, (folder) =>
    Number(/^voluntary_ctxt_switches:\s+(\d+)/m.exec(readFileSync(`${folder}/status`, 'utf8'))?.[1]),
  );
}

/** Resident memory in bytes; 0 when the process is gone. */
export function residentBytes(pid: number): number {
  try {
    return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}

/** Watches how late the timers of the test's own process run, for strikes that it times itself. */
export function watchTimer(): Pick<LoadReport, 'lateMs'> & Disposable {
  const everyMs = 20;
  const late: { readonly dueMs: number; readonly byMs: number }[] = [];
  let dueMs = monotonicMs() + everyMs;
  const timer = setInterval(() => {
    const now = monotonicMs();
    late.push({ dueMs, byMs: now - dueMs });
    dueMs = now + everyMs;
  }, everyMs);
  return {
    lateMs: (fromMs, toMs) =>
      Math.max(
        0,
        ...late
          .filter((each) => each.dueMs <= toMs && each.dueMs + each.byMs >= fromMs)
          .map(({ byMs }) => byMs),
      ),
    [Symbol.dispose]: () => clearInterval(timer),
  };
}

function sumOverThreads(pid: number, read: (folder: string) => number): number {
  const tasks = readdirSync(`/proc/${pid}/task`);
  return tasks.reduce((sum, task) => sum + read(`/proc/${pid}/task/${task}`), 0);
}

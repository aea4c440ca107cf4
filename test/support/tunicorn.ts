/**
 * Starts the real command for a test, as a process tree of its own, and ends every process of it however the
 * test ends. `await using server = await startTunicorn({ args: ['app:application'], cwd });`
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The checkout, with a slash at its end. */
export const ROOT: string = fileURLToPath(new URL('../../', import.meta.url));

const VENV_PYTHON = `${ROOT}.venv-test/bin/python`;

/** The interpreter of the tests: that of `.venv-test/` (made by `npm test`), else `python3`. */
export const PYTHON: string = existsSync(VENV_PYTHON) ? VENV_PYTHON : 'python3';

/**
 * Whether the tests' interpreter has a module, for `describe.skipIf(!hasModule('django'))`.
 * @param name as imported.
 */
export function hasModule(name: string, python: string = PYTHON): boolean {
  try {
    execFileSync(python, ['-c', `import ${name}`], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** Whether a program can be found on PATH, for `describe.skipIf(!hasProgram('nginx'))`. */
export function hasProgram(name: string): boolean {
  const folders = (process.env.PATH ?? '').split(':');
  return folders.some((folder) => existsSync(`${folder}/${name}`));
}

export interface StartOptions {
  /** As on the command line; `-b 127.0.0.1:0` is put in front unless a bind is given, here or in `env`. */
  readonly args: readonly string[];
  /** Folder of the application; the checkout when not given. */
  readonly cwd?: string;
  /** Added to the environment; `undefined` removes a variable. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Interpreter for `--python`: the tests' when not given, none with `null`. */
  readonly python?: string | null;
  /** Command and first arguments, when not `bin/tunicorn` of the checkout. */
  readonly command?: readonly string[];
  /** Run it in a terminal, so that `type()` works. */
  readonly terminal?: boolean;
  /** What the log says when it is ready (default `Ready: `). */
  readonly ready?: string | RegExp;
  /** How long to wait for that, in ms (default 30,000). */
  readonly readyMs?: number;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

const SETTLE_MS = 30_000;

/** A running `tunicorn` command. */
export class Server implements AsyncDisposable {
  /** Resolves when the arbiter has ended and its output is complete. */
  readonly exited: Promise<Exit>;
  readonly #child: ChildProcess;
  readonly #known = new Set<number>();
  readonly #waiting = new Set<() => void>();
  #log = '';
  #exit: Exit | null = null;

  constructor(child: ChildProcess) {
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => this.#hear(text));
    }
    this.exited = new Promise((resolve) => {
      child.once('exit', async (code, signal) => {
        await complete(child);
        this.#exit = { code, signal };
        this.#wake();
        resolve(this.#exit);
      });
    });
  }

  /** Process id of the arbiter. */
  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Everything on stdout and stderr so far. */
  log(): string {
    return this.#log;
  }

  /** The first address, as printed: `http://127.0.0.1:4711`. @throws {Error} before it listens, or when it ended unready. */
  get url(): string {
    const url = this.urls()[0];
    if (url === undefined) throw new Error(`It does not listen yet:\n${this.#log}`);
    if (this.#exit !== null && !this.#log.includes('Ready: '))
      throw new Error(`It ended before it was ready:\n${this.#log}`);
    return url;
  }

  /** Port of the first TCP address. */
  get port(): number {
    return Number(new URL(this.url).port);
  }

  /** Every address, in the order of the log. */
  urls(): string[] {
    return [...this.#log.matchAll(/Listening at (\S+)/g)].map((match) => match[1] ?? '');
  }

  /**
   * Waits until the log holds a text.
   * @returns what was found (for a pattern, its match with groups).
   * @throws {Error} with the log, after `timeoutMs` or when the command ended without it.
   */
  async waitForLog(wanted: string | RegExp, timeoutMs = SETTLE_MS): Promise<RegExpMatchArray> {
    const pattern = typeof wanted === 'string' ? new RegExp(escapeRegExp(wanted)) : wanted;
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const found = this.#log.match(pattern);
      if (found !== null) return found;
      const { code, signal } = this.#exit ?? {};
      if (this.#exit !== null)
        throw new Error(`It ended (${code ?? signal}) without “${wanted}”:\n${this.#log}`);
      if (performance.now() > deadline) throw new Error(`No “${wanted}” in ${timeoutMs} ms:\n${this.#log}`);
      await this.#news(deadline - performance.now());
    }
  }

  /** Sends a signal to the arbiter only. */
  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  /** Types into its terminal; `'\x03'` is Ctrl-C. Only with the option `terminal`. */
  type(text: string): void {
    this.#child.stdin?.write(text);
  }

  /** Process ids of the workers that are alive, in order of age. */
  workers(): Promise<number[]> {
    return Promise.resolve(this.#children('worker'));
  }

  /** Process ids of the fronts that are alive, in order of age. */
  fronts(): Promise<number[]> {
    return Promise.resolve(this.#children('front'));
  }

  /** The arbiter and all that descend from it, and are alive. */
  tree(): number[] {
    const pids = isAlive(this.pid) ? [this.pid, ...descendants(this.pid)] : [];
    for (const pid of pids) this.#known.add(pid);
    return pids;
  }

  /** TERM, and waits for the end; KILL to what is left after 30 s. @returns how the arbiter ended. */
  async stop(): Promise<Exit> {
    this.tree();
    if (this.#exit === null) this.#child.kill('SIGTERM');
    const late = setTimeout(() => this.#child.kill('SIGKILL'), SETTLE_MS);
    const exit = await this.exited;
    clearTimeout(late);
    return exit;
  }

  /** Ends every process of the tree, now. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.tree();
    if (this.#exit === null) this.#child.kill('SIGKILL');
    await this.exited;
    for (const pid of [-this.pid, ...this.#known]) kill(pid);
    this.#child.stdout?.destroy();
    this.#child.stderr?.destroy();
  }

  /** Waits for a text in the log, or for the end. */
  async settle(ready: string | RegExp, timeoutMs: number): Promise<void> {
    await this.waitForLog(ready, timeoutMs).catch((error: unknown) => {
      if (this.#exit === null) throw error;
    });
    this.tree();
  }

  #children(kind: 'front' | 'worker'): number[] {
    const pattern =
      kind === 'front'
        ? /front\/main\.[jt]s|^tunicorn: front/
        : /tunicorn-worker\.py|workers\/main\.[jt]s|^tunicorn: worker/;
    return this.tree().filter((pid) => pattern.test(commandOf(pid)));
  }

  #hear(text: string): void {
    this.#log += text;
    this.#wake();
  }

  #wake(): void {
    for (const done of [...this.#waiting]) done();
  }

  /** Resolves with the next output, with the end, or when time is up. */
  #news(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        this.#waiting.delete(done);
        resolve();
      };
      const timer = setTimeout(done, Math.max(0, timeoutMs) + 1);
      this.#waiting.add(done);
    });
  }
}

/**
 * Starts the command and waits until it is ready, or has ended (then `exited` is resolved and `log()` says why).
 * Nothing is inherited that would change its mind: no TUNICORN_*, PORT, WEB_CONCURRENCY, GUNICORN_CMD_ARGS,
 * VIRTUAL_ENV.
 * @throws {Error} with the log when neither happens in time.
 */
export async function startTunicorn(options: StartOptions): Promise<Server> {
  const server = new Server(launch(options));
  try {
    await server.settle(options.ready ?? 'Ready: ', options.readyMs ?? SETTLE_MS);
  } catch (error) {
    await server[Symbol.asyncDispose]();
    throw error;
  }
  return server;
}

function launch(options: StartOptions): ChildProcess {
  const { args, cwd = ROOT, env = {}, python = PYTHON, command, terminal = false } = options;
  const bound = 'TUNICORN_BIND' in env || args.some((arg) => /^(-b|--bind)/.test(arg));
  const typed = terminal ? ['python3', `${ROOT}test/support/terminal.py`] : [];
  const [program, ...first] = [...typed, ...(command ?? [`${ROOT}bin/tunicorn`])];
  const all = [
    ...first,
    ...(bound ? [] : ['-b', '127.0.0.1:0']),
    ...(python === null || args.some((arg) => /^--python(=|$)/.test(arg)) ? [] : ['--python', python]),
    ...args,
  ];
  // detached: a test may signal its whole process group without the test runner being in it.
  return spawn(program ?? '', all, {
    cwd,
    env: cleanEnvironment(env),
    detached: true,
    stdio: [terminal ? 'pipe' : 'ignore', 'pipe', 'pipe'],
  });
}

/** The tests' own environment without what Tunicorn reads, and with `changes`. */
export function cleanEnvironment(
  changes: Readonly<Record<string, string | undefined>> = {},
): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = {};
  for (const [name, value] of Object.entries({ ...process.env, ...changes })) {
    const ours =
      /^(TUNICORN_|GUNICORN_|npm_|VITEST)|^(PORT|WEB_CONCURRENCY|FORWARDED_ALLOW_IPS|VIRTUAL_ENV|INIT_CWD|NODE_OPTIONS|PYTHONPATH|NODE_ENV|NODE_CHANNEL_FD|DJANGO_SETTINGS_MODULE)$/;
    if (value !== undefined && (name in changes || !ours.test(name))) env[name] = value;
  }
  return env;
}

/** Whether a process runs; a zombie (dead, not yet reaped by a slow PID 1) does not. */
export function isAlive(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return !/^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2));
  } catch {
    return false;
  }
}

/** Waits for the end of the output, but not for a child that outlives the arbiter and holds the pipes open. */
function complete(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    const late = setTimeout(resolve, 500);
    child.once('close', () => {
      clearTimeout(late);
      resolve();
    });
  });
}

/** Negative: the process group. */
function kill(pid: number): void {
  try {
    if (pid < 0 || isAlive(pid)) process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended.
  }
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ');
  } catch {
    return '';
  }
}

/** All descendants that are alive, oldest first. */
function descendants(root: number): number[] {
  const children = new Map<number, number[]>();
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    const parent = Number.isInteger(pid) ? parentOf(pid) : 0;
    if (parent !== 0) children.set(parent, [...(children.get(parent) ?? []), pid]);
  }
  const found: number[] = [];
  for (let todo = [root]; todo.length > 0; ) {
    todo = todo.flatMap((pid) => children.get(pid) ?? []);
    found.push(...todo);
  }
  return found.filter(isAlive).sort((a, b) => a - b);
}

function parentOf(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
  } catch {
    return 0;
  }
}

function escapeRegExp(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { isAlive } from '../../src/arbiter/alive.ts';
import { type CommandOptions, runCommand } from '../../src/arbiter/command.ts';
import { UserError } from '../../src/errors.ts';

let folder = '';
let output = -1;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'command-'));
  output = openSync(join(folder, 'error.log'), 'a');
});

afterEach(() => {
  closeSync(output);
  rmSync(folder, { recursive: true });
});

function run(command: string, options: Partial<CommandOptions> = {}): Promise<void> {
  const env = { PATH: process.env.PATH ?? '' };
  const all = { option: '--on-start', command, cwd: folder, env, rights: null, python: 'python3', output };
  return runCommand({ ...all, ...options });
}

const logged = () => readFileSync(join(folder, 'error.log'), 'utf8');

/** A command that starts another process and waits for it; gives that one's pid once it runs. */
const PARENT = 'sleep 300 & echo $! > child.part; mv child.part child; wait';
async function childPid(): Promise<number> {
  await vi.waitFor(() => expect(existsSync(join(folder, 'child'))).toBe(true), { timeout: 20_000 });
  return Number(readFileSync(join(folder, 'child'), 'utf8'));
}

test('none is given: nothing is run', async () => {
  await expect(run('', { cwd: join(folder, 'nowhere') })).resolves.toBeUndefined();
});

test('it runs in the folder, with the environment, and its end is waited for; both its outputs are logged', async () => {
  const env = { PATH: process.env.PATH ?? '', SHOP: 'open' };
  await run('pwd; echo "$SHOP" >&2; test -z "$HOME" && echo none', { env });
  expect(logged()).toBe(`${realpathSync(folder)}\nopen\nnone\n`);
});

test('it reads nothing from our input', async () => {
  await run('read line || echo "no input"');
  expect(logged()).toBe('no input\n');
});

test.each<[string, string, string]>([
  ['a status', 'echo why; exit 3', 'ended with status 3'],
  ['a signal', 'kill -TERM $$', 'was ended by SIGTERM'],
  ['no such program', 'no-such-program-of-ours', 'ended with status 127'],
])('%s is a failure, with the command and where its reasons stand', async (_name, command, how) => {
  const failure = run(command, { option: '--on-reload' });
  await expect(failure).rejects.toThrow(UserError);
  await expect(failure).rejects.toThrow(
    `The command of --on-reload ${how}: ${command}\nWhat it printed stands in the log above.`,
  );
});

test('a folder that is gone is a failure like any other', async () => {
  await expect(run('true', { cwd: join(folder, 'nowhere') })).rejects.toThrow(
    /could not be started: .*ENOENT/,
  );
});

test('ended early, it and what it started are killed', async () => {
  const abort = new AbortController();
  const ended = run(PARENT, { signal: abort.signal });
  ended.catch(() => {});
  const pid = await childPid();
  expect(isAlive(pid)).toBe(true);
  abort.abort();
  await expect(ended).rejects.toThrow('The command of --on-start was killed by SIGKILL');
  await vi.waitFor(() => expect(isAlive(pid)).toBe(false), { timeout: 20_000 });
});

test('ended before it began, it does not go on', async () => {
  await expect(run('sleep 300', { signal: AbortSignal.abort() })).rejects.toThrow('was killed by SIGKILL');
});

/** A Python that hangs as a stuck worker does: in a C call that holds the interpreter, its stack in a file on SIGURG. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PYTHON } from './tunicorn.ts';

const PROGRAM = `
import faulthandler, os, re, signal, sys
path, text = sys.argv[1:]
# Tests that are killed cannot end us, and nothing but a signal can.
signal.alarm(60)
descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
os.write(descriptor, text.encode())
faulthandler.register(signal.SIGURG, file=descriptor, all_threads=True, chain=False)

def hang_in_regex():
    print("up", flush=True)
    re.match(r"(a+)+$", "a" * 64 + "b")

hang_in_regex()
`;

/** `await using hanging = await startHanging();` */
export class Hanging implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'hanging-'));
  readonly stackFile = join(this.folder, 'stack-1');
  readonly #child: ChildProcess;
  readonly #exit: Promise<unknown>;

  /** `before`: what the file holds already. */
  constructor(before: string) {
    this.#child = spawn(PYTHON, ['-c', PROGRAM, this.stackFile, before], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.#exit = once(this.#child, 'exit');
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  async up(): Promise<this> {
    if (this.#child.stdout !== null) await once(this.#child.stdout, 'data');
    return this;
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#exit;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    rmSync(this.folder, { recursive: true });
  }
}

export function startHanging(before = ''): Promise<Hanging> {
  return new Hanging(before).up();
}

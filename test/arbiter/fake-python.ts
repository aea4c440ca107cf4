/** A program in place of Python's worker program: it says what a test wants to hear, and forks what it is told to. */
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FleetOptions, Setup } from '../../src/arbiter/fleet.ts';
import { defaultSettings } from '../../src/config/load.ts';
import type { Logger } from '../../src/observe/log.ts';
import { PYTHON } from '../support/tunicorn.ts';
import { setupOf } from './stand-ins.ts';

/**
 * What it does is named by the application. For a process of its own: `broken` cannot load it, `noise` writes to the
 * channel what is no message for it, everything else is loaded, with the start line as the application's name. For a
 * forked one: `exit N` and `signal N` end so, `no-fork` cannot be forked, `slow` is told of a little later,
 * everything else waits until its zygote ends.
 */
const PROGRAM = `
import json, os, signal, socket, subprocess, sys, threading, time

channel = socket.socket(fileno=3)
lines = channel.makefile("r")
lock = threading.Lock()

def say(**message):
    with lock:
        channel.sendall((json.dumps(message) + "\\n").encode())

def loaded(app):
    rest = {"framework": "", "ms": 1, "found": "", "mounts": [], "mountsWhy": "", "hooks": []}
    return dict(event="loaded", app=app, **rest)

def program(app):
    kind, _, number = app.partition(" ")
    if kind == "exit":
        return "import sys; sys.exit(%s)" % number
    if kind == "signal":
        return "import os; os.kill(os.getpid(), %s)" % number
    return "import sys; sys.stdin.read()"

def reap(worker, child):
    status = child.wait()
    code, number = (status, None) if status >= 0 else (None, -status)
    say(event="exited", worker=worker, code=code, signal=number)

def fork(start):
    worker, app = start["worker"], start["app"]
    if app == "no-fork":
        return say(event="fork-failed", worker=worker, message="EAGAIN: no more processes")
    command = [sys.executable, "-S", "-E", "-c", program(app)]
    # Its input ends with us, and it with its input: nothing is left of a zygote that is killed.
    child = subprocess.Popen(command, stdin=subprocess.PIPE)
    if app == "slow":
        time.sleep(0.05)
    say(event="forked", worker=worker, pid=child.pid)
    say(event="said", worker=worker, said=loaded(app))
    threading.Thread(target=reap, args=(worker, child), daemon=True).start()

line = lines.readline()
start = json.loads(line)
if start["app"] == "noise":
    channel.sendall(b'hello\\n{"event": "nonsense"}\\n[]\\n')
    say(event="forked", worker=1, pid=1)
if start["app"] == "broken":
    say(event="failed", code="import", message="No module named broken.", traceback="")
    sys.exit(3)
say(**loaded(line.strip()))
for order in map(json.loads, lines):
    if order.get("leave"):
        sys.exit(0)
    # About workers that nobody knows, nobody wants to hear.
    say(event="exited", worker=999, code=0, signal=None)
    fork(order["fork"])
`;

const PATIENCE_MS = 20_000;

/** To be given back with `remove()`. */
export class FakePython {
  readonly folder = mkdtempSync(join(tmpdir(), 'fake-python-'));
  readonly path = join(this.folder, 'python');
  readonly #program = join(this.folder, 'program.py');

  constructor() {
    writeFileSync(this.#program, PROGRAM);
    writeFileSync(this.path, `#!/bin/sh\nexec '${PYTHON}' -S '${this.#program}'\n`);
    chmodSync(this.path, 0o755);
  }

  /** `setups`: one for each application. */
  fleetOptions(log: Logger, setups: readonly Setup[] = [setupOf({}, this.path)]): FleetOptions {
    return {
      settings: setups[0]?.settings ?? defaultSettings(this.folder),
      setups,
      log,
      sockets: [],
      gateway: (slot, pool) => join(this.folder, `front-${slot}-${pool}`),
      stackFile: (owner) => join(this.folder, `stack-${owner}`),
      accessLog: () => -1,
      rights: null,
      isSuccessor: () => false,
    };
  }

  /** It executes this program: before that a signal may meet Node's child, which is not it yet. */
  started(pid: number): Promise<void> {
    const file = `/proc/${pid}/cmdline`;
    return this.until(() => existsSync(file) && readFileSync(file, 'latin1').includes(this.#program));
  }

  async until(done: () => boolean): Promise<void> {
    const deadline = performance.now() + PATIENCE_MS;
    while (!done()) {
      if (performance.now() > deadline) throw new Error(`Not within ${PATIENCE_MS} ms: ${done}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** The new Tunicorn that an upgrade starts: on the same listening sockets, with the same arguments. */
import { type ChildProcess, spawn } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { describeEnd, type End } from './children.ts';
import { FIRST_SOCKET_FD, type InheritedSocket, type Legacy, UPGRADE } from './inherited.ts';

export interface SuccessorOptions {
  /** The descriptors here. */
  readonly sockets: readonly InheritedSocket[];
  /** As this process was called. */
  readonly call: Call;
  readonly onReady: () => void;
  /** It has ended; `end` says how in words. */
  readonly onEnd: (end: string) => void;
}

/** How a Tunicorn was called. */
export interface Call {
  /** The script, through which a new version of us or of Node is found. */
  readonly script: string;
  readonly argv: readonly string[];
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
}

/** How this process was called; to be asked before anything is taken out of the environment for good. */
export function ownCall(): Call {
  const { argv, env } = process;
  return { script: argv[1] ?? '', argv: argv.slice(2), cwd: ownFolder(env.PWD), env: { ...env } };
}

/** It may be a symbolic link to the newest release: the shell's name for it is kept, if that still is where we are. */
function ownFolder(shells: string | undefined): string {
  const real = process.cwd();
  try {
    const [named, here] = [statSync(shells ?? real), statSync(real)];
    return named.ino === here.ino && named.dev === here.dev ? (shells ?? real) : real;
  } catch {
    return real;
  }
}

export class Successor {
  readonly #child: ChildProcess;

  constructor(options: SuccessorOptions) {
    this.#child = start(options);
    let over = false;
    const end = (how: End) => {
      if (!over) options.onEnd(describeEnd(how));
      over = true;
    };
    this.#child.once('error', (error) => end({ code: null, signal: null, error }));
    this.#child.once('exit', (code, signal) => end({ code, signal }));
    const said = this.#child.stdio[3] as Readable;
    said.on('error', () => {});
    said.once('data', () => options.onReady());
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** It goes on without this process. */
  release(): void {
    this.#child.unref();
    (this.#child.stdio[3] as Readable).destroy();
  }
}

function start({ sockets, call }: SuccessorOptions): ChildProcess {
  const legacy: Legacy = {
    pid: process.pid,
    sockets: sockets.map((socket, i) => ({ ...socket, fd: FIRST_SOCKET_FD + i })),
  };
  // WATCHDOG_PID names this process: with it the new one would believe that nobody watches.
  const { WATCHDOG_PID: _pid, ...env } = call.env;
  const [file, ...args] = isExecutable(call.script)
    ? [call.script, ...call.argv]
    : [process.execPath, call.script, ...call.argv];
  return spawn(file, args, {
    cwd: call.cwd,
    env: { ...env, [UPGRADE]: JSON.stringify(legacy) },
    stdio: ['inherit', 'inherit', 'inherit', 'pipe', ...sockets.map(({ fd }) => fd)],
    // Ctrl-C is for the old one as long as it is there.
    detached: true,
  });
}

/** Then its first line finds the Node of today. */
function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

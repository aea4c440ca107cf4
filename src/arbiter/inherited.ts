/** Listening sockets that somebody else opened for us: systemd (sd_listen_fds(3)), or the Tunicorn that this one replaces. */
import { writeSync } from 'node:fs';

export interface InheritedSocket {
  readonly fd: number;
  /** Of the socket unit; or the address in the words of `--bind` by which the predecessor was asked for it. */
  readonly name: string;
}

export interface Inherited {
  readonly from: 'systemd' | 'predecessor' | null;
  readonly sockets: readonly InheritedSocket[];
  readonly predecessor: Predecessor | null;
}

/** What a Tunicorn passes on to its successor, in the variable of this name. */
export const UPGRADE = 'TUNICORN_UPGRADE';

export interface Legacy {
  readonly pid: number;
  readonly sockets: readonly InheritedSocket[];
}

/** Descriptor on which a successor tells that it serves, and the first of its sockets. */
export const READY_FD = 3;
export const FIRST_SOCKET_FD = 4;

const LISTEN_FDS_START = 3;

/**
 * Takes what is there, and the variables that tell of it out of `env`, so that no child of ours believes that it is
 * meant.
 */
export function takeInherited(env: NodeJS.ProcessEnv): Inherited {
  const { [UPGRADE]: upgrade, LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES = '' } = env;
  for (const name of [UPGRADE, 'LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES']) delete env[name];
  if (upgrade !== undefined) {
    const { pid, sockets } = JSON.parse(upgrade) as Legacy;
    // Whoever copied the variable from somewhere is not the one it was made for.
    if (pid === process.ppid) return { from: 'predecessor', sockets, predecessor: new Predecessor(pid) };
  }
  if (Number(LISTEN_PID) !== process.pid || !/^\d{1,4}$/.test(LISTEN_FDS ?? '')) {
    return { from: null, sockets: [], predecessor: null };
  }
  const names = LISTEN_FDNAMES.split(':');
  const sockets = Array.from({ length: Number(LISTEN_FDS) }, (_, i) => {
    return { fd: LISTEN_FDS_START + i, name: names[i] ?? 'unknown' };
  });
  return { from: 'systemd', sockets, predecessor: null };
}

/** The Tunicorn that started this one to take over. */
export class Predecessor {
  readonly pid: number;

  constructor(pid: number) {
    this.pid = pid;
  }

  /** Whether it has ended: then its child has another parent. */
  get isGone(): boolean {
    return process.ppid !== this.pid;
  }

  /** We serve: it may go. */
  sayReady(): void {
    try {
      writeSync(READY_FD, 'ready\n');
    } catch {
      // It has gone already.
    }
  }
}

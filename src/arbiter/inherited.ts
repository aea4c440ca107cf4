/** Listening sockets that somebody else opened for us: systemd (sd_listen_fds(3)), or the Tunicorn that this one replaces. */
import { writeSync } from 'node:fs';
import { isAlive } from './alive.ts';

export interface InheritedSocket {
  readonly fd: number;
  /** The name that systemd gave it; null when a Tunicorn made it. */
  readonly unit: string | null;
  /** The address in the words of `--bind` for which a Tunicorn made it; empty when it did not. */
  readonly address: string;
}

export interface Inherited {
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
  const { [UPGRADE]: upgrade = '', LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES = '' } = env;
  for (const name of [UPGRADE, 'LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES']) delete env[name];
  const legacy = parseLegacy(upgrade);
  if (legacy !== null) {
    const { sockets, pid } = legacy;
    return { sockets, predecessor: pid === process.ppid ? new Predecessor(pid) : null };
  }
  if (Number(LISTEN_PID) !== process.pid || !/^\d{1,4}$/.test(LISTEN_FDS ?? '')) {
    return { sockets: [], predecessor: null };
  }
  const names = LISTEN_FDNAMES.split(':');
  const sockets = Array.from({ length: Number(LISTEN_FDS) }, (_, i) => {
    return { fd: LISTEN_FDS_START + i, unit: names[i] || 'unknown', address: '' };
  });
  return { sockets, predecessor: null };
}

/** Null for what was not made for this very process, such as a variable that somebody copied. */
function parseLegacy(text: string): Legacy | null {
  try {
    const legacy = JSON.parse(text) as Legacy;
    // One that has died meanwhile has left us its sockets all the same.
    return legacy.pid === process.ppid || !isAlive(legacy.pid) ? legacy : null;
  } catch {
    return null;
  }
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

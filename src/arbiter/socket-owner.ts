/** Who listens on an address, as far as /proc tells: root sees every process, others their own. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import type { Address } from '../config/address.ts';

/** `0A` is LISTEN in /proc/net/tcp. */
const LISTEN = '0A';

export interface SocketOwner {
  readonly pid: number;
  /** The start of its command line. */
  readonly command: string;
}

/** The process that listens on the port or path of `address`; null when it cannot be told. */
export function socketOwner(address: Address): SocketOwner | null {
  const inodes = new Set(address.kind === 'tcp' ? tcpInodes(address.port) : unixInodes(address));
  if (inodes.size === 0) return null;
  for (const pid of list('/proc').filter((name) => /^\d+$/.test(name))) {
    for (const fd of list(`/proc/${pid}/fd`)) {
      if (inodes.has(socketInode(`/proc/${pid}/fd/${fd}`)))
        return { pid: Number(pid), command: commandOf(pid) };
    }
  }
  return null;
}

function tcpInodes(port: number): string[] {
  const end = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  return ['/proc/net/tcp', '/proc/net/tcp6'].flatMap((file) =>
    rows(file)
      .filter((row) => row[1]?.endsWith(end) === true && row[3] === LISTEN)
      .map((row) => row[9] ?? ''),
  );
}

function unixInodes(address: Address): string[] {
  const path = address.kind === 'unix' ? address.path : '';
  return rows('/proc/net/unix')
    .filter((row) => row.slice(7).join(' ') === path)
    .map((row) => row[6] ?? '');
}

function rows(file: string): string[][] {
  try {
    return readFileSync(file, 'latin1')
      .split('\n')
      .map((line) => line.trim().split(/\s+/));
  } catch {
    return [];
  }
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function socketInode(link: string): string {
  try {
    return /^socket:\[(\d+)\]$/.exec(readlinkSync(link))?.[1] ?? '-';
  } catch {
    return '-';
  }
}

function commandOf(pid: string): string {
  try {
    const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').join(' ').trim();
    return words.length > 60 ? `${words.slice(0, 60)}…` : words;
  } catch {
    return '?';
  }
}

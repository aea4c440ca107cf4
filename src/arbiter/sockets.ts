/**
 * The listening sockets. The arbiter binds them and holds their descriptors, which the fronts inherit; only a
 * front listens. The one place that uses Node's internal handles: `net.Server.listen()` would accept here,
 * in the arbiter, whatever is paused; `net._createServerHandle` is what Node's own cluster binds with.
 */
import { lookup } from 'node:dns/promises';
import { chownSync, lstatSync, readFileSync, readlinkSync, rmSync, unlinkSync } from 'node:fs';
import * as net from 'node:net';
import { dirname } from 'node:path';
import { getSystemErrorName } from 'node:util';
import { type Address, formatAddress, formatUrl } from '../config/address.ts';
import { UserError } from '../errors.ts';
import type { InheritedSocket } from './inherited.ts';
import type { Rights } from './rights.ts';
import { socketOwner } from './socket-owner.ts';
import { answers } from './unix-socket.ts';

/** A bound socket. */
export interface Bound {
  readonly fd: number;
  /** For `SERVER_NAME` and `SERVER_PORT`: the real port; a UNIX socket has its path and port 0. */
  readonly host: string;
  readonly port: number;
  readonly unix: boolean;
  /** For people: with the real port. */
  readonly url: string;
  /** The name that systemd gave it; null when it did not make it. */
  readonly unit: string | null;
  /** Lets go of it; the path of a UNIX socket is removed when it still is ours. */
  close(): void;
  /** Somebody else has it now, and `close` removes no path; or it is ours again. */
  handOver(away: boolean): void;
}

export interface BindOptions {
  /** Sockets that somebody opened for us already. Those that no address names are closed. */
  readonly inherited?: readonly InheritedSocket[];
  readonly warn?: (message: string) => void;
  /** For UNIX sockets: rights that they do not get. */
  readonly umask: number;
  /** Who owns a UNIX socket: the workers' user, as in gunicorn. */
  readonly rights: Rights | null;
}

/** What libuv gives: TCP has `getsockname`, a pipe has not. */
interface Handle {
  readonly fd: number;
  getsockname?(out: { address?: string; port?: number; family?: string }): number;
  close(): void;
}

type CreateServerHandle = (
  address: string | null,
  port: number,
  type: 4 | 6 | -1,
  fd?: number,
  flags?: number,
) => Handle | number;

const createServerHandle = (net as unknown as { _createServerHandle: CreateServerHandle })
  ._createServerHandle;

/** UV_TCP_IPV6ONLY */
const IPV6_ONLY = 1;

/** Binds every address, or none. @throws {UserError} which says what is in the way and what to do. */
export async function bindAll(addresses: readonly Address[], options: BindOptions): Promise<Bound[]> {
  const bound: Bound[] = [];
  try {
    const ready = adoptAll(options.inherited ?? []);
    for (const address of addresses) {
      const wildcards = addresses.filter((other) => other.kind === 'tcp' && other.host === '0.0.0.0');
      bound.push(take(ready, address) ?? (await bind(address, { ...options, wildcards })));
    }
    for (const { socket } of ready) {
      options.warn?.(`The socket ${socket.url} was passed on, and no --bind names it: it is closed.`);
      socket.close();
    }
    return bound;
  } catch (error) {
    for (const socket of bound) socket.close();
    throw error;
  }
}

interface Adopted {
  readonly inherited: InheritedSocket;
  readonly socket: Bound;
}

/** @throws {UserError} for a descriptor that is no listening socket */
function adoptAll(sockets: readonly InheritedSocket[]): Adopted[] {
  return sockets.map((inherited) => {
    const { fd, unit } = inherited;
    const note = unit === null ? '' : ` (from systemd, ${unit})`;
    return { inherited, socket: adopt({ kind: 'fd', fd }, { unit, note, ours: unit === null }) };
  });
}

/** The one that fits, taken out of the list: first by the words for which it was made, since numbers change in an upgrade. */
function take(ready: Adopted[], address: Address): Bound | null {
  const text = formatAddress(address);
  const named = ready.findIndex(({ inherited }) => inherited.address === text);
  const at = named >= 0 ? named : ready.findIndex(({ socket }) => isAt(socket, address));
  return ready.splice(at, at < 0 ? 0 : 1)[0]?.socket ?? null;
}

/** Whether a client of the address would come to this socket; that of every IPv6 address takes IPv4, too. */
function isAt({ fd, host, port, unix }: Bound, address: Address): boolean {
  if (address.kind === 'fd') return fd === address.fd;
  if (address.kind === 'unix') return unix && host === address.path;
  if (unix || port !== address.port) return false;
  return host === address.host || host === '::' || (host === '0.0.0.0' && !address.host.includes(':'));
}

function bind(
  address: Address,
  options: BindOptions & { wildcards: readonly Address[] },
): Bound | Promise<Bound> {
  switch (address.kind) {
    case 'tcp':
      return bindTcp(address, options.wildcards);
    case 'unix':
      return bindUnix(address, options);
    case 'fd':
      return adopt(address, { unit: null, note: ` (fd://${address.fd})`, ours: false });
  }
}

type Tcp = Extract<Address, { kind: 'tcp' }>;

async function bindTcp(address: Tcp, wildcards: readonly Address[]): Promise<Bound> {
  const { address: host, family } = await resolveHost(address);
  // `::` takes IPv4 too, as everywhere on Linux, unless 0.0.0.0 with the same port is asked for by its side.
  const both = wildcards.some(
    (other) => other.kind === 'tcp' && other.port === address.port && other.port !== 0,
  );
  const flags = family === 6 && host === '::' && both ? IPV6_ONLY : 0;
  const handle = createServerHandle(host, address.port, family === 6 ? 6 : 4, undefined, flags);
  if (typeof handle === 'number') throw bindError(address, getSystemErrorName(handle));
  const name: { port?: number } = {};
  // A busy port gives a handle all the same: the error comes with the first use.
  const status = handle.getsockname?.(name) ?? 0;
  if (status !== 0) {
    handle.close();
    throw bindError(address, getSystemErrorName(status));
  }
  const port = name.port ?? address.port;
  const url = formatUrl({ ...address, port });
  return {
    fd: handle.fd,
    host: address.host,
    port,
    unix: false,
    url,
    unit: null,
    close: () => handle.close(),
    handOver: () => {},
  };
}

/** IPv4 first: `localhost` is 127.0.0.1, as for gunicorn. */
async function resolveHost(address: Tcp): Promise<{ address: string; family: number }> {
  const family = net.isIP(address.host);
  if (family !== 0) return { address: address.host, family };
  try {
    const found = await lookup(address.host, { all: true });
    const first = found.find((entry) => entry.family === 4) ?? found[0];
    if (first !== undefined) return first;
  } catch {}
  throw new UserError(
    `Cannot listen on ${formatUrl(address)}: the name ${address.host} is not known. Use a name or an address of this machine, such as 127.0.0.1, or 0.0.0.0 for all of them.`,
  );
}

type Unix = Extract<Address, { kind: 'unix' }>;

async function bindUnix(address: Unix, options: BindOptions): Promise<Bound> {
  const { path } = address;
  await clearPath(address);
  const before = process.umask(options.umask);
  const handle = createServerHandle(path, -1, -1);
  process.umask(before);
  if (typeof handle === 'number') throw bindError(address, getSystemErrorName(handle));
  if (options.rights !== null) chownSync(path, options.rights.uid, options.rights.gid);
  return {
    fd: handle.fd,
    host: path,
    port: 0,
    unix: true,
    url: formatUrl(address),
    unit: null,
    ...keeper(path, handle, { bound: true }),
  };
}

/**
 * Removes the path of a UNIX socket with its handle, while it is ours: not when another server has put its own socket
 * there, nor while the other one of an upgrade owns it. libuv removes the path of a handle that it bound itself; then the
 * handle is left to the end of the process, which runArbiter makes one that removes nothing.
 */
function keeper(
  path: string,
  handle: Handle,
  { bound }: { readonly bound: boolean },
): Pick<Bound, 'close' | 'handOver'> {
  const ino = lstatSync(path, { throwIfNoEntry: false })?.ino;
  // What a predecessor passed on is its own until it has gone.
  let handedOver = !bound;
  return {
    close: () => {
      const isOurs = !handedOver && lstatSync(path, { throwIfNoEntry: false })?.ino === ino;
      if (isOurs || !bound) handle.close();
      if (isOurs) rmSync(path, { force: true });
    },
    handOver: (away) => {
      handedOver = away;
    },
  };
}

/** Removes the socket that a killed server left. @throws {UserError} when something else is there. */
async function clearPath(address: Unix): Promise<void> {
  const { path } = address;
  // libuv would say "permission denied".
  if (lstatSync(dirname(path), { throwIfNoEntry: false }) === undefined) throw bindError(address, 'ENOENT');
  const there = lstatSync(path, { throwIfNoEntry: false });
  if (there === undefined) return;
  if (!there.isSocket()) {
    throw new UserError(
      `Cannot listen on ${formatUrl(address)}: there is a file that is no socket. Remove it, or choose another path.`,
    );
  }
  if (await answers(path)) throw bindError(address, 'EADDRINUSE');
  try {
    unlinkSync(path);
  } catch (error) {
    throw bindError(address, (error as NodeJS.ErrnoException).code ?? '');
  }
}

type Descriptor = Extract<Address, { kind: 'fd' }>;

interface AdoptOptions {
  /** As {@link Bound}. */
  readonly unit: string | null;
  /** For people, behind the address. */
  readonly note: string;
  /** A Tunicorn made it: the path of a UNIX socket is ours to remove. */
  readonly ours: boolean;
}

/** A socket that somebody else opened and we inherited. */
function adopt(address: Descriptor, { unit, note, ours }: AdoptOptions): Bound {
  const { fd } = address;
  const inode = socketInode(address);
  const path = unixSocketPath(inode);
  const handle = createServerHandle(null, 0, -1, fd);
  if (typeof handle === 'number') {
    throw new UserError(`Cannot listen on fd://${fd}: descriptor ${fd} is no stream socket.`);
  }
  const plain = { fd, unit, close: () => handle.close(), handOver: () => {} };
  const name: { address?: string; port?: number } = {};
  if (handle.getsockname?.(name) !== 0 || name.address === undefined) {
    const host = path ?? '';
    const url = host === '' ? `fd://${fd}` : `unix:${host}${note}`;
    return {
      ...plain,
      host,
      port: 0,
      unix: true,
      url,
      ...(ours ? keeper(host, handle, { bound: false }) : {}),
    };
  }
  const { address: host, port = 0 } = name;
  return { ...plain, host, port, unix: false, url: `${formatUrl({ kind: 'tcp', host, port })}${note}` };
}

/** @throws {UserError} when the descriptor is not open, or no socket. */
function socketInode({ fd }: Descriptor): string {
  const name = readDescriptor(fd);
  if (name === '') return '';
  const inode = /^socket:\[(\d+)\]$/.exec(name ?? '')?.[1];
  if (inode !== undefined) return inode;
  // Node opens descriptors of its own, with the lowest numbers that are free.
  if (name !== null && !name.startsWith('anon_inode:')) {
    throw new UserError(`Cannot listen on fd://${fd}: descriptor ${fd} is no socket but ${name}.`);
  }
  throw new UserError(
    `Cannot listen on fd://${fd}: no socket was passed on as descriptor ${fd}. fd:// is for one that another program opened, such as systemd for a socket unit (fd://3).`,
  );
}

/** What /proc says; an empty text where there is no /proc; null when it is not open. */
function readDescriptor(fd: number): string | null {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return lstatSync('/proc/self/fd', { throwIfNoEntry: false }) === undefined ? '' : null;
  }
}

function unixSocketPath(inode: string): string | null {
  try {
    for (const line of readFileSync('/proc/net/unix', 'utf8').split('\n')) {
      const parts = line.split(/\s+/);
      if (parts[6] === inode) return parts.slice(7).join(' ');
    }
  } catch {}
  return null;
}

/** Why an address cannot be had, in words. `code` is an errno name. */
export function bindError(address: Address, code: string): UserError {
  const start = `Cannot listen on ${formatUrl(address).replace('http://', '')}:`;
  switch (code) {
    case 'EADDRINUSE': {
      const owner = socketOwner(address);
      const by = owner === null ? '' : ` by \`${owner.command}\` (pid ${owner.pid})`;
      const what = address.kind === 'tcp' ? 'the port is in use' : 'the socket is in use';
      return new UserError(`${start} ${what}${by}. Stop that one, or choose another address with --bind.`);
    }
    case 'EACCES':
    case 'EPERM':
      return new UserError(`${start} permission denied. ${hintForRights(address)}`);
    case 'EADDRNOTAVAIL':
      return new UserError(
        `${start} this machine has no such address. Use one that it has, or 0.0.0.0 for all of them.`,
      );
    case 'ENOENT':
      return new UserError(`${start} its folder does not exist. Make it, or choose another path.`);
    case 'EINVAL':
      return new UserError(
        `${start} the descriptor is no socket that can listen, but a connection or a datagram socket.`,
      );
    case 'EAFNOSUPPORT':
      return new UserError(`${start} this machine has no IPv6. Use an IPv4 address, such as 127.0.0.1.`);
    default:
      return new UserError(`${start} ${code}.`);
  }
}

function hintForRights(address: Address): string {
  if (address.kind !== 'tcp') return 'Choose a folder that this user may write to.';
  return 'Ports under 1024 need root or CAP_NET_BIND_SERVICE: choose a higher one, or put a proxy in front.';
}

/** Which of the servers on this machine a command means. */
import { readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { isAlive } from '../arbiter/alive.ts';
import { userName } from '../arbiter/rights.ts';
import { findServerOf, findServers, type ServerInfo } from '../arbiter/runtime-dir.ts';
import { UserError } from '../errors.ts';

export interface Wanted {
  /** A pid file, or a pid; empty when not given. */
  readonly pid: string;
  /** `--chdir`; empty when not given. */
  readonly chdir: string;
  readonly cwd: string;
}

/** How the machine is looked at. */
export interface Look {
  readonly servers: () => readonly ServerInfo[];
  readonly serverOf: (pid: number) => ServerInfo | undefined;
  /** The user of a process; null when it has ended. */
  readonly ownerOf: (pid: number) => number | null;
}

const REAL: Look = { servers: findServers, serverOf: findServerOf, ownerOf };

/**
 * `--pid` decides; else the server of the folder of `--chdir`, or of the current one; else the only one there is. What
 * belongs to another user is never meant by itself.
 * @throws UserError when none or several fit, with what to type
 */
export function chooseServer(wanted: Wanted, look: Look = REAL): ServerInfo {
  if (wanted.pid !== '') return byPid(wanted, look);
  const servers = look.servers();
  const folder = resolve(wanted.cwd, wanted.chdir);
  const open = servers.filter((server) => server.isOpen);
  const here = open.filter((server) => server.folder === folder);
  const fitting = here.length > 0 || wanted.chdir !== '' ? here : open;
  const [only] = fitting;
  if (only !== undefined && fitting.length === 1) return only;
  if (fitting.length > 1)
    throw new UserError(`Which server? There are ${fitting.length}:\n${table(fitting)}`);
  const closed = servers.filter((server) => !server.isOpen);
  const none = wanted.chdir === '' ? 'No Tunicorn of yours runs here.' : `No Tunicorn runs in ${folder}.`;
  const elsewhere = open.length === 0 ? '' : ` Elsewhere there are:\n${table(open)}`;
  if (closed.length > 0) throw new UserError(`${none}${elsewhere}${forbidden(closed, look)}`);
  throw new UserError(
    wanted.chdir === '' ? 'No Tunicorn runs here. Start one with: tunicorn APP' : `${none}${elsewhere}`,
  );
}

function byPid({ pid: text, cwd }: Wanted, look: Look): ServerInfo {
  const pid = /^\d+$/.test(text) ? Number(text) : readPid(resolve(cwd, text));
  const found = look.serverOf(pid);
  if (found?.isOpen) return found;
  if (!isAlive(pid)) throw new UserError(`Process ${pid}${from(text)} does not run. Its server has ended.`);
  const owner = look.ownerOf(pid);
  if (found !== undefined || (owner !== null && owner !== process.geteuid?.() && process.geteuid?.() !== 0)) {
    throw new UserError(`You may not give orders to process ${pid}${from(text)}: ${rightsHint(owner)}`);
  }
  throw new UserError(
    `Process ${pid}${from(text)} runs, but is no Tunicorn whose private folder can be found. Is it just starting?`,
  );
}

/** Servers of others: a line for each with its owner, and what to do. */
function forbidden(servers: readonly ServerInfo[], look: Look): string {
  const lines = servers.map(({ pid }) => {
    const owner = look.ownerOf(pid);
    return `    --pid ${pid}    of ${owner === null ? 'another user' : userName(owner)}`;
  });
  return `\nOther users have these, to which you may not give orders. Use sudo, or become that user:\n${lines.join('\n')}`;
}

function from(text: string): string {
  return /^\d+$/.test(text) ? '' : ` (from ${text})`;
}

function readPid(path: string): number {
  let text: string;
  try {
    text = readFileSync(path, 'utf8').trim();
  } catch {
    throw new UserError(
      `There is no pid file ${path}. The server has ended, or was started without --pid ${path}.`,
    );
  }
  if (/^\d+$/.test(text)) return Number(text);
  throw new UserError(`${path} is no pid file: a number should stand in it.`);
}

/** Whose it is, and how to become him. */
export function rightsHint(owner: number | null): string {
  if (owner === null) return 'it belongs to another user; use sudo.';
  return owner === 0
    ? 'it is root’s; use sudo.'
    : `it is that of user ${userName(owner)}; use sudo, or become that user.`;
}

/** The user of a process; null when it has ended. */
export function ownerOf(pid: number): number | null {
  return statSync(`/proc/${pid}`, { throwIfNoEntry: false })?.uid ?? null;
}

function table(servers: readonly ServerInfo[]): string {
  return servers
    .map(
      ({ pid, app, folder }) => `    --pid ${pid}    ${app || 'an application'} in ${folder || 'a folder'}`,
    )
    .join('\n');
}

/** Which of the servers on this machine a command means. */
import { readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { isAlive } from '../arbiter/alive.ts';
import { findServers, type ServerInfo } from '../arbiter/runtime-dir.ts';
import { UserError } from '../errors.ts';

export interface Wanted {
  /** A pid file, or a pid; empty when not given. */
  readonly pid: string;
  /** `--chdir`; empty when not given. */
  readonly chdir: string;
  readonly cwd: string;
}

/**
 * `--pid` decides; else the server of the folder of `--chdir`, or of the current one; else the only one there is.
 * @throws UserError when none or several fit, with what to type
 */
export function chooseServer(wanted: Wanted, servers: readonly ServerInfo[] = findServers()): ServerInfo {
  if (wanted.pid !== '') return byPid(wanted, servers);
  const folder = resolve(wanted.cwd, wanted.chdir);
  const here = servers.filter((server) => server.folder === folder);
  const [only] = here.length > 0 || wanted.chdir !== '' ? here : servers;
  const fitting = here.length > 0 || wanted.chdir !== '' ? here : servers;
  if (only !== undefined && fitting.length === 1) return only;
  if (fitting.length > 1)
    throw new UserError(`Which server? There are ${fitting.length}:\n${table(fitting)}`);
  const others = servers.length === 0 ? '' : ` Elsewhere there are:\n${table(servers)}`;
  throw new UserError(
    wanted.chdir === ''
      ? 'No Tunicorn runs here. Start one with: tunicorn APP'
      : `No Tunicorn runs in ${folder}.${others}`,
  );
}

function byPid({ pid: text, cwd }: Wanted, servers: readonly ServerInfo[]): ServerInfo {
  const pid = /^\d+$/.test(text) ? Number(text) : readPid(resolve(cwd, text));
  const found = servers.find((server) => server.pid === pid);
  if (found !== undefined) return found;
  if (!isAlive(pid)) throw new UserError(`Process ${pid}${from(text)} does not run. Its server has ended.`);
  throw new UserError(
    `Process ${pid}${from(text)} runs, but is no Tunicorn whose folder can be seen. If it belongs to another user: ${rightsHint(pid)}`,
  );
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

/** Who owns the process, and how to become him. */
export function rightsHint(pid: number): string {
  try {
    const { uid } = statSync(`/proc/${pid}`);
    return uid === 0
      ? 'it is root’s; use sudo.'
      : `it is that of user ${uid}; use sudo, or become that user.`;
  } catch {
    return 'use sudo.';
  }
}

function table(servers: readonly ServerInfo[]): string {
  return servers
    .map(
      ({ pid, app, folder }) => `    --pid ${pid}    ${app || 'an application'} in ${folder || 'a folder'}`,
    )
    .join('\n');
}

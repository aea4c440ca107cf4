/**
 * `--user` and `--group`: children run with other rights than the arbiter, which keeps its own.
 *
 * Node's `spawn({ uid, gid })` drops every supplementary group, so a site whose files belong to a group of its
 * user could not read them. Therefore children are started through `setpriv` (util-linux), which becomes the
 * user and then executes the command, so that the process is from its first instruction on what it should be;
 * where there is none (macOS, Alpine), through a few lines of Python that do the same.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { UserError } from '../errors.ts';

export interface Rights {
  readonly uid: number;
  readonly gid: number;
  /** Every group, the first one included. */
  readonly groups: readonly number[];
}

export interface Command {
  readonly file: string;
  readonly args: readonly string[];
}

/** `argv`: uid, gid, groups by comma, then the command. `-I -S`: nothing that the user can write is executed as root. */
const BECOME = `
import os, sys
uid, gid, groups = sys.argv[1:4]
os.setgroups([int(group) for group in groups.split(",")])
os.setgid(int(gid))
os.setuid(int(uid))
os.execvp(sys.argv[4], sys.argv[4:])
`.trim();

/**
 * Whose rights the children get; null when they keep the arbiter's.
 * @throws {UserError} when a name is unknown, or when this process may not change its rights.
 */
export function resolveRights(settings: { readonly user: string; readonly group: string }): Rights | null {
  const mine = { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 };
  const user = settings.user === '' ? null : findUser(settings.user);
  const gid = settings.group === '' ? (user?.gid ?? mine.gid) : findGroup(settings.group);
  const uid = user?.uid ?? mine.uid;
  if (uid === mine.uid && gid === mine.gid) return null;
  if (mine.uid !== 0) throw notRoot(settings);
  const own = user === null ? [] : groupsOf(user);
  return { uid, gid, groups: [...new Set([gid, ...own])] };
}

/**
 * Whether the names are known, whoever asks: a configuration may be checked by somebody who could not start it.
 * @throws {UserError} as {@link resolveRights}
 */
export function requireNames({ user, group }: { readonly user: string; readonly group: string }): void {
  if (user !== '') findUser(user);
  if (group !== '') findGroup(group);
}

/**
 * The command that becomes the user and then runs `command`.
 * @param python Path of any Python interpreter; empty when there is none.
 * @throws {UserError} when there is nothing that can change a process's rights
 */
export function withRights(command: Command, rights: Rights | null, python: string): Command {
  if (rights === null) return command;
  const { uid, gid } = rights;
  const groups = rights.groups.join(',');
  if (hasSetpriv()) {
    const args = [
      `--reuid=${uid}`,
      `--regid=${gid}`,
      `--groups=${groups}`,
      '--',
      command.file,
      ...command.args,
    ];
    return { file: 'setpriv', args };
  }
  if (python === '') {
    throw new UserError(
      'Cannot run as asked by --user or --group: that takes setpriv, which this system has not. Install util-linux.',
    );
  }
  const who = [String(uid), String(gid), groups];
  return { file: python, args: ['-I', '-S', '-c', BECOME, ...who, command.file, ...command.args] };
}

let setpriv: boolean | null = null;

/** Whether util-linux's `setpriv` is there: busybox's knows no users. */
function hasSetpriv(): boolean {
  if (setpriv === null) {
    try {
      execFileSync('setpriv', ['--reuid=0', '--regid=0', '--clear-groups', 'true'], { stdio: 'ignore' });
      setpriv = true;
    } catch {
      setpriv = false;
    }
  }
  return setpriv;
}

interface User {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

function findUser(text: string): User {
  const byNumber = /^\d+$/.test(text);
  for (const line of records('/etc/passwd')) {
    const [name = '', , uid, gid] = line;
    if (byNumber ? uid === text : name === text) return { name, uid: Number(uid), gid: Number(gid) };
  }
  const known = askId(text);
  if (known !== null) return known;
  // A number without an account is good, as in a container; it has no groups.
  if (byNumber) return { name: '', uid: Number(text), gid: process.getegid?.() ?? 0 };
  throw new UserError(`There is no user ${text}. Name an existing one with --user, or create it first.`);
}

/** A user as people know him: by name, else by number. */
export function userName(uid: number): string {
  const [name] = records('/etc/passwd').find((line) => line[2] === String(uid)) ?? [];
  return name || run('id', ['-nu', String(uid)]) || String(uid);
}

function findGroup(text: string): number {
  if (/^\d+$/.test(text)) return Number(text);
  for (const [name, , gid] of records('/etc/group')) if (name === text) return Number(gid);
  const line = run('getent', ['group', text])?.split(':');
  if (line?.[2] !== undefined) return Number(line[2]);
  throw new UserError(`There is no group ${text}. Name an existing one with --group, or create it first.`);
}

/** Users that stand in no file (LDAP, macOS's directory) are known to `id`. */
function askId(text: string): User | null {
  const uid = run('id', ['-u', text]);
  const gid = run('id', ['-g', text]);
  return uid === null || gid === null ? null : { name: text, uid: Number(uid), gid: Number(gid) };
}

function groupsOf(user: User): number[] {
  const text = user.name === '' ? null : run('id', ['-G', user.name]);
  return text === null ? [] : text.split(/\s+/).map(Number);
}

function run(file: string, args: readonly string[]): string | null {
  try {
    return execFileSync(file, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return null;
  }
}

function records(file: string): string[][] {
  try {
    return readFileSync(file, 'utf8')
      .split('\n')
      .map((line) => line.split(':'));
  } catch {
    return [];
  }
}

function notRoot(settings: { readonly user: string; readonly group: string }): UserError {
  const flag = settings.user === '' ? `--group ${settings.group}` : `--user ${settings.user}`;
  return new UserError(
    `Cannot run as asked by ${flag}: only root may change the user of a process. Start Tunicorn as root, or leave the option out.`,
  );
}

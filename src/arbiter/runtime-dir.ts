/**
 * The private folder of one server. It holds the control socket, which is the arbiter's alone, and a folder that
 * fronts and workers may enter, with their gateway sockets and the files for their stacks. Its name carries the arbiter's
 * pid, so that commands find it, and the next arbiter can remove what a killed one left.
 */
import {
  accessSync,
  chmodSync,
  chownSync,
  constants,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { UserError } from '../errors.ts';
import { isAlive } from './alive.ts';
import type { Rights } from './rights.ts';
import { answers } from './unix-socket.ts';

const SHARED = 'gateway';
const OURS = /^(control|server\.json)$/;
const THEIRS = /^(front|stack)-[\w-]+$/;
const NAME = /^tunicorn-(\d+)-\w{6}$/;
/** A socket's path has 108 bytes on Linux, 104 on macOS, one of them for the end. */
const MAX_FOLDER = 80;

/** A worker by its number, or a zygote by its pool and generation. */
export type StackOwner = number | `zygote-${number}-${number}`;

export class RuntimeDir {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  /** Makes the folders. With `rights` others may pass through the outer one, and only they enter the inner one. @throws {UserError} when it cannot be made. */
  static create(rights: Rights | null): RuntimeDir {
    const parent = parentFolder(rights);
    try {
      const path = mkdtempSync(join(parent, `tunicorn-${process.pid}-`));
      const shared = join(path, SHARED);
      mkdirSync(shared, { mode: 0o700 });
      if (rights !== null) {
        chmodSync(path, 0o711);
        chownSync(shared, rights.uid, rights.gid);
      }
      return new RuntimeDir(path);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      throw new UserError(
        `Cannot make a private folder in ${parent} (${code}). Set TMPDIR to a folder that can be written to.`,
      );
    }
  }

  /** Path of the socket on which a front waits for the workers of a pool. */
  gateway(slot: number, pool: number): string {
    return join(this.path, SHARED, `front-${slot + 1}-${pool + 1}`);
  }

  /** Path of the file to which the stacks of a process are written when it cannot be asked for them. */
  stackFile(owner: StackOwner): string {
    return join(this.path, SHARED, `stack-${owner}`);
  }

  /** Path of the control socket. */
  get control(): string {
    return join(this.path, 'control');
  }

  /** Says whose folder it is, for the commands that look for a server. */
  describe(server: Pick<ServerInfo, 'app' | 'folder'>): void {
    writeFileSync(join(this.path, INFO), JSON.stringify(server), { mode: 0o600 });
  }

  remove(): void {
    removeFolder(this.path);
  }
}

const INFO = 'server.json';

/** A server that runs on this machine. */
export interface ServerInfo {
  readonly pid: number;
  /** Path of its control socket. */
  readonly control: string;
  /** Whether the rights of this process suffice to use it. */
  readonly isOpen: boolean;
  /** What it serves and from which folder; empty when they may not be read. */
  readonly app: string;
  readonly folder: string;
}

/** The servers that run: those of this user, and those of others where their folders have been made in the same place. */
export function findServers(): ServerInfo[] {
  return [...placesOf(process.env)].flatMap((parent) => serversIn(parent));
}

/** The server of this process, which may have been started with other variables, or with a /tmp of its own. */
export function findServerOf(pid: number): ServerInfo | undefined {
  const places = [...placesOf(process.env), ...placesOf(environmentOf(pid))];
  // systemd's PrivateTmp=: the folder is there for those who look through the eyes of the process.
  const candidates = new Set([...places, ...places.map((place) => `/proc/${pid}/root${place}`)]);
  for (const parent of candidates) {
    const found = serversIn(parent).find((server) => server.pid === pid);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Where servers with these variables make their folders. */
function placesOf(env: NodeJS.ProcessEnv): Set<string> {
  const { XDG_RUNTIME_DIR: own, TMPDIR, TMP, TEMP } = env;
  const temporary = (TMPDIR || TMP || TEMP || '/tmp').replace(/(?<=.)\/$/, '');
  return new Set([own || '/tmp', temporary, '/tmp']);
}

/** The variables that a process was started with; none when they may not be read. */
function environmentOf(pid: number): NodeJS.ProcessEnv {
  try {
    const pairs = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
    return Object.fromEntries(pairs.map((pair) => pair.split(/=(.*)/s, 2)));
  } catch {
    return {};
  }
}

function serversIn(parent: string): ServerInfo[] {
  return list(parent).flatMap((name) => {
    const pid = Number(NAME.exec(name)?.[1] ?? 0);
    const control = join(parent, name, 'control');
    const may = pid !== 0 && isAlive(pid) ? accessTo(control) : 'absent';
    if (may === 'absent') return [];
    return [{ pid, control, isOpen: may === 'open', ...readInfo(join(parent, name, INFO)) }];
  });
}

function accessTo(path: string): 'open' | 'closed' | 'absent' {
  try {
    accessSync(path, constants.W_OK);
    return 'open';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EACCES' ? 'closed' : 'absent';
  }
}

function readInfo(path: string): { app: string; folder: string } {
  try {
    const { app = '', folder = '' } = JSON.parse(readFileSync(path, 'utf8')) as Partial<ServerInfo>;
    return { app, folder };
  } catch {
    return { app: '', folder: '' };
  }
}

/**
 * Only what we put there, and nothing below: the inner folder belongs to the workers' user, who could lead a
 * recursive removal by root elsewhere.
 */
function removeFolder(path: string): void {
  const shared = join(path, SHARED);
  try {
    for (const name of list(shared)) if (THEIRS.test(name)) unlinkSync(join(shared, name));
    rmdirSync(shared);
    for (const name of list(path)) if (OURS.test(name)) unlinkSync(join(path, name));
    rmdirSync(path);
  } catch {
    // Something else lies in it, or it has been removed: then it is not ours to touch.
  }
}

/** Another user cannot get into the arbiter's own runtime folder, so it gets the one that is open to all. */
function parentFolder(rights: Rights | null): string {
  const own = process.env.XDG_RUNTIME_DIR;
  const candidates = rights === null && own !== undefined ? [own, tmpdir()] : [tmpdir()];
  return candidates.find((folder) => Buffer.byteLength(folder) <= MAX_FOLDER && isFolder(folder)) ?? '/tmp';
}

function isFolder(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

/**
 * Removes the folders of arbiters that were killed. One whose sockets answer is left alone: where several
 * containers share a /tmp, its pid means nothing here.
 */
export async function removeLeftovers(rights: Rights | null): Promise<void> {
  const parent = parentFolder(rights);
  const owner = process.geteuid?.();
  for (const name of list(parent)) {
    const pid = NAME.exec(name)?.[1];
    const path = join(parent, name);
    if (pid === undefined || isAlive(Number(pid))) continue;
    if (lstatSync(path, { throwIfNoEntry: false })?.uid !== owner) continue;
    const shared = join(path, SHARED);
    const replies = await Promise.all(list(shared).map((socket) => answers(join(shared, socket))));
    if (!replies.includes(true)) removeFolder(path);
  }
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

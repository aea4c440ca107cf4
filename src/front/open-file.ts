/** Opens regular files below folders, and nothing else. */
import { closeSync, constants, fstatSync, open, readlinkSync, realpath, type Stats } from 'node:fs';
import { posix } from 'node:path';

export interface Place {
  readonly root: Root;
  /** Relative to the folder, without `.` and `..`, and without NUL. */
  readonly name: string;
  /** Where it is, when that is not the name in the folder; what is opened must lie in the folder all the same. */
  readonly path?: string;
}

export interface OpenFile {
  readonly fd: number;
  readonly name: string;
  readonly stats: Stats;
}

/** Why there is nothing to serve: `outside`, its real path is in no folder that may be shown. */
export type Nothing = 'missing' | 'irregular' | 'outside';

export type Outcome =
  | { readonly type: 'open'; readonly file: OpenFile }
  | { readonly type: 'nothing'; readonly why: Nothing }
  /** It is there, and this process may not read it. */
  | { readonly type: 'forbidden'; readonly error: NodeJS.ErrnoException }
  /** The system could not, at this moment. */
  | { readonly type: 'failed'; readonly error: NodeJS.ErrnoException };

/** One folder. Its real path is looked up again when it seems to have changed: deployments swap symlinks. */
export class Root {
  readonly folder: string;
  #real = '';

  constructor(folder: string) {
    this.folder = folder;
  }

  /** Whether the real path of a file is inside the real path of the folder. */
  holds(file: string, answer: (inside: boolean) => void): void {
    if (isInside(file, this.#real)) return answer(true);
    realpath(this.folder, (error, real) => {
      if (error === null) this.#real = real;
      answer(error === null && isInside(file, real));
    });
  }

  /** The file's path relative to the folder, by the folder's name or its real path; null when it is in neither. */
  nameOf(file: string): string | null {
    for (const folder of [this.folder, this.#real]) {
      if (isInside(file, folder)) return file.slice(folder.endsWith('/') ? folder.length : folder.length + 1);
    }
    return null;
  }
}

function isInside(file: string, folder: string): boolean {
  return folder !== '' && file.startsWith(folder.endsWith('/') ? folder : `${folder}/`);
}

/** Tries the places in their order, and gives the first file there is. */
export function openFirst(
  [place, ...others]: readonly Place[],
  done: (outcome: Outcome) => void,
  before: Nothing = 'missing',
): void {
  if (place === undefined) return done({ type: 'nothing', why: before });
  openFile(place, (outcome) => {
    if (outcome.type !== 'nothing') return done(outcome);
    openFirst(others, done, outcome.why === 'missing' ? before : outcome.why);
  });
}

/** What was opened is checked, not the path: that could be swapped for a symlink in between. */
function openFile({ root, name, ...place }: Place, done: (outcome: Outcome) => void): void {
  const path = place.path ?? posix.join(root.folder, name);
  // Without O_NONBLOCK the open of a FIFO would wait for its writer and take a thread of the pool with it.
  const flags = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;
  open(path, flags, (error, fd) => {
    if (error !== null) return done(failure(error));
    const nothing = (why: Nothing) => {
      closeSync(fd);
      done({ type: 'nothing', why });
    };
    // Of an open file the kernel knows both without a look at the disk: 6 µs together, where the pool takes 38.
    const stats = fstatSync(fd);
    if (!stats.isFile()) return nothing('irregular');
    realPath(fd, path, (real) => {
      root.holds(real, (inside) =>
        inside ? done({ type: 'open', file: { fd, name, stats } }) : nothing('outside'),
      );
    });
  });
}

function failure(error: NodeJS.ErrnoException): Outcome {
  switch (error.code) {
    case 'EACCES':
    case 'EPERM':
      return { type: 'forbidden', error };
    case 'EMFILE':
    case 'ENFILE':
    case 'EIO':
      return { type: 'failed', error };
    // A socket has a name in its folder and cannot be opened.
    case 'ENXIO':
      return { type: 'nothing', why: 'irregular' };
    default:
      return { type: 'nothing', why: 'missing' };
  }
}

/** The real path of an open file; empty when it cannot be known. */
function realPath(fd: number, path: string, done: (real: string) => void): void {
  if (process.platform !== 'linux') return realpath(path, (error, real) => done(error === null ? real : ''));
  try {
    done(readlinkSync(`/proc/self/fd/${fd}`));
  } catch {
    done('');
  }
}

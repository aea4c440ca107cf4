/** C extensions for the tests, compiled against an interpreter's own headers where it has them. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { basename, join } from 'node:path';

export interface Extension {
  /** What PYTHONPATH must hold; null when it could not be compiled here. */
  readonly folder: string | null;
  /** Why not, as a clause; empty when it could. */
  readonly why: string;
}

const CACHE = join(import.meta.dirname, '../../.cache/extensions');
const PROBE = 'import sys, sysconfig; print(sys.implementation.cache_tag, sysconfig.get_path("include"))';

/** Compiles one C file into the module of its name, unless that was done before. */
export function buildExtension(python: string, source: string): Extension {
  const told = spawnSync(python, ['-c', PROBE], { encoding: 'utf8' }).stdout.trim();
  const include = told.slice(told.indexOf(' ') + 1);
  if (!existsSync(join(include, 'Python.h'))) return { folder: null, why: 'its headers are not installed' };
  const stamp = createHash('sha256').update(told).update(readFileSync(source)).digest('hex').slice(0, 16);
  const folder = join(CACHE, stamp);
  const name = `${basename(source, '.c')}.so`;
  if (existsSync(join(folder, name))) return { folder, why: '' };
  mkdirSync(folder, { recursive: true });
  // Elsewhere first: another test file may look for it at the same time.
  const made = join(folder, `${process.pid}-${name}`);
  const args = ['-shared', '-fPIC', '-O1', `-I${include}`, '-o', made, source];
  const { status, error, stderr } = spawnSync('cc', args, { encoding: 'utf8' });
  if (error !== undefined) return { folder: null, why: 'there is no C compiler' };
  if (status !== 0) throw new Error(`${source} cannot be compiled for ${python}:\n${stderr}`);
  renameSync(made, join(folder, name));
  return { folder, why: '' };
}

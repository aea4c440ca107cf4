/** What Node asks for each module (https://nodejs.org/api/module.html#customization-hooks), in a thread of its own. */
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { LoadHook } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stripTypes } from './strip.ts';

const TYPESCRIPT = /\.([cm]?)ts$/;
/** What only a module can say (Node looks for the same when no package.json tells). */
const MODULE_SYNTAX = /^\s*(?:import\b\s*[\w{*'"]|export\b\s*[\w{*])|\bimport\.meta\b/m;

export const load: LoadHook = async (url, context, next) => {
  const path = url.startsWith('file:') ? fileURLToPath(url) : '';
  const [, kind] = TYPESCRIPT.exec(path) ?? [];
  if (kind === undefined) return next(url, context);
  const source = stripTypes(await readFile(path, 'utf8'), path);
  const format = kind === 'c' ? 'commonjs' : kind === 'm' ? 'module' : formatOf(path, source);
  return { format, source, shortCircuit: true };
};

function formatOf(path: string, source: string): 'module' | 'commonjs' {
  const type = packageType(dirname(path));
  if (type !== '') return type === 'module' ? 'module' : 'commonjs';
  return MODULE_SYNTAX.test(source) ? 'module' : 'commonjs';
}

/** `type` of the nearest package.json; empty when that says nothing, or there is none. */
function packageType(folder: string): string {
  try {
    const { type } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { type?: unknown };
    return typeof type === 'string' ? type : '';
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const parent = dirname(folder);
    return code === 'ENOENT' && parent !== folder ? packageType(parent) : '';
  }
}

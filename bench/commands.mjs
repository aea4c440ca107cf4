/** Parts of command lines. */
import { join } from 'node:path';

/** @param {string} python of the virtual environment. @param {string} name of a program that was installed into it. */
export const installed = (python, name) => join(python, '..', name);

/** @param {unknown} condition @param {...(string | number | null)} args @returns {string[]} the arguments, or none. */
export const given = (condition, ...args) => (condition ? args.map(String) : []);

/**
 * @param {import('./peers.mjs').Start} start @param {{ kind: string, bind: string }} options
 * @returns {import('./server.mjs').Command}
 */
export function gunicorn({ python, workers, threads, module, keepAlive }, { kind, bind }) {
  const args = ['-w', String(workers), '-k', kind, '--threads', String(threads), '-b', bind];
  const quiet = ['--log-level', 'error', '--no-control-socket', '--worker-connections', '10000'];
  const more = [...quiet, ...given(keepAlive, '--keep-alive', keepAlive), `${module}:application`];
  return { program: installed(python, 'gunicorn'), args: [...args, ...more] };
}

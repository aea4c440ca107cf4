/**
 * Makes `.venv-bench/` in the checkout, from the system's Python: uWSGI's plugin is linked to that one, and one built
 * without profile-guided optimisation runs the same code nearly half as fast. Every server runs under it.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const SYSTEM_PYTHON = '/usr/bin/python3';
/** Without it there is nothing to measure. */
const NEEDED = ['django'];

/**
 * @param {string} root the checkout.
 * @param {(line: string) => void} say
 * @returns {{ python: string, missing: Map<string, string> }} `missing`: packages that could not be installed, with why.
 */
export function install(root, say) {
  const venv = join(root, '.venv-bench');
  const stamp = join(venv, 'stamp.json');
  const requirements = readFileSync(join(root, 'bench/requirements.txt'), 'utf8');
  const hash = createHash('sha256').update(requirements).digest('hex');
  const known = existsSync(stamp) ? JSON.parse(readFileSync(stamp, 'utf8')) : {};
  const python = join(venv, 'bin/python');
  if (known.hash === hash) return { python, missing: new Map(known.missing) };
  say('Making .venv-bench/ with the servers to compare with …');
  make(venv);
  const missing = packagesOf(requirements).flatMap((name) => {
    const reason = addPackage(python, name);
    return reason === null ? [] : [[name, reason]];
  });
  for (const [name, reason] of missing) {
    if (NEEDED.includes(nameOf(name))) throw new Error(`${name} cannot be installed: ${reason}`);
  }
  const named = missing.map(([name, reason]) => [nameOf(name), reason]);
  writeFileSync(stamp, JSON.stringify({ hash, missing: named }));
  return { python, missing: new Map(named) };
}

/** @param {string} requirements @returns {string[]} the requirements without comments. */
export function packagesOf(requirements) {
  return requirements
    .split('\n')
    .map((line) => line.replace(/#.*/, '').trim())
    .filter((line) => line !== '');
}

function nameOf(requirement) {
  return /^[\w-]+/.exec(requirement)?.[0] ?? requirement;
}

function make(venv) {
  rmSync(venv, { recursive: true, force: true });
  const { status, stderr } = spawnSync(SYSTEM_PYTHON, ['-m', 'venv', venv], { encoding: 'utf8' });
  if (status !== 0)
    throw new Error(`${SYSTEM_PYTHON} makes no environment (on Debian: python3-venv). ${stderr}`);
}

/** One by one: a server that does not build must not keep the others out. @returns {string | null} why it is missing. */
function addPackage(python, name) {
  const env = { ...process.env, PIP_DISABLE_PIP_VERSION_CHECK: '1', PIP_ROOT_USER_ACTION: 'ignore' };
  const args = ['-m', 'pip', 'install', '--quiet', name];
  const { status, stderr } = spawnSync(python, args, { encoding: 'utf8', env, timeout: 600_000 });
  return status === 0 ? null : reasonOf(stderr);
}

/** The last line of pip that says something, without addresses and paths. */
function reasonOf(stderr) {
  const lines = String(stderr)
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => /error|required|not found|no matching/i.test(line));
  const line = lines[0] ?? 'pip failed';
  return line.replace(/\S*[/\\]\S*/g, '…').slice(0, 160);
}

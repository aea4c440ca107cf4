/**
 * The load of most workloads: wrk with one thread. wrk counts statuses and socket errors; wrk.lua adds a comparison
 * of every body for the warm-up, and the count of bytes is held against the expected one for the measured run, because
 * comparing there would take time from the server.
 */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const SCRIPT = fileURLToPath(new URL('wrk.lua', import.meta.url));
/** A head may grow and shrink by some digits: Apache counts the requests of a connection down in it. */
const HEAD_TOLERANCE = 8;

/**
 * @typedef {{ requests: number, bytes: number, us: number, p50Us: number, p99Us: number, wrong: number,
 *   errors: Record<string, number> }} Counts
 * @typedef {{ url: string, connections: number, seconds: number, expectedFile: string, bodyFile?: string }} Load
 */

/** Compares every answer. @param {Load} load @throws {Error} when one answer was not the expected one. */
export async function verify(load) {
  const counts = await run('verify', load);
  if (counts.wrong > 0) throw new Error(`${counts.wrong} of ${counts.requests} bodies were wrong`);
}

/**
 * @param {Load & { answerBytes: number }} load `answerBytes`: length of one answer, head and body.
 * @returns {Promise<{ requests: number, rate: number, p50Ms: number, p99Ms: number }>}
 * @throws {Error} when any answer was missing, or not what it should be.
 */
export async function measure(load) {
  const counts = await run('measure', load);
  checkBytes(counts, load);
  return {
    requests: counts.requests,
    rate: (counts.requests * 1e6) / counts.us,
    p50Ms: counts.p50Us / 1000,
    p99Ms: counts.p99Us / 1000,
  };
}

/** @param {string} mode @param {Load} load @returns {Promise<Counts>} */
async function run(mode, { url, connections, seconds, expectedFile, bodyFile }) {
  const options = ['-t1', `-c${connections}`, `-d${Math.max(1, Math.round(seconds))}s`, '-s', SCRIPT, url];
  const args = [...options, '--', mode, expectedFile, ...(bodyFile ? [bodyFile] : [])];
  const limits = {
    maxBuffer: 1 << 20,
    timeout: (seconds + 30) * 1000,
    killSignal: /** @type {const} */ ('SIGKILL'),
  };
  const { stdout } = await promisify(execFile)('wrk', args, limits).catch((error) => {
    throw new Error(`wrk failed: ${String(error.stderr).trim().split('\n').at(-1)}`);
  });
  return check(JSON.parse(stdout.trim().split('\n').at(-1) ?? ''));
}

/**
 * @param {Counts} counts
 * @throws {Error} which says what went wrong; then the run is no result.
 */
export function check(counts) {
  const errors = Object.entries(counts.errors).filter(([, count]) => count > 0);
  if (errors.length > 0) throw new Error(errors.map(([kind, count]) => `${count} ${NAMES[kind]}`).join(', '));
  if (counts.requests === 0) throw new Error('not one request was answered');
  return counts;
}

const NAMES = {
  connect: 'connections refused',
  read: 'connections cut',
  write: 'requests not taken',
  status: 'answers other than 2xx',
  timeout: 'answers later than 2 s',
};

/**
 * wrk counts the bytes of an answer that is not complete, too: one for each connection at most.
 * @param {{ requests: number, bytes: number }} counts
 * @param {{ answerBytes: number, connections: number }} expected
 */
export function checkBytes({ requests, bytes }, { answerBytes, connections }) {
  const least = requests * (answerBytes - HEAD_TOLERANCE);
  const most = (requests + connections) * (answerBytes + HEAD_TOLERANCE);
  if (bytes < least || bytes > most)
    throw new Error(`${bytes} bytes for ${requests} answers of ${answerBytes}`);
}

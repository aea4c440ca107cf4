/** What all servers share: a scratch folder with the database, the file and the answers that must come. */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const POST_BYTES = 64 * 1024;
const FILE_BYTES = 10_000_000;

/**
 * @typedef {{ folder: string, env: NodeJS.ProcessEnv, answers: Map<string, { file: string, bytes: Buffer }>,
 *   bodyFile: { path: string, bytes: Buffer }, remove: () => void }} Stage
 */

/**
 * @param {{ root: string, python: string, workloads: import('./workloads.mjs').Workload[] }} options
 * @returns {Stage}
 */
export function setUp({ root, python, workloads }) {
  // Some servers run their workers as another user.
  const folder = mkdtempSync(join(tmpdir(), 'tunicorn-bench-'));
  chmodSync(folder, 0o755);
  const remove = () => rmSync(folder, { recursive: true, force: true });
  process.once('exit', remove);
  const path = (name) => join(folder, name);
  const env = environment({ BENCH_FILE: path('file'), BENCH_DATABASE: path('database') });
  const bodyFile = { path: path('body'), bytes: pattern(POST_BYTES) };
  writeFileSync(bodyFile.path, bodyFile.bytes);
  writeFileSync(path('file'), pattern(FILE_BYTES));
  const options = { cwd: join(root, 'bench/apps'), env, maxBuffer: 64 * 1024 * 1024 };
  if (workloads.some(({ module }) => module === 'django_site'))
    execFileSync(python, ['-c', 'import django_site; django_site.fill()'], options);
  const answers = new Map();
  for (const { id, module, path: target, isPost } of workloads) {
    const args = ['expect.py', module, target, ...(isPost ? [bodyFile.path] : [])];
    const file = path(`answer-${id}`);
    writeFileSync(file, execFileSync(python, args, options));
    answers.set(id, { file, bytes: readFileSync(file) });
  }
  return { folder, env, answers, bodyFile, remove };
}

/** Bytes that do not repeat at any power of two, so that a block in the wrong place is seen. */
function pattern(size) {
  const bytes = Buffer.alloc(size);
  for (let at = 0; at < size; at++) bytes[at] = (at % 251) ^ ((at >> 8) & 255);
  return bytes;
}

/** Without the variables by which servers of the machine may be configured. */
function environment(more) {
  const isOption =
    /^(TUNICORN_|GUNICORN_|GRANIAN_|UWSGI_|WEB_CONCURRENCY$|PORT$|VIRTUAL_ENV$|PYTHON|FORWARDED_ALLOW)/;
  const kept = Object.entries(process.env).filter(([name]) => !isOption.test(name));
  return { ...Object.fromEntries(kept), ...more };
}

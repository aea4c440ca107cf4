/** One server, one workload, one run: started anew, warmed up, measured, ended. */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { get, post } from './load/client.mjs';
import { LOADS } from './loads.mjs';
import { cpuMs, memoryOf } from './processes.mjs';
import { freePort, Server } from './server.mjs';

const SAMPLE_MS = 400;
const MIB = 1024 * 1024;

/**
 * @typedef {{ root: string, python: string, workers: number, seconds: number, isRoot: boolean,
 *   stage: import('./stage.mjs').Stage }} Setting
 * @typedef {Record<string, number> | { error: string }} Result
 */

/**
 * @param {{ peer: import('./peers.mjs').Peer, workload: import('./workloads.mjs').Workload, round: number,
 *   shared: object }} run
 * @param {Setting} setting
 * @returns {Promise<Result>} an error when one byte, one status or one connection was not as it should be.
 */
export async function measureOne({ peer, workload, round, shared }, setting) {
  const { stage, root } = setting;
  const port = await freePort();
  const scratch = join(stage.folder, `server-${port}`);
  mkdirSync(scratch, { mode: 0o755 });
  const { threads, module, keepAlive = null } = workload;
  const commands = peer.commands({ ...setting, scratch, port, threads, module, keepAlive });
  const server = new Server(commands, { cwd: join(root, 'bench/apps'), env: stage.env, port });
  try {
    return await load({ server, workload, round, shared }, setting);
  } catch (error) {
    return { error: oneLine(error.message) };
  } finally {
    await server.end();
    rmSync(scratch, { recursive: true, force: true });
  }
}

async function load({ server, workload, round, shared }, { stage, seconds }) {
  const answer = stage.answers.get(workload.id);
  const question = questionOf(workload, answer, stage.bodyFile);
  const answerBytes = await server.ready(question);
  const meter = new Meter(server);
  const figures = await LOADS[workload.load]({
    server,
    workload,
    seconds,
    wrk: {
      url: `http://127.0.0.1:${server.port}${workload.path}`,
      connections: workload.connections,
      seconds,
      expectedFile: answer.file,
      ...(workload.isPost ? { bodyFile: stage.bodyFile.path } : {}),
      answerBytes,
    },
    question,
    slowQuestion: { bytes: get('/slow'), expected: Buffer.from('slow\n') },
    shared,
    round,
    metered: (act) => meter.during(act),
  });
  const { requests, ...rest } = figures;
  return { ...rest, cpuUs: (meter.cpuMs * 1000) / requests, memoryMib: meter.peakBytes / MIB };
}

function questionOf({ path, isPost }, answer, bodyFile) {
  return { bytes: isPost ? post(path, bodyFile.bytes) : get(path), expected: answer.bytes };
}

/** It goes into a table that others read: no line breaks, and no paths or addresses of this machine. */
function oneLine(message) {
  const line = message.split('\n')[0] ?? '';
  return line
    .replace(/(?:\/[\w.@+-]+){2,}/g, '…')
    .replace(/ ?\b\d+\.\d+\.\d+\.\d+(:\d+)?/g, '')
    .replaceAll('|', '/')
    .slice(0, 200);
}

/** CPU time of a server's processes and the most memory that they had, while something runs. */
class Meter {
  cpuMs = 0;
  peakBytes = 0;
  #server;

  constructor(server) {
    this.#server = server;
  }

  async during(act) {
    const pids = this.#server.pids;
    const before = cpuMs(pids);
    const sample = () => {
      this.peakBytes = Math.max(this.peakBytes, memoryOf(pids));
    };
    const timer = setInterval(sample, SAMPLE_MS);
    try {
      return await act();
    } finally {
      clearInterval(timer);
      this.cpuMs += cpuMs(pids) - before;
      sample();
    }
  }
}

/**
 * Tunicorn beside other servers on this machine, in turns: `npm run bench`. README.md tells the method.
 *
 *   --quick            one round of 2 s, to see that all is well
 *   --only a,b         these workloads; the results of the others stay
 *   --peers a,b        these servers beside Tunicorn; then the results are only printed
 *   --rounds N  --seconds N  --workers N
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from '../scripts/build.mjs';
import { install } from './install.mjs';
import { describeMachine, versionsOf } from './machine.mjs';
import { measureOne } from './measure.mjs';
import { PEERS, whyNot } from './peers.mjs';
import { load, save } from './results.mjs';
import { setUp } from './stage.mjs';
import { renderTable } from './table.mjs';
import { FIGURES, WORKLOADS } from './workloads.mjs';

const ROOT = fileURLToPath(new URL('../', import.meta.url));
const FOLDER = join(ROOT, 'bench/results');
const NAMES = {
  workloads: WORKLOADS,
  figures: FIGURES,
  titles: Object.fromEntries(PEERS.map(({ id, title }) => [id, title])),
  references: PEERS.filter(({ isReference }) => isReference).map(({ id }) => id),
};

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    peers: { type: 'string' },
    rounds: { type: 'string' },
    seconds: { type: 'string' },
    workers: { type: 'string', default: '2' },
  },
});
const rounds = Number(values.rounds ?? (values.quick ? 1 : 5));
const seconds = Number(values.seconds ?? (values.quick ? 2 : 4));
const workers = Number(values.workers);

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => process.exit(130));
await main();

async function main() {
  if ([rounds, seconds, workers].some((number) => !Number.isInteger(number) || number < 1))
    throw new Error('--rounds, --seconds and --workers are whole numbers from 1.');
  const workloads = chosen(WORKLOADS, values.only);
  const chosenPeers = values.peers === undefined ? PEERS : chosen(PEERS, `tunicorn,${values.peers}`);
  if (!runs('wrk', '--version')) throw new Error('wrk is needed (on Debian: apt-get install wrk).');
  build({ root: ROOT, say: console.error });
  const { python, missing } = install(ROOT, console.error);
  const stage = setUp({ root: ROOT, python, workloads });
  const isRoot = process.getuid?.() === 0;
  const setting = { root: ROOT, python, workers, seconds, isRoot, stage };
  const versions = versionsOf({ peers: PEERS, python, root: ROOT });
  const results = load(FOLDER, { machine: describeMachine(), versions });
  if (values.peers !== undefined) results.workloads = {};
  for (const workload of workloads) {
    const { peers, skipped } = sort(chosenPeers, { workload, missing });
    results.workloads[workload.id] = await measureAll({ workload, peers, skipped }, setting);
    if (values.peers === undefined) save({ folder: FOLDER, readme: join(ROOT, 'README.md') }, results, NAMES);
  }
  stage.remove();
  console.log(renderTable(results, NAMES));
}

/** Rounds outside, servers inside, so that a noisy moment meets all; the first of a round changes. */
async function measureAll({ workload, peers, skipped }, setting) {
  const runs = Object.fromEntries(peers.map(({ id }) => [id, /** @type {object[]} */ ([])]));
  const shared = /** @type {{ mixedRate?: number }} */ ({});
  for (let round = 0; round < rounds; round++) {
    const first = round % peers.length;
    for (const peer of [...peers.slice(first), ...peers.slice(0, first)]) {
      const result = await measureOne({ peer, workload, round, shared }, setting);
      runs[peer.id]?.push(result);
      const told = result.error ?? `${Math.round(result.rate)} requests/s`;
      console.error(`${workload.id}, round ${round + 1} of ${rounds}, ${peer.title}: ${told}`);
    }
  }
  const date = new Date().toISOString().slice(0, 10);
  return { date, rounds, seconds, workers, offeredRate: shared.mixedRate, runs, skipped };
}

/** Who takes part in a workload, and who does not, and why. */
function sort(all, { workload, missing }) {
  const peers = [];
  const skipped = {};
  for (const peer of all) {
    const reason = whyNot(peer, workload.id) ?? whyMissing(peer, missing);
    if (peer.only && !peer.only.includes(workload.id)) continue;
    if (reason) skipped[peer.id] = reason;
    else peers.push(peer);
  }
  return { peers, skipped };
}

function whyMissing({ needs = {} }, missing) {
  if (needs.program && !runs(needs.program, '--help')) return `${needs.program} is not installed`;
  const reason = missing.get(needs.package ?? '');
  return reason === undefined ? null : `${needs.package} cannot be installed (${reason})`;
}

function runs(program, ...args) {
  return spawnSync(program, args, { stdio: 'ignore' }).error === undefined;
}

/** @template {{ id: string }} T @param {T[]} all @param {string | undefined} names separated by commas. @returns {T[]} */
function chosen(all, names) {
  if (names === undefined) return all;
  const wanted = names.split(',');
  const unknown = wanted.filter((name) => !all.some(({ id }) => id === name));
  if (unknown.length > 0)
    throw new Error(`Unknown: ${unknown.join(', ')}. There are ${all.map(({ id }) => id).join(', ')}.`);
  return all.filter(({ id }) => wanted.includes(id));
}

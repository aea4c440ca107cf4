/**
 * Hundreds of thousands of requests of mixed kinds while workers are killed, most of them inside a request: each is answered by itself, no
 * POST runs twice, and whatever fails is explained by what was under way in a process that was killed.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { seeded } from '../../front/harness.ts';
import { appArgs, type Kind } from '../../support/kinds.ts';
import { FATES, KINDS } from '../../support/mixed-load.mjs';
import { MixedLoad, type MixedReport } from '../../support/mixed-load.ts';
import { isAlive, type Server, startTunicorn } from '../../support/tunicorn.ts';
import { Journal } from './journal.ts';
import { pause, until } from './scenario.ts';

interface Goals {
  readonly kind: Kind;
  readonly requests: number;
  readonly kills: number;
  /** So many die inside a request, and so many of those inside a POST. */
  readonly inFlight: number;
  readonly posts: number;
  /** What a worker runs at once, at most. */
  readonly threads: number;
}

const GOALS: readonly Goals[] = [
  { kind: 'python', requests: 200_000, kills: 200, inFlight: 100, posts: 50, threads: 1 },
  { kind: 'node', requests: 25_000, kills: 40, inFlight: 20, posts: 10, threads: 100 },
];
const WORKERS = 8;
const CONNECTIONS = 24;
const KILL_EVERY_MS = 250;
/** A worker that dies within a second of being ready is part of a crash loop, and the next would be held back. */
const SETTLED_MS = 1200;
const WITHIN_MS = 240_000;

/** Every fourth dies at any moment, the others inside a request of such a method. */
const AIMS = ['', 'POST', 'GET', 'POST'] as const;

/** Kills workers that have served for a while. */
class Killer {
  readonly killed = new Set<number>();
  readonly #server: Server;
  readonly #journal: Journal;
  readonly #random = seeded(11);
  /** When each was told to be ready. */
  readonly #readyAt = new Map<number, number>();
  #heard = 0;

  constructor(server: Server, { journal, pids }: { journal: Journal; pids: readonly number[] }) {
    this.#server = server;
    this.#journal = journal;
    for (const pid of pids) this.#readyAt.set(pid, performance.now());
  }

  /** Waits for a victim and kills it. */
  async strike(): Promise<void> {
    const aim = AIMS[this.killed.size % AIMS.length] ?? '';
    const look = () => {
      const settled = this.#settled();
      this.#journal.read();
      const chosen = settled.filter(
        (pid) => aim === '' || this.#journal.openIn(pid).some(({ method }) => method === aim),
      );
      const victim = chosen[this.#random(chosen.length)];
      if (victim === undefined) return false;
      process.kill(victim, 'SIGKILL');
      this.killed.add(victim);
      return true;
    };
    await until('a worker to kill', look, { everyMs: 5 });
  }

  #settled(): number[] {
    const now = performance.now();
    const log = this.#server.log();
    for (const [, pid] of log.slice(this.#heard).matchAll(/\(pid (\d+)\) is ready\n/g)) {
      this.#readyAt.set(Number(pid), now);
    }
    this.#heard = log.lastIndexOf('\n') + 1;
    return [...this.#readyAt]
      .filter(([pid, at]) => now - at > SETTLED_MS && !this.killed.has(pid))
      .map(([pid]) => pid);
  }

  /** How many died inside a request. */
  inFlight(method = ''): number {
    return [...this.killed].filter((pid) =>
      this.#journal.openIn(pid).some((run) => run.method.startsWith(method)),
    ).length;
  }

  hasStruckEnough({ kills, inFlight, posts }: Goals): boolean {
    return this.killed.size >= kills && this.inFlight() >= inFlight && this.inFlight('POST') >= posts;
  }
}

interface Evidence {
  readonly journal: Journal;
  readonly killed: ReadonlySet<number>;
  /** By nonce: the processes that died while they had the request, as the front tells it. */
  readonly deaths: ReadonlyMap<number, readonly number[]>;
}

/** What should not be; nothing when all is well. */
function judge({ kinds, fates }: MixedReport, { journal, killed, deaths }: Evidence): string[] {
  const runs = journal.byNonce();
  const wrong: string[] = [];
  for (const [nonce, fate] of fates.entries()) {
    const kind = KINDS[kinds[nonce] ?? 0];
    const own = runs.get(nonce) ?? [];
    const had = new Set(deaths.get(nonce) ?? []);
    const most = kind?.method === 'POST' ? 1 : 2;
    // Each run but the one that was answered died with its process.
    const lost = own.filter((run) => !journal.hasEnded(run) || killed.has(run.pid));
    const isExplained = [...had, ...lost.map(({ pid }) => pid)].every((pid) => killed.has(pid));
    const isRight =
      fate === 200
        ? own.some((run) => journal.hasEnded(run)) && own.length - lost.length <= 1
        : fate === 502
          ? had.size === most
          : fate === FATES.cut && had.size >= 1 && had.size <= most;
    if (own.length > most || !isExplained || !isRight) {
      wrong.push(
        `${nonce} (${kind?.name}): fate ${fate}, ran in [${own.map(({ pid }) => pid)}], lost with [${[...had]}]`,
      );
    }
  }
  return wrong;
}

function deathsIn(log: string): Map<number, number[]> {
  const deaths = new Map<number, number[]>();
  for (const [, pid, nonce] of log.matchAll(/\(pid (\d+)\) died while it handled \w+ \/\?n=(\d+)&/g)) {
    deaths.set(Number(nonce), [...(deaths.get(Number(nonce)) ?? []), Number(pid)]);
  }
  return deaths;
}

/** What the server said of the workers that had these requests. */
function linesAbout(wrong: readonly string[], log: string): string {
  const pids = new Set(wrong.flatMap((line) => line.match(/(?<=[[,])\d+(?=[\],])/g) ?? []));
  return log
    .split('\n')
    .filter((line) => [...pids].some((pid) => line.includes(`(pid ${pid})`)))
    .join('\n');
}

/** `{ 'slow post 502': 12, … }` */
function countFates({ kinds, fates }: MixedReport): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const [nonce, fate] of fates.entries()) {
    const name = `${KINDS[kinds[nonce] ?? 0]?.name} ${fate}`;
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
}

describe.each(GOALS)('$kind workers', (goals) => {
  const { kind, requests, kills, threads } = goals;
  test(`${requests} requests, ${kills} workers killed: no POST runs twice, each answer is its own, nothing else fails`, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'kills-'));
    const path = join(folder, 'journal');
    try {
      await using server = await startTunicorn({
        args: [
          '-w',
          String(WORKERS),
          '--threads',
          String(threads),
          '--access-logfile',
          '/dev/null',
          ...appArgs(kind, 'journal'),
        ],
        cwd: folder,
        env: { JOURNAL: path, PYTHONDONTWRITEBYTECODE: '1', XDG_RUNTIME_DIR: folder },
      });
      using journal = new Journal(path, threads);
      const killer = new Killer(server, { journal, pids: await server.workers() });
      await using load = new MixedLoad({ port: server.port, connections: CONNECTIONS, seed: 7 });
      const began = performance.now();
      while (!killer.hasStruckEnough(goals)) {
        await pause(KILL_EVERY_MS);
        await killer.strike();
      }
      const struckMs = performance.now() - began;
      await until(`${requests} requests`, () => load.done >= requests, { timeoutMs: WITHIN_MS - struckMs });
      const report = await load.stop();
      const pids = server.tree();
      const exit = await server.stop();
      journal.read();
      const counts = countFates(report);
      const retried = server.log().match(/: it is tried once more/g)?.length ?? 0;
      console.info(
        `${report.fates.length} requests; ${killer.killed.size} workers killed within ${Math.round(struckMs / 1000)} s, ` +
          `${killer.inFlight()} inside a request, ${killer.inFlight('POST')} of those a POST; ` +
          `${retried} requests tried once more: ${JSON.stringify(counts)}.`,
      );

      expect(report.faults).toEqual([]);
      const wrong = judge(report, { journal, killed: killer.killed, deaths: deathsIn(server.log()) });
      expect(wrong, linesAbout(wrong, server.log())).toEqual([]);
      expect(report.fates.length).toBeGreaterThanOrEqual(requests);
      expect(killer.killed.size).toBeGreaterThanOrEqual(kills);
      expect(killer.inFlight()).toBeGreaterThanOrEqual(goals.inFlight);
      expect(killer.inFlight('POST')).toBeGreaterThanOrEqual(goals.posts);
      expect(retried).toBeGreaterThan(0);
      expect(exit).toEqual({ code: 0, signal: null });
      expect(pids.filter(isAlive)).toEqual([]);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }, 300_000);
});

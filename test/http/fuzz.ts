/**
 * Mutation fuzzing of the corpus (`npm run fuzz -- --minutes N --seed S`). Every input must keep the invariants;
 * inputs that we accept are shown to h11, too: both must see the same requests.
 */
import { HttpError } from '../../src/errors.ts';
import type { Limits } from '../../src/http/types.ts';
import { mulberry32 } from '../support/random.mjs';
import { limitsOf, rawBytes, readCorpus } from './corpus.ts';
import type { Outcome, SeenRequest } from './feed.ts';
import { askH11, type H11Outcome, type H11Request, hasH11 } from './h11.ts';
import { checkInvariants } from './invariants.ts';
import { below, mutate, type Random } from './mutate.ts';

export interface FuzzOptions {
  readonly seed: number;
  readonly forMs: number;
  /** Called for each new finding and once a minute with a line for a person. */
  say(line: string): void;
}

export interface FuzzReport {
  readonly cases: number;
  readonly accepted: number;
  readonly compared: number;
  /** How often each error refused an input. */
  readonly refused: Record<string, number>;
  /** Ready for the corpus, but for the expectation. */
  readonly findings: readonly Finding[];
}

export interface Finding {
  readonly name: string;
  readonly raw: string;
  readonly limits: Partial<Limits>;
}

interface Sample {
  readonly raw: string;
  readonly limits: Limits;
}

interface Accepted extends Sample {
  readonly outcome: Outcome;
}

/** Inputs to one run of h11. */
const BATCH = 1000;
/** Only one of so many accepted inputs is compared: h11 takes longer than everything else. */
const COMPARED_OF = 4;
/** More findings than this are the same one. */
const MOST_FINDINGS = 20;

/** What h11 refuses and we do not, each with its reason in the corpus. */
const STRICTER_H11 = [/^no request line received$/, /^illegal chunk header/, /^unsupported HTTP version/];

/** Mutates until the time is over. The same seed tries the same inputs in the same order. */
export function fuzz(options: FuzzOptions): FuzzReport {
  const random = mulberry32(options.seed);
  const corpus: Sample[] = readCorpus().map((entry) => ({
    raw: rawBytes(entry).toString('latin1'),
    limits: limitsOf(entry),
  }));
  const valid = readCorpus().flatMap((entry, index) =>
    entry.error === undefined ? [corpus[index] as Sample] : [],
  );
  const texts = corpus.map((sample) => sample.raw);
  const report = {
    cases: 0,
    accepted: 0,
    compared: 0,
    refused: {} as Record<string, number>,
    findings: [] as Finding[],
  };
  const compares = hasH11();
  let batch: Accepted[] = [];
  const note = (finding: Finding) => {
    report.findings.push(finding);
    options.say(`FINDING ${JSON.stringify(finding)}`);
  };
  const start = performance.now();
  let minute = 1;
  while (performance.now() - start < options.forMs && report.findings.length < MOST_FINDINGS) {
    // Mostly from valid ones: what is refused in its first line tries little.
    const sample = next(random() < 0.8 ? valid : corpus, texts, random);
    const outcome = tryOne(sample, random, note);
    report.cases += 1;
    if (outcome?.error) report.refused[outcome.error.code] = (report.refused[outcome.error.code] ?? 0) + 1;
    if (outcome !== null && outcome.error === null && outcome.requests.length > 0) {
      report.accepted += 1;
      if (compares && below(COMPARED_OF, random) === 0) batch.push({ ...sample, outcome });
    }
    if (batch.length === BATCH) {
      report.compared += compare(batch, note);
      batch = [];
    }
    if (performance.now() - start > minute * 60_000)
      options.say(`${minute++} min: ${report.cases} cases, ${report.findings.length} findings`);
  }
  report.compared += compare(batch, note);
  return report;
}

function next(corpus: readonly Sample[], texts: readonly string[], random: Random): Sample {
  const { raw, limits } = corpus[below(corpus.length, random)] as Sample;
  return { raw: mutate(raw, random, texts), limits };
}

function tryOne(sample: Sample, random: Random, note: (finding: Finding) => void): Outcome | null {
  try {
    return checkInvariants(Buffer.from(sample.raw, 'latin1'), sample.limits, random);
  } catch (error) {
    const what = error instanceof HttpError ? `escaped: ${error.code}` : String(error);
    note({ name: what, ...sample });
    return null;
  }
}

function compare(batch: readonly Accepted[], note: (finding: Finding) => void): number {
  if (batch.length === 0) return 0;
  for (const [index, seen] of askH11(batch.map((sample) => sample.raw)).entries()) {
    const { outcome, raw, limits } = batch[index] as Accepted;
    const difference = differs(outcome, seen);
    if (difference !== null) note({ name: `h11 sees it otherwise: ${difference}`, raw, limits });
  }
  return batch.length;
}

/** What is different, null when nothing is. h11 stops after an answer that closes; what it saw until then counts. */
function differs(outcome: Outcome, seen: H11Outcome): string | null {
  const { error } = seen;
  // h11 refuses the unfinished line behind the requests by its first byte; we wait for its end.
  const isTail =
    outcome.isInside && outcome.open === null && seen.requests.length === outcome.requests.length;
  if (error !== null && !isTail && !STRICTER_H11.some((known) => known.test(error)))
    return `it refuses (${error})`;
  for (const [index, request] of seen.requests.entries()) {
    const ours = outcome.requests[index];
    if (ours === undefined) return 'it sees one request more';
    const [left, right] = [JSON.stringify(ofOurs(ours)), JSON.stringify(ofH11(request, ours))];
    if (left !== right) return `${left} is ${right}`;
  }
  const last = seen.requests.at(-1);
  const stopped = error !== null || last?.keepAlive === false;
  return !stopped && seen.requests.length < outcome.requests.length ? 'it sees one request less' : null;
}

function ofOurs({ head, body, trailers }: SeenRequest) {
  const { method, target, fields } = head;
  return {
    method,
    target,
    fields: fields
      .flatMap((text, index) => (index % 2 === 0 ? [[text, fields[index + 1] ?? '']] : []))
      .map(comparable),
    body,
    trailers,
  };
}

/** RFC 9112 §3.2.2: an absolute-form target replaces the Host; h11 leaves that to others. */
function ofH11(request: H11Request, ours: SeenRequest) {
  const isAbsolute = /^https?:/i.test(request.target);
  const fields = request.fields.map(([name, value]) => [
    name,
    isAbsolute && name === 'host' ? ours.head.host : value,
  ]);
  const hasHost = fields.some(([name]) => name === 'host');
  if (isAbsolute && !hasHost) fields.push(['host', ours.head.host]);
  return {
    method: request.method,
    target: request.target,
    fields: fields.map(comparable),
    body: request.body,
    trailers: request.trailers.flat(),
  };
}

function comparable([name = '', value = '']: readonly string[]): string[] {
  return [name, name === 'transfer-encoding' ? value.toLowerCase() : value];
}

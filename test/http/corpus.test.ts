import { describe, expect, test } from 'vitest';
import { ERRORS } from '../../src/errors.ts';
import { mulberry32 } from '../support/random.mjs';
import { type Case, type ExpectedRequest, expand, limitsOf, rawBytes, readCorpus } from './corpus.ts';
import { everyByte, feed, type Outcome, randomCuts, type SeenRequest } from './feed.ts';

const CORPUS = readCorpus();
const BY_NAME = new Map(CORPUS.map((entry) => [entry.name, entry]));

/** The rules of "Refused with the right status" that a whole parser can break, by topic. */
const RULES = [
  'bare-line-end',
  'controls',
  'space-before-colon',
  'obs-fold',
  'host-count',
  'host-invalid',
  'length-with-coding',
  'content-length',
  'transfer-coding',
  'chunk-size',
  'chunk-extension',
  'trailers',
  'version',
  'request-line',
  'target',
  'percent',
  'absolute-form',
  'asterisk-form',
  'authority-form',
  'line-limit',
  'field-limit',
  'body-limit',
  'field-name',
  'empty-lines',
  'expect',
];

function check(entry: Case, outcome: Outcome): void {
  expect(outcome.error?.code).toBe(entry.error);
  expect(outcome.error?.status).toBe(entry.status);
  expect(outcome.requests.map(seen)).toEqual((entry.requests ?? []).map(expected));
  if (entry.error === undefined) {
    expect(outcome.open === null ? null : seen(outcome.open)).toEqual(
      entry.incomplete === undefined ? null : expected(entry.incomplete),
    );
  }
}

function expected(request: ExpectedRequest) {
  const target = expand(request.target);
  return {
    method: request.method,
    target,
    path: request.path ?? target,
    query: request.query ?? '',
    host: request.host,
    minor: request.minor ?? 1,
    fields: request.fields.flatMap(([name, value]) => [name, expand(value)]),
    keepAlive: request.keepAlive ?? true,
    expectContinue: request.expectContinue ?? false,
    content: expand(request.body ?? ''),
    trailers: (request.trailers ?? []).flat(),
  };
}

function seen(request: SeenRequest) {
  const { body, ...head } = request.head;
  const isCoded = head.fields.some((text, index) => index % 2 === 0 && text === 'transfer-encoding');
  if (isCoded) expect(body).toBe('chunked');
  else expect(body).toBeGreaterThanOrEqual(request.body.length);
  return { ...head, content: request.body, trailers: request.trailers };
}

describe('whole', () => {
  test.each(CORPUS)('$file: $name ($rule)', (entry) => {
    check(entry, feed(rawBytes(entry), [], limitsOf(entry)));
  });
});

describe('byte by byte', () => {
  test.each(CORPUS)('$file: $name', (entry) => {
    const bytes = rawBytes(entry);
    check(entry, feed(bytes, everyByte(bytes.length), limitsOf(entry)));
  });
});

describe('split at random, seed 1', () => {
  const random = mulberry32(1);
  test.each(CORPUS)('$file: $name', (entry) => {
    const bytes = rawBytes(entry);
    for (let round = 0; round < 20; round += 1) {
      const cuts = randomCuts(bytes.length, random);
      check(entry, feed(bytes, cuts, limitsOf(entry)));
    }
  });
});

describe('the corpus itself', () => {
  test('has at least 150 cases, and no name twice', () => {
    expect(CORPUS.length).toBeGreaterThanOrEqual(150);
    expect(BY_NAME.size).toBe(CORPUS.length);
  });

  test.each(CORPUS)('$name names its rule', (entry) => {
    expect(entry.rule).toMatch(/^RFC \d{4} §\d+(?:\.\d+)*(?:, deviation)?$/);
  });

  test.each(RULES)('%s has two refused cases', (topic) => {
    const refused = CORPUS.filter((entry) => entry.topic === topic && entry.error !== undefined);
    expect(refused.length).toBeGreaterThanOrEqual(2);
  });

  test.each(CORPUS.filter((entry) => entry.error !== undefined))('$name has a valid neighbour', (entry) => {
    const neighbour = BY_NAME.get(entry.near ?? '');
    expect(neighbour, `no case is called ${entry.near}`).toBeDefined();
    expect(neighbour?.error).toBeUndefined();
    expect(entry.status).toBe(entry.error === undefined ? undefined : ERRORS[entry.error].status);
  });
});

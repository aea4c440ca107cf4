import { beforeAll, describe, expect, test } from 'vitest';
import { type ExpectedRequest, expand, readCorpus } from './corpus.ts';
import { askH11, type H11Outcome, type H11Request, hasH11 } from './h11.ts';

const VALID = readCorpus().filter((entry) => entry.error === undefined);

/** The same facts of a request, as our corpus states them and as h11 does. */
function ours(request: ExpectedRequest, isWhole: boolean) {
  const hasBody = request.fields.some(
    ([name, value]) => name === 'transfer-encoding' || (name === 'content-length' && Number(value) > 0),
  );
  return {
    method: request.method,
    target: expand(request.target),
    version: `1.${request.minor ?? 1}`,
    fields: request.fields.map(([name, value]) => [name, expand(value)]),
    body: expand(request.body ?? ''),
    trailers: request.trailers ?? [],
    // h11 also says so when there is no body to wait for.
    waits: hasBody && request.expectContinue === true,
    // h11 keeps no HTTP/1.0 connection.
    keepAlive: isWhole && request.minor !== 0 ? (request.keepAlive ?? true) : null,
  };
}

function theirs(request: H11Request, isWhole: boolean) {
  const length = request.fields.find(([name]) => name === 'content-length')?.[1];
  return {
    ...request,
    waits: request.waits && length !== '0',
    keepAlive: isWhole && request.version !== '1.0' ? request.keepAlive : null,
  };
}

/** h11 gives the coding in lower case. */
function lowerCodings<T extends { fields: ReadonlyArray<readonly string[]> }>(request: T) {
  const fields = request.fields.map(([name = '', value = '']) => [
    name,
    name === 'transfer-encoding' ? value.toLowerCase() : value,
  ]);
  return { ...request, fields };
}

describe.skipIf(!hasH11())(
  'h11 sees the valid cases as we do (needs h11 in .venv-test, which `npm test` makes)',
  () => {
    let seen: H11Outcome[] = [];

    beforeAll(() => {
      seen = askH11(VALID.map((entry) => expand(entry.raw)));
    });

    test.each(VALID.map((entry, index) => ({ name: entry.name, entry, index })))(
      '$name',
      ({ entry, index }) => {
        const outcome = seen[index] as H11Outcome;
        const here = {
          error: null,
          requests: (entry.requests ?? []).map((request) => lowerCodings(ours(request, true))),
          open: entry.incomplete === undefined ? null : lowerCodings(ours(entry.incomplete, false)),
        };
        const there = {
          error: outcome.error,
          requests: outcome.requests.map((request) => lowerCodings(theirs(request, true))),
          open: outcome.open === null ? null : lowerCodings(theirs(outcome.open, false)),
        };
        // A case that says why h11 differs must go when it no longer does.
        if (entry.h11 === undefined) expect(there).toEqual(here);
        else expect(there).not.toEqual(here);
      },
    );
  },
);

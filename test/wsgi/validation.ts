/** What the tests of the validator's checks have in common: an environ, a server to play, and rows of a table. */
import { describe, expect, test } from 'vitest';
import type { Application, Chunk, Environ, Header, StartResponse } from '../../src/wsgi/types.ts';
import { validator } from '../../src/wsgi/validator.ts';
import { SECTIONS, type Warn, WsgiViolation } from '../../src/wsgi/violation.ts';
import { runApp } from './run-app.ts';

export const TEXT: readonly Header[] = [['Content-Type', 'text/plain']];
export const started: StartResponse = () => () => Promise.resolve();
export const hello: Application = (_, startResponse) => {
  startResponse('200 OK', TEXT);
  return ['hello'];
};

/** A whole environ as the server makes it, to spoil a copy of. */
export const whole: Environ = await environOfServer();

async function environOfServer(): Promise<Environ> {
  let seen: Environ | undefined;
  await runApp((environ, startResponse) => {
    seen = environ;
    return hello(environ, startResponse);
  });
  if (seen === undefined) throw new Error('The application was not called.');
  return seen;
}

export interface Played {
  /** Keys in place of, or besides, those of `whole`. */
  readonly environ?: Record<string, unknown>;
  readonly without?: readonly string[];
  readonly startResponse?: unknown;
  readonly warn?: Warn;
}

/** Plays the server for an application in the validator, and throws what a server would log. */
export async function serve(app: Application, played: Played = {}): Promise<Chunk[]> {
  const { environ, without = [], startResponse = started, warn = () => undefined } = played;
  const given = { ...whole, ...environ } as Environ;
  for (const key of without) delete given[key];
  const body = await validator(app, { warn })(given, startResponse as StartResponse);
  const parts: Chunk[] = [];
  try {
    for await (const part of body) parts.push(part);
  } finally {
    await body.close?.();
  }
  return parts;
}

/** The application does this with its arguments, and answers rightly. */
export const using =
  (act: (environ: Environ, startResponse: StartResponse) => unknown, played?: Played) => () =>
    serve(async (environ, startResponse) => {
      await act(environ, startResponse);
      return hello(environ, startResponse);
    }, played);

/** What is done wrong, who is told to have done it, and in which words. */
export type Check = readonly [
  name: string,
  side: WsgiViolation['side'],
  section: keyof typeof SECTIONS,
  message: string,
  wrong: () => unknown,
];

interface Checks {
  /** Those of CPython's Lib/wsgiref/validate.py, in its order. */
  readonly wsgiref: readonly Check[];
  /** Those that a language without Python's types needs, and rules of the PEP that wsgiref leaves out. */
  readonly beyond: readonly Check[];
}

/** One test a check. */
export function testChecks({ wsgiref, beyond }: Checks): void {
  describe('as wsgiref.validate', () => testEach(wsgiref));
  describe('beyond it', () => testEach(beyond));
}

function testEach(checks: readonly Check[]): void {
  test.each(checks)('%s: broken by the %s', async (_name, side, section, message, wrong) => {
    const violation = await thrownBy(wrong);
    expect(violation).toBeInstanceOf(WsgiViolation);
    const { side: blamed, section: named, message: said } = violation as WsgiViolation;
    expect([blamed, named]).toEqual([side, SECTIONS[section]]);
    expect(said).toContain(message);
    expect(said).toContain(`(PEP 3333, "${SECTIONS[section]}"; broken by the ${side})`);
  });
}

async function thrownBy(wrong: () => unknown): Promise<unknown> {
  try {
    await wrong();
    return null;
  } catch (error) {
    return error;
  }
}

import { readdirSync, readFileSync } from 'node:fs';
import type { ErrorCode } from '../../src/errors.ts';
import { DEFAULT_LIMITS } from '../../src/http/limits.ts';
import type { Limits } from '../../src/http/types.ts';

/** Bytes as text, one character a byte; long runs as `{ repeat, times }`. */
export type Bytes = string | ReadonlyArray<string | { readonly repeat: string; readonly times: number }>;

/** A request as a case states it; what is left out is the usual. */
export interface ExpectedRequest {
  readonly method: string;
  readonly target: Bytes;
  /** As `target` when left out. */
  readonly path?: string;
  readonly query?: string;
  readonly host: string;
  readonly minor?: 0;
  readonly fields: ReadonlyArray<readonly [string, Bytes]>;
  readonly keepAlive?: boolean;
  readonly body?: Bytes;
  readonly trailers?: ReadonlyArray<readonly [string, string]>;
  readonly expectContinue?: true;
}

export interface Case {
  readonly name: string;
  readonly file: string;
  /** The rule of ours that it tries. */
  readonly topic: string;
  /** Where the rule is written. */
  readonly rule: string;
  readonly limits?: Partial<Limits>;
  readonly raw: Bytes;
  /** The complete requests in the bytes, before the error if there is one. */
  readonly requests?: readonly ExpectedRequest[];
  /** The request that has begun when the bytes end: its head is whole, its body is not. */
  readonly incomplete?: ExpectedRequest;
  readonly error?: ErrorCode;
  readonly status?: number;
  /** For a refused case: the name of a valid one nearby. */
  readonly near?: string;
  /** Why h11 sees this valid case otherwise. */
  readonly h11?: string;
}

const FOLDER = new URL('../corpus/http/', import.meta.url);

/** All cases of `test/corpus/http`. */
export function readCorpus(): Case[] {
  return readdirSync(FOLDER)
    .filter((file) => file.endsWith('.json'))
    .sort()
    .flatMap((file) => {
      const cases = JSON.parse(readFileSync(new URL(file, FOLDER), 'utf8')) as Case[];
      return cases.map((entry) => ({ ...entry, file }));
    });
}

export function expand(bytes: Bytes): string {
  if (typeof bytes === 'string') return bytes;
  return bytes.map((part) => (typeof part === 'string' ? part : part.repeat.repeat(part.times))).join('');
}

export function rawBytes(entry: Case): Buffer {
  return Buffer.from(expand(entry.raw), 'latin1');
}

export function limitsOf(entry: Case): Limits {
  return { ...DEFAULT_LIMITS, ...entry.limits };
}

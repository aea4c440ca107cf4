import type { Limits } from './types.ts';

/** gunicorn's ceilings for a line and a field (its default for the line is 4094, which is the option's), and 1 GiB of body. */
export const DEFAULT_LIMITS: Limits = { line: 8190, fields: 100, fieldSize: 8190, body: 1024 ** 3 };

/** What holds where an option says 0 ("unlimited"): without it one client could fill the memory with one line. */
export const HARD_LINE_BYTES = 65_536;

/** gunicorn's own ceiling for the number of fields. */
export const HARD_FIELDS = 32_768;

/** All of a head, or all of a trailer section: above 100 fields of 8190 bytes, so gunicorn's defaults fit. */
export const HARD_SECTION_BYTES = 1_048_576;

/** Empty lines before a request line (RFC 9112 §2.2 asks for at least one); more is somebody playing. */
export const LEADING_EMPTY_LINES = 4;

/** A chunk-size line with its extensions (RFC 9112 §7.1.1 asks for a limit). */
export const CHUNK_LINE_BYTES = 1024;

/** All chunk extensions of one body: one byte of data behind a kilobyte of extension is an attack, not a message. */
export const CHUNK_EXTENSION_BYTES = 16_384;

/**
 * Gives the limits that hold: 0 becomes the hard cap, and nothing is above it. `body` 0 becomes the largest
 * length a number can count.
 */
export function effectiveLimits(limits: Limits): Limits {
  return {
    line: capped(limits.line, HARD_LINE_BYTES),
    fields: capped(limits.fields, HARD_FIELDS),
    fieldSize: capped(limits.fieldSize, HARD_LINE_BYTES),
    body: capped(limits.body, Number.MAX_SAFE_INTEGER),
  };
}

function capped(limit: number, cap: number): number {
  return limit > 0 && limit < cap ? limit : cap;
}

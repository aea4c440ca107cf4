/** What an application may say as status and headers (PEP 3333, "The start_response() Callable"). */
import { fieldKind, VALUE } from '../http/response.ts';
import type { Fields } from '../http/types.ts';
import { kindOf } from './kind.ts';
import type { Header } from './types.ts';

/**
 * Line ends would begin a header or response of the application's user (response splitting). Deviation from the
 * PEP, which forbids every control character: RFC 9110 §5.5 lets a tab stand in a value, and it does no harm.
 */
const CONTROLS = /[\0-\x08\x0a-\x1f\x7f]/;
const BEYOND_LATIN1 = /[^\0-\xff]/;
/** 1xx is not the end of a request: what follows would be taken for the next answer. */
const STATUS = /^[2-9]\d\d(?: |$)/;

/**
 * The status as it is sent: a bare `200` gets the space that RFC 9112 §4 wants.
 * @throws {TypeError} when it is not of the form `200 OK`.
 */
export function checkStatus(status: unknown): string {
  // Most answers have the status that the one before had.
  if (status === lastGiven) return lastChecked;
  if (typeof status !== 'string') throw new TypeError(`The status must be a string, not ${kindOf(status)}.`);
  if (!STATUS.test(status) || CONTROLS.test(status) || BEYOND_LATIN1.test(status)) {
    throw new TypeError(`The status must be like "200 OK" (PEP 3333), not ${JSON.stringify(status)}.`);
  }
  lastGiven = status;
  lastChecked = status.length === 3 ? `${status} ` : status;
  return lastChecked;
}

let lastGiven: string | null = null;
let lastChecked = '';

/**
 * The headers as a flat list.
 * @throws {TypeError} for what is no list of pairs of strings, for names and values that no header can have,
 * and for hop-by-hop headers.
 */
export function checkHeaders(headers: readonly Header[]): Fields {
  if (!Array.isArray(headers))
    throw new TypeError(`The headers must be an array of [name, value], not ${kindOf(headers)}.`);
  const fields: Fields = [];
  for (const header of headers as readonly unknown[]) {
    if (!Array.isArray(header) || header.length !== 2) {
      throw new TypeError(`A header must be [name, value], not ${JSON.stringify(header)}.`);
    }
    const [name, value] = header as readonly unknown[];
    if (typeof name !== 'string' || typeof value !== 'string') {
      throw new TypeError(`Name and value of a header must be strings: ${JSON.stringify(header)}.`);
    }
    checkHeader(name, value);
    fields.push(name, value);
  }
  return fields;
}

function checkHeader(name: string, value: string): void {
  const kind = fieldKind(name);
  if (kind === null) throw new TypeError(`${JSON.stringify(name)} cannot be the name of a header.`);
  if (kind === 'hop-by-hop') {
    throw new TypeError(`The header ${name} is the server's own (hop-by-hop, PEP 3333).`);
  }
  if (VALUE.test(value)) return;
  if (CONTROLS.test(value)) {
    throw new TypeError(`The header ${name} holds a control character: ${JSON.stringify(value)}.`);
  }
  throw new TypeError(`The header ${name} holds more than latin-1: ${JSON.stringify(value)}.`);
}

/**
 * The Content-Length among the fields, -1 without.
 * @throws {TypeError} when it is no number (RFC 9110 §8.6).
 */
export function contentLength(fields: Fields): number {
  for (let i = 0; i + 1 < fields.length; i += 2) {
    if (fieldKind(fields[i] ?? '') !== 'length') continue;
    const value = fields[i + 1] ?? '';
    if (!/^\d{1,15}$/.test(value))
      throw new TypeError(`Content-Length is no number: ${JSON.stringify(value)}.`);
    return Number(value);
  }
  return -1;
}

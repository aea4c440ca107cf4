/** Checks of what an application says to `startResponse` (wsgiref.validate: `check_status`, `check_headers`, …). */
import { types } from 'node:util';
import { HOP_BY_HOP } from '../http/grammar.ts';
import { kindOf } from './kind.ts';
import { application, type Warn } from './violation.ts';

/** Control characters, tabs among them. */
const CONTROLS = /[\0-\x1f\x7f]/;
const BEYOND_LATIN1 = /[^\0-\xff]/;
const NAME = /^[A-Za-z][A-Za-z0-9_-]*$/;

export interface Head {
  readonly code: number;
  /** Content-Length, infinite without one. */
  readonly length: number;
}

/** @throws {WsgiViolation} */
export function checkHead(status: unknown, headers: unknown, warn: Warn): Head {
  const code = checkStatus(status, warn);
  const pairs = checkHeaders(headers);
  checkContentType(code, pairs);
  return { code, length: checkLength(pairs) };
}

function checkStatus(status: unknown, warn: Warn): number {
  if (typeof status !== 'string')
    application.breaks('start', `The status must be a string, not ${kindOf(status)}.`);
  const shown = JSON.stringify(status);
  const code = status.trimStart().split(/\s/, 1)[0] ?? '';
  if (code.length !== 3) application.breaks('start', `The code of a status has three digits: ${shown}.`);
  if (!/^\d+$/.test(code)) application.breaks('start', `A status begins with a number: ${shown}.`);
  if (Number(code) < 100) application.breaks('start', `There is no status below 100: ${shown}.`);
  if (Number(code) < 200) application.breaks('http', `A status below 200 is the server's to send: ${shown}.`);
  if (CONTROLS.test(status)) application.breaks('start', `The status holds a control character: ${shown}.`);
  if (BEYOND_LATIN1.test(status))
    application.breaks('unicode', `The status holds more than latin-1: ${shown}.`);
  if (status[3] !== ' ') warn(`The status should be three digits, a space and a reason: ${shown}.`);
  return Number(code);
}

type Pairs = readonly (readonly [name: string, value: string])[];

function checkHeaders(headers: unknown): Pairs {
  if (!Array.isArray(headers) || Object.getPrototypeOf(headers) !== Array.prototype) {
    const hint = headers instanceof Headers || headers instanceof Map ? ': give [...headers]' : '';
    application.breaks(
      'start',
      `The headers must be an array of [name, value], not ${kindOf(headers)}${hint}.`,
    );
  }
  for (const header of headers as readonly unknown[]) checkHeader(header);
  return headers as Pairs;
}

function checkHeader(header: unknown): void {
  if (!Array.isArray(header))
    application.breaks('start', `A header must be [name, value], not ${kindOf(header)}.`);
  const [name, value] = header as readonly unknown[];
  if (header.length !== 2)
    application.breaks('start', `A header has two parts, not ${header.length}: ${JSON.stringify(header)}.`);
  if (typeof name !== 'string')
    application.breaks('start', `The name of a header must be a string, not ${kindOf(name)}.`);
  if (typeof value !== 'string') {
    application.breaks('start', `The value of the header ${name} must be a string, not ${kindOf(value)}.`);
  }
  checkName(name);
  const shown = JSON.stringify(value);
  if (CONTROLS.test(value))
    application.breaks('start', `The header ${name} holds a control character: ${shown}.`);
  if (BEYOND_LATIN1.test(value))
    application.breaks('unicode', `The header ${name} holds more than latin-1: ${shown}.`);
}

function checkName(name: string): void {
  const shown = JSON.stringify(name);
  if (name.toLowerCase() === 'status') {
    application.breaks(
      'start',
      'There is no Status header, as CGI has it: the status is the first argument.',
    );
  }
  if (/[\n:]/.test(name))
    application.breaks('start', `The name of a header holds no colon or line feed: ${shown}.`);
  if (!NAME.test(name)) application.breaks('start', `That is no name of a header: ${shown}.`);
  if (/[-_]$/.test(name))
    application.breaks('start', `The name of a header may not end in - or _: ${shown}.`);
  if (HOP_BY_HOP.has(name.toLowerCase())) {
    application.breaks('http', `The header ${name} is the server's own (hop-by-hop, RFC 9110 §7.6.1).`);
  }
}

function checkContentType(code: number, headers: Pairs): void {
  const isThere = headers.some(([name]) => name.toLowerCase() === 'content-type');
  const isBodyless = code === 204 || code === 304;
  if (isThere && isBodyless) application.breaks('start', `A ${code} has no content, and so no Content-Type.`);
  if (!isThere && !isBodyless) application.breaks('start', `A ${code} has content: it needs a Content-Type.`);
}

function checkLength(headers: Pairs): number {
  const lengths = headers
    .filter(([name]) => name.toLowerCase() === 'content-length')
    .map(([, value]) => value);
  if (lengths.length > 1)
    application.breaks('length', `There is more than one Content-Length: ${lengths.join(', ')}.`);
  const [length] = lengths;
  if (length === undefined) return Number.POSITIVE_INFINITY;
  if (!/^\d{1,15}$/.test(length))
    application.breaks('length', `Content-Length is no number of bytes: ${JSON.stringify(length)}.`);
  return Number(length);
}

/** Python's is a tuple of three; here what was caught is the error itself. @throws {WsgiViolation} */
export function checkExcInfo(excInfo: unknown): void {
  if (excInfo === undefined || excInfo === null) return;
  if (!(excInfo instanceof Error) && !types.isNativeError(excInfo)) {
    application.breaks('errors', `excInfo must be the error that was caught, not ${kindOf(excInfo)}.`);
  }
}

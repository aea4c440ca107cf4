/** An open file as the answer to a request: with its ranges, and for whoever has it already without its bytes. */
import { closeSync, type Stats } from 'node:fs';
import { posix } from 'node:path';
import { lookup } from 'mrmime';
import { HttpError } from '../errors.ts';
import type { Exchange, ResponseHead } from '../http/exchange.ts';
import type { Fields } from '../http/types.ts';
import { sendFile } from './file-sender.ts';
import { evaluate, evaluateRange, type Span, type Validators, type Verdict } from './preconditions.ts';

export interface FileAnswer {
  /** For the whole of it; without Content-Length. */
  readonly response: ResponseHead;
  /** What of the file is the body: from `start` on `size` bytes. */
  readonly start: number;
  readonly size: number;
  readonly validators: Validators;
  /**
   * Which conditions of the request are ours to judge: `all`, or only whether a part of it will do, where the
   * application has seen the others and wants it sent.
   */
  readonly asked: 'all' | 'range';
  /** It could not be sent, or not to its end; the client has been told, or cut. */
  readonly onFailure?: (error: HttpError) => void;
}

/** What of an answer does not concern a client that has the file already (RFC 9110 §15.4.5). */
const OF_THE_BODY = /^content-(?:type|length|encoding|language|disposition|range)$/i;

/** Answers the exchange with the file, and closes it in every case. */
export function answerFile(fd: number, exchange: Exchange, answer: FileAnswer): void {
  const verdict = judge(exchange, answer);
  if (verdict.type === 'whole' || verdict.type === 'part') {
    return send(fd, exchange, { ...answer, span: verdict.type === 'part' ? verdict.span : null });
  }
  closeSync(fd);
  switch (verdict.type) {
    case 'not-modified':
      return sayNotModified(exchange, answer);
    case 'failed':
      return refuse(exchange, { status: '412 Precondition Failed' });
    case 'unsatisfiable':
      return refuse(exchange, {
        status: '416 Range Not Satisfiable',
        fields: ['Content-Range', `bytes */${answer.size}`],
      });
  }
}

function sayNotModified(exchange: Exchange, { response, onFailure }: FileAnswer): void {
  const fields = response.fields.filter((_, i) => !OF_THE_BODY.test(response.fields[i - (i % 2)] ?? ''));
  try {
    exchange.respond({ status: '304 Not Modified', fields }, { body: Buffer.alloc(0), last: true });
  } catch (error) {
    if (!(error instanceof HttpError)) throw error;
    exchange.fail(error);
    onFailure?.(error);
  }
}

function judge({ head }: Exchange, { response, size, validators, asked }: FileAnswer): Verdict {
  // A part can only be taken of what a plain GET would give (RFC 9110 §14.2), and conditions are for that alone (§13.2.1).
  if (!response.status.startsWith('200')) return { type: 'whole' };
  if (asked === 'range') {
    return isDivisible(response) ? evaluateRange(head, { size, validators }) : { type: 'whole' };
  }
  if (head.method !== 'GET' && head.method !== 'HEAD') return { type: 'whole' };
  const verdict = evaluate(head, { size, validators });
  const isOfPart = verdict.type === 'part' || verdict.type === 'unsatisfiable';
  return isOfPart && !isDivisible(response) ? { type: 'whole' } : verdict;
}

/** Ranges count bytes as they are sent; of an encoded body only its maker knows whether it comes out the same again. */
function isDivisible({ status, fields }: ResponseHead): boolean {
  return (
    status.startsWith('200') &&
    field(fields, 'content-encoding') === null &&
    field(fields, 'content-range') === null &&
    field(fields, 'accept-ranges')?.toLowerCase() !== 'none'
  );
}

function send(fd: number, exchange: Exchange, answer: FileAnswer & { readonly span: Span | null }): void {
  const { response, size, start: base, span } = answer;
  const { start, end } = span ?? { start: 0, end: size };
  const fields = [...response.fields, 'Content-Length', String(end - start)];
  if (isDivisible(response) && field(fields, 'accept-ranges') === null) fields.push('Accept-Ranges', 'bytes');
  if (span !== null) fields.push('Content-Range', `bytes ${start}-${end - 1}/${size}`);
  const isBodyless = exchange.head.method === 'HEAD' || /^(?:204|304)/.test(response.status);
  sendFile(fd, exchange, {
    response: { status: span === null ? response.status : '206 Partial Content', fields },
    span: { start: base + start, end: base + (isBodyless ? start : end) },
    onFailure: answer.onFailure ?? (() => {}),
  });
}

/**
 * RFC 9110 §8.8: size and time of the last change. The tag is weak while the file is younger than two seconds,
 * as it might be written again within one tick of its file system's clock. A time in the future is none (§8.8.2.1).
 */
export function validatorsOf({ size, mtimeMs }: Stats): Validators {
  const now = Date.now();
  const tag = `"${Math.round(mtimeMs * 1000).toString(36)}-${size.toString(36)}"`;
  const modified = Math.floor(Math.min(mtimeMs, now) / 1000) * 1000;
  return { etag: now - mtimeMs < 2000 ? `W/${tag}` : tag, modified };
}

/** By the name's ending. Text is UTF-8 unless it says itself (XML does). */
export function contentType(name: string): string {
  const ending = posix.extname(name);
  const type = lookup(ending) ?? (ending === '.ico' ? 'image/x-icon' : 'application/octet-stream');
  return type.startsWith('text/') && type !== 'text/xml' ? `${type}; charset=utf-8` : type;
}

/** A field's value; the first, should there be several. `name` in lower case. */
export function field(fields: Fields, name: string): string | null {
  for (let i = 0; i < fields.length; i += 2) {
    const each = fields[i] ?? '';
    if (each.length === name.length && each.toLowerCase() === name) return fields[i + 1] ?? '';
  }
  return null;
}

/** A small page that says the status. */
export function refuse(
  exchange: Exchange,
  answer: { readonly status: string; readonly fields?: Fields },
): void {
  const page = `<!doctype html>\n<html lang="en">\n<title>${answer.status}</title>\n<h1>${answer.status}</h1>\n</html>\n`;
  const fields = ['Content-Type', 'text/html; charset=utf-8', ...(answer.fields ?? [])];
  exchange.respond({ status: answer.status, fields }, { body: Buffer.from(page), last: true });
}

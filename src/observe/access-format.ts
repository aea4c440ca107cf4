/**
 * The format of an access log line, in gunicorn's atoms. A format is compiled once; a line then costs one
 * call for each atom in it, and an entry is only looked into where the format asks.
 */
import type { Peer, Trace } from '../http/exchange.ts';
import type { Fields, RequestHead } from '../http/types.ts';
import { two, zoneOffset } from './log.ts';

/** gunicorn's own. */
export const DEFAULT_ACCESS_FORMAT = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"';

/** One answered, refused or abandoned request. */
export interface AccessEntry {
  /** Null when the head could not be read. */
  readonly head: Pick<RequestHead, 'method' | 'path' | 'query' | 'minor' | 'fields'> | null;
  /** As it came, readable or not. */
  readonly requestLine: string;
  readonly peer: Pick<Peer, 'address'>;
  readonly exchange: { readonly trace: Trace | null } | null;
  readonly status: number;
  /** Of the response. */
  readonly fields: Fields;
  /** Body bytes given to the connection. */
  readonly bytes: number;
}

export interface AccessTimes {
  /** When the request began: milliseconds since 1970. */
  readonly start: number;
  /** Until the answer was complete. */
  readonly durationMs: number;
}

export interface AccessFormat {
  /** Keys of `environ` that the worker must send with each response head. */
  readonly needs: { readonly environ: readonly string[] };
  /** One line without its newline. No value of a client's can end it or pass for another field in quotes. */
  render(entry: AccessEntry, times: AccessTimes): string;
}

type Atom = (entry: AccessEntry, times: AccessTimes) => string;

/** What each atom shows, for the page of options; the order is gunicorn's. */
export const ATOMS: Readonly<Record<string, readonly [shows: string, atom: Atom]>> = {
  h: ['address of the client, behind a trusted proxy the one it names', ({ peer }) => peer.address],
  l: ['always `-`', () => ''],
  u: [
    'user of HTTP Basic authentication',
    (entry) => basicUser(fieldOf(entry.head?.fields, 'authorization')),
  ],
  t: ['when the request began, `[22/Nov/2026:22:48:38 +0000]`', (_entry, { start }) => commonDate(start)],
  r: ['request line', ({ requestLine }) => requestLine],
  m: ['method', ({ head }) => head?.method ?? ''],
  U: ['path of the URL without the query, decoded', ({ head }) => decodedPath(head?.path ?? '')],
  q: ['query of the URL', ({ head }) => head?.query ?? ''],
  H: ['protocol', ({ head }) => (head ? `HTTP/1.${head.minor}` : '')],
  s: ['status', ({ status }) => String(status)],
  B: ['bytes of the response body', ({ bytes }) => String(bytes)],
  b: ['the same', ({ bytes }) => String(bytes)],
  f: ['Referer', ({ head }) => fieldOf(head?.fields, 'referer')],
  a: ['User-Agent', ({ head }) => fieldOf(head?.fields, 'user-agent')],
  T: [
    'time of the request in whole seconds',
    (_entry, { durationMs }) => String(Math.floor(durationMs / 1000)),
  ],
  M: ['the same in milliseconds', (_entry, { durationMs }) => String(Math.floor(durationMs))],
  D: ['the same in microseconds', (_entry, { durationMs }) => String(Math.floor(durationMs * 1000))],
  L: ['the same in seconds, with six decimals', (_entry, { durationMs }) => (durationMs / 1000).toFixed(6)],
  p: ['process id of the worker', ({ exchange }) => (exchange?.trace?.pid ? `<${exchange.trace.pid}>` : '')],
};

/** `%(name)s`, with whatever flags, width and precision Python's `%` takes; or `%%`. */
const DIRECTIVE = /%(?:%|\((\{[^}]*\}[ioe]|[^)]*)\)([-0 #+]*)(\d*)(?:\.(\d+))?[sdirf])/g;

/** An atom that does not exist, or has nothing to show, is `-`. What is not a directive stays as it is. */
export function compileAccessFormat(format: string): AccessFormat {
  const parts: (string | Atom)[] = [];
  const environ = new Set<string>();
  let end = 0;
  for (const match of format.matchAll(DIRECTIVE)) {
    parts.push(format.slice(end, match.index));
    end = match.index + match[0].length;
    parts.push(match[1] === undefined ? '%' : directive(match, environ));
  }
  parts.push(format.slice(end));
  const render: AccessFormat['render'] = (entry, times) => {
    let line = '';
    for (const part of parts) line += typeof part === 'string' ? part : part(entry, times);
    const attempt = entry.exchange?.trace?.attempt ?? 1;
    // Whatever the format: who looks for what ran twice must find it.
    return attempt > 1 ? `${line} attempt=${attempt}` : line;
  };
  return { needs: { environ: [...environ] }, render };
}

function directive(
  [, name = '', flags = '', width = '', precision]: RegExpMatchArray,
  environ: Set<string>,
): Atom {
  const value = safe(atomOf(name, environ), name === 'u');
  if (width === '' && precision === undefined) return value;
  const columns = Math.min(Number(width), 1000);
  return (entry, times) => {
    const text = value(entry, times).slice(0, precision === undefined ? undefined : Number(precision));
    return flags.includes('-') ? text.padEnd(columns) : text.padStart(columns);
  };
}

function atomOf(name: string, environ: Set<string>): Atom {
  const [, variable = '', kind] = /^\{([^}]*)\}([ioe])$/.exec(name) ?? [];
  const key = variable.toLowerCase();
  if (kind === 'i') return ({ head }) => fieldOf(head?.fields, key);
  if (kind === 'o') return ({ fields }) => fieldOf(fields, key);
  if (kind === 'e') return environAtom(variable, environ);
  return Object.hasOwn(ATOMS, name) ? (ATOMS[name]?.[1] ?? (() => '')) : () => '';
}

/** gunicorn asks for lower case where PEP 3333 has upper case: look for both. */
function environAtom(key: string, environ: Set<string>): Atom {
  const keys = [...new Set([key, key.toUpperCase(), key.toLowerCase()])];
  for (const one of keys) environ.add(one);
  return ({ exchange }) => {
    const found = exchange?.trace?.environ;
    return (found && keys.map((one) => found.get(one)).find((value) => value !== undefined)) ?? '';
  };
}

/** Fields of one name are one list (RFC 9110 §5.3). */
function fieldOf(fields: Fields | undefined, name: string): string {
  if (fields === undefined) return '';
  let value = '';
  for (let i = 0; i < fields.length; i += 2) {
    if (fields[i]?.toLowerCase() === name) value += `${value === '' ? '' : ', '}${fields[i + 1] ?? ''}`;
  }
  return value;
}

/** RFC 7617 §2: the user-id ends at the first colon. Whether it is who they say, only the application knows. */
function basicUser(authorization: string): string {
  const [, encoded] = /^basic +([\w+/=-]+) *$/i.exec(authorization) ?? [];
  if (encoded === undefined) return '';
  return Buffer.from(encoded, 'base64').toString('latin1').split(':')[0] ?? '';
}

function decodedPath(path: string): string {
  if (!path.includes('%')) return path;
  return path.replace(/%([0-9a-f]{2})/gi, (_all, hex) => String.fromCharCode(Number.parseInt(hex, 16)));
}

/**
 * CWE-117: a newline would forge a line and a quote a field, an escape sequence would speak to the terminal
 * of whoever reads. A user's name stands without quotes in the usual format, so there a space would do too.
 */
function safe(atom: Atom, spaces: boolean): Atom {
  return (entry, times) => {
    const text = atom(entry, times);
    if (text === '') return '-';
    const quoted = /[\\"\0-\x1f\x7f-\uffff]/.test(text)
      ? text.replace(/[\\"\0-\x1f\x7f-\uffff]/g, escaped)
      : text;
    return spaces ? quoted.replaceAll(' ', '\\x20') : quoted;
  };
}

function escaped(char: string): string {
  if (char === '"' || char === '\\') return `\\${char}`;
  const code = char.charCodeAt(0);
  return code < 256 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16).padStart(4, '0')}`;
}

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
let lastSecond = -1;
let lastDate = '';

/** Requests of the same second share the text: making it costs more than the rest of the line. */
function commonDate(start: number): string {
  const second = Math.floor(start / 1000);
  if (second === lastSecond) return lastDate;
  const date = new Date(second * 1000);
  const day = `${two(date.getDate())}/${MONTHS[date.getMonth()]}/${date.getFullYear()}`;
  const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  lastSecond = second;
  lastDate = `[${day}:${time} ${zoneOffset(date)}]`;
  return lastDate;
}

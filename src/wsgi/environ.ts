/**
 * The request's own part of `environ` (PEP 3333, CGI 1.1: RFC 3875 §4.1): one list for the frame that goes to a
 * Python worker and for the object that a TypeScript application gets. What belongs to the server rather than
 * to the request (`wsgi.input`, `wsgi.multithread`, `SERVER_SOFTWARE`, …) is added where the application runs.
 *
 * Every string is latin-1, one character a byte: what PEP 3333 calls native strings.
 */
import { HttpError } from '../errors.ts';
import type { Peer } from '../http/exchange.ts';
import type { RequestHead } from '../http/types.ts';

export interface EnvironParts {
  readonly head: RequestHead;
  readonly peer: Peer;
  /** Length of the request body in bytes, after decoding. */
  readonly bodyLength: number;
}

/**
 * What becomes of one field name. `turn` and `at` are where the name was last seen: in which call, and the
 * index of its value; so repeated fields are found without a map for each request (measured: a browser's 12
 * fields in 1.7 µs, of which 1.3 are the join).
 */
interface Name {
  readonly key: string;
  readonly glue: string;
  turn: number;
  at: number;
}

/** Above this the names come from somebody who plays with us: they are mapped anew each time. */
const MAX_NAMES = 2048;
const MAX_NAME_LENGTH = 64;

const names = new Map<string, Name>();
let turn = 0;

/**
 * The list joined by NUL, as the head of a REQUEST frame (gateway/frames.ts).
 * @throws {HttpError} as {@link environEntries}.
 */
export function environHead(parts: EnvironParts): string {
  return environEntries(parts).join('\0');
}

/**
 * A flat list `[key, value, key, value, …]`, no key twice:
 * - `PATH_INFO` is percent-decoded to bytes (`%2F` too: CGI cannot tell it from a slash; `RAW_URI` can), and
 *   empty for `OPTIONS *`, since PEP 3333's paths are empty or start with a slash.
 * - `CONTENT_LENGTH` is there when the client sent one, and for a chunked body, which has arrived whole and is
 *   as long as `bodyLength`; then `Transfer-Encoding` is gone, as it describes what was decoded already.
 * - Fields whose names hold `_` are dropped, as they could pose as dashed ones; `Proxy` is dropped (httpoxy).
 * - Repeated fields are joined by `,`, cookies by `; ` (RFC 9113 §8.2.3).
 * - `HTTP_HOST` is the target's own host when the target is in absolute form (RFC 9112 §3.2.2).
 * - `REMOTE_PORT` is left out when it is not known (UNIX socket, or the address is from a proxy's header).
 *
 * @throws {HttpError} `bad-target` when the path holds `%00`, which would end a value of the NUL-joined list.
 */
export function environEntries(parts: EnvironParts): string[] {
  const { head, peer } = parts;
  const entries = [
    'REQUEST_METHOD',
    head.method,
    'SCRIPT_NAME',
    '',
    'PATH_INFO',
    decodePath(head.path),
    'QUERY_STRING',
    head.query,
    'RAW_URI',
    head.target,
    'REQUEST_URI',
    head.target,
    'SERVER_PROTOCOL',
    head.minor === 1 ? 'HTTP/1.1' : 'HTTP/1.0',
    'wsgi.url_scheme',
    peer.scheme,
    'REMOTE_ADDR',
    peer.address,
  ];
  if (peer.port !== 0) entries.push('REMOTE_PORT', String(peer.port));
  pushServer(entries, head, peer);
  pushFields(entries, head, parts.bodyLength);
  return entries;
}

/**
 * `PATH_INFO` of the whole server: percent-decoded once, one character a byte, not normalised.
 * @throws {HttpError} `bad-target` for `%00`.
 */
export function decodePath(path: string): string {
  if (path === '*') return '';
  if (!path.includes('%')) return path === '' ? '/' : path;
  const decoded = path.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  if (decoded.includes('\0')) throw new HttpError('bad-target', '%00 in the path.');
  return decoded;
}

/** PEP 3333: SERVER_NAME and SERVER_PORT are never empty. A UNIX socket has neither: then the Host field says. */
function pushServer(entries: string[], head: RequestHead, peer: Peer): void {
  if (peer.serverPort !== 0) {
    entries.push('SERVER_NAME', peer.serverName, 'SERVER_PORT', String(peer.serverPort));
    return;
  }
  const [, name = '', port = ''] = /^(\[[^\]]*\]|[^:]*)(?::(\d*))?$/.exec(head.host) ?? [];
  const usual = peer.scheme === 'https' ? '443' : '80';
  entries.push('SERVER_NAME', name || peer.serverName || 'localhost', 'SERVER_PORT', port || usual);
}

function pushFields(entries: string[], head: RequestHead, bodyLength: number): void {
  const { fields } = head;
  let hasHost = false;
  let strange: Map<string, Name> | undefined;
  turn += 1;
  for (let i = 0; i + 1 < fields.length; i += 2) {
    const raw = fields[i] ?? '';
    let name = names.get(raw) ?? strange?.get(raw);
    if (name === undefined) {
      name = makeName(raw);
      if (names.size < MAX_NAMES && raw.length <= MAX_NAME_LENGTH) names.set(raw, name);
      else strange = (strange ?? new Map<string, Name>()).set(raw, name);
    }
    if (name.key === '') continue;
    const value = fields[i + 1] ?? '';
    if (name.turn === turn) {
      entries[name.at] += name.glue + value;
      continue;
    }
    name.turn = turn;
    name.at = entries.length + 1;
    if (name.key === 'HTTP_HOST') {
      hasHost = true;
      entries.push('HTTP_HOST', head.host);
    } else if (name.key === 'CONTENT_LENGTH') {
      entries.push('CONTENT_LENGTH', String(bodyLength));
    } else {
      entries.push(name.key, value);
    }
  }
  if (!hasHost && head.host !== '') entries.push('HTTP_HOST', head.host);
  if (head.body === 'chunked') entries.push('CONTENT_LENGTH', String(bodyLength));
}

function makeName(raw: string): Name {
  return { key: environKey(raw), glue: raw === 'cookie' ? '; ' : ',', turn: 0, at: 0 };
}

/** The key for a field name in lower case; empty when the field is dropped. */
function environKey(raw: string): string {
  if (raw.includes('_') || raw === 'proxy' || raw === 'transfer-encoding') return '';
  const key = raw.toUpperCase().replaceAll('-', '_');
  return key === 'CONTENT_TYPE' || key === 'CONTENT_LENGTH' ? key : `HTTP_${key}`;
}

/**
 * Who asks, when a proxy stands between: what `X-Forwarded-*` and `Forwarded` (RFC 7239) say counts only when
 * the peer is trusted, and only as far as trusted proxies wrote it. Pure: fields in, a peer out.
 *
 * A proxy appends to what its client sent, so these lists are right at their right end and may be anything
 * further left. They are read from the right; what is not well-formed ends the reading, and the last good
 * entry holds (as nginx's `real_ip_recursive` does).
 */
import { BlockList, isIP, isIPv6 } from 'node:net';
import { HttpError, UserError } from '../errors.ts';
import type { Peer } from '../http/exchange.ts';
import { isHost } from '../http/grammar.ts';
import type { Fields } from '../http/types.ts';

/**
 * Whether an address is one of ours. `peer` is who holds the connection, `hop` an address that a list names:
 * `*` trusts every peer (a platform's router may have any address) but no hop, since else a client could put
 * any address in front of its own.
 */
export type Trust = (address: string, role?: 'peer' | 'hop') => boolean;

/** What the socket itself says. `address` and `port` are empty and 0 on a UNIX socket. */
export interface SocketPeer extends Peer {
  readonly unix: boolean;
}

export interface ProxyOptions {
  readonly trusted: Trust;
  /**
   * Names in lower case of the fields that count: any of `x-forwarded-for`, `-proto`, `-host`, `-port`, or
   * `forwarded` alone. Beside any of the others `forwarded` does not count: a proxy that writes one family
   * passes the client's own fields of the other through.
   */
  readonly headers: readonly string[];
}

/** What the trusted proxies say; what they do not say is left out. */
interface Found {
  node?: Node;
  scheme?: string;
  host?: string;
  port?: number;
}

interface Node {
  readonly address: string;
  readonly port: number;
}

/**
 * The addresses and networks whose proxy headers count: `10.0.0.1`, `10.0.0.0/8`, `::1`, `fd00::/8`, `*`. An
 * IPv4 entry also covers the IPv4-mapped IPv6 form in which a dual-stack socket names the peer.
 * @throws {UserError} when an entry is none of these.
 */
export function trustList(entries: readonly string[]): Trust {
  const everyPeer = entries.includes('*');
  const list = new BlockList();
  // A look into the BlockList takes 1.8 µs; the proxy on the same machine is named by its address.
  const exact = new Set<string>();
  for (const entry of entries) {
    if (entry === '*') continue;
    addEntry(list, entry);
    exact.add(entry);
  }
  return (address, role = 'peer') => {
    if ((everyPeer && role === 'peer') || exact.has(address)) return true;
    const [plain = ''] = address.split('%', 1);
    const version = isIP(plain);
    return version !== 0 && list.check(plain, version === 6 ? 'ipv6' : 'ipv4');
  };
}

function addEntry(list: BlockList, entry: string): void {
  const [address = '', bits, more] = entry.split('/');
  const version = isIP(address);
  const family = version === 6 ? 'ipv6' : 'ipv4';
  const isNetwork = bits !== undefined;
  const max = version === 6 ? 128 : 32;
  const fits = !isNetwork || (/^\d{1,3}$/.test(bits) && Number(bits) <= max);
  if (version === 0 || address.includes('%') || more !== undefined || !fits) {
    throw new UserError(
      `'${entry}' is not an address whose proxy headers could be trusted. ` +
        `Write an address (10.0.0.1, ::1), a network (10.0.0.0/8), or * for every peer.`,
    );
  }
  if (isNetwork) list.addSubnet(address, Number(bits), family);
  else list.addAddress(address, family);
}

/**
 * The peer as the trusted proxies in front describe it; `socket` itself when nothing changes. The port of an
 * address that came from a field is 0 (unknown) unless the field gives one. Peers on UNIX sockets are trusted.
 *
 * One look at the names is all that a request without such fields costs.
 * @throws {HttpError} `bad-scheme` when X-Forwarded-Proto names two different schemes.
 */
export function resolvePeer(fields: Fields, socket: SocketPeer, options: ProxyOptions): Peer {
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] ?? '';
    if ((name.startsWith('x-f') || name === 'forwarded') && options.headers.includes(name)) {
      if (!socket.unix && !options.trusted(socket.address)) return socket;
      return describe(socket, read(fields, options));
    }
  }
  return socket;
}

function read(fields: Fields, options: ProxyOptions): Found {
  const { trusted, headers } = options;
  const one = (name: string) => (headers.includes(name) ? joined(fields, name) : '');
  if (headers.every((name) => name === 'forwarded')) return readForwarded(one('forwarded'), trusted);
  const found: Found = {};
  const node = readFor(one('x-forwarded-for'), trusted);
  const scheme = readProto(one('x-forwarded-proto'));
  // The proxy nearest to us wrote the rightmost.
  const host = lastMember(one('x-forwarded-host'));
  const port = lastMember(one('x-forwarded-port'));
  if (node !== null) found.node = node;
  if (scheme !== '') found.scheme = scheme;
  if (isHost(host)) found.host = host;
  if (isPort(port)) found.port = Number(port);
  return found;
}

function describe(socket: SocketPeer, found: Found): Peer {
  const scheme = found.scheme === 'https' || found.scheme === 'http' ? found.scheme : socket.scheme;
  const [, name = '', port = ''] = /^(.*?)(?::(\d*))?$/.exec(found.host ?? '') ?? [];
  const usual = scheme === 'https' ? 443 : 80;
  const hostPort = isPort(port) ? Number(port) : usual;
  return {
    address: found.node?.address ?? socket.address,
    port: found.node?.port ?? socket.port,
    scheme,
    serverName: found.host === undefined ? socket.serverName : name,
    serverPort: found.port ?? (found.host === undefined ? socket.serverPort : hostPort),
  };
}

/** X-Forwarded-For: `client, proxy1, proxy2`. The first from the right that is no proxy of ours, or the last good one. */
function readFor(list: string, trusted: Trust): Node | null {
  let found: Node | null = null;
  for (let end = list.length; end > 0; ) {
    const comma = list.lastIndexOf(',', end - 1);
    const text = list.slice(comma + 1, end).trim();
    end = comma;
    // RFC 9110 §5.6.1.2: empty members of a list are ignored.
    if (text === '') continue;
    const node = parseNode(text);
    if (node === null) break;
    found = node;
    if (!trusted(node.address, 'hop')) break;
  }
  return found;
}

/** The one scheme that the list names; empty for none. WebSocket's are those of the connection they begin on. */
function readProto(list: string): string {
  let found = '';
  for (const member of list.split(',')) {
    const text = member.trim().toLowerCase();
    const scheme = text === 'wss' ? 'https' : text === 'ws' ? 'http' : text;
    if (scheme === '' || scheme === found) continue;
    // A client that gets its own `https` past the proxy's `http` would seem to have come over TLS.
    if (found !== '') throw new HttpError('bad-scheme', `X-Forwarded-Proto: ${list}`);
    found = scheme;
  }
  return found;
}

/**
 * RFC 7239 §4: each proxy appends `for=CLIENT;proto=…;host=…` about the request it got. The elements are cut
 * from the right, so that a quote which a client leaves open cannot swallow what a proxy wrote after it.
 */
function readForwarded(list: string, trusted: Trust): Found {
  const found: Found = {};
  for (let end = list.length; end > 0; ) {
    const start = elementStart(list, end);
    const text = list.slice(start, end).trim();
    end = start - 1;
    if (text === '') continue;
    const element = parseElement(text);
    if (element === null) break;
    const proto = element.get('proto')?.toLowerCase();
    const host = element.get('host');
    if (proto !== undefined) found.scheme = proto;
    if (host !== undefined && isHost(host)) found.host = host;
    const node = parseForwardedNode(element.get('for') ?? '');
    if (node === null) break;
    found.node = node;
    if (!trusted(node.address, 'hop')) break;
  }
  return found;
}

/** Index after the last comma before `end` that stands in no quoted string; 0 when there is none. */
function elementStart(list: string, end: number): number {
  let isQuoted = false;
  for (let i = end - 1; i >= 0; i -= 1) {
    const char = list[i];
    if (char === '"' && !(isQuoted && isEscaped(list, i))) isQuoted = !isQuoted;
    else if (char === ',' && !isQuoted) return i + 1;
  }
  return 0;
}

function isEscaped(text: string, at: number): boolean {
  let slashes = 0;
  while (text[at - 1 - slashes] === '\\') slashes += 1;
  return slashes % 2 === 1;
}

/** RFC 7239 §4: `forwarded-pair = token "=" value`, `value = token / quoted-string` (RFC 9110 §5.6.4). */
const PAIR =
  /[ \t]*(?:([!#$%&'*+\-.^_`|~0-9A-Za-z]+)=(?:([!#$%&'*+\-.^_`|~0-9A-Za-z]+)|"((?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*)"))?[ \t]*(?:;|$)/y;

/** RFC 7239 §4: `forwarded-element = [ forwarded-pair ] *( ";" [ forwarded-pair ] )`; null when it is none or names one twice. */
function parseElement(text: string): Map<string, string> | null {
  const pairs = new Map<string, string>();
  PAIR.lastIndex = 0;
  while (PAIR.lastIndex < text.length) {
    const match = PAIR.exec(text);
    if (match === null) return null;
    const [, name, token, quoted = ''] = match;
    if (name === undefined) continue;
    const key = name.toLowerCase();
    if (pairs.has(key)) return null;
    pairs.set(key, token ?? quoted.replace(/\\(.)/g, '$1'));
  }
  return pairs;
}

/** RFC 7239 §6: `node = nodename [ ":" node-port ]`. `unknown`, `_hidden` and bare IPv6 are no address. */
function parseForwardedNode(text: string): Node | null {
  if (isIPv6(text)) return null;
  // §6.3: a port may be obfuscated too; the address is good all the same.
  return parseNode(text.replace(/:_[A-Za-z0-9._-]+$/, ''));
}

/** `1.2.3.4`, `1.2.3.4:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`; null for anything else. */
function parseNode(text: string): Node | null {
  // The text comes from outside, and a zone (RFC 4007) means something on its own machine only.
  if (text.includes('%')) return null;
  if (isIP(text) !== 0) return { address: unmap(text), port: 0 };
  const [, literal, plain, port = '0'] = /^(?:\[([^\]]+)\]|([\d.]+))(?::(\d{1,5}))?$/.exec(text) ?? [];
  const isGood = literal !== undefined ? isIPv6(literal) : plain !== undefined && isIP(plain) === 4;
  if (!isGood || Number(port) > 65_535) return null;
  return { address: unmap(literal ?? plain ?? ''), port: Number(port) };
}

/** RFC 4291 §2.5.5.2: one client must not go by two names. */
function unmap(address: string): string {
  const [, plain = address] = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address) ?? [];
  return plain;
}

function isPort(text: string): boolean {
  return /^\d{1,5}$/.test(text) && Number(text) > 0 && Number(text) <= 65_535;
}

function lastMember(list: string): string {
  const members = list.split(',').map((member) => member.trim());
  return members.findLast((member) => member !== '') ?? '';
}

/** RFC 9110 §5.3: fields of one name are one list. */
function joined(fields: Fields, name: string): string {
  let list = '';
  for (let i = 0; i < fields.length; i += 2) {
    if (fields[i] === name) list = list === '' ? (fields[i + 1] ?? '') : `${list},${fields[i + 1]}`;
  }
  return list;
}

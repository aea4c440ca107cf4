/**
 * The grammar of HTTP/1.1 messages: each rule under the line of the RFC it comes from. Where we are stricter
 * or laxer than the RFC the rule says "Deviation" and why. Everything works on latin-1 strings.
 */

/** RFC 9110 §5.6.2: `token = 1*tchar`. Methods, field names, transfer codings and connection options. */
export const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/**
 * RFC 9112 §3: `request-line = method SP request-target SP HTTP-version`, and §2.3:
 * `HTTP-version = "HTTP/" DIGIT "." DIGIT`, case-sensitive. Exactly one space: the RFC allows a lenient split on
 * whitespace and warns of it (§3), since two servers that split differently see two different requests.
 */
export const REQUEST_LINE = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([^ ]+) HTTP\/([0-9])\.([0-9])$/;

/**
 * RFC 9112 §3.2: `request-target`, by RFC 3986 §3.3 made of unreserved, sub-delims, pct-encoded and `:@/?`.
 * Deviation: every visible US-ASCII character passes but `#`, because browsers send `|`, `^`, `[`, `{` and the like
 * as they are (WHATWG URL, query percent-encode set). A fragment is never sent (RFC 9112 §3.2.1). Bytes above 0x7E stay out.
 */
export const TARGET = /^[\x21\x22\x24-\x7e]+$/;

/**
 * RFC 3986 §2.1: `pct-encoded = "%" HEXDIG HEXDIG`, here what breaks it in a path. `%00` is refused too: a NUL
 * ends strings in C libraries and separates the parts of our own gateway frames (nginx refuses it as well).
 */
export const BAD_PERCENT = /%(?:00|(?![0-9A-Fa-f]{2}))/;

/** RFC 9112 §3.2.2: `absolute-form = absolute-URI`, http and https only (RFC 9110 §4.2). */
export const ABSOLUTE_FORM = /^https?:\/\/([^/?]*)([^?]*)(?:\?(.*))?$/i;

/**
 * RFC 9110 §7.2: `Host = uri-host [ ":" port ]`; RFC 3986 §3.2.2: `reg-name = *( unreserved / pct-encoded / sub-delims )`.
 * Deviation: empty is refused, since an http URI without a host is invalid (RFC 9110 §4.2.1). Userinfo has no place in it.
 */
const NAME_AND_PORT = /^(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})+(?::([0-9]{0,5}))?$/;

/** RFC 3986 §3.2.2: `IP-literal = "[" IPv6address "]"`. Deviation: IPvFuture is refused, no such version exists. */
const LITERAL_AND_PORT = /^\[([0-9A-Fa-f:.]{2,45})\](?::([0-9]{0,5}))?$/;

/** RFC 3986 §3.2.2: `dec-octet`, no leading zeros (some libraries read those as octal). */
const IPV4 = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/;

/** Whether a Host value or the authority of an absolute-form target is one (RFC 9110 §7.2). */
export function isHost(value: string): boolean {
  // Most requests name the host that the one before named.
  if (value === lastHost) return true;
  if (!checkHost(value)) return false;
  lastHost = value;
  return true;
}

let lastHost: string | null = null;

function checkHost(value: string): boolean {
  const match = NAME_AND_PORT.exec(value);
  if (match !== null) return isPort(match[1]);
  const literal = LITERAL_AND_PORT.exec(value);
  return literal !== null && isIPv6(literal[1] ?? '') && isPort(literal[2]);
}

/** RFC 3986 §3.2.3: `port = *DIGIT`, may be empty; above 65535 there is no port. */
function isPort(digits: string | undefined): boolean {
  return digits === undefined || Number(digits) <= 65_535;
}

/** RFC 3986 §3.2.2: `IPv6address`: eight groups of h16, of which one `::` stands for one or more; the last two may be IPv4. */
function isIPv6(text: string): boolean {
  const halves = text.split('::');
  if (halves.length > 2) return false;
  let groups = 0;
  for (const [index, half] of halves.entries()) {
    const isLastHalf = index === halves.length - 1;
    const count = countGroups(half, isLastHalf);
    if (count < 0) return false;
    groups += count;
  }
  return halves.length === 2 ? groups <= 7 : groups === 8;
}

/** 16-bit groups in a run of `h16` joined by colons, -1 when it is none. IPv4 may end the last run and counts as two. */
function countGroups(run: string, isLast: boolean): number {
  if (run === '') return 0;
  let groups = 0;
  const parts = run.split(':');
  for (const [index, part] of parts.entries()) {
    if (/^[0-9A-Fa-f]{1,4}$/.test(part)) groups += 1;
    else if (isLast && index === parts.length - 1 && IPV4.test(part)) groups += 2;
    else return -1;
  }
  return groups;
}

/** RFC 9110 §8.6: `Content-Length = 1*DIGIT`; no sign, no list (RFC 9112 §6.3 lets a recipient refuse `5, 5`). */
export const CONTENT_LENGTH = /^[0-9]+$/;

/** RFC 9110 §10.1.4: `transfer-coding = token *( OWS ";" OWS token BWS "=" BWS ( token / quoted-string ) )`. */
export const TRANSFER_CODING =
  /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+)((?:[ \t]*;[ \t]*[!#$%&'*+\-.^_`|~0-9A-Za-z]+[ \t]*=[ \t]*(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+|"(?:[^"\\]|\\.)*"))*)$/;

/**
 * RFC 9112 §7.1: `chunk-size = 1*HEXDIG`, then §7.1.1:
 * `chunk-ext = *( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )`. Whitespace stands nowhere else:
 * a recipient that skips it elsewhere can be made to see another size.
 * Deviation: at most 16 digits, so that no run of zeros has to be read to its end.
 */
export const CHUNK_SIZE =
  /^([0-9A-Fa-f]{1,16})((?:[ \t]*;[ \t]*[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?:[ \t]*=[ \t]*(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+|"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*"))?)*)$/;

/**
 * RFC 9110 §6.5.1: a sender must not put into trailers what is needed for framing, routing, authentication, request
 * modifiers, response control or the format of the content. Refused, not ignored: a proxy before us may merge them.
 */
const FORBIDDEN_TRAILERS = new Set([
  'authorization',
  'cache-control',
  'connection',
  'cookie',
  'cookie2',
  'expect',
  'forwarded',
  'host',
  'keep-alive',
  'max-forwards',
  'origin',
  'pragma',
  'proxy',
  'range',
  'referer',
  'set-cookie',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'via',
  'www-authenticate',
  'x-real-ip',
]);
const FORBIDDEN_TRAILER_FAMILIES = /^(?:content|if|proxy|sec|x-forwarded)-/;

/** Whether a field (lower case) may not stand in a trailer section. `Content-Digest` may: RFC 9530 §2 puts it there. */
export function isForbiddenTrailer(name: string): boolean {
  if (name === 'content-digest') return false;
  // An underscore must not get past the list where somebody behind us folds it into a dash.
  const dashed = name.replaceAll('_', '-');
  return FORBIDDEN_TRAILERS.has(dashed) || FORBIDDEN_TRAILER_FAMILIES.test(dashed);
}

const COMMON_NAMES =
  'Accept Accept-Charset Accept-Encoding Accept-Language Authorization Cache-Control Connection Content-Encoding Content-Length Content-Type Cookie DNT Date ETag Expect Expires Forwarded Host If-Match If-Modified-Since If-None-Match If-Range If-Unmodified-Since Keep-Alive Last-Modified Location Origin Pragma Priority Range Referer Sec-CH-UA Sec-CH-UA-Mobile Sec-CH-UA-Platform Sec-Fetch-Dest Sec-Fetch-Mode Sec-Fetch-Site Sec-Fetch-User Server Set-Cookie TE Transfer-Encoding Upgrade Upgrade-Insecure-Requests User-Agent Vary Via X-CSRFToken X-Forwarded-For X-Forwarded-Host X-Forwarded-Port X-Forwarded-Proto X-Frame-Options X-Real-IP X-Request-ID X-Requested-With';

/** Names as usually written, to lower case: spares the token check and a new string for nearly every field. */
const KNOWN_NAMES = new Map<string, string>();
for (const name of COMMON_NAMES.split(' ')) {
  const lower = name.toLowerCase();
  KNOWN_NAMES.set(name, lower);
  KNOWN_NAMES.set(lower, lower);
  KNOWN_NAMES.set(
    lower.replace(/(?:^|-)[a-z]/g, (letter) => letter.toUpperCase()),
    lower,
  );
}

/** A field name in lower case (RFC 9110 §5.1: case-insensitive), or null when it is no token. */
export function fieldName(name: string): string | null {
  return KNOWN_NAMES.get(name) ?? (TOKEN.test(name) ? name.toLowerCase() : null);
}

/** RFC 9110 §5.6.1: the members of a `#token` list in lower case, empty ones included. */
export function listMembers(value: string): string[] {
  return value.split(',').map((member) => trimBlanks(member).toLowerCase());
}

/**
 * What stands behind `from`, without the OWS (RFC 9110 §5.6.3) around it. Not `trim()`, which also takes what is no OWS, and no
 * regular expression: `/[ \t]+$/` takes quadratic time on blanks inside a value, 40 ms for 8 KB.
 */
export function trimBlanks(text: string, from = 0): string {
  let start = from;
  let end = text.length;
  while (start < end && isBlank(text.charCodeAt(start))) start += 1;
  while (end > start && isBlank(text.charCodeAt(end - 1))) end -= 1;
  return text.slice(start, end);
}

function isBlank(code: number): boolean {
  return code === 32 || code === 9;
}

/**
 * RFC 9110 §7.6.1 and PEP 3333 "Other HTTP Features": what belongs to the connection is the server's alone. Two opinions
 * about `Transfer-Encoding` would let a body pass for the next answer.
 */
export const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'trailers',
  'transfer-encoding',
  'upgrade',
]);

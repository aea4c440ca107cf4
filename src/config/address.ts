/** Addresses to listen on, as `--bind` takes them. */
import { UserError } from '../errors.ts';

export type Address =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'fd'; readonly fd: number };

/** Where a host is named without a port. The same as gunicorn's. */
const DEFAULT_PORT = 8000;
/** `sun_path` holds 108 bytes with its closing NUL (unix(7)); a longer path would be cut by the kernel. */
const MAX_UNIX_PATH = 107;
const GOOD = 'Good ones: 127.0.0.1:8000, [::1]:8000, :8000, unix:/run/site.sock, fd://3.';

/**
 * Reads HOST:PORT, HOST, [v6]:PORT, :PORT (every IPv4 address), unix:PATH or fd://N; `tcp://` in front of
 * a host is allowed, as in gunicorn.
 * @throws UserError that says what is wrong and what would be right
 */
export function parseAddress(text: string): Address {
  const unix = /^unix:(?:\/\/)?(.*)$/s.exec(text);
  if (unix) return unixAddress(text, unix[1] ?? '');
  if (text.startsWith('fd://')) return { kind: 'fd', fd: descriptor(text) };
  return tcpAddress(text);
}

/** For people to click on: `http://127.0.0.1:8000`, `http://[::1]:8000`, `unix:/run/site.sock`, `fd://3`. */
export function formatUrl(address: Address): string {
  if (address.kind === 'unix') return `unix:${address.path}`;
  if (address.kind === 'fd') return `fd://${address.fd}`;
  return `http://${bracketed(address.host)}:${address.port}`;
}

/** The same address in the words of `--bind`, so that equal addresses are equal texts. */
export function formatAddress(address: Address): string {
  return address.kind === 'tcp' ? `${bracketed(address.host)}:${address.port}` : formatUrl(address);
}

function bracketed(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}

function unixAddress(text: string, path: string): Address {
  if (path === '' || path.includes('\0')) throw new UserError(`${quote(text)} names no path. ${GOOD}`);
  const bytes = Buffer.byteLength(path);
  if (bytes > MAX_UNIX_PATH) {
    throw new UserError(
      `The path of a UNIX socket holds at most ${MAX_UNIX_PATH} bytes; ${path} has ${bytes}. Choose a shorter one.`,
    );
  }
  return { kind: 'unix', path };
}

function descriptor(text: string): number {
  const digits = text.slice('fd://'.length);
  if (/^\d{1,9}$/.test(digits)) return Number(digits);
  throw new UserError(`${quote(text)} names no file descriptor. Write fd://3 for descriptor 3.`);
}

function tcpAddress(text: string): Address {
  const rest = text.startsWith('tcp://') ? text.slice('tcp://'.length) : text;
  if (/^\d+$/.test(rest)) {
    throw new UserError(
      `${quote(text)} is only a number. Write 127.0.0.1:${rest} for this machine alone, or :${rest} for every address.`,
    );
  }
  const parts =
    /^\[(?<v6>[0-9a-fA-F:.]+(?:%[\w.-]+)?)\](?::(?<port>.*))?$/s.exec(rest)?.groups ??
    /^(?<host>[\w.*-]*)(?::(?<port>[^:]*))?$/.exec(rest)?.groups;
  if (parts === undefined || rest === '') throw new UserError(notAnAddress(text, rest));
  const host = (parts.v6 ?? parts.host ?? '').toLowerCase();
  return {
    kind: 'tcp',
    host: host === '' || host === '*' ? '0.0.0.0' : host,
    port: portNumber(text, parts.port),
  };
}

function notAnAddress(text: string, rest: string): string {
  if (/^[0-9a-fA-F]*:[0-9a-fA-F:.]*$/.test(rest)) {
    return `${quote(text)} is not an address. An IPv6 address stands in brackets: [::1]:8000.`;
  }
  return `${quote(text)} is not an address. ${GOOD}`;
}

function portNumber(text: string, port: string | undefined): number {
  if (port === undefined) return DEFAULT_PORT;
  if (/^\d{1,5}$/.test(port) && Number(port) <= 65535) return Number(port);
  throw new UserError(
    `${quote(port)} in ${quote(text)} is not a port number. Ports go from 0 (any free one) to 65535.`,
  );
}

function quote(text: string): string {
  return JSON.stringify(text);
}

/** Checks addresses and CIDR networks, as strictly as Python's `ipaddress.ip_network`. */
import { isIP } from 'node:net';

/**
 * What is wrong with an address or network, in a sentence that says what would be right; empty when good.
 * A network with bits set beyond its length (10.1.2.3/8) is refused: it is most often a slip, and who
 * believes a whole network by mistake believes its clients too.
 */
export function networkProblem(text: string): string {
  const [address = '', length, ...more] = text.split('/');
  const version = isIP(address);
  if (version === 0 || address.includes('%') || more.length > 0) {
    return `${JSON.stringify(text)} is not an address or a network. Good ones: 192.0.2.7, 10.0.0.0/8, 2001:db8::/32, *.`;
  }
  if (length === undefined) return '';
  const bits = version === 4 ? 32 : 128;
  if (!/^\d{1,3}$/.test(length) || Number(length) > bits) {
    return `${JSON.stringify(text)} has a bad length. It goes from /0 to /${bits}.`;
  }
  const bytes = version === 4 ? bytesOfV4(address) : bytesOfV6(address);
  const network = masked(bytes, Number(length));
  if (network.every((byte, i) => byte === bytes[i])) return '';
  return `${JSON.stringify(text)} has bits set beyond its length. The network is ${format(network)}/${length}, the single address ${address}.`;
}

function masked(bytes: readonly number[], length: number): number[] {
  return bytes.map((byte, i) => byte & (0xff00 >> Math.min(8, Math.max(0, length - i * 8))) & 0xff);
}

function bytesOfV4(address: string): number[] {
  return address.split('.').map(Number);
}

function bytesOfV6(address: string): number[] {
  const [head = '', tail] = address.split('::');
  const left = groups(head);
  if (tail === undefined) return left;
  const right = groups(tail);
  return [...left, ...new Array<number>(16 - left.length - right.length).fill(0), ...right];
}

function groups(text: string): number[] {
  if (text === '') return [];
  return text.split(':').flatMap((group) => {
    if (group.includes('.')) return bytesOfV4(group);
    const value = Number.parseInt(group, 16);
    return [value >> 8, value & 0xff];
  });
}

function format(bytes: readonly number[]): string {
  if (bytes.length === 4) return bytes.join('.');
  const words = Array.from({ length: 8 }, (_, i) => ((bytes[2 * i] ?? 0) << 8) | (bytes[2 * i + 1] ?? 0));
  const text = words.map((word) => word.toString(16)).join(':');
  return new URL(`http://[${text}]/`).hostname.slice(1, -1);
}

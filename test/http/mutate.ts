/** Pieces that mean something to an HTTP parser, to be put where they do not belong. */
const PIECES = [
  '\r\n',
  '\n',
  '\r',
  '\r\n\r\n',
  '\0',
  ' ',
  '\t',
  ':',
  ';',
  ',',
  '=',
  '"',
  '\\',
  '%',
  '%00',
  '#',
  '?',
  '*',
  '/',
  '@',
  '[',
  ']',
  '\x7f',
  '\x80',
  '\xff',
  '\x0b',
  '0',
  '1',
  '2',
  '5',
  'a',
  'f',
  '0\r\n\r\n',
  '1\r\nx\r\n',
  '5;a=b\r\n',
  ';a="b"',
  'ffffffffffffffff',
  '00000000',
  '18446744073709551616',
  'GET / HTTP/1.1\r\nHost: a\r\n\r\n',
  'POST ',
  'OPTIONS ',
  'CONNECT ',
  ' HTTP/1.0',
  ' HTTP/1.1',
  ' HTTP/2.0',
  'http://a/',
  'https://',
  'Host: a\r\n',
  'host:b\r\n',
  'Content-Length: 5\r\n',
  'Content-Length: 0\r\n',
  'content-length:1\r\n',
  'Transfer-Encoding: chunked\r\n',
  'transfer-encoding:gzip, chunked\r\n',
  'Connection: close\r\n',
  'Connection: keep-alive\r\n',
  'Expect: 100-continue\r\n',
  'X: y\r\n',
  ' folded\r\n',
  'X_Y: z\r\n',
  'chunked',
  ', chunked',
  'identity',
  '[::1]',
  '::',
  '%41',
  // Runs on which a careless rule takes quadratic time.
  ' '.repeat(4000),
  ','.repeat(4000),
  ';a'.repeat(2000),
  ':1'.repeat(2000),
];

const MOST_BYTES = 20_000;

export type Random = () => number;

/** Below `end`. */
export function below(end: number, random: Random): number {
  return Math.floor(random() * end);
}

function pick<T>(list: readonly T[], random: Random): T {
  return list[below(list.length, random)] as T;
}

type Mutation = (text: string, random: Random, others: readonly string[]) => string;

const MUTATIONS: readonly Mutation[] = [
  // A byte is another.
  (text, random) =>
    replaceAt(text, { at: below(text.length, random), length: 1 }, String.fromCharCode(below(256, random))),
  // One bit of a byte is another.
  (text, random) => {
    const at = below(text.length, random);
    return replaceAt(
      text,
      { at, length: 1 },
      String.fromCharCode((text.charCodeAt(at) || 0) ^ (1 << below(8, random))),
    );
  },
  // A piece more.
  (text, random) => replaceAt(text, { at: below(text.length + 1, random), length: 0 }, pick(PIECES, random)),
  // A piece instead of some bytes.
  (text, random) =>
    replaceAt(text, { at: below(text.length, random), length: below(6, random) }, pick(PIECES, random)),
  // Some bytes less.
  (text, random) => replaceAt(text, { at: below(text.length, random), length: 1 + below(8, random) }, ''),
  // A line twice, or at another place.
  (text, random) => {
    const lines = text.split('\r\n');
    lines.splice(below(lines.length + 1, random), 0, pick(lines, random));
    return lines.join('\r\n');
  },
  // A line less.
  (text, random) => {
    const lines = text.split('\r\n');
    lines.splice(below(lines.length, random), 1);
    return lines.join('\r\n');
  },
  // A run of bytes many times: limits.
  (text, random) => {
    const at = below(text.length, random);
    const run = text.slice(at, at + 1 + below(20, random));
    return replaceAt(text, { at, length: 0 }, run.repeat(1 + below(random() < 0.1 ? 600 : 4, random)));
  },
  // The head of one and the tail of another.
  (text, random, others) => {
    const other = pick(others, random);
    return text.slice(0, below(text.length + 1, random)) + other.slice(below(other.length + 1, random));
  },
  // One behind the other.
  (text, random, others) => text + pick(others, random),
  // Letters in the other case.
  (text, random) => {
    const at = below(text.length, random);
    const run = text.slice(at, at + 12);
    return replaceAt(
      text,
      { at, length: run.length },
      random() < 0.5 ? run.toUpperCase() : run.toLowerCase(),
    );
  },
  // It ends too early.
  (text, random) => text.slice(0, below(text.length + 1, random)),
];

function replaceAt(text: string, range: { at: number; length: number }, by: string): string {
  return text.slice(0, range.at) + by + text.slice(range.at + range.length);
}

/** `text` with 1 to 4 mutations, latin-1, at most 20,000 bytes. `others` are what it may be joined with. */
export function mutate(text: string, random: Random, others: readonly string[]): string {
  let mutated = text;
  const rounds = random() < 0.5 ? 1 : 2 + below(3, random);
  for (let round = 0; round < rounds; round += 1) mutated = pick(MUTATIONS, random)(mutated, random, others);
  // Upper case of some latin-1 letters lies outside of it.
  return mutated.replace(/[^\x00-\xff]/g, '?').slice(0, MOST_BYTES);
}

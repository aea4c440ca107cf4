/**
 * Answers of a server, taken from a buffer by rules of their own (see client.ts); plain JavaScript, because the
 * load runs in a process of its own and Node 20 does not read TypeScript.
 */

/** @typedef {{ status: number, close: boolean, worker: number, nonce: string, retryAfter: string, body: string, rest: Buffer }} Answer */

const STATUS = /^HTTP\/1\.1 ([1-9][0-9]{2}) [\t\x20-\x7e\x80-\xff]*$/;
const FIELD = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*$/;

/**
 * @param {Buffer} bytes what has come so far
 * @param {boolean} [toHead] it answers HEAD: no body follows, whatever the fields say (RFC 9112 §6.3)
 * @returns {Answer | null} null while the answer is not whole
 * @throws {Error} when it breaks the rules of RFC 9112; an answer that only the end of the connection ends is one
 *   of them here, since nobody could tell whether it is whole
 */
export function takeAnswer(bytes, toHead = false) {
  const end = bytes.indexOf('\r\n\r\n');
  if (end < 0) return null;
  const [first = '', ...lines] = bytes.toString('latin1', 0, end).split('\r\n');
  const status = Number(STATUS.exec(first)?.[1] ?? Number.NaN);
  if (Number.isNaN(status)) throw new Error(`A bad status line: ${first}`);
  const fields = parseFields(lines);
  const framed = bytes.subarray(end + 4);
  const taken = toHead ? { body: '', rest: framed } : takeBody(framed, fields);
  if (taken === null) return null;
  return {
    status,
    close: fields.get('connection')?.toLowerCase() === 'close',
    worker: Number(fields.get('x-worker') ?? 0),
    nonce: fields.get('x-nonce') ?? '',
    retryAfter: fields.get('retry-after') ?? '',
    ...taken,
  };
}

/** @param {string[]} lines @returns {Map<string, string>} */
function parseFields(lines) {
  const fields = new Map();
  for (const line of lines) {
    const [, name = '', value = ''] = FIELD.exec(line) ?? [];
    const key = name.toLowerCase();
    if (key === '' || fields.has(key)) throw new Error(`A bad or repeated field: ${line}`);
    fields.set(key, value);
  }
  return fields;
}

/** @param {Buffer} bytes @param {Map<string, string>} fields */
function takeBody(bytes, fields) {
  return fields.has('transfer-encoding') ? takeChunks(bytes, fields) : takeLength(bytes, fields);
}

/** @param {Buffer} bytes @param {Map<string, string>} fields */
function takeLength(bytes, fields) {
  const text = fields.get('content-length') ?? '';
  if (!/^[0-9]{1,15}$/.test(text)) throw new Error(`Content-Length: ${text}`);
  const length = Number(text);
  if (bytes.length < length) return null;
  return { body: bytes.toString('latin1', 0, length), rest: bytes.subarray(length) };
}

/** @param {Buffer} bytes @param {Map<string, string>} fields */
function takeChunks(bytes, fields) {
  if (fields.get('transfer-encoding') !== 'chunked' || fields.has('content-length'))
    throw new Error('Framed in two ways.');
  let body = '';
  for (let at = 0; ; ) {
    const end = bytes.indexOf('\r\n', at);
    if (end < 0) return null;
    const line = bytes.toString('latin1', at, end);
    if (!/^[0-9A-Fa-f]{1,8}$/.test(line)) throw new Error(`A bad chunk size: ${line}`);
    const size = Number.parseInt(line, 16);
    const next = end + 2 + size;
    if (bytes.length < next + 2) return null;
    if (bytes.toString('latin1', next, next + 2) !== '\r\n')
      throw new Error('A chunk is longer than it says.');
    if (size === 0) return { body, rest: bytes.subarray(next + 2) };
    body += bytes.toString('latin1', end + 2, next);
    at = next + 2;
  }
}

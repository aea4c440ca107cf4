/**
 * An HTTP client for tests on a bare socket: it sends any bytes, reads answers by rules of its own (so that
 * the server's parser does not judge itself), and tells a whole answer from one that was cut.
 */
import net from 'node:net';

export interface Answer {
  readonly version: string;
  readonly status: number;
  readonly reason: string;
  /** As sent: `[name, value]`, in order. */
  readonly fields: readonly (readonly [string, string])[];
  readonly body: Buffer;
  readonly trailers: readonly (readonly [string, string])[];
  /** How the end of the body was known. */
  readonly framing: 'none' | 'length' | 'chunked' | 'close';
}

export interface ReadOptions {
  /** The answer is to a HEAD request: there is no body whatever its fields say. */
  readonly head?: boolean;
  /** In ms, default 20,000. */
  readonly timeoutMs?: number;
  /** Give `1xx` answers too, instead of reading past them. */
  readonly interim?: boolean;
}

export interface Target {
  readonly port?: number;
  readonly host?: string;
  /** A UNIX socket, instead of host and port. */
  readonly path?: string;
  readonly localAddress?: string;
}

/** The connection ended in the middle of an answer: by FIN (`cut`), or by RST (`reset`). */
export class Incomplete extends Error {
  override readonly name = 'Incomplete';
  readonly how: 'cut' | 'reset';
  /** What had arrived of the answer, undecoded. */
  readonly received: Buffer;

  constructor(how: 'cut' | 'reset', received: Buffer) {
    super(
      `The answer was ${how} after ${received.length} bytes: ${received.subarray(0, 300).toString('latin1')}`,
    );
    this.how = how;
    this.received = received;
  }
}

/** An answer broke the rules of RFC 9112. */
export class BadAnswer extends Error {
  override readonly name = 'BadAnswer';
}

const TIMEOUT_MS = 20_000;

/** One connection. Answers are read in order, one `read` each; so pipelining is `send` twice, `read` twice. */
export class Connection implements Disposable {
  readonly socket: net.Socket;
  #bytes: Buffer = Buffer.alloc(0);
  /** Unused storage right behind `#bytes`. */
  #free: Buffer = Buffer.alloc(0);
  #ended: 'no' | 'cut' | 'reset' = 'no';
  #wake: (() => void) | null = null;

  constructor(socket: net.Socket) {
    this.socket = socket;
    socket.on('data', (data) => {
      this.#append(data);
      this.#wake?.();
    });
    socket.on('end', () => this.#end('cut'));
    socket.on('error', () => this.#end('reset'));
    socket.on('close', () => this.#end('cut'));
  }

  /** Resolves when the bytes are with the kernel (or the connection has ended). */
  send(bytes: string | Buffer): Promise<void> {
    return new Promise((resolve) => {
      this.socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes, () => resolve());
    });
  }

  /** Sends a request with Host, and Content-Length when there is a body, and reads its answer. */
  async request(
    method: string,
    target: string,
    { fields = {}, body = '', ...read }: RequestOptions = {},
  ): Promise<Answer> {
    await this.send(formatRequest(method, target, { fields, body }));
    return this.read({ head: method === 'HEAD', ...read });
  }

  /** @returns the next answer. @throws {Incomplete} @throws {BadAnswer} @throws {Error} when time is up. */
  async read({ head = false, timeoutMs = TIMEOUT_MS, interim = false }: ReadOptions = {}): Promise<Answer> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const answer = await this.#readOne(head, deadline);
      if (interim || answer.status >= 200 || answer.status === 101) return answer;
    }
  }

  /** Waits for the end of the connection. @returns how it ended, and what came that no answer took. */
  async ended(timeoutMs = TIMEOUT_MS): Promise<{ how: 'cut' | 'reset'; rest: Buffer }> {
    const deadline = performance.now() + timeoutMs;
    while (this.#ended === 'no') await this.#more(deadline);
    return { how: this.#ended, rest: this.#bytes };
  }

  /** Bytes that have come and no answer has taken. */
  pending(): Buffer {
    return this.#bytes;
  }

  close(): void {
    this.socket.destroy();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Into storage that doubles: a long body would otherwise be copied anew with each piece of it. */
  #append(data: Buffer): void {
    const kept = this.#bytes.length;
    if (kept === 0) {
      this.#bytes = data;
      this.#free = Buffer.alloc(0);
      return;
    }
    if (this.#free.length < data.length) {
      const grown = Buffer.allocUnsafeSlow(2 * (kept + data.length));
      this.#bytes.copy(grown);
      this.#bytes = grown.subarray(0, kept);
      this.#free = grown.subarray(kept);
    }
    data.copy(this.#free);
    this.#free = this.#free.subarray(data.length);
    this.#bytes = Buffer.from(this.#bytes.buffer, this.#bytes.byteOffset, kept + data.length);
  }

  async #readOne(head: boolean, deadline: number): Promise<Answer> {
    const start = this.#bytes;
    const lines = (await this.#takeHead(deadline)).split('\r\n');
    const status = parseStatusLine(lines[0] ?? '');
    const fields = lines.slice(1).map(parseField);
    const framing = framingOf(status.status, fields, head);
    if (framing.kind === 'none')
      return { ...status, fields, body: Buffer.alloc(0), trailers: [], framing: 'none' };
    if (framing.kind === 'length') {
      const body = await this.#take(framing.length, { deadline, start: [start] });
      return { ...status, fields, body, trailers: [], framing: 'length' };
    }
    if (framing.kind === 'chunked') {
      return { ...status, fields, ...(await this.#takeChunks(deadline)), framing: 'chunked' };
    }
    const { how, rest } = await this.ended(deadline - performance.now());
    if (how === 'reset') throw new Incomplete('reset', rest);
    this.#bytes = Buffer.alloc(0);
    return { ...status, fields, body: rest, trailers: [], framing: 'close' };
  }

  async #takeHead(deadline: number): Promise<string> {
    const end = await this.#find('\r\n\r\n', deadline);
    const text = this.#bytes.toString('latin1', 0, end);
    this.#bytes = this.#bytes.subarray(end + 4);
    if (/[\r\n]/.test(text.replaceAll('\r\n', '')))
      throw new BadAnswer(`A bare CR or LF in the head: ${text}`);
    return text;
  }

  async #takeChunks(deadline: number): Promise<{ body: Buffer; trailers: [string, string][] }> {
    const chunks: Buffer[] = [];
    for (;;) {
      const line = await this.#takeLine(deadline);
      if (!/^[0-9A-Fa-f]{1,8}(;|$)/.test(line))
        throw new BadAnswer(`A bad chunk size: ${JSON.stringify(line)}`);
      const size = Number.parseInt(line, 16);
      if (size === 0) break;
      chunks.push(await this.#take(size, { deadline, start: chunks }));
      if ((await this.#takeLine(deadline)) !== '')
        throw new BadAnswer('A chunk is longer than its size says.');
    }
    const trailers: [string, string][] = [];
    for (let line = await this.#takeLine(deadline); line !== ''; line = await this.#takeLine(deadline)) {
      trailers.push(parseField(line));
    }
    return { body: Buffer.concat(chunks), trailers };
  }

  async #takeLine(deadline: number): Promise<string> {
    const end = await this.#find('\r\n', deadline);
    const line = this.#bytes.toString('latin1', 0, end);
    this.#bytes = this.#bytes.subarray(end + 2);
    return line;
  }

  async #take(
    length: number,
    { deadline, start }: { deadline: number; start: readonly Buffer[] },
  ): Promise<Buffer> {
    while (this.#bytes.length < length) {
      if (this.#ended !== 'no') throw new Incomplete(this.#ended, Buffer.concat([...start, this.#bytes]));
      await this.#more(deadline);
    }
    const taken = this.#bytes.subarray(0, length);
    this.#bytes = this.#bytes.subarray(length);
    return taken;
  }

  async #find(text: string, deadline: number): Promise<number> {
    for (;;) {
      const at = this.#bytes.indexOf(text, 0, 'latin1');
      if (at >= 0) return at;
      if (this.#ended !== 'no') throw new Incomplete(this.#ended, this.#bytes);
      await this.#more(deadline);
    }
  }

  #more(deadline: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const left = Math.max(0, deadline - performance.now());
      const timer = setTimeout(() => {
        this.#wake = null;
        reject(new Error(`No answer in time; so far: ${this.#bytes.subarray(0, 300).toString('latin1')}`));
      }, left);
      this.#wake = () => {
        this.#wake = null;
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #end(how: 'cut' | 'reset'): void {
    if (this.#ended === 'no') this.#ended = how;
    this.#wake?.();
  }
}

export interface RequestOptions extends ReadOptions {
  readonly fields?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
}

/** A request as bytes: with `Host: test` and Content-Length unless `fields` (matched without case) say otherwise. */
export function formatRequest(
  method: string,
  target: string,
  { fields = {}, body = '' }: { fields?: Readonly<Record<string, string>>; body?: string | Buffer } = {},
): Buffer {
  const names = new Set(Object.keys(fields).map((name) => name.toLowerCase()));
  const lines = [`${method} ${target} HTTP/1.1`];
  if (!names.has('host')) lines.push('Host: test');
  for (const [name, value] of Object.entries(fields)) lines.push(`${name}: ${value}`);
  const bytes = typeof body === 'string' ? Buffer.from(body) : body;
  const framed = names.has('content-length') || names.has('transfer-encoding');
  if (bytes.length > 0 && !framed) lines.push(`Content-Length: ${bytes.length}`);
  return Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), bytes]);
}

/** Opens a connection. @throws {Error} when it is refused. */
export function connect({ port, host = '127.0.0.1', path, localAddress }: Target): Promise<Connection> {
  return new Promise((resolve, reject) => {
    const socket =
      path === undefined
        ? net.connect({ port: port ?? 0, host, noDelay: true, ...(localAddress ? { localAddress } : {}) })
        : net.connect({ path });
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.off('error', reject);
      resolve(new Connection(socket));
    });
  });
}

/** One request on a connection of its own, which the server is asked to close. */
export async function fetchOnce(
  target: Target,
  url: string,
  { method = 'GET', fields = {}, ...rest }: RequestOptions & { readonly method?: string } = {},
): Promise<Answer> {
  using connection = await connect(target);
  return await connection.request(method, url, { fields: { Connection: 'close', ...fields }, ...rest });
}

/** Sends bytes on a connection of its own and reads whatever comes until the server closes. */
export async function exchangeRaw(
  target: Target,
  bytes: string | Buffer,
  timeoutMs = TIMEOUT_MS,
): Promise<{ how: 'cut' | 'reset'; rest: Buffer }> {
  using connection = await connect(target);
  await connection.send(bytes);
  return await connection.ended(timeoutMs);
}

/** The value of a field, matched without case; several are joined by `, `; undefined when there is none. */
export function field(answer: Answer, name: string): string | undefined {
  const values = answer.fields
    .filter(([key]) => key.toLowerCase() === name.toLowerCase())
    .map(([, value]) => value);
  return values.length === 0 ? undefined : values.join(', ');
}

function parseStatusLine(line: string): { version: string; status: number; reason: string } {
  const match = /^HTTP\/(1\.[01]) ([1-9][0-9]{2}) ([\t\x20-\x7e\x80-\xff]*)$/.exec(line);
  if (match === null) throw new BadAnswer(`A bad status line: ${JSON.stringify(line)}`);
  return { version: match[1] ?? '', status: Number(match[2]), reason: match[3] ?? '' };
}

function parseField(line: string): [string, string] {
  const match = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*$/.exec(line);
  if (match === null) throw new BadAnswer(`A bad field: ${JSON.stringify(line)}`);
  return [match[1] ?? '', match[2] ?? ''];
}

type Framing =
  | { kind: 'none' }
  | { kind: 'length'; length: number }
  | { kind: 'chunked' }
  | { kind: 'close' };

/** RFC 9112 §6.3, for an answer. */
function framingOf(status: number, fields: readonly (readonly [string, string])[], head: boolean): Framing {
  const valuesOf = (name: string) =>
    fields.filter(([key]) => key.toLowerCase() === name).map(([, value]) => value);
  const lengths = valuesOf('content-length');
  const codings = valuesOf('transfer-encoding');
  if (lengths.length > 1) throw new BadAnswer('Several Content-Length.');
  if (lengths.length > 0 && codings.length > 0)
    throw new BadAnswer('Both Content-Length and Transfer-Encoding.');
  if (codings.length > 1) throw new BadAnswer('Several Transfer-Encoding.');
  if (valuesOf('date').length > 1) throw new BadAnswer('Several Date.');
  const bodiless = status < 200 || status === 204;
  if (bodiless && (lengths.length > 0 || codings.length > 0))
    throw new BadAnswer(`A ${status} with framing.`);
  if (head || bodiless || status === 304) return { kind: 'none' };
  if (codings.length > 0) {
    if (codings[0]?.toLowerCase() !== 'chunked') throw new BadAnswer(`Transfer-Encoding: ${codings[0]}`);
    return { kind: 'chunked' };
  }
  if (lengths.length === 0) return { kind: 'close' };
  if (!/^[0-9]+$/.test(lengths[0] ?? '')) throw new BadAnswer(`Content-Length: ${lengths[0]}`);
  return { kind: 'length', length: Number(lengths[0]) };
}

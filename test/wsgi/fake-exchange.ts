import type { HttpError } from '../../src/errors.ts';
import type { Exchange, Peer, RequestBody, ResponseHead } from '../../src/http/exchange.ts';
import type { RequestHead } from '../../src/http/types.ts';

const HEAD: RequestHead = {
  method: 'GET',
  target: '/path?a=1',
  path: '/path',
  query: 'a=1',
  host: 'example.com',
  minor: 1,
  fields: ['host', 'example.com'],
  keepAlive: true,
  body: 0,
  expectContinue: false,
};

const PEER: Peer = {
  address: '127.0.0.1',
  port: 51234,
  scheme: 'http',
  serverName: '127.0.0.1',
  serverPort: 8000,
};

/** Notes every call as a line, in order: `respond 200 OK x-a=1 [body]`, `write [body] last`, `fail 500`. */
export class FakeExchange implements Exchange {
  readonly head: RequestHead;
  readonly body: RequestBody;
  readonly peer = PEER;
  readonly calls: string[] = [];
  waiting = false;
  trace: Exchange['trace'] = null;
  gone = false;
  /** What it was given it keeps. */
  readonly unsent = 1;
  onDrain: (() => void) | null = null;
  onGone: (() => void) | null = null;
  /** What `respond` and `write` give: false asks the sender to wait. */
  goOn = true;
  /** Thrown by `respond`. */
  refusal: HttpError | null = null;

  constructor(given: { head?: Partial<RequestHead>; body?: string } = {}) {
    const memory = Buffer.from(given.body ?? '');
    this.head = { ...HEAD, ...given.head };
    this.body = { length: memory.length, memory, file: null };
  }

  hint(fields: readonly string[]): void {
    this.#note(['hint', ...fields], false);
  }

  respond(response: ResponseHead, options: { readonly body: Buffer; readonly last: boolean }): boolean {
    if (this.refusal !== null) throw this.refusal;
    const fields = response.fields
      .filter((_, i) => i % 2 === 0)
      .map((name, i) => `${name}=${response.fields[i * 2 + 1]}`);
    return this.#note(['respond', response.status, ...fields, `[${options.body}]`], options.last);
  }

  write(chunk: Buffer, last: boolean): boolean {
    return this.#note(['write', `[${chunk}]`], last);
  }

  fail(error: HttpError): void {
    this.calls.push(`fail ${error.status}`);
    this.gone = true;
  }

  release(): void {
    this.calls.push('release');
  }

  /** The client leaves. */
  leave(): void {
    this.gone = true;
    this.onGone?.();
  }

  drain(): void {
    this.goOn = true;
    this.onDrain?.();
  }

  #note(words: string[], last: boolean): boolean {
    this.calls.push([...words, ...(last ? ['last'] : [])].join(' '));
    if (last) this.gone = true;
    return this.goOn;
  }
}

import type { HttpError } from '../../src/errors.ts';
import type { Exchange, ResponseHead } from '../../src/http/exchange.ts';
import type { Fields, RequestHead } from '../../src/http/types.ts';

/** Collects an answer. A slow client takes nothing until `drain`. */
export class Collector implements Exchange {
  readonly head: RequestHead;
  readonly body = { length: 0, memory: Buffer.alloc(0), file: null };
  readonly peer = { address: '', port: 0, scheme: 'http', serverName: '', serverPort: 0 } as const;
  trace = null;
  waiting = false;
  gone = false;
  /** What it was given it keeps. */
  readonly unsent = 1;
  slow = false;
  onDrain: (() => void) | null = null;
  onGone: (() => void) | null = null;
  readonly chunks: Buffer[] = [];
  response: ResponseHead = { status: '', fields: [] };
  released = 0;
  failure: HttpError | null = null;
  readonly done: Promise<void>;
  #finish: () => void = () => {};

  constructor(method: string, { path, fields }: { path: string; fields: Fields }) {
    this.done = new Promise((resolve) => {
      this.#finish = resolve;
    });
    this.head = {
      method,
      target: path,
      path,
      query: '',
      host: 'a',
      minor: 1,
      fields,
      keepAlive: true,
      body: 0,
      expectContinue: false,
    };
  }

  hint(): void {}

  respond(response: ResponseHead, { body, last }: { body: Buffer; last: boolean }): boolean {
    this.response = response;
    return this.write(body, last);
  }

  write(chunk: Buffer, last: boolean): boolean {
    if (this.gone) return true;
    this.chunks.push(chunk);
    if (last) this.#end();
    return !this.slow;
  }

  fail(error: HttpError): void {
    if (this.gone) return;
    this.failure = error;
    this.#end();
  }

  release(): void {
    this.released += 1;
  }

  leave(): void {
    this.gone = true;
    this.onGone?.();
  }

  field(name: string): string | undefined {
    const at = this.response.fields.findIndex((field, i) => i % 2 === 0 && field.toLowerCase() === name);
    return at < 0 ? undefined : this.response.fields[at + 1];
  }

  get status(): number {
    return Number(this.response.status.slice(0, 3));
  }

  get text(): string {
    return Buffer.concat(this.chunks).toString();
  }

  #end(): void {
    this.gone = true;
    this.#finish();
  }
}

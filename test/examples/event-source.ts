/** Server-sent events (HTML, "Server-sent events"), as a page gets them. */

export interface ServerEvent {
  readonly event: string;
  readonly data: string;
}

const TIMEOUT_MS = 20_000;

/** `using events = await EventSource.open(url)`, and `next()` for each event. */
export class EventSource implements Disposable {
  readonly headers: Headers;
  readonly #leave: AbortController;
  readonly #reader: ReadableStreamDefaultReader<string>;
  #text = '';

  private constructor(response: Response, leave: AbortController) {
    if (response.body === null) throw new Error(`No body in an answer with status ${response.status}.`);
    this.headers = response.headers;
    this.#leave = leave;
    this.#reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  }

  static async open(url: string): Promise<EventSource> {
    const leave = new AbortController();
    const signal = AbortSignal.any([leave.signal, AbortSignal.timeout(TIMEOUT_MS)]);
    return new EventSource(await fetch(url, { signal }), leave);
  }

  /** @throws {Error} when the stream ends, or no event comes within 20 s of the opening. */
  async next(): Promise<ServerEvent> {
    while (!this.#text.includes('\n\n')) {
      const { done, value } = await this.#reader.read();
      if (done) throw new Error(`The stream ended with ${JSON.stringify(this.#text)}.`);
      this.#text += value;
    }
    const end = this.#text.indexOf('\n\n');
    const lines = this.#text.slice(0, end).split('\n');
    this.#text = this.#text.slice(end + 2);
    return { event: fieldOf(lines, 'event'), data: fieldOf(lines, 'data') };
  }

  [Symbol.dispose](): void {
    this.#reader.cancel().catch(() => {});
    this.#leave.abort();
  }
}

function fieldOf(lines: readonly string[], name: string): string {
  const found = lines.filter((line) => line.startsWith(`${name}: `));
  return found.map((line) => line.slice(name.length + 2)).join('\n');
}

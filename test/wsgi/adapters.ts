/** What the tests of the adapters share: a server in this process, and clients that see an answer arrive. */
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { makeServer, type ServerOptions } from '../../src/wsgi/make-server.ts';
import type { Application } from '../../src/wsgi/types.ts';

export interface Told {
  readonly port: number;
  /** What the log was told. */
  readonly errors: () => string;
  [Symbol.asyncDispose](): Promise<void>;
}

export async function serve(app: Application, options: ServerOptions = {}): Promise<Told> {
  let told = '';
  const server = makeServer('127.0.0.1', 0, app, { errors: (text) => (told += text), ...options });
  void server.serveForever();
  await server.ready;
  return {
    port: server.serverPort,
    errors: () => told,
    [Symbol.asyncDispose]: () => server.shutdown(1000),
  };
}

interface Asked {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: Uint8Array | string;
}

/** The head of an answer; its body is still on its way. */
export async function open(
  { port }: Pick<Told, 'port'>,
  path: string,
  { method = 'GET', headers = {}, body }: Asked = {},
): Promise<IncomingMessage> {
  const asked = request({ port, host: '127.0.0.1', path, method, headers, agent: false });
  // Of an answer that is cut: whoever reads it hears of that there.
  asked.on('error', () => {});
  asked.end(body);
  const [answer] = (await once(asked, 'response')) as [IncomingMessage];
  answer.on('error', () => {});
  return answer;
}

export async function ask(server: Pick<Told, 'port'>, path: string, asked: Asked = {}) {
  const answer = await open(server, path, asked);
  const body = (await buffer(answer)).toString();
  return { status: answer.statusCode, text: answer.statusMessage, headers: answer.headers, body };
}

/** The parts of an answer as they arrive. */
export function arrivals(answer: IncomingMessage): string[] {
  const parts: string[] = [];
  answer.on('data', (chunk: Buffer) => parts.push(chunk.toString()));
  return parts;
}

/** Something that is told once, and waited for. */
export class Signal {
  readonly heard: Promise<void>;
  #tell: () => void = () => {};

  constructor() {
    this.heard = new Promise((resolve) => {
      this.#tell = resolve;
    });
  }

  tell(): void {
    this.#tell();
  }
}

export function multipart(content: Uint8Array): Asked {
  const edge = 'edge-of-a-part';
  const head = `--${edge}\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\nContent-Type: application/octet-stream\r\n\r\n`;
  return {
    method: 'POST',
    headers: { 'Content-Type': `multipart/form-data; boundary=${edge}` },
    body: Buffer.concat([Buffer.from(head), content, Buffer.from(`\r\n--${edge}--\r\n`)]),
  };
}

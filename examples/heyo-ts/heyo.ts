/**
 * The hello application of the WSGI tutorials in TypeScript: "Heyo", then what the server says about the request.
 * `node --import tunicorn/ts heyo.ts`, and ask for http://127.0.0.1:8000/?editor=vim. `tunicorn heyo.ts:app` does it with workers.
 */
import { realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type Application, type Chunk, type Middleware, makeServer, type StartResponse } from 'tunicorn';

/** A generator: the server asks for one part after the other, and nothing runs before the first. */
export const heyo: Application = function* (environ, startResponse) {
  startResponse('200 OK', [['Content-Type', 'text/plain; charset=utf-8']]);
  yield 'Heyo\n';
  for (const key of Object.keys(environ).sort()) yield `${key}: ${environ[key]}\n`;
};

/** Marks the parts of another application's answer that mention vim. */
export const PointOutVimMiddleware: Middleware = (app) =>
  async function* (environ, startResponse) {
    const start: StartResponse = (status, headers, ...excInfo) => {
      // The marks make the body longer than the application said.
      const kept = headers.filter(([name]) => name.toLowerCase() !== 'content-length');
      return startResponse(status, kept, ...excInfo);
    };
    const parts = await app(environ, start);
    try {
      for await (const part of parts) yield pointOut(part);
    } finally {
      // PEP 3333: whoever iterates calls close(), middleware too.
      await parts.close?.();
    }
  };

/** A part may be bytes: latin-1 keeps each of them as it is. */
function pointOut(part: Chunk): Chunk {
  const text = typeof part === 'string' ? part : Buffer.from(part).toString('latin1');
  if (!/vim/i.test(text)) return part;
  const marked = text.replace(/\n*$/, (end) => `  <-- vim!${end}`);
  return typeof part === 'string' ? marked : Buffer.from(marked, 'latin1');
}

export const app: Application = PointOutVimMiddleware(heyo);

/** Serves until Ctrl-C. */
export async function main(): Promise<void> {
  const server = makeServer('', Number(process.env.PORT || 8000), app);
  await server.ready;
  console.log(`Listening at http://127.0.0.1:${server.serverPort} (Ctrl-C ends it)`);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => server.shutdown());
  await server.serveForever();
}

/** Started as a program, rather than imported. */
const isProgram =
  process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url);
if (isProgram) {
  main().catch((error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  });
}

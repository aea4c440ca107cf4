/**
 * A guest book with Hono: a form, a stream by which every open page sees new entries at once (server-sent events),
 * and a file to upload. `node --import tunicorn/ts server.ts`, and look at http://127.0.0.1:8000/.
 */
import { createHash } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Hono } from 'hono';
import { html } from 'hono/html';
import { streamSSE } from 'hono/streaming';
import { fromFetch, makeServer } from 'tunicorn';

interface Entry {
  readonly name: string;
  readonly text: string;
}

/** Newest first, and in this process only: with several workers each would have a book of its own. */
const entries: Entry[] = [];
const MAX_ENTRIES = 100;
/** One listener for each open page, however many there are. */
const news = new EventEmitter().setMaxListeners(0);

const app = new Hono();

app.get('/', (c) => c.html(page()));

app.post('/entries', async (c) => {
  const form = await c.req.formData();
  const entry = { name: field(form, 'name'), text: field(form, 'text') };
  if (entry.name === '' || entry.text === '') return c.text('An entry needs a name and a text.\n', 400);
  entries.unshift(entry);
  entries.length = Math.min(entries.length, MAX_ENTRIES);
  news.emit('entry', entry);
  return c.redirect('/', 303);
});

app.get('/entries', (c) => c.json(entries));

app.get('/events', (c) =>
  streamSSE(c, async (stream) => {
    const tell = (entry: Entry) => stream.writeSSE({ event: 'entry', data: JSON.stringify(entry) });
    news.on('entry', tell);
    await stream.writeSSE({ event: 'hello', data: String(entries.length) });
    await new Promise<void>((resolve) => stream.onAbort(resolve));
    news.off('entry', tell);
  }),
);

app.post('/upload', async (c) => {
  const file = (await c.req.formData()).get('file');
  if (!(file instanceof File)) return c.text('The form has no file named "file".\n', 400);
  const hash = createHash('sha256');
  for await (const piece of file.stream()) hash.update(piece);
  return c.json({ name: file.name, size: file.size, sha256: hash.digest('hex') });
});

function field(form: FormData, name: string): string {
  const value = form.get(name);
  return typeof value === 'string' ? value.trim() : '';
}

/** What `html` puts in is escaped. */
function page() {
  return html`<!doctype html>
<meta charset="utf-8">
<title>Guest book</title>
<h1>Guest book</h1>
<form method="post" action="/entries">
  <input name="name" placeholder="Name" required>
  <input name="text" placeholder="Heyo" required>
  <button>Write</button>
</form>
<form method="post" action="/upload" enctype="multipart/form-data">
  <input type="file" name="file" required>
  <button>Upload</button>
</form>
<ul>
${entries.map(({ name, text }) => html`<li>${name}: ${text}</li>\n`)}</ul>
<script>
  new EventSource('/events').addEventListener('entry', ({ data }) => {
    const { name, text } = JSON.parse(data);
    const item = document.createElement('li');
    item.textContent = name + ': ' + text;
    document.querySelector('ul').prepend(item);
  });
</script>
`;
}

export default app;

/** Serves until Ctrl-C. Open streams have no end of their own, so they are given a second to leave. */
async function main(): Promise<void> {
  const server = makeServer('', Number(process.env.PORT || 8000), fromFetch(app));
  await server.ready;
  console.log(`Listening at http://127.0.0.1:${server.serverPort} (Ctrl-C ends it)`);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => server.shutdown(1_000));
  await server.serveForever();
}

/** Started as a program, rather than by `tunicorn server.ts`. */
const isProgram =
  process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url);
if (isProgram) {
  main().catch((error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  });
}

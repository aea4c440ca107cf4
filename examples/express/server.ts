/**
 * A poll with Express 5: a form to vote, a stream by which every open page sees the count (server-sent events), and a
 * file of votes to upload. `node --import tunicorn/ts server.ts`, and look at http://127.0.0.1:8000/.
 */
import { EventEmitter } from 'node:events';
import { realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import express from 'express';
import multer from 'multer';
import { fromNode, makeServer } from 'tunicorn';

const CHOICES = ['vim', 'emacs', 'nano'];

/** In this process only: with several workers each would count for itself. */
const votes = new Map(CHOICES.map((choice) => [choice, 0]));
/** One listener for each open page, however many there are. */
const news = new EventEmitter().setMaxListeners(0);

const app = express();
const upload = multer({ storage: multer.memoryStorage(), limits: { fileSize: 16 * 1024 * 1024, files: 1 } });

app.get('/', (_, response) => {
  response.type('html').send(page());
});

app.get('/votes', (_, response) => {
  response.json(Object.fromEntries(votes));
});

app.post('/votes', express.urlencoded(), (request, response) => {
  const isKnown = count([String(request.body?.choice)]) === 1;
  if (isKnown) response.redirect(303, '/');
  else
    response
      .status(400)
      .type('text')
      .send(`Choose one of: ${CHOICES.join(', ')}.\n`);
});

app.get('/events', (_, response) => {
  const tell = () => response.write(`event: votes\ndata: ${JSON.stringify(Object.fromEntries(votes))}\n\n`);
  response.set({ 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache' });
  tell();
  news.on('votes', tell);
  response.on('close', () => news.off('votes', tell));
});

/** A file with a vote on each line. */
app.post('/upload', upload.single('file'), (request, response) => {
  if (request.file === undefined) {
    response.status(400).type('text').send('The form has no file named "file".\n');
    return;
  }
  const { originalname: name, size, buffer } = request.file;
  response.json({ name, size, counted: count(buffer.toString().split(/\r?\n/)) });
});

/** @returns how many of them were votes for a choice there is. */
function count(given: readonly string[]): number {
  const known = given.filter((choice) => votes.has(choice));
  for (const choice of known) votes.set(choice, (votes.get(choice) ?? 0) + 1);
  if (known.length > 0) news.emit('votes');
  return known.length;
}

function page(): string {
  const buttons = CHOICES.map((choice) => `  <button name="choice" value="${choice}">${choice}</button>`);
  return `<!doctype html>
<meta charset="utf-8">
<title>Poll</title>
<h1>Which editor?</h1>
<form method="post" action="/votes">
${buttons.join('\n')}
</form>
<form method="post" action="/upload" enctype="multipart/form-data">
  <input type="file" name="file" required>
  <button>Upload votes</button>
</form>
<pre></pre>
<script>
  new EventSource('/events').addEventListener('votes', ({ data }) => {
    document.querySelector('pre').textContent = JSON.stringify(JSON.parse(data), null, 2);
  });
</script>
`;
}

export default app;

/** Serves until Ctrl-C. Open streams have no end of their own, so they are given a second to leave. */
async function main(): Promise<void> {
  const server = makeServer('', Number(process.env.PORT || 8000), fromNode(app));
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

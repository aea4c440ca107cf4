/**
 * Says in a file what it begins and what it has ended: `B pid nonce method`, later `E pid nonce`. `journal.py` is the same.
 *
 * So a test knows what a worker was at when it was killed. What to do stands in the query: `n` is the request's nonce,
 * which every answer carries, `ms` how long to wait, `blocks` how many blocks the answer is streamed in.
 */
import { constants, openSync, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Application, Header } from '../../src/wsgi/types.ts';

// One write with O_APPEND: lines of several processes do not mix, and what is written outlives a kill.
const { O_WRONLY, O_CREAT, O_APPEND } = constants;
const JOURNAL = openSync(process.env.JOURNAL ?? '', O_WRONLY | O_CREAT | O_APPEND, 0o600);

function say(what: string, ...words: readonly string[]): void {
  writeSync(JOURNAL, `${what} ${process.pid} ${words.join(' ')}\n`);
}

async function* stream(nonce: string, blocks: number, ms: number): AsyncGenerator<string> {
  for (let number = 0; number < blocks; number++) {
    await sleep(ms);
    yield `${nonce}.${number};`;
  }
  say('E', nonce);
}

export const application: Application = async (environ, startResponse) => {
  const query = new URLSearchParams(environ.QUERY_STRING);
  const nonce = query.get('n') ?? '';
  say('B', nonce, environ.REQUEST_METHOD);
  const body = environ['wsgi.input'].read();
  // A body is the nonce over and over: one that was mixed up with another's shows in the answer.
  const isWhole = body.equals(Buffer.from(`${nonce},`.repeat(Number(query.get('times') ?? 0))));
  const answer = isWhole ? nonce : 'a garbled body';
  const fields: Header[] = [
    ['X-Nonce', answer],
    ['X-Worker', String(process.pid)],
  ];
  const ms = Number(query.get('ms') ?? 0);
  if (query.has('blocks')) {
    startResponse('200 OK', fields);
    return stream(nonce, Number(query.get('blocks')), ms);
  }
  if (ms > 0) await sleep(ms);
  startResponse('200 OK', [...fields, ['Content-Length', String(answer.length)]]);
  say('E', nonce);
  return [answer];
};

import { describe, expect, test } from 'vitest';
import { HttpError } from '../../src/errors.ts';
import { DEFAULT_LIMITS } from '../../src/http/limits.ts';
import { RequestParser } from '../../src/http/parser.ts';
import type { RequestEvent } from '../../src/http/types.ts';

const GET = 'GET /a HTTP/1.1\r\nHost: a\r\n\r\n';

function parserOf(text: string): RequestParser {
  const parser = new RequestParser(DEFAULT_LIMITS);
  parser.push(Buffer.from(text, 'latin1'));
  return parser;
}

function events(parser: RequestParser): RequestEvent[] {
  const list: RequestEvent[] = [];
  for (let event = parser.next(); event !== null; event = parser.next()) list.push(event);
  return list;
}

function thrown(parser: RequestParser): unknown {
  try {
    events(parser);
  } catch (error) {
    return error;
  }
  return null;
}

describe('events', () => {
  test('come in order, and null when more bytes are needed', () => {
    const parser = parserOf('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nab');
    expect(events(parser).map((event) => event.type)).toEqual(['head', 'data']);
    expect(parser.next()).toBeNull();
    parser.push(Buffer.from(`c${GET}`));
    expect(events(parser).map((event) => event.type)).toEqual(['data', 'end', 'head', 'end']);
  });

  test('the head is given before its body has come', () => {
    const [first] = events(
      parserOf('POST /x?y HTTP/1.1\r\nHost: h:1\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n'),
    );
    expect(first).toEqual({
      type: 'head',
      head: {
        method: 'POST',
        target: '/x?y',
        path: '/x',
        query: 'y',
        host: 'h:1',
        minor: 1,
        fields: ['host', 'h:1', 'content-length', '3', 'expect', '100-continue'],
        keepAlive: true,
        body: 3,
        expectContinue: true,
      },
    });
  });

  test('data is a view of the chunk, not a copy', () => {
    const chunk = Buffer.from('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc');
    const parser = new RequestParser(DEFAULT_LIMITS);
    parser.push(chunk);
    const data = events(parser)[1];
    expect(data?.type === 'data' && data.data.buffer === chunk.buffer).toBe(true);
  });

  test('data that was given out is not written over by what comes later', () => {
    const parser = parserOf('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab');
    const kept = events(parser).flatMap((event) => (event.type === 'data' ? [event.data] : []));
    for (const piece of ['c\r', '\n2', '\r\nxy\r\n', '1', '\r\nz\r\n0\r\n', '\r', '\n']) {
      parser.push(Buffer.from(piece));
      kept.push(...events(parser).flatMap((event) => (event.type === 'data' ? [event.data] : [])));
    }
    expect(kept.map((data) => data.toString())).toEqual(['ab', 'c', 'xy', 'z']);
  });

  test('what was pushed is not written into', () => {
    const chunk = Buffer.from('GET / HT');
    const parser = new RequestParser(DEFAULT_LIMITS);
    parser.push(chunk.subarray(0, 3));
    expect(events(parser)).toEqual([]);
    parser.push(Buffer.from('XX'));
    expect(chunk.toString()).toBe('GET / HT');
  });

  test('the trailers of one request are not those of the next', () => {
    const chunked = 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n';
    const ends = events(parserOf(`${chunked}X: y\r\n\r\n${chunked}\r\n${GET}`)).filter(
      (event) => event.type === 'end',
    );
    expect(ends.map((event) => event.type === 'end' && event.trailers)).toEqual([['x', 'y'], [], []]);
  });
});

describe('errors', () => {
  test('stay, whatever is pushed after', () => {
    const parser = parserOf('GET / HTTP/1.1\r\n\r\n');
    const first = thrown(parser);
    expect(first).toBeInstanceOf(HttpError);
    parser.push(Buffer.from(GET));
    expect(thrown(parser)).toBe(first);
  });

  test('come at the first bad byte, not at the end of the head', () => {
    expect(thrown(parserOf('GET / HTTP/1.1\r\nHost: a\n'))).toMatchObject({
      code: 'bad-header',
      status: 400,
    });
    expect(thrown(parserOf('GET / HTTP/1.1\rX'))).toMatchObject({ code: 'bad-request-line' });
    expect(thrown(parserOf('\x16'))).toMatchObject({ code: 'bad-request-line' });
  });

  test('come after the requests before them', () => {
    const parser = parserOf(`${GET}GET / HTTP/3.0\r\n\r\n`);
    expect(parser.next()?.type).toBe('head');
    expect(parser.next()?.type).toBe('end');
    expect(() => parser.next()).toThrow(HttpError);
  });

  test('tell the log which byte it was, without the byte', () => {
    expect(thrown(parserOf('GET / HTTP/1.1\r\nHost: a\x1b'))).toMatchObject({
      detail: 'Control character 0x1b.',
    });
  });
});

describe('what is told besides', () => {
  test('the request line, also of a refused request', () => {
    const parser = parserOf('GET /secret HTTP/1.1\r\nHost: a b\r\n\r\n');
    thrown(parser);
    expect(parser.requestLine).toBe('GET /secret HTTP/1.1');
  });

  test('no request line before one has come, and that of a refused line as far as it is one', () => {
    expect(parserOf('GET /').requestLine).toBe('');
    const parser = parserOf('GET /a HTTP/2.0\r\n');
    thrown(parser);
    expect(parser.requestLine).toBe('GET /a HTTP/2.0');
  });

  test('what has come of a line that is not whole or not allowed, and nothing of the request before', () => {
    expect(parserOf('GET /half').partialLine).toBe('GET /half');
    for (const line of ['GET /bad\x01 HTTP/1.1', 'GET /bare\nX', `GET /${'a'.repeat(9000)}`]) {
      const parser = parserOf(`${GET}${line}\r\n`);
      parser.next();
      parser.next();
      thrown(parser);
      expect([parser.requestLine, parser.partialLine]).toEqual(['', line.split('\n')[0]?.slice(0, 200)]);
    }
    expect(parserOf(GET).partialLine).toBe(GET.split('\r')[0]);
  });

  test('the bytes that wait, and whether a request has begun', () => {
    const parser = parserOf(`${GET}GET`);
    expect(parser.buffered).toBe(GET.length + 3);
    parser.next();
    expect([parser.buffered, parser.isInside]).toEqual([3, true]);
    parser.next();
    expect([parser.next(), parser.buffered, parser.isInside]).toEqual([null, 3, true]);
    parser.push(Buffer.from(GET.slice(3)));
    events(parser);
    expect([parser.buffered, parser.isInside]).toEqual([0, false]);
  });
});

/** Counted in work, not in time: a second pass over the bytes for each byte would take minutes here. */
test('a megabyte byte by byte, in lines of 8 KB and in one chunk line after the other, is linear', {
  timeout: 20_000,
}, () => {
  const field = `X: ${'v'.repeat(8000)}\r\n`;
  const head = `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n${field.repeat(95)}\r\n`;
  const bytes = Buffer.from(`${head}${'1\r\nx\r\n'.repeat(60_000)}0\r\n\r\n`);
  const parser = new RequestParser(DEFAULT_LIMITS);
  let count = 0;
  for (let at = 0; at < bytes.length; at += 1) {
    parser.push(bytes.subarray(at, at + 1));
    count += events(parser).length;
  }
  expect(count).toBe(60_002);
});

/** Each took a second or more with a backtracking or quadratic rule: 100 fields of 8 KB. */
test.each([
  ['blanks in Connection', 'Connection', `a${' '.repeat(8000)}b`],
  ['blanks in Transfer-Encoding', 'Transfer-Encoding', `chunked${' '.repeat(8000)}b`],
  ['parameters of a coding', 'Transfer-Encoding', `chunked${' ;a=b'.repeat(1600)} x`],
  ['commas in Connection', 'Connection', ','.repeat(8000)],
  ['blanks in a value', 'X', `a${' '.repeat(8000)}b`],
  ['blanks before a value', 'X', ' '.repeat(8000)],
  ['percents in Host', 'Host', '%41'.repeat(2600)],
  ['colons in Host', 'Host', `[${':1'.repeat(4000)}]`],
  ['dots in Host', 'Host', `${'1.'.repeat(4000)}/`],
])('%s are read in linear time', { timeout: 5000 }, (_, name, value) => {
  const head = `POST / HTTP/1.1\r\n${name === 'Host' ? '' : 'Host: a\r\n'}${`${name}: ${value}\r\n`.repeat(99)}\r\n`;
  const start = performance.now();
  thrown(parserOf(head));
  expect(performance.now() - start).toBeLessThan(1000);
});

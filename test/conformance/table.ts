/**
 * The conformance table: what goes in, byte for byte, and what must come out, from every kind of server that runs
 * WSGI applications. Strings are latin-1. Where `python` or `typescript` stands, the kinds differ, and `why` says why.
 */
import { createHash } from 'node:crypto';

export interface Expectation {
  /** All that comes until the connection ends, without the Date field of the server. */
  readonly response: string;
  /** `reset`: the connection is cut, so that the client cannot take the body for whole. Default: closed. */
  readonly ends?: 'closed' | 'reset';
  /** Must stand in the log afterwards. */
  readonly log?: string;
}

export interface Row extends Expectation {
  readonly name: string;
  readonly request: string;
  readonly python?: Expectation & { readonly why: string };
}

/** A request to one of the applications, which closes the connection. */
function request(app: string, line: string, ...fields: readonly string[]): string {
  return message(`${line} HTTP/1.1`, 'Host: test', `X-App: ${app}`, 'Connection: close', ...fields);
}

function post(
  app: string,
  { query = '', body, fields = [] }: { query?: string; body: string; fields?: string[] },
): string {
  const target = query === '' ? '/' : `/?${query}`;
  return request(app, `POST ${target}`, ...fields, `Content-Length: ${body.length}`) + body;
}

function chunked(app: string, chunks: readonly string[], ...fields: readonly string[]): string {
  const body = chunks.map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`).join('');
  return `${request(app, 'POST /', 'Transfer-Encoding: chunked', ...fields)}${body}0\r\n\r\n`;
}

function message(...lines: readonly string[]): string {
  return `${lines.join('\r\n')}\r\n\r\n`;
}

/** An answer whose body is as long as it says; the fields of the server last, in the server's order. */
function whole(body: string, ...fields: readonly string[]): string {
  return answer('200 OK', body, ...fields);
}

function answer(status: string, body: string, ...fields: readonly string[]): string {
  const last = ['Server: tunicorn', `Content-Length: ${body.length}`, 'Connection: close'];
  return message(`HTTP/1.1 ${status}`, ...fields, ...last) + body;
}

/** An answer in chunks that was broken off after them. */
function begun(chunks: readonly string[], ...fields: readonly string[]): string {
  const last = ['Server: tunicorn', 'Transfer-Encoding: chunked', 'Connection: close'];
  const body = chunks.map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`).join('');
  return message('HTTP/1.1 200 OK', ...fields, ...last) + body;
}

function inChunks(chunks: readonly string[], ...fields: readonly string[]): string {
  return `${begun(chunks, ...fields)}0\r\n\r\n`;
}

const TEXT = 'Content-Type: text/plain';

const FAILED = answer(
  '500 Internal Server Error',
  [
    '<!doctype html>',
    '<html lang="en">',
    '<title>500 Internal Server Error</title>',
    '<h1>500 Internal Server Error</h1>',
    '<p>The application failed.</p>',
    '</html>',
    '',
  ].join('\n'),
  'Content-Type: text/html; charset=utf-8',
);

/** A row in which the application is refused what it wants, or fails, before anything was sent. */
const fails = (name: string, sent: string, log = ''): Row =>
  log === '' ? { name, request: sent, response: FAILED } : { name, request: sent, response: FAILED, log };

const BODIES: readonly Row[] = [
  {
    name: 'a body of one part has a length',
    request: request('one-part', 'GET /'),
    response: whole('hello', TEXT),
  },
  {
    name: 'a list of parts is sent at once, with a length',
    request: request('parts', 'GET /'),
    response: whole('onetwo', TEXT),
  },
  { name: 'no part', request: request('no-parts', 'GET /'), response: whole('', TEXT) },
  { name: 'only empty parts', request: request('empty-parts', 'GET /'), response: whole('', TEXT) },
  {
    name: 'a generator is sent part by part, in chunks',
    request: request('generator', 'GET /'),
    response: inChunks(['one', 'two'], TEXT),
  },
  {
    name: 'a generator of one part: that it is the last is not known in time',
    request: request('generator-of-one', 'GET /'),
    response: inChunks(['hello'], TEXT),
  },
  {
    name: 'a generator of nothing',
    request: request('generator-of-none', 'GET /'),
    response: whole('', TEXT),
  },
  {
    name: 'a generator of empty parts',
    request: request('generator-of-empty', 'GET /'),
    response: whole('', TEXT),
  },
  {
    name: 'every byte',
    request: request('every-byte', 'GET /'),
    response: whole(
      String.fromCharCode(...Array.from({ length: 256 }, (_, i) => i)),
      'Content-Type: application/octet-stream',
    ),
  },
  {
    name: 'three megabytes',
    request: request('large', 'GET /'),
    response: whole(['a', 'b', 'c'].map((letter) => letter.repeat(1_000_000)).join('')),
  },
  fails('nothing is no body', request('none', 'GET /')),
  fails('a string is no body', request('one-string', 'GET /')),
  fails('bytes are no body', request('one-bytes', 'GET /')),
  fails('a number is no part', request('number-part', 'GET /')),
  {
    name: 'a part that is a string',
    request: request('string-part', 'GET /'),
    response: whole('h\u00c3\u00a9llo', TEXT),
    python: { response: FAILED, why: 'PEP 3333 wants bytes; in TypeScript strings are parts, sent in UTF-8' },
  },
];

const CONNECTIONS: readonly Row[] = [
  {
    name: 'two requests on a connection, sent at once',
    request: message('GET / HTTP/1.1', 'Host: test', 'X-App: one-part') + request('generator', 'GET /'),
    response:
      message('HTTP/1.1 200 OK', TEXT, 'Server: tunicorn', 'Content-Length: 5') +
      `hello${inChunks(['one', 'two'], TEXT)}`,
  },
  {
    name: 'a body that the application did not read does not pass for the next request',
    request:
      message('POST / HTTP/1.1', 'Host: test', 'X-App: unread', 'Content-Length: 11') +
      `GET /evil\r\n${request('one-part', 'GET /')}`,
    response: `${message('HTTP/1.1 200 OK', 'Server: tunicorn', 'Content-Length: 8')}not read${whole('hello', TEXT)}`,
  },
  {
    name: 'a failed application does not close the connection',
    request: message('GET / HTTP/1.1', 'Host: test', 'X-App: fail-at-once') + request('one-part', 'GET /'),
    response: FAILED.replace('Connection: close\r\n', '') + whole('hello', TEXT),
  },
  {
    name: 'HTTP/1.0',
    request: message('GET / HTTP/1.0', 'X-App: one-part'),
    response: whole('hello', TEXT),
  },
  {
    name: 'HTTP/1.0 has no chunks: the close ends the body',
    request: message('GET / HTTP/1.0', 'X-App: generator'),
    response: `${message('HTTP/1.1 200 OK', TEXT, 'Server: tunicorn', 'Connection: close')}onetwo`,
  },
  {
    name: 'HTTP/1.0 with keep-alive',
    request:
      message('GET / HTTP/1.0', 'X-App: one-part', 'Connection: keep-alive') +
      message('GET / HTTP/1.0', 'X-App: parts'),
    response:
      message('HTTP/1.1 200 OK', TEXT, 'Server: tunicorn', 'Content-Length: 5', 'Connection: keep-alive') +
      `hello${whole('onetwo', TEXT)}`,
  },
  {
    name: 'HTTP/1.0, and an application that fails in the middle: the connection is cut',
    request: message('GET / HTTP/1.0', 'X-App: fail-after-first-part'),
    response: `${message('HTTP/1.1 200 OK', TEXT, 'Server: tunicorn', 'Connection: close')}one`,
    ends: 'reset',
  },
  {
    name: 'HEAD has the length and no body',
    request: request('one-part', 'HEAD /'),
    response: whole('hello', TEXT).slice(0, -5),
  },
  {
    name: 'HEAD and a generator: no length is known, and no body follows',
    request: request('generator', 'HEAD /'),
    response: message('HTTP/1.1 200 OK', TEXT, 'Server: tunicorn', 'Connection: close'),
  },
  {
    name: "HEAD with the application's length and nothing of the body",
    request: request('length-list', 'HEAD /?5:'),
    response: message('HTTP/1.1 200 OK', 'Server: tunicorn', 'Content-Length: 5', 'Connection: close'),
  },
  {
    name: '204 has neither body nor length',
    request: request('status-alone', 'GET /?204%20No%20Content'),
    response: message('HTTP/1.1 204 No Content', 'Server: tunicorn', 'Connection: close'),
  },
  {
    name: '204 with a body: it is not sent',
    request: request('status', 'GET /?204%20No%20Content'),
    response: message('HTTP/1.1 204 No Content', TEXT, 'Server: tunicorn', 'Connection: close'),
  },
  {
    name: '304 with a body: it is not sent',
    request: request('status', 'GET /?304%20Not%20Modified'),
    response: message('HTTP/1.1 304 Not Modified', TEXT, 'Server: tunicorn', 'Connection: close'),
  },
];

const LENGTHS: readonly Row[] = [
  {
    name: 'the length of the application stands',
    request: request('length-generator', 'GET /?6:one,two'),
    response: whole('onetwo'),
  },
  {
    name: 'a length, and write',
    request: request('length-write', 'GET /?6:one,two'),
    response: whole('onetwo'),
  },
  { name: 'a length of 0', request: request('length-generator', 'GET /?0:'), response: whole('') },
  {
    name: 'too many bytes in a list are cut off, and that is logged',
    request: request('length-list', 'GET /?5:hello-and-more'),
    response: whole('hello'),
    log: 'more than its Content-Length',
  },
  {
    name: 'too many bytes in parts are cut off, and that is logged',
    request: request('length-generator', 'GET /?5:hello,-and,-more'),
    response: whole('hello'),
    log: 'more than its Content-Length',
  },
  {
    name: 'too many bytes by write are cut off',
    request: request('length-write', 'GET /?5:hello,-and-more'),
    response: whole('hello'),
  },
  {
    name: 'too few bytes: cut, so that they cannot pass for whole, and logged',
    request: request('length-generator', 'GET /?9:hello'),
    response: whole('123456789').replace('123456789', 'hello'),
    ends: 'reset',
    log: 'less than its Content-Length',
  },
  {
    name: 'too few bytes in a list',
    request: request('length-list', 'GET /?9:hello'),
    response: whole('123456789').replace('123456789', 'hello'),
    ends: 'reset',
  },
  {
    name: 'a failure after the last byte does not spoil the answer',
    request: request('length-generator', 'GET /?5:hello,FAIL'),
    response: whole('hello'),
    log: 'after the last byte',
  },
  fails('a negative length', request('length-list', 'GET /?-5:hello')),
  fails('a length that is no number', request('length-list', 'GET /?5x:hello')),
  fails('two lengths', request('two-lengths', 'GET /')),
];

const HEADS: readonly Row[] = [
  ...['404 Not Found', '299 Any Thing, Really!', '599 Odd', '200 ', '200 caf\u00e9'].map(
    (status): Row => ({
      name: `status ${JSON.stringify(status)}`,
      request: request('status', `GET /?${encodeURI(status).replace('%C3%A9', '%E9')}`),
      response: answer(status, 'hello', TEXT),
    }),
  ),
  {
    name: 'status "200" gets the space of the status line',
    request: request('status', 'GET /?200'),
    response: answer('200 ', 'hello', TEXT),
  },
  ...[
    'OK',
    '20 OK',
    '2000 OK',
    '200OK',
    '100 Continue',
    '',
    '200 OK%0d%0aX-Evil:%201',
    '200 OK%0a',
    '200%00',
  ].map((status) =>
    fails(
      `status ${JSON.stringify(status)} is refused`,
      request('status', `GET /?${status.replaceAll(' ', '%20')}`),
    ),
  ),
  fails('a status beyond latin-1 is refused', request('beyond-latin1-status', 'GET /')),
  fails('a status that is a number is refused', request('number-status', 'GET /')),
  ...['X-A=b', 'x-lower=b', 'X-UPPER=b', 'X-Empty=', 'X-Tab=a%09b', 'X-Latin=caf%e9', 'X-Odd!#$&*=b'].map(
    (text): Row => {
      const [name, value = ''] = decodeURIComponent(text.replace('%e9', '%C3%A9')).split('=');
      return {
        name: `header ${JSON.stringify(`${name}: ${value}`)}`,
        request: request('header', `GET /?${text.replace('#', '%23')}`),
        response: whole('hello', `${name}: ${value}`),
      };
    },
  ),
  ...[
    'X-A=b%0d%0aX-Evil:%201',
    'X-A=b%0d%0a%0d%0aHTTP/1.1%20200%20OK',
    'X-A=b%0a',
    'X-A=b%0dc',
    'X-A=b%00c',
    'X-A=%01',
    'X-A%0d%0aX-Evil:%201=b',
    'X%20A=b',
    'X-A:=b',
    '=b',
    'X-Caf%e9=b',
  ].map((text) => fails(`header ${text} is refused`, request('header', `GET /?${text}`))),
  ...['Connection', 'keep-alive', 'Transfer-Encoding', 'Upgrade', 'TE', 'Trailer', 'Proxy-Authenticate'].map(
    (name) => fails(`hop-by-hop header ${name} is refused`, request('header', `GET /?${name}=x`)),
  ),
  fails('a header beyond latin-1 is refused', request('beyond-latin1', 'GET /')),
  fails('a header whose value is a number is refused', request('number-value', 'GET /')),
  fails('a header of three is refused', request('triple-header', 'GET /')),
  {
    name: 'headers keep their order, their case, and their repetitions',
    request: request('cookies', 'GET /'),
    response: whole('hello', 'Set-Cookie: a=1', 'X-Between: ', 'set-cookie: b=2'),
  },
  {
    name: "the application's own Date and Server stand",
    request: request('own-date-and-server', 'GET /'),
    response: `${message(
      'HTTP/1.1 200 OK',
      'Date: Thu, 01 Jan 1970 00:00:00 GMT',
      'Server: mine',
      'Content-Length: 5',
      'Connection: close',
    )}hello`,
  },
];

const STARTS: readonly Row[] = [
  fails('a body without start_response', request('never-started', 'GET /')),
  fails('a part before start_response', request('started-late', 'GET /')),
  fails('start_response twice', request('started-twice', 'GET /')),
  {
    name: 'exc_info replaces a head that is not sent',
    request: request('replaced', 'GET /'),
    response: answer('503 Sorry', 'sorry', TEXT),
  },
  {
    name: 'an empty part does not send the head, which can still be replaced',
    request: request('replaced-after-empty-part', 'GET /'),
    response: inChunks(['sorry'], TEXT).replace('200 OK', '503 Sorry'),
  },
  {
    name: 'exc_info is raised again once the head is sent',
    request: request('replaced-too-late', 'GET /'),
    response: begun(['one'], TEXT),
    ends: 'reset',
    log: 'too late to replace',
  },
  {
    name: 'a refused start_response can be caught and replaced',
    request: request('refused-then-replaced', 'GET /'),
    response: whole('hello', 'X-Second: yes'),
  },
  { name: 'write', request: request('write', 'GET /'), response: inChunks(['one', 'two'], TEXT) },
  {
    name: 'write, and a list after it',
    request: request('write-and-parts', 'GET /'),
    response: inChunks(['one', 'twothree'], TEXT),
  },
  {
    name: 'write sends the head even with nothing',
    request: request('write-nothing-then-fail', 'GET /'),
    response: begun([], TEXT),
    ends: 'reset',
    log: 'after an empty write',
  },
  fails('write of a number', request('write-wrong-type', 'GET /')),
];

const FAILURES: readonly Row[] = [
  fails('before start_response', request('fail-at-once', 'GET /'), 'before start_response'),
  fails('after start_response', request('fail-after-start', 'GET /'), 'after start_response'),
  fails('before the first part', request('fail-before-first-part', 'GET /'), 'before the first part'),
  {
    name: 'after the first part: the connection is cut',
    request: request('fail-after-first-part', 'GET /'),
    response: begun(['one'], TEXT),
    ends: 'reset',
    log: 'in the middle',
  },
  {
    name: 'after the first part, to HEAD: the answer is cut too',
    request: request('fail-after-first-part', 'HEAD /'),
    response: message('HTTP/1.1 200 OK', TEXT, 'Server: tunicorn', 'Connection: close'),
    ends: 'reset',
  },
  {
    name: 'close() is called after the last part',
    request: request('iterator-with-close', 'GET /'),
    response: inChunks(['one', 'two'], TEXT),
    log: 'closed after all',
  },
  {
    name: 'close() is called after a failure in the middle',
    request: request('iterator-with-close-fails', 'GET /'),
    response: begun(['one'], TEXT),
    ends: 'reset',
    log: 'closed after the first part',
  },
  fails(
    'close() is called after a failure before the first part',
    request('iterator-with-close-fails-at-once', 'GET /'),
    'closed after no part',
  ),
  {
    name: 'close() fails: the answer stands, and that is logged',
    request: request('close-fails', 'GET /'),
    response: inChunks(['hello'], TEXT),
    log: 'close itself',
  },
  {
    name: 'wsgi.errors is the log',
    request: request('errors', 'GET /'),
    response: whole('told'),
    log: 'told by the application',
  },
];

/** In TypeScript an application may wait, and the bytes are those of one that does not. */
const AWAITED: readonly Row[] = [
  { name: 'a body', request: request('promised', 'GET /'), response: whole('onetwo', TEXT) },
  fails('a body without startResponse', request('promised-never-started', 'GET /')),
  fails('a failure instead of a body', request('promise-fails', 'GET /'), 'instead of a body'),
  {
    name: 'parts, each sent when it is there',
    request: request('awaited-parts', 'GET /'),
    response: inChunks(['one', 'two'], TEXT),
    log: 'through with awaited parts',
  },
  {
    name: 'a failure between two parts',
    request: request('awaited-parts-fail', 'GET /'),
    response: begun(['one'], TEXT),
    ends: 'reset',
    log: 'through with failed parts',
  },
  {
    name: 'write',
    request: request('awaited-write', 'GET /'),
    response: inChunks(['one', 'two', 'three'], TEXT),
  },
];

const hint = (...fields: readonly string[]) => message('HTTP/1.1 103 Early Hints', ...fields);

const HINTS: readonly Row[] = [
  {
    name: 'each is a 103 ahead of the answer',
    request: request('hints', 'GET /'),
    response:
      hint('Link: </a.css>; rel=preload') +
      hint('Link: </b.js>; rel=preload', 'X-A: caf\u00e9') +
      whole('hello', TEXT),
  },
  {
    name: 'none goes out once the answer has begun',
    request: request('hints-between', 'GET /'),
    response: hint('Link: </a.css>; rel=preload') + inChunks(['one', 'two'], TEXT),
  },
  {
    name: 'none to HTTP/1.0, which does not know them (RFC 8297 §3)',
    request: message('GET / HTTP/1.0', 'X-App: hints'),
    response: whole('hello', TEXT),
  },
  ...['Link=%3Ca%3E%0d%0aX-Evil:%201', 'Li%20nk=a', 'Connection=close', 'Content-Length=5'].map((text) =>
    fails(`${text} is refused`, request('hinted-header', `GET /?${text}`)),
  ),
];

/** What `environ` holds for these keys. */
function sees(
  name: string,
  sent: { line: string; fields?: readonly string[] },
  values: Record<string, string>,
): Row {
  const query = Object.keys(values).join(',');
  const line = sent.line.includes('?') ? sent.line : `${sent.line}?${query}`;
  const body = Object.entries(values).map(([key, value]) => `${key}=${value}\n`);
  return { name, request: request('environ', line, ...(sent.fields ?? [])), response: whole(body.join('')) };
}

const ENVIRON: readonly Row[] = [
  sees('PATH_INFO is decoded, a slash too', { line: 'GET /a%2Fb' }, { PATH_INFO: '/a/b', SCRIPT_NAME: '' }),
  sees(
    'PATH_INFO in UTF-8 is latin-1 of its bytes',
    { line: 'GET /caf%C3%A9' },
    { PATH_INFO: '/caf\u00c3\u00a9' },
  ),
  sees('a plus in the path is a plus', { line: 'GET /a+b%2B' }, { PATH_INFO: '/a+b+' }),
  sees(
    "dots and double slashes are the application's",
    { line: 'GET //a/../b/./' },
    { PATH_INFO: '//a/../b/./' },
  ),
  {
    name: 'the query is not decoded',
    request: request('environ', 'GET /a?QUERY_STRING,%20&a=b%2F?'),
    response: whole('QUERY_STRING=QUERY_STRING,%20&a=b%2F?\n%20&a=b%2F?=(missing)\n'),
  },
  sees(
    'the target as it came',
    { line: 'GET /a%2Fb?RAW_URI,REQUEST_URI' },
    { RAW_URI: '/a%2Fb?RAW_URI,REQUEST_URI', REQUEST_URI: '/a%2Fb?RAW_URI,REQUEST_URI' },
  ),
  sees('the method', { line: 'PROPFIND /' }, { REQUEST_METHOD: 'PROPFIND', SERVER_PROTOCOL: 'HTTP/1.1' }),
  sees(
    'repeated headers are joined',
    { line: 'GET /', fields: ['X-A: 1', 'x-b: 2', 'x-a: 3'] },
    { HTTP_X_A: '1,3', HTTP_X_B: '2' },
  ),
  sees(
    'cookies are joined as cookies',
    { line: 'GET /', fields: ['Cookie: a=1', 'Cookie: b=2'] },
    { HTTP_COOKIE: 'a=1; b=2' },
  ),
  sees(
    'names with underscores are dropped',
    { line: 'GET /', fields: ['X_Forwarded_For: 6.6.6.6', 'Content_Length: 5', 'X_App: large'] },
    { HTTP_X_FORWARDED_FOR: '(missing)', CONTENT_LENGTH: '(missing)', HTTP_X_APP: 'environ' },
  ),
  sees(
    'Proxy is dropped (httpoxy)',
    { line: 'GET /', fields: ['Proxy: http://evil/'] },
    { HTTP_PROXY: '(missing)' },
  ),
  sees(
    'values are latin-1, without the spaces around',
    { line: 'GET /', fields: ['X-A:  caf\u00e9 \t'] },
    { HTTP_X_A: 'caf\u00e9' },
  ),
  sees('an empty value', { line: 'GET /', fields: ['X-A:'] }, { HTTP_X_A: '' }),
  sees(
    'CONTENT_TYPE and CONTENT_LENGTH have no HTTP_',
    { line: 'POST /', fields: ['Content-Type: text/x', 'Content-Length: 0'] },
    {
      CONTENT_TYPE: 'text/x',
      CONTENT_LENGTH: '0',
      HTTP_CONTENT_TYPE: '(missing)',
      HTTP_CONTENT_LENGTH: '(missing)',
    },
  ),
  sees(
    'they are missing when not given',
    { line: 'GET /' },
    { CONTENT_TYPE: '(missing)', CONTENT_LENGTH: '(missing)' },
  ),
  sees(
    'forwarded headers of a stranger change nothing',
    { line: 'GET /', fields: ['X-Forwarded-For: 6.6.6.6', 'X-Forwarded-Host: evil', 'X-Forwarded-Port: 1'] },
    { SERVER_NAME: '127.0.0.1', SERVER_PORT: '{port}', HTTP_HOST: 'test' },
  ),
  sees(
    'what the server is',
    { line: 'GET /' },
    {
      'wsgi.url_scheme': 'http',
      'wsgi.version': '1.0',
      'wsgi.run_once': 'false',
      'wsgi.multiprocess': 'false',
      'wsgi.input_terminated': 'true',
      REMOTE_ADDR: '127.0.0.1',
      SERVER_NAME: '127.0.0.1',
      SERVER_PORT: '{port}',
      SERVER_SOFTWARE: '{software}',
    },
  ),
  {
    ...sees('whether the application is entered again', { line: 'GET /' }, { 'wsgi.multithread': 'true' }),
    python: {
      response: whole('wsgi.multithread=false\n'),
      why: 'a Python worker runs one request a thread, here one; JavaScript goes on while another request waits',
    },
  },
  {
    name: 'the host of an absolute target stands before the Host field',
    request: message(
      'GET http://real.example/a?HTTP_HOST,PATH_INFO HTTP/1.1',
      'Host: other.example',
      'X-App: environ',
      'Connection: close',
    ),
    response: whole('HTTP_HOST=real.example\nPATH_INFO=/a\n'),
  },
  {
    name: 'HTTP/1.0 without a Host',
    request: message('GET /?SERVER_PROTOCOL,HTTP_HOST HTTP/1.0', 'X-App: environ'),
    response: whole('SERVER_PROTOCOL=HTTP/1.0\nHTTP_HOST=(missing)\n'),
  },
  {
    name: 'every header that the application sees',
    request: request(
      'headers-seen',
      'GET /',
      'Accept: */*',
      'TE: trailers',
      'Proxy: x',
      'A_B: x',
      'User-Agent: y',
    ),
    response: whole('HTTP_ACCEPT HTTP_CONNECTION HTTP_HOST HTTP_TE HTTP_USER_AGENT HTTP_X_APP'),
  },
  {
    name: 'a chunked body: the length is known, the coding is gone',
    request: chunked('headers-seen', ['hello']),
    response: whole('CONTENT_LENGTH HTTP_CONNECTION HTTP_HOST HTTP_X_APP'),
  },
];

const LINES = 'one\ntwo\r\n\nend';
const SPOOLED = Array.from({ length: 30_000 }, (_, i) => `line ${i}\n`).join('');
const sha256 = (text: string) => createHash('sha256').update(text, 'latin1').digest('hex');

/** What steps of reading give. */
const reads = (query: string, body: string, response: string): Row => ({
  name: `${query} of ${JSON.stringify(body)}`,
  request: post('read', { query, body }),
  response: whole(response),
});

const INPUT: readonly Row[] = [
  { name: 'a body by length', request: post('echo', { body: 'hello' }), response: whole('hello') },
  {
    name: 'a body of bytes',
    request: post('echo', { body: '\0\xff\r\n\x80' }),
    response: whole('\0\xff\r\n\x80'),
  },
  { name: 'an empty body', request: post('echo', { body: '' }), response: whole('') },
  { name: 'no body', request: request('echo', 'POST /'), response: whole('') },
  { name: 'a body in chunks', request: chunked('echo', ['he', 'l', 'lo']), response: whole('hello') },
  { name: 'an empty body in chunks', request: chunked('echo', []), response: whole('') },
  {
    name: 'Expect: 100-continue from a client that does not wait',
    request: post('echo', { body: 'hello', fields: ['Expect: 100-continue'] }),
    response: whole('hello'),
  },
  {
    name: 'a body from the spool',
    request: post('digest', { body: SPOOLED }),
    response: whole(`${SPOOLED.length} ${SPOOLED.length} ${sha256(SPOOLED)}`),
  },
  {
    name: 'a body in chunks from the spool',
    request: chunked('digest', [SPOOLED.slice(0, 70_000), SPOOLED.slice(70_000)]),
    response: whole(`${SPOOLED.length} ${SPOOLED.length} ${sha256(SPOOLED)}`),
  },
  {
    name: 'lines from the spool',
    request: post('digest-of-lines', { body: SPOOLED }),
    response: whole(`30000 ${sha256(SPOOLED.replaceAll('\n', '\n|').slice(0, -1))}`),
  },
  reads('read:3,read:2,read,read', 'hello-you', '[hel]/[lo]/[-you]/[]/'),
  reads('read:-1,read:5', 'hello', '[hello]/[]/'),
  reads('read:0,read:99', 'hello', '[]/[hello]/'),
  reads('readline,readline,readline,readline,readline', LINES, '[one\n]/[two\r\n]/[\n]/[end]/[]/'),
  reads('readline:2,readline:9,readline:0,readline:-1', LINES, '[on]/[e\n]/[]/[two\r\n]/'),
  reads('readlines,readlines', LINES, '[one\n][two\r\n][\n][end]//'),
  reads('readlines:5,readlines:0', LINES, '[one\n][two\r\n]/[\n][end]/'),
  reads('readline,iterate,iterate', LINES, '[one\n]/[two\r\n][\n][end]//'),
  reads('read:5,readline,read', LINES, '[one\nt]/[wo\r\n]/[\nend]/'),
];

export const TABLE: Readonly<Record<string, readonly Row[]>> = {
  bodies: BODIES,
  connections: CONNECTIONS,
  'Content-Length': LENGTHS,
  'status and headers': HEADS,
  'start_response and write': STARTS,
  'failures and close()': FAILURES,
  'what is awaited': AWAITED,
  'early hints': HINTS,
  environ: ENVIRON,
  'wsgi.input': INPUT,
};

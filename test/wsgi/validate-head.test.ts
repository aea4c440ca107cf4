import { type Check, serve, TEXT, testChecks } from './validation.ts';

/** The application says this head. */
const head =
  (status: unknown, headers: unknown = TEXT, ...excInfo: unknown[]) =>
  () =>
    serve((_, startResponse) => {
      (startResponse as (...args: unknown[]) => unknown)(status, headers, ...excInfo);
      return [];
    });
const header = (...given: unknown[]) => head('200 OK', [...TEXT, given]);

const wsgiref: readonly Check[] = [
  [
    'a status that is no string',
    'application',
    'start',
    'The status must be a string, not a number',
    head(200),
  ],
  ['a status of two digits', 'application', 'start', 'has three digits: "20 OK"', head('20 OK')],
  ['a status of four digits', 'application', 'start', 'has three digits: "2000 OK"', head('2000 OK')],
  ['an empty status', 'application', 'start', 'has three digits: ""', head('')],
  ['a status without a number', 'application', 'start', 'begins with a number: "abc OK"', head('abc OK')],
  ['a status below 100', 'application', 'start', 'no status below 100: "099 Low"', head('099 Low')],
  [
    'headers that are no list',
    'application',
    'start',
    'must be an array of [name, value], not an object.',
    head('200 OK', { 'Content-Type': 'text/plain' }),
  ],
  [
    'headers of a subclass',
    'application',
    'start',
    'must be an array of [name, value], not an array',
    head('200 OK', new (class extends Array {})()),
  ],
  [
    'a header that is no tuple',
    'application',
    'start',
    'A header must be [name, value], not a string',
    head('200 OK', ['A: b']),
  ],
  ['a header of three', 'application', 'start', 'two parts, not 3', header('A', 'b', 'c')],
  [
    'a name that is no string',
    'application',
    'start',
    'The name of a header must be a string, not a number',
    header(1, 'b'),
  ],
  [
    'a value that is no string',
    'application',
    'start',
    'The value of the header A must be a string, not a number',
    header('A', 1),
  ],
  ['a Status header', 'application', 'start', 'There is no Status header', header('Status', '200 OK')],
  ['a colon in a name', 'application', 'start', 'no colon or line feed: "A:"', header('A:', 'b')],
  ['a line feed in a name', 'application', 'start', 'no colon or line feed: "A\\nB"', header('A\nB', 'b')],
  [
    'a name that begins with a digit',
    'application',
    'start',
    'That is no name of a header: "1A"',
    header('1A', 'b'),
  ],
  ['an empty name', 'application', 'start', 'That is no name of a header: ""', header('', 'b')],
  ['a name that ends in a dash', 'application', 'start', 'may not end in - or _: "A-"', header('A-', 'b')],
  ['a name that ends in _', 'application', 'start', 'may not end in - or _: "A_"', header('A_', 'b')],
  [
    'a control character in a value',
    'application',
    'start',
    'The header A holds a control character: "b\\r\\nC: d"',
    header('A', 'b\r\nC: d'),
  ],
  [
    'a tab in a value',
    'application',
    'start',
    'The header A holds a control character: "b\\tc"',
    header('A', 'b\tc'),
  ],
  [
    'Content-Type with 204',
    'application',
    'start',
    'A 204 has no content, and so no Content-Type',
    head('204 No Content'),
  ],
  [
    'Content-Type with 304',
    'application',
    'start',
    'A 304 has no content, and so no Content-Type',
    head('304 Not Modified'),
  ],
  [
    'no Content-Type',
    'application',
    'start',
    'A 200 has content: it needs a Content-Type',
    head('200 OK', []),
  ],
  [
    'excInfo that is no error',
    'application',
    'errors',
    'excInfo must be the error that was caught, not a string',
    head('200 OK', TEXT, 'caught'),
  ],
];

const beyond: readonly Check[] = [
  ['a status of 1xx', 'application', 'http', "below 200 is the server's to send", head('100 Continue')],
  [
    'a control character in the status',
    'application',
    'start',
    'The status holds a control character',
    head('200 OK\r\n'),
  ],
  ['a status beyond latin-1', 'application', 'unicode', 'The status holds more than latin-1', head('200 €')],
  [
    'headers as those of fetch',
    'application',
    'start',
    'not a Headers: give [...headers]',
    head('200 OK', new Headers({ a: 'b' })),
  ],
  ['headers in a Map', 'application', 'start', 'not a Map: give [...headers]', head('200 OK', new Map())],
  [
    'a value beyond latin-1 in a header',
    'application',
    'unicode',
    'The header A holds more than latin-1: "€"',
    header('A', '€'),
  ],
  [
    'a hop-by-hop header',
    'application',
    'http',
    "The header Connection is the server's own",
    header('Connection', 'close'),
  ],
  [
    'two lengths',
    'application',
    'length',
    'more than one Content-Length: 0, 0',
    head('200 OK', [...TEXT, ['Content-Length', '0'], ['content-length', '0']]),
  ],
  [
    'a length that is no number',
    'application',
    'length',
    'Content-Length is no number of bytes: "-1"',
    header('Content-Length', '-1'),
  ],
];

testChecks({ wsgiref, beyond });

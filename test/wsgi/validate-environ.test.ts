import { validator } from '../../src/wsgi/validator.ts';
import { type Check, hello, serve, started, testChecks } from './validation.ts';

const withEnviron = (environ: Record<string, unknown>) => () => serve(hello, { environ });
const without = (key: string) => () => serve(hello, { without: [key] });
const METHODS = ['read', 'readline', 'readlines', Symbol.iterator, 'text', 'json', 'formData'];
const methods = (names: readonly (string | symbol)[]) =>
  Object.fromEntries(names.map((name) => [name, () => undefined]));
/** The server's wsgi.input has these methods, or lacks them. */
const withInput = (spoiled: Record<string, unknown>) => {
  return withEnviron({ 'wsgi.input': { ...methods([...METHODS, 'stream']), ...spoiled } });
};

const wsgiref: readonly Check[] = [
  [
    'environ that is no dictionary',
    'server',
    'details',
    'a plain object, not a Map',
    () => validator(hello)(new Map() as never, started),
  ],
  ['no REQUEST_METHOD', 'server', 'environ', 'environ has no REQUEST_METHOD', without('REQUEST_METHOD')],
  ['no SERVER_NAME', 'server', 'environ', 'environ has no SERVER_NAME', without('SERVER_NAME')],
  ['no SERVER_PORT', 'server', 'environ', 'environ has no SERVER_PORT', without('SERVER_PORT')],
  ['no wsgi.version', 'server', 'environ', 'environ has no wsgi.version', without('wsgi.version')],
  ['no wsgi.input', 'server', 'environ', 'environ has no wsgi.input', without('wsgi.input')],
  ['no wsgi.errors', 'server', 'environ', 'environ has no wsgi.errors', without('wsgi.errors')],
  [
    'no wsgi.multithread',
    'server',
    'environ',
    'environ has no wsgi.multithread',
    without('wsgi.multithread'),
  ],
  [
    'no wsgi.multiprocess',
    'server',
    'environ',
    'environ has no wsgi.multiprocess',
    without('wsgi.multiprocess'),
  ],
  ['no wsgi.run_once', 'server', 'environ', 'environ has no wsgi.run_once', without('wsgi.run_once')],
  [
    'HTTP_CONTENT_TYPE',
    'server',
    'environ',
    'its name is CONTENT_TYPE',
    withEnviron({ HTTP_CONTENT_TYPE: 'text/plain' }),
  ],
  [
    'HTTP_CONTENT_LENGTH',
    'server',
    'environ',
    'its name is CONTENT_LENGTH',
    withEnviron({ HTTP_CONTENT_LENGTH: '0' }),
  ],
  [
    'a value that is no string',
    'server',
    'environ',
    'environ.SERVER_PORT must be a string, not a number',
    withEnviron({ SERVER_PORT: 80 }),
  ],
  [
    'wsgi.version that is no tuple',
    'server',
    'environ',
    'wsgi.version must be [1, 0], not "1.0"',
    withEnviron({ 'wsgi.version': '1.0' }),
  ],
  [
    'another scheme',
    'server',
    'environ',
    'must be http or https, not "ftp"',
    withEnviron({ 'wsgi.url_scheme': 'ftp' }),
  ],
  ...(['read', 'readline', 'readlines', Symbol.iterator] as const).map(
    (name): Check => [
      `wsgi.input without ${String(name)}`,
      'server',
      'streams',
      `wsgi.input (an object) has no method ${String(name)}`,
      withInput({ [name]: undefined }),
    ],
  ),
  ...['flush', 'write', 'writelines'].map(
    (name): Check => [
      `wsgi.errors without ${name}`,
      'server',
      'streams',
      `wsgi.errors (an object) has no method ${name}`,
      withEnviron({ 'wsgi.errors': { flush() {}, write() {}, writelines() {}, [name]: undefined } }),
    ],
  ),
  [
    'SCRIPT_NAME without a slash',
    'server',
    'environ',
    'environ.SCRIPT_NAME must be empty or begin with a slash: "api"',
    withEnviron({ SCRIPT_NAME: 'api' }),
  ],
  [
    'PATH_INFO without a slash',
    'server',
    'environ',
    'environ.PATH_INFO must be empty or begin with a slash: "x"',
    withEnviron({ PATH_INFO: 'x' }),
  ],
  [
    'CONTENT_LENGTH that is no number',
    'server',
    'environ',
    'must be a number of bytes: "many"',
    withEnviron({ CONTENT_LENGTH: 'many' }),
  ],
  [
    'CONTENT_LENGTH below 0',
    'server',
    'environ',
    'must be a number of bytes: "-1"',
    withEnviron({ CONTENT_LENGTH: '-1' }),
  ],
  [
    'neither SCRIPT_NAME nor PATH_INFO',
    'server',
    'environ',
    'environ has no SCRIPT_NAME',
    () => serve(hello, { without: ['SCRIPT_NAME', 'PATH_INFO'] }),
  ],
  [
    'SCRIPT_NAME of a slash',
    'server',
    'environ',
    'environ.SCRIPT_NAME may not be "/"',
    withEnviron({ SCRIPT_NAME: '/' }),
  ],
];

const beyond: readonly Check[] = [
  [
    'environ of a class',
    'server',
    'details',
    'a plain object, not an Environ',
    () => validator(hello)(new (class Environ {})() as never, started),
  ],
  [
    'environ that is null',
    'server',
    'details',
    'a plain object, not null',
    () => validator(hello)(null as never, started),
  ],
  [
    'environ that is an array',
    'server',
    'details',
    'a plain object, not an array',
    () => validator(hello)([] as never, started),
  ],
  ['no SERVER_PROTOCOL', 'server', 'environ', 'environ has no SERVER_PROTOCOL', without('SERVER_PROTOCOL')],
  ['no wsgi.url_scheme', 'server', 'environ', 'environ has no wsgi.url_scheme', without('wsgi.url_scheme')],
  ['no PATH_INFO', 'server', 'environ', 'environ has no PATH_INFO', without('PATH_INFO')],
  [
    'an empty SERVER_NAME',
    'server',
    'environ',
    'environ.SERVER_NAME may not be empty',
    withEnviron({ SERVER_NAME: '' }),
  ],
  [
    'an empty REQUEST_METHOD',
    'server',
    'environ',
    'environ.REQUEST_METHOD may not be empty',
    withEnviron({ REQUEST_METHOD: '' }),
  ],
  [
    'a key that holds undefined',
    'server',
    'environ',
    'environ.HTTP_A must be a string, not undefined',
    withEnviron({ HTTP_A: undefined }),
  ],
  [
    'a value beyond latin-1',
    'server',
    'unicode',
    'environ.HTTP_A must be latin-1, one character a byte: "€"',
    withEnviron({ HTTP_A: '€' }),
  ],
  [
    'wsgi.version of three',
    'server',
    'environ',
    'wsgi.version must be [1, 0], not [1,0,1]',
    withEnviron({ 'wsgi.version': [1, 0, 1] }),
  ],
  [
    'a flag that is no boolean',
    'server',
    'environ',
    'wsgi.run_once must be true or false, not a number',
    withEnviron({ 'wsgi.run_once': 0 }),
  ],
  ...['text', 'json', 'formData'].map(
    (name): Check => [
      `wsgi.input without ${name}`,
      'server',
      'streams',
      `has no method ${name}`,
      withInput({ [name]: undefined }),
    ],
  ),
  [
    'wsgi.input that is none',
    'server',
    'streams',
    'wsgi.input (null) has no method read',
    withEnviron({ 'wsgi.input': null }),
  ],
  [
    'wsgi.input without stream',
    'server',
    'streams',
    'wsgi.input has no stream',
    withEnviron({
      'wsgi.input': methods(METHODS),
    }),
  ],
];

testChecks({ wsgiref, beyond });

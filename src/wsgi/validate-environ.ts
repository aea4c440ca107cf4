/** Checks of what the server gives: `environ` and its streams (wsgiref.validate: `check_environ`). */
import { kindOf } from './kind.ts';
import { server, type Warn } from './violation.ts';

const STRINGS = ['REQUEST_METHOD', 'SERVER_NAME', 'SERVER_PORT', 'SERVER_PROTOCOL'] as const;
const PATHS = ['SCRIPT_NAME', 'PATH_INFO'] as const;
const FLAGS = ['wsgi.multithread', 'wsgi.multiprocess', 'wsgi.run_once'] as const;
const REQUIRED = [
  ...STRINGS,
  ...PATHS,
  'wsgi.version',
  'wsgi.url_scheme',
  'wsgi.input',
  'wsgi.errors',
  ...FLAGS,
];

const METHODS = new Set(['GET', 'HEAD', 'POST', 'OPTIONS', 'PATCH', 'PUT', 'DELETE', 'TRACE']);
const INPUT = ['read', 'readline', 'readlines', Symbol.iterator, 'text', 'json', 'formData'] as const;
const ERRORS = ['flush', 'write', 'writelines'] as const;

type Values = Readonly<Record<string, unknown>>;

/** @throws {WsgiViolation} */
export function checkEnviron(given: unknown, warn: Warn): void {
  const environ = plainObject(given);
  for (const key of REQUIRED) {
    if (!Object.hasOwn(environ, key)) server.breaks('environ', `environ has no ${key}.`);
  }
  checkStrings(environ);
  checkServerKeys(environ);
  checkPaths(environ);
  checkBodyKeys(environ);
  checkMethods('wsgi.input', environ['wsgi.input'], INPUT);
  if (!('stream' in Object(environ['wsgi.input']))) server.breaks('streams', 'wsgi.input has no stream.');
  checkMethods('wsgi.errors', environ['wsgi.errors'], ERRORS);
  warnOf(environ, warn);
}

/** The PEP wants a builtin dictionary, which middleware may change and copy: here a plain object. */
function plainObject(environ: unknown): Values {
  const isObject = typeof environ === 'object' && environ !== null;
  const prototype: unknown = isObject ? Object.getPrototypeOf(environ) : undefined;
  if (prototype !== Object.prototype && prototype !== null) {
    server.breaks('details', `environ must be a plain object, not ${kindOf(environ)}.`);
  }
  return environ as Values;
}

function checkStrings(environ: Values): void {
  for (const [key, value] of Object.entries(environ)) {
    // An extension, whose type is its own affair.
    if (key.includes('.')) continue;
    if (typeof value !== 'string') {
      server.breaks('environ', `environ.${key} must be a string, not ${kindOf(value)}.`);
    }
    if (/[^\0-\xff]/.test(value)) {
      const shown = JSON.stringify(value);
      server.breaks('unicode', `environ.${key} must be latin-1, one character a byte: ${shown}.`);
    }
  }
  for (const key of STRINGS)
    if (environ[key] === '') server.breaks('environ', `environ.${key} may not be empty.`);
}

function checkServerKeys(environ: Values): void {
  const { 'wsgi.version': version, 'wsgi.url_scheme': scheme } = environ;
  const isVersion = Array.isArray(version) && version.length === 2 && version.every(Number.isInteger);
  if (!isVersion) server.breaks('environ', `wsgi.version must be [1, 0], not ${JSON.stringify(version)}.`);
  if (scheme !== 'http' && scheme !== 'https') {
    server.breaks('environ', `wsgi.url_scheme must be http or https, not ${JSON.stringify(scheme)}.`);
  }
  for (const key of FLAGS) {
    const value = environ[key];
    if (typeof value !== 'boolean')
      server.breaks('environ', `${key} must be true or false, not ${kindOf(value)}.`);
  }
}

function checkPaths(environ: Values): void {
  for (const key of PATHS) {
    if (!/^(?:\/|$)/.test(String(environ[key]))) {
      server.breaks(
        'environ',
        `environ.${key} must be empty or begin with a slash: ${JSON.stringify(environ[key])}.`,
      );
    }
  }
  if (environ.SCRIPT_NAME === '/') {
    server.breaks(
      'environ',
      'environ.SCRIPT_NAME may not be "/": it is empty then, and PATH_INFO begins with the slash.',
    );
  }
}

function checkBodyKeys(environ: Values): void {
  for (const key of ['CONTENT_TYPE', 'CONTENT_LENGTH']) {
    if (`HTTP_${key}` in environ) server.breaks('environ', `environ has HTTP_${key}: its name is ${key}.`);
  }
  const { CONTENT_LENGTH: length = '' } = environ;
  if (!/^\d*$/.test(String(length))) {
    server.breaks('environ', `environ.CONTENT_LENGTH must be a number of bytes: ${JSON.stringify(length)}.`);
  }
}

function checkMethods(key: string, stream: unknown, names: readonly (string | symbol)[]): void {
  for (const name of names) {
    const method: unknown = (stream as Record<string | symbol, unknown> | null | undefined)?.[name];
    if (typeof method !== 'function') {
      server.breaks('streams', `${key} (${kindOf(stream)}) has no method ${String(name)}.`);
    }
  }
}

function warnOf(environ: Values, warn: Warn): void {
  if (!('QUERY_STRING' in environ))
    warn('environ has no QUERY_STRING: give an empty one, as many applications expect it.');
  const method = String(environ.REQUEST_METHOD);
  if (!METHODS.has(method)) warn(`REQUEST_METHOD is not known: ${JSON.stringify(method)}.`);
}

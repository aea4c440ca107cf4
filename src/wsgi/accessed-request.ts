import type { AccessEntry } from '../observe/access-format.ts';
import type { Environ } from './types.ts';

/** What the access log says of a request, taken from its `environ` before the application can change that. */
export class AccessedRequest implements NonNullable<AccessEntry['head']> {
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly minor: 0 | 1;
  /** The request line as it came, as far as the server told. */
  readonly line: string;
  readonly address: string;
  readonly #environ: Environ;
  #fields: string[] | null = null;

  constructor(environ: Environ) {
    this.method = environ.REQUEST_METHOD;
    // It is decoded already, and the log decodes once more: %25 must stay %25.
    this.path = `${environ.SCRIPT_NAME}${environ.PATH_INFO}`.replaceAll('%', '%25');
    this.query = environ.QUERY_STRING;
    this.minor = environ.SERVER_PROTOCOL === 'HTTP/1.0' ? 0 : 1;
    const target = environ.RAW_URI ?? (this.query === '' ? this.path : `${this.path}?${this.query}`);
    this.line = `${this.method} ${target} ${environ.SERVER_PROTOCOL}`;
    this.address = environ.REMOTE_ADDR ?? '';
    this.#environ = environ;
  }

  /** Made once, and only for a format that asks for any of them: several atoms of the usual one do. */
  get fields(): string[] {
    this.#fields ??= fieldsOf(this.#environ);
    return this.#fields;
  }
}

function fieldsOf(environ: Environ): string[] {
  const fields: string[] = [];
  for (const key in environ) {
    const isOwn = key === 'CONTENT_TYPE' || key === 'CONTENT_LENGTH';
    if (isOwn || key.startsWith('HTTP_'))
      fields.push(fieldName(isOwn ? key : key.slice(5)), String(environ[key]));
  }
  return fields;
}

function fieldName(key: string): string {
  return key.toLowerCase().replaceAll('_', '-');
}

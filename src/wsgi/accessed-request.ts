import type { AccessEntry } from '../observe/access-format.ts';
import type { Environ } from './types.ts';

/** What the access log says of a request, taken from its `environ` before the application can change that. */
export class AccessedRequest {
  readonly head: NonNullable<AccessEntry['head']>;
  /** As it came, as far as the server told. */
  readonly line: string;
  readonly address: string;

  constructor(environ: Environ) {
    const method = environ.REQUEST_METHOD;
    const query = environ.QUERY_STRING;
    // It is decoded already, and the log decodes once more: %25 must stay %25.
    const path = `${environ.SCRIPT_NAME}${environ.PATH_INFO}`.replaceAll('%', '%25');
    const target = environ.RAW_URI ?? (query === '' ? path : `${path}?${query}`);
    this.line = `${method} ${target} ${environ.SERVER_PROTOCOL}`;
    this.address = environ.REMOTE_ADDR ?? '';
    this.head = {
      method,
      path,
      query,
      minor: environ.SERVER_PROTOCOL === 'HTTP/1.0' ? 0 : 1,
      // Few formats ask for any of them.
      get fields() {
        return fieldsOf(environ);
      },
    };
  }
}

const FIELD = /^(?:HTTP_(.+)|(CONTENT_(?:TYPE|LENGTH)))$/;

function fieldsOf(environ: Environ): string[] {
  return Object.entries(environ).flatMap(([key, value]) => {
    const [, name, own] = FIELD.exec(key) ?? [];
    const field = name ?? own;
    return field === undefined ? [] : [field.toLowerCase().replaceAll('_', '-'), String(value)];
  });
}

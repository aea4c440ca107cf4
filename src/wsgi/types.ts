/**
 * WSGI (PEP 3333) in TypeScript: the same contract, with promises and async iterables where Python would block.
 *
 * Strings of `environ`, the status and the headers are what the PEP calls native strings: latin-1, one character
 * a byte. `Buffer.from(environ.PATH_INFO, 'latin1').toString()` gives a path in UTF-8.
 */

/** A part of a response body. Strings are sent in UTF-8; the bytes of an array may not change afterwards. */
export type Chunk = Uint8Array | string;

/**
 * `wsgi.input`: the request body, which has arrived whole before the application is called. Everything begins
 * where reading stands, and throws once the request is over.
 */
export interface InputStream {
  /** The next `size` bytes, fewer at the end; all that is left without `size`, or with a negative one. */
  read(size?: number): Buffer;
  /** Up to and with the next line feed, at most `size` bytes; empty at the end. */
  readline(size?: number): Buffer;
  /** The lines that are left; with `hint`, none is begun once so many bytes have been read. */
  readlines(hint?: number): Buffer[];
  /** Line by line. */
  [Symbol.iterator](): Iterator<Buffer>;
  /** All that is left as UTF-8, whatever the Content-Type says, without a byte order mark (as `Request.text`). */
  text(): Promise<string>;
  /** All that is left as JSON. @throws {SyntaxError} when it is none. */
  json(): Promise<unknown>;
  /**
   * All that is left as a form, with its files in memory.
   * @throws {TypeError} when the Content-Type is neither `multipart/form-data` nor
   * `application/x-www-form-urlencoded`, or the body is not what it says.
   */
  formData(): Promise<FormData>;
  /**
   * What is left as a byte stream. It reads as it is asked: a long body is never whole in memory, and what is
   * not taken before `cancel` is left for others. Each time a new view of the same input.
   */
  readonly stream: ReadableStream<Uint8Array>;
}

/** `wsgi.errors`: text for the error log. */
export interface ErrorStream {
  write(text: string): void;
  flush(): void;
  writelines(lines: Iterable<string>): void;
}

/** What `wsgi.file_wrapper` takes: something that gives bytes by `read(size)`, none at its end. */
export interface FileLike {
  read(size?: number): Uint8Array;
  close?(): unknown;
}

/**
 * The CGI variables of one request, the `wsgi.*` keys, and whatever a server or middleware adds (PEP 3333,
 * "environ Variables"). A plain object, made for this request: an application may change it.
 */
export interface Environ {
  /** `GET`, `POST`; never empty. */
  REQUEST_METHOD: string;
  /** Path of the application itself, without a slash at the end; empty at the root. */
  SCRIPT_NAME: string;
  /** Path within the application, percent-decoded to bytes; empty or begins with a slash. */
  PATH_INFO: string;
  /** What follows the `?`, not decoded; empty without one. */
  QUERY_STRING: string;
  CONTENT_TYPE?: string;
  /** Decimal number of bytes. */
  CONTENT_LENGTH?: string;
  /** Never empty, but `HTTP_HOST` says better under which name the client asked. */
  SERVER_NAME: string;
  /** Never empty. */
  SERVER_PORT: string;
  /** `HTTP/1.1` or `HTTP/1.0`. */
  SERVER_PROTOCOL: string;
  SERVER_SOFTWARE?: string;
  /** Address of the client, behind a trusted proxy the one it names; empty on a UNIX socket. */
  REMOTE_ADDR?: string;
  REMOTE_PORT?: string;
  /** The CGI variables that PEP 3333 leaves to servers and middleware (RFC 3875 §4.1). */
  AUTH_TYPE?: string;
  GATEWAY_INTERFACE?: string;
  PATH_TRANSLATED?: string;
  REMOTE_HOST?: string;
  REMOTE_IDENT?: string;
  /** Whoever has been authenticated, by middleware or a proxy. */
  REMOTE_USER?: string;
  HTTPS?: string;
  /** The request target as it came, not decoded. */
  RAW_URI?: string;
  REQUEST_URI?: string;
  /** `[1, 0]` */
  'wsgi.version': readonly [number, number];
  'wsgi.url_scheme': 'http' | 'https';
  'wsgi.input': InputStream;
  'wsgi.errors': ErrorStream;
  /** The application may be called again before an earlier call has ended: always true in JavaScript. */
  'wsgi.multithread': boolean;
  'wsgi.multiprocess': boolean;
  'wsgi.run_once': boolean;
  /** Sends a file (PEP 3333, "Optional Platform-Specific File Handling"). Ask whether it is there. */
  'wsgi.file_wrapper'?: (file: FileLike, blockSize?: number) => Body;
  /** `wsgi.input` ends by itself, so `CONTENT_LENGTH` need not be counted. */
  'wsgi.input_terminated'?: boolean;
  /** Sends headers in a 103 (RFC 8297) ahead of the answer; nothing once that has begun. */
  'wsgi.early_hints'?: (headers: readonly Header[]) => void;
  /**
   * A signal that is aborted when the client leaves before its answer is complete, or the request runs over its
   * deadline: for what the application waits for.
   */
  'tunicorn.signal'?: () => AbortSignal;
  /**
   * Whether that signal is, or would be, aborted: for those who only look, since to make a signal costs more than
   * a small answer.
   */
  'tunicorn.gone'?: () => boolean;
  /** What `requestId` calls this request. */
  'tunicorn.request_id'?: string;
  /** Header fields of the request: `User-Agent` is `HTTP_USER_AGENT`. */
  [header: `HTTP_${string}`]: string | undefined;
  [key: string]: unknown;
}

/** Name and value. */
export type Header = readonly [name: string, value: string];

/**
 * What was caught, so that an error handler may replace a head that is not yet sent; `undefined` and `null` are
 * none.
 */
export type ExcInfo = unknown;

/**
 * Sends a part of the body at once; only for applications that cannot give an iterable. The promise is
 * fulfilled when the client has taken enough for more to be sent.
 */
export type Write = (chunk: Chunk) => Promise<void>;

/**
 * Sets status (`200 OK`) and headers of the response. They are sent with the first part of the body that is
 * not empty, or with the first call of `write`.
 * @throws {TypeError} when status or headers are not of the right form, or hold what the server alone may say.
 * @throws {Error} at a second call without `excInfo`.
 * @throws `excInfo` itself when the head has been sent already.
 */
export type StartResponse = (status: string, headers: readonly Header[], excInfo?: ExcInfo) => Write;

/** A response body. When it is over, or nobody wants it any more, `return()` and then `close()` are called. */
export type Body = (Iterable<Chunk> | AsyncIterable<Chunk>) & { close?: () => unknown };

/**
 * An application. It may be a generator function, which runs nothing before the first part is asked for
 * (so that `startResponse` is called in time), an async one, or give a promise of a body.
 */
export type Application = (environ: Environ, startResponse: StartResponse) => Body | Promise<Body>;

/** Wraps an application in another. */
export type Middleware = (app: Application) => Application;

/**
 * Every error that can end a request or a start: its HTTP status, whose fault it is, and the sentence a
 * person reads. One catalogue, so that logs, answers and documentation use the same words.
 */

/** `client`: the request was wrong. `app`: the application was. `server`: we, or the load, were. */
export type Fault = 'client' | 'app' | 'server';

interface Entry {
  readonly status: number;
  readonly fault: Fault;
  readonly text: string;
}

export const ERRORS = {
  'bad-request-line': { status: 400, fault: 'client', text: 'The request line is malformed.' },
  'bad-target': { status: 400, fault: 'client', text: 'The request target is malformed.' },
  'bad-header': { status: 400, fault: 'client', text: 'A header field is malformed.' },
  'bad-host': { status: 400, fault: 'client', text: 'The Host header is missing, repeated or malformed.' },
  'bad-framing': { status: 400, fault: 'client', text: 'The length of the request body is in doubt.' },
  'bad-chunk': { status: 400, fault: 'client', text: 'The chunked request body is malformed.' },
  'bad-trailer': { status: 400, fault: 'client', text: 'A trailer field is malformed or not allowed.' },
  'bad-scheme': { status: 400, fault: 'client', text: 'Proxy headers disagree about the scheme.' },
  'nothing-mounted': { status: 404, fault: 'client', text: 'There is no application under this path.' },
  'head-timeout': { status: 408, fault: 'client', text: 'The request head did not arrive in time.' },
  'body-timeout': { status: 408, fault: 'client', text: 'The request body did not arrive in time.' },
  'body-too-large': { status: 413, fault: 'client', text: 'The request body is too large.' },
  'target-too-long': { status: 414, fault: 'client', text: 'The request line is too long.' },
  'bad-expectation': { status: 417, fault: 'client', text: 'The expectation cannot be met.' },
  'head-too-large': { status: 431, fault: 'client', text: 'The header fields are too many or too long.' },
  'unknown-coding': { status: 501, fault: 'client', text: 'The transfer coding is not implemented.' },
  'bad-version': { status: 505, fault: 'client', text: 'This HTTP version is not supported here.' },
  'application-error': { status: 500, fault: 'app', text: 'The application failed.' },
  'worker-lost': { status: 502, fault: 'app', text: 'The worker died while it handled this request.' },
  'worker-timeout': { status: 504, fault: 'app', text: 'The application did not answer in time.' },
  'file-refused': { status: 500, fault: 'app', text: 'The application named a file that may not be sent.' },
  'file-missing': { status: 404, fault: 'app', text: 'The file is not there.' },
  'file-failed': { status: 500, fault: 'server', text: 'A file could not be read.' },
  'queue-full': { status: 503, fault: 'server', text: 'Too many requests are waiting.' },
  'queue-timeout': { status: 503, fault: 'server', text: 'No worker was free in time.' },
  'spool-full': { status: 503, fault: 'server', text: 'There is no room to hold the request body.' },
  stopping: { status: 503, fault: 'server', text: 'The server is stopping.' },
} as const satisfies Record<string, Entry>;

export type ErrorCode = keyof typeof ERRORS;

/** Ends one request with the status of its catalogue entry. `detail` is for the log, never for the client. */
export class HttpError extends Error {
  override readonly name = 'HttpError';
  readonly code: ErrorCode;
  readonly detail: string;

  constructor(code: ErrorCode, detail = '') {
    super(detail === '' ? ERRORS[code].text : `${ERRORS[code].text} ${detail}`);
    this.code = code;
    this.detail = detail;
  }

  get status(): number {
    return ERRORS[this.code].status;
  }

  get fault(): Fault {
    return ERRORS[this.code].fault;
  }
}

/**
 * A mistake in how Tunicorn was called or in what it found on this machine. It is told in full sentences
 * (what, why, what to do), without a stack, and ends the command with `exitCode`: 1 for a mistake of the
 * call or the machine, 3 for an application that cannot be loaded.
 */
export class UserError extends Error {
  override readonly name = 'UserError';
  readonly exitCode: 1 | 3;

  constructor(message: string, exitCode: 1 | 3 = 1) {
    super(message);
    this.exitCode = exitCode;
  }
}

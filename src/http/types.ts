/** The values that pass between the HTTP core and those who use it. */

/** A flat list of header fields: `[name, value, name, value, …]`. Names of requests are lower case. Latin-1. */
export type Fields = string[];

export interface RequestHead {
  readonly method: string;
  /** The request target as it came, for `RAW_URI` and the access log. */
  readonly target: string;
  /** Raw (still percent-encoded) path of the target; `*` for asterisk-form. */
  readonly path: string;
  /** Raw query without the `?`; empty when there is none. */
  readonly query: string;
  /** Host and port as given by the absolute-form target or the Host header; empty on HTTP/1.0 without one. */
  readonly host: string;
  /** 0 for HTTP/1.0, 1 for HTTP/1.1. */
  readonly minor: 0 | 1;
  readonly fields: Fields;
  /** Whether the client allows the connection to be used again. */
  readonly keepAlive: boolean;
  /** Length of the body in bytes, 0 when there is none, or `chunked`. */
  readonly body: number | 'chunked';
  /** The client waits for `100 Continue` before it sends the body. */
  readonly expectContinue: boolean;
}

/** What the parser finds in the bytes, in order: one head, any number of data, one end; then the next head. */
export type RequestEvent =
  | { readonly type: 'head'; readonly head: RequestHead }
  | { readonly type: 'data'; readonly data: Buffer }
  | { readonly type: 'end'; readonly trailers: Fields };

/** Limits of the parser, in bytes unless said otherwise; 0 means none where gunicorn's option says so. */
export interface Limits {
  /** `limit-request-line`: request line without its CRLF. */
  readonly line: number;
  /** `limit-request-fields`: number of header fields. */
  readonly fields: number;
  /** `limit-request-field_size`: one field line without its CRLF. */
  readonly fieldSize: number;
  /** `limit-request-body`: whole body after decoding. */
  readonly body: number;
}

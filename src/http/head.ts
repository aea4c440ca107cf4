import { HttpError } from '../errors.ts';
import { bodyFraming } from './body.ts';
import {
  ABSOLUTE_FORM,
  BAD_PERCENT,
  fieldName,
  isForbiddenTrailer,
  isHost,
  listMembers,
  REQUEST_LINE,
  TARGET,
  trimBlanks,
} from './grammar.ts';
import type { Fields, Limits, RequestHead } from './types.ts';

interface Target {
  readonly path: string;
  readonly query: string;
  /** Of an absolute-form target; empty otherwise. */
  readonly authority: string;
}

/**
 * Gathers one request head, line by line, and checks each as it comes.
 * RFC 9112 §2.1: `HTTP-message = start-line CRLF *( field-line CRLF ) CRLF [ message-body ]`.
 */
export class HeadBuilder {
  readonly method: string;
  readonly target: string;
  readonly minor: 0 | 1;
  readonly fields: Fields = [];
  readonly #parts: Target;
  #host = '';
  #hasHost = false;
  #length = '';
  #codings = '';
  #connection = '';
  #expect = '';

  /** @throws {HttpError} `bad-request-line`, `bad-version` or `bad-target`. */
  constructor(line: string) {
    const match = REQUEST_LINE.exec(line);
    if (match === null) throw new HttpError('bad-request-line');
    const [, method = '', target = '', major, minor] = match;
    // RFC 9110 §2.5: another major version means other rules of framing; a higher minor is read as the one we know.
    if (major !== '1') throw new HttpError('bad-version', `HTTP/${major}.${minor}`);
    this.method = method;
    this.target = target;
    this.minor = minor === '0' ? 0 : 1;
    this.#parts = parseTarget(method, target);
  }

  /** @throws {HttpError} `bad-header`, `bad-host`, `bad-framing` or `bad-expectation`. */
  add(line: string): void {
    const name = addField(this.fields, line);
    const value = this.fields[this.fields.length - 1] as string;
    switch (name) {
      case 'host':
        this.#addHost(value);
        break;
      case 'content-length':
        // RFC 9112 §6.3: two lengths are two opinions on where the next request begins, even when they agree today.
        if (this.#length !== '') throw new HttpError('bad-framing', 'Content-Length is repeated.');
        if (value === '') throw new HttpError('bad-framing', 'Content-Length is empty.');
        this.#length = value;
        break;
      case 'transfer-encoding':
        // RFC 9110 §5.3: several lines are one list. An empty one leaves an empty member, which is refused.
        this.#codings = this.#codings === '' ? value || ',' : `${this.#codings},${value}`;
        break;
      case 'connection':
        this.#connection = this.#connection === '' ? value : `${this.#connection},${value}`;
        break;
      case 'expect':
        // RFC 9110 §10.1.1: 100-continue is all there is, in any case of letters; 417 for what we cannot promise.
        if (value.toLowerCase() !== '100-continue') throw new HttpError('bad-expectation');
        this.#expect = value;
        break;
    }
  }

  /** RFC 9112 §3.2: more than one Host, or an invalid one, must get 400: routing and cache keys hang on it. */
  #addHost(value: string): void {
    if (this.#hasHost) throw new HttpError('bad-host', 'Host is repeated.');
    if (!isHost(value)) throw new HttpError('bad-host', 'The value is no host.');
    this.#hasHost = true;
    this.#host = value;
  }

  /** @throws {HttpError} `bad-host`, `bad-framing`, `unknown-coding` or `body-too-large`. */
  finish(limits: Limits): RequestHead {
    const minor = this.minor;
    if (minor === 1 && !this.#hasHost) throw new HttpError('bad-host', 'HTTP/1.1 needs a Host.');
    const { path, query, authority } = this.#parts;
    if (authority !== '') this.#replaceHost(authority);
    const body = bodyFraming({ minor, length: this.#length, codings: this.#codings, limit: limits.body });
    return {
      method: this.method,
      target: this.target,
      path,
      query,
      host: this.#host,
      minor,
      fields: this.fields,
      keepAlive: allowsKeepAlive(minor, this.#connection),
      body,
      // RFC 9110 §10.1.1: ignored from an HTTP/1.0 client; and without a body there is nothing to go on with.
      expectContinue: this.#expect !== '' && minor === 1 && body !== 0,
    };
  }

  /** RFC 9112 §3.2.2: the host of an absolute-form target counts, and the Host field is replaced by it. */
  #replaceHost(authority: string): void {
    this.#host = authority;
    for (let index = 0; index < this.fields.length; index += 2) {
      if (this.fields[index] === 'host') this.fields[index + 1] = authority;
    }
    if (!this.#hasHost) this.fields.push('host', authority);
  }
}

/**
 * RFC 9112 §5: `field-line = field-name ":" OWS field-value OWS`. Adds the name in lower case and the value.
 * @throws {HttpError} `bad-header`.
 */
export function addField(fields: Fields, line: string): string {
  const colon = line.indexOf(':');
  const first = line.charCodeAt(0);
  // RFC 9112 §5.2: obs-fold, which one server joins to the line before and another reads as a field.
  if (first === 32 || first === 9)
    throw new HttpError('bad-header', 'A line starts with whitespace (obs-fold).');
  if (colon <= 0) throw new HttpError('bad-header', colon < 0 ? 'A line has no colon.' : 'A name is empty.');
  // RFC 9112 §5.1: no whitespace before the colon; a blank is no tchar, so this finds it.
  const name = fieldName(line.slice(0, colon));
  if (name === null) throw new HttpError('bad-header', 'A field name is no token.');
  fields.push(name, trimBlanks(line, colon + 1));
  return name;
}

/** Adds a trailer field. @throws {HttpError} `bad-trailer` when it is malformed or may not stand there (RFC 9110 §6.5.1). */
export function addTrailer(fields: Fields, line: string): void {
  let name: string;
  try {
    name = addField(fields, line);
  } catch (error) {
    throw error instanceof HttpError ? new HttpError('bad-trailer', error.detail) : error;
  }
  if (isForbiddenTrailer(name)) throw new HttpError('bad-trailer', `${name} may not be a trailer.`);
}

/** RFC 9112 §9.3: `close` wins; HTTP/1.1 persists without a word, HTTP/1.0 only with `keep-alive`. */
function allowsKeepAlive(minor: 0 | 1, connection: string): boolean {
  if (connection === '') return minor === 1;
  if (connection === 'keep-alive') return true;
  const options = listMembers(connection);
  return !options.includes('close') && (minor === 1 || options.includes('keep-alive'));
}

/** RFC 9112 §3.2: the four forms. */
function parseTarget(method: string, target: string): Target {
  if (!TARGET.test(target)) throw new HttpError('bad-target', 'A character may not stand there.');
  // RFC 9112 §3.2.3: authority-form belongs to CONNECT, and CONNECT to proxies: we open no tunnels.
  if (method === 'CONNECT') throw new HttpError('bad-target', 'CONNECT is for proxies.');
  if (target.charCodeAt(0) === 47) return originForm(target, '');
  if (target === '*') {
    // RFC 9112 §3.2.4: asterisk-form is for OPTIONS alone.
    if (method !== 'OPTIONS') throw new HttpError('bad-target', 'Only OPTIONS may ask for *.');
    return { path: '*', query: '', authority: '' };
  }
  return absoluteForm(method, target);
}

/** RFC 9112 §3.2.1: `origin-form = absolute-path [ "?" query ]`. */
function originForm(text: string, authority: string): Target {
  const mark = text.indexOf('?');
  const path = mark < 0 ? text : text.slice(0, mark);
  if (BAD_PERCENT.test(path)) throw new HttpError('bad-target', 'The percent-encoding is broken, or %00.');
  return { path, query: mark < 0 ? '' : text.slice(mark + 1), authority };
}

function absoluteForm(method: string, target: string): Target {
  const match = ABSOLUTE_FORM.exec(target);
  if (match === null) throw new HttpError('bad-target', 'Neither a path nor an http URI.');
  const [, authority = '', path = '', query] = match;
  if (!isHost(authority)) throw new HttpError('bad-target', 'The authority is no host.');
  // RFC 9112 §3.2.4: OPTIONS for a URI with neither path nor query means the server as a whole.
  if (method === 'OPTIONS' && path === '' && query === undefined) return { path: '*', query: '', authority };
  return originForm(`${path === '' ? '/' : path}${query === undefined ? '' : `?${query}`}`, authority);
}

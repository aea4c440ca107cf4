/**
 * Answers in which the application only names a file, and the front sends it: X-Sendfile with its path, X-Accel-Redirect
 * with a URI. Which folders they may name, the options `sendfile-root` and `accel` say. A header whose option is not given
 * is none of ours: it goes out as it is, to a proxy that knows it.
 */
import { isUtf8 } from 'node:buffer';
import { realpath } from 'node:fs';
import type { Settings } from '../config/options.ts';
import { type ErrorCode, HttpError } from '../errors.ts';
import type { Exchange, ResponseHead } from '../http/exchange.ts';
import { answerFile, contentType, field, validatorsOf } from './file-answer.ts';
import { Mounts } from './mounts.ts';
import { type Nothing, type OpenFile, type Outcome, openFirst, Root } from './open-file.ts';
import { httpDate, type Validators } from './preconditions.ts';

export type NamedFilesSettings = Pick<Settings, 'sendfileRoot' | 'accel'>;

/** What an answer names, and its head without that. */
export interface NamedFile {
  readonly header: 'X-Sendfile' | 'X-Accel-Redirect';
  readonly value: string;
  readonly response: ResponseHead;
}

export interface Report {
  /** The answer's request, for the log. */
  readonly title: string;
  readonly error: (message: string) => void;
}

/** Ours to read when they are ours to obey, and what is said of the body that is dropped. */
const TAKEN_OUT = /^(?:x-sendfile|x-accel-redirect|content-length|content-range)$/i;

const WHAT: Record<Nothing, string> = {
  missing: 'there is no such file',
  irregular: 'it is not a regular file',
  outside: 'it leads out of the permitted folder',
};

export class NamedFiles {
  readonly #roots: readonly Root[];
  readonly #mounts: Mounts;
  readonly #prefixes: string;

  constructor({ sendfileRoot, accel }: NamedFilesSettings) {
    this.#roots = sendfileRoot.map((folder) => new Root(folder));
    this.#mounts = new Mounts(accel.map(({ prefix, folder }) => ({ prefix, folders: [folder] })));
    this.#prefixes = accel.map(({ prefix }) => prefix).join(', ');
  }

  /** @returns null when no folder is permitted: then no answer need be looked at. */
  static from(settings: NamedFilesSettings): NamedFiles | null {
    const { sendfileRoot, accel } = settings;
    return sendfileRoot.length + accel.length === 0 ? null : new NamedFiles(settings);
  }

  /** What the answer names; null when it is an answer like any other. */
  find({ status, fields }: ResponseHead): NamedFile | null {
    const uri = this.#mounts.empty ? null : field(fields, 'x-accel-redirect');
    const path = uri !== null || this.#roots.length === 0 ? null : field(fields, 'x-sendfile');
    const value = uri ?? path;
    if (value === null) return null;
    // Both go: what the client would get of the other is a path of this machine.
    const rest = fields.filter((_, i) => !TAKEN_OUT.test(fields[i - (i % 2)] ?? ''));
    return {
      header: uri === null ? 'X-Sendfile' : 'X-Accel-Redirect',
      value,
      // Flask says 206 of the file that it names; which part of it that is, the request tells.
      response: { status: status.startsWith('206') ? '200 OK' : status, fields: rest },
    };
  }

  /** Answers with the file, or with an error and a line in the log. */
  serve(named: NamedFile, exchange: Exchange, report: Report): void {
    const done = (outcome: Outcome | 'refused') => this.#onOpened(outcome, { named, exchange, report });
    if (named.header === 'X-Sendfile') this.#openPath(textOf(named.value), done);
    else this.#openUri(named.value, done);
  }

  #openUri(uri: string, done: (outcome: Outcome | 'refused') => void): void {
    const path = decode(uri);
    const places = isPlain(path) ? this.#mounts.places(path, nameIn) : null;
    if (places === null) return done('refused');
    openFirst(places, done);
  }

  #openPath(path: string, done: (outcome: Outcome | 'refused') => void): void {
    if (!isPlain(path)) return done('refused');
    // The real path first: a device that lies elsewhere must not even be opened.
    realpath.native(path, (error, real) => {
      if (error === null) return this.#openIn(this.#roots, { real, done });
      const isOurs = this.#roots.some((root) => root.nameOf(path) !== null);
      if (!isOurs) return done('refused');
      done(error.code === 'EACCES' ? { type: 'forbidden', error } : { type: 'nothing', why: 'missing' });
    });
  }

  #openIn(
    [root, ...others]: readonly Root[],
    file: { readonly real: string; readonly done: (outcome: Outcome | 'refused') => void },
  ): void {
    if (root === undefined) return file.done('refused');
    root.holds(file.real, (inside) => {
      const name = inside ? root.nameOf(file.real) : null;
      if (name === null) return this.#openIn(others, file);
      // The very file that was named: the folder may be a symlink that has been turned to another version since.
      openFirst([{ root, name, path: file.real }], file.done);
    });
  }

  #onOpened(
    outcome: Outcome | 'refused',
    {
      named,
      exchange,
      report,
    }: { readonly named: NamedFile; readonly exchange: Exchange; readonly report: Report },
  ): void {
    const fail = (code: ErrorCode, why: string) => {
      const what = `${named.header}: ${JSON.stringify(named.value)}`;
      report.error(`${what} in the answer to ${report.title} is not sent: ${why}`);
      exchange.fail(new HttpError(code));
    };
    if (outcome === 'refused') return fail('file-refused', `${this.#permitted(named)} ${ADVICE}`);
    switch (outcome.type) {
      case 'open':
        return send(outcome.file, exchange, { named, report });
      case 'nothing': {
        if (outcome.why === 'outside') return fail('file-refused', `${WHAT.outside}. ${ADVICE}`);
        return fail('file-missing', `${WHAT[outcome.why]}. Correct the application, or put the file there.`);
      }
      case 'forbidden':
        return fail('file-failed', `${said(outcome.error)}. The user of the server must be able to read it.`);
      case 'failed':
        return fail('file-failed', `${said(outcome.error)}.`);
    }
  }

  #permitted({ header }: NamedFile): string {
    if (header === 'X-Accel-Redirect') {
      return `it is no plain path under a prefix of --accel (${this.#prefixes}).`;
    }
    const folders = this.#roots.map(({ folder }) => folder).join(', ');
    return `it is no absolute path under --sendfile-root (${folders}).`;
  }
}

const ADVICE = 'Permit its folder if it is meant to be public, or correct the application.';

/** Absolute, and without anything that could lead up or end the name early. */
function isPlain(path: string): boolean {
  return path.startsWith('/') && !path.includes('\0') && !path.split('/').includes('..');
}

/** A folder's name keeps its slash, so that it is not taken for a file's. */
function nameIn(rest: string): string {
  const parts = rest.split('/').filter((part) => part !== '' && part !== '.');
  return rest.endsWith('/') ? `${parts.join('/')}/` : parts.join('/');
}

/** As nginx reads it: what follows `?` is not the file's, and the rest is percent-encoded. */
function decode(uri: string): string {
  const [path = ''] = uri.split('?');
  return textOf(
    path.replace(/%([0-9a-f]{2})/gi, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16))),
  );
}

/**
 * A header is latin-1 text that stands for bytes, UTF-8 by PEP 3333; Django writes the letters themselves as far as latin-1
 * has them, which are no UTF-8.
 */
function textOf(value: string): string {
  const bytes = Buffer.from(value, 'latin1');
  return isUtf8(bytes) ? bytes.toString('utf8') : value;
}

function send(
  { fd, name, stats }: OpenFile,
  exchange: Exchange,
  { named, report }: { readonly named: NamedFile; readonly report: Report },
): void {
  const { status, fields } = named.response;
  const own = validatorsOf(stats);
  const validators: Validators = {
    etag: field(fields, 'etag') ?? own.etag,
    modified: httpDate(field(fields, 'last-modified')) ?? own.modified,
  };
  const ours: [string, string][] = [
    ['Content-Type', contentType(name)],
    ['ETag', own.etag],
    ['Last-Modified', new Date(own.modified).toUTCString()],
  ];
  const added = ours.filter(([name]) => field(fields, name.toLowerCase()) === null).flat();
  answerFile(fd, exchange, {
    response: { status, fields: [...fields, ...added] },
    start: 0,
    size: stats.size,
    validators,
    asked: 'all',
    onFailure: (error) => report.error(`The answer to ${report.title} cannot be sent. ${error.message}`),
  });
}

/** The message names the path, which may hold line breaks: in the log they would begin lines of their own. */
function said({ message }: Error): string {
  return JSON.stringify(message).slice(1, -1);
}

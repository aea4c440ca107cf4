/** What an entry file exports, told apart by what it is, and made a WSGI application. */
import { types } from 'node:util';
import { type FetchHandler, fromFetch } from '../wsgi/from-fetch.ts';
import { fromNode, type NodeApplication } from '../wsgi/from-node.ts';
import type { Application } from '../wsgi/types.ts';

export interface Recognized {
  /** For the log: `WSGI`, `Hono`, `Express` … */
  readonly kind: string;
  readonly application: Application;
  /** Lets it tidy up before the process ends. */
  readonly close: () => unknown;
}

type Parts = Readonly<Record<string, unknown>>;

const NOTHING = () => {};

/**
 * The application that a value is; null when it is none.
 *
 * A function with two parameters may be a WSGI application or a Node listener. It is a listener when its parameters are
 * called so (`req, res`), since JavaScript tells no more of a function; `fromNode` says it for all others.
 * @throws {TypeError} for a server that listens already, or has no listener
 */
export function recognize(value: unknown): Recognized | null {
  if (typeof value === 'function') return recognizeFunction(value as Application);
  if (typeof value !== 'object' || value === null) return null;
  const parts = value as Parts;
  if (has(parts, 'listening', 'boolean') && has(parts, 'listeners', 'function'))
    return node(value, 'http.Server');
  if (has(parts, 'routing', 'function') && has(parts, 'ready', 'function')) {
    return { ...node(value, 'Fastify'), close: () => (value as { close?: () => unknown }).close?.() };
  }
  if (has(parts, 'fetch', 'function')) {
    const application = fromFetch(value as { fetch: FetchHandler });
    return { kind: nameOf(value, 'fetch'), application, close: NOTHING };
  }
  if (has(parts, 'callback', 'function') && has(parts, 'middleware', 'object')) return node(value, 'Koa');
  return null;
}

function recognizeFunction(value: Application): Recognized {
  const parts = value as unknown as Parts;
  if (has(parts, 'handle', 'function') && has(parts, 'use', 'function')) {
    return node(value, has(parts, 'engine', 'function') ? 'Express' : 'Connect');
  }
  if (has(parts, 'fetch', 'function')) {
    return {
      kind: nameOf(value, 'fetch'),
      application: fromFetch(parts as unknown as { fetch: FetchHandler }),
      close: NOTHING,
    };
  }
  if (!types.isGeneratorFunction(value) && isListener(value)) return node(value, 'Node listener');
  return { kind: 'WSGI', application: value, close: NOTHING };
}

/** By the names of its first two parameters. */
function isListener(value: object): boolean {
  const head = Function.prototype.toString.call(value).slice(0, 200);
  return /^[^(]*\(\s*_?req(?:uest)?\s*,\s*_?res(?:ponse|p)?\s*[,)]/.test(head);
}

function node(value: unknown, kind: string): Recognized {
  return { kind, application: fromNode(value as NodeApplication), close: NOTHING };
}

function has(parts: Parts, key: string, type: string): boolean {
  return typeof parts[key] === type;
}

/** Of its class, such as `Hono`; `usual` for a plain object. */
function nameOf(value: object, usual: string): string {
  const { name } = value.constructor ?? {};
  return name === undefined || name === '' || name === 'Object' || name === 'Function' ? usual : name;
}

/** What a value is, for people: `a string`, `an instance of Router`, `nothing`. */
export function describeValue(value: unknown): string {
  if (value === undefined || value === null) return 'nothing';
  if (typeof value === 'object') {
    const name = nameOf(value, '');
    return name === '' ? 'an object' : `${/^[AEIOU]/.test(name) ? 'an' : 'a'} ${name}`;
  }
  return `a ${typeof value}`;
}

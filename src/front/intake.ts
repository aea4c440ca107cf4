import type { HttpError } from '../errors.ts';
import type { RequestBody } from '../http/exchange.ts';
import { RequestParser } from '../http/parser.ts';
import type { Limits, RequestEvent, RequestHead } from '../http/types.ts';
import { BodyCollector } from './body.ts';
import type { Room } from './room.ts';

/** A head longer than this counts as held in memory, like a body: thousands of long ones would be gigabytes. */
const FREE_HEAD_BYTES = 32 * 1024;

const NOTHING_TO_RELEASE = () => {};

export interface IntakeOptions {
  readonly limits: Limits;
  readonly bodyMemory: number;
  readonly room: Room;
  /** The disk has caught up, or cannot: called once after each time that `waits` became true. */
  readonly onDisk: (error: HttpError | null) => void;
}

/** Reads one client's requests, one after the other: bytes in; a head and a gathered body out. */
export class Intake {
  readonly #options: IntakeOptions;
  readonly #parser: RequestParser;
  #head: RequestHead | null = null;
  #body: BodyCollector | null = null;
  #waits = false;
  /** Bytes of the head that is coming in, and how many of them the room counts until it is answered. */
  #headBytes = 0;
  #headCounted = 0;

  constructor(options: IntakeOptions) {
    this.#options = options;
    this.#parser = new RequestParser(options.limits);
  }

  /** The head of the request that comes in, or is being answered. */
  get head(): RequestHead | null {
    return this.#head;
  }

  /** Bytes that have come and are not read yet. */
  get buffered(): number {
    return this.#parser.buffered;
  }

  /** The disk is slower than the client: nothing more is to be read until `onDisk` is called. */
  get waits(): boolean {
    return this.#waits;
  }

  /** What the log can tell of the request line. */
  get requestLine(): string {
    if (this.#head !== null) return lineOf(this.#head);
    return this.#parser.requestLine === '' ? this.#parser.partialLine : this.#parser.requestLine;
  }

  push(chunk: Buffer): void {
    this.#parser.push(chunk);
  }

  /** Counts bytes that belong to a head. @returns false when there is no memory left for heads. */
  countHead(bytes: number): boolean {
    this.#headBytes += bytes;
    if (this.#headBytes <= FREE_HEAD_BYTES) return true;
    const more = this.#headBytes - this.#headCounted;
    if (!this.#options.room.takeMemory(more)) return false;
    this.#headCounted += more;
    return true;
  }

  /**
   * Reads on by one step. @returns what has been read; null when more bytes are needed.
   * @throws {HttpError} when the request has to be refused.
   */
  next(): RequestEvent['type'] | null {
    const event = this.#parser.next();
    if (event === null) return null;
    if (event.type === 'head') this.#begin(event.head);
    if (event.type === 'data') this.#take(event.data);
    return event.type;
  }

  #begin(head: RequestHead): void {
    this.#head = head;
    const { room, bodyMemory } = this.#options;
    if (head.body !== 0) this.#body = new BodyCollector(room, bodyMemory);
  }

  #take(data: Buffer): void {
    const body = this.#body;
    if (body === null || body.add(data)) return;
    if (body.error !== null) throw body.error;
    this.#waits = true;
    body.onReady = () => {
      this.#waits = false;
      this.#options.onDisk(body.error);
    };
  }

  /** The request that has come in has no body. */
  get bodyless(): boolean {
    return this.#body === null;
  }

  /** Calls back with the whole body once all of it can be read, or with the error that prevented it. */
  finish(callback: (body: RequestBody | HttpError) => void): void {
    this.#body?.finish(callback);
  }

  /** Gives the body away. @returns what its new owner calls when it is no longer needed. */
  handOver(): () => void {
    const body = this.#body;
    if (body === null) return NOTHING_TO_RELEASE;
    this.#body = null;
    return () => body.release();
  }

  /** The request is answered: nothing of it may be taken for the next one's, nor stay while nothing comes. */
  forget(): void {
    this.#releaseHead();
    this.#head = null;
  }

  #releaseHead(): void {
    this.#options.room.giveMemory(this.#headCounted);
    this.#headCounted = 0;
    this.#headBytes = 0;
  }

  /** Nothing more will be read: gives back everything. */
  close(): void {
    this.#releaseHead();
    this.#body?.release();
    this.#body = null;
  }
}

export function lineOf(head: RequestHead): string {
  return `${head.method} ${head.target} HTTP/1.${head.minor}`;
}

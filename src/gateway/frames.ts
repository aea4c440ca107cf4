/**
 * The gateway protocol between front and worker.
 *
 * A worker connects to its front's UNIX stream socket once for control and once for each lane (a lane
 * carries requests; a Python worker has one lane a thread). Both sides send frames, all numbers little-endian:
 *
 *     0        1         2              4               8                12               16
 *     u8 kind | u8 flags | u16 reserved | u32 request id | u32 head length | u32 body length | head | body
 *
 * `reserved` is 0. `request id` is 0 in frames that concern no request. The head is latin-1 text, a list
 * joined by NUL: `name NUL value NUL name NUL value`, without a NUL at the end; empty when the list is. No
 * name or value holds a NUL. The body is bytes. A head is at most 16 MiB, a body at most 16 MiB; a longer
 * body travels in several BODY frames.
 *
 * Lane, front → worker
 *     REQUEST   head: the request's own part of `environ` (PEP 3333); body: the request body.
 *               flag SPOOLED: the body is instead the UTF-8 path of a file that holds the request body;
 *               the worker opens it before it answers, the front keeps it until the answer is complete.
 *     PING      asks an idle lane for a PONG; it gets no request until it has answered.
 *     OPENED    answers FILE, with its id. Without a head: the front has the file open, the worker closes its own. head
 *               `refused file`, or `refused worker` when no file of this worker can be opened: the worker sends this
 *               answer itself, by RESPONSE and BODY, when this frame's turn comes among the requests of its lane.
 *     HOLD      the client of this request lags behind: no further block until GO. Only on lanes of order `any`, whose other
 *               requests go on; on others the front stops to read.
 *     GO        takes HOLD back.
 * Lane, worker → front
 *     HELLO     first frame. head: `role lane`, `worker N`, `lane N`, `capacity N` (requests at once),
 *               `order fifo|any` (whether answers come in the order of the requests), `batch N` (requests that may be
 *               sent before the first is answered; 1 when absent).
 *     RESPONSE  head: the status line (`200 OK`) and then the header fields; names that begin with `:environ.`
 *               are keys of `environ` for the access log, not header fields. body: first part of the body.
 *               flag LAST: the response is complete.
 *     BODY      body: next part. flag LAST: the response is complete.
 *     FILE      the answer is a file that the worker has open and keeps until OPENED. head: as of RESPONSE. body: latin-1
 *               text as in a head: `fd N`, the descriptor in the worker; `dev N`, `ino N`, by which the front knows that it
 *               has opened the same file; `offset N`, `length N`, what of it is the body. Nothing follows it, so it has LAST.
 *     FAILED    the application failed. head: `error NAME`, `message TEXT`; body: the traceback in UTF-8.
 *               Before a RESPONSE frame it stands for a 500; after one, the client's connection is cut.
 *     EARLY     head: header fields of a 103 (Early Hints, RFC 8297), which the client gets at once. Any number of them,
 *               before RESPONSE; they are no part of the answer.
 *     PONG      answers PING.
 * Control, worker → front
 *     HELLO     first frame. head: `role control`, `worker N`, `pid N`, `lanes N`.
 *     READY     the application is loaded and every lane is connected.
 * Control, front → worker
 *     ABANDON   the client of this request id has gone: ask the application for no further block.
 *     DRAIN     nothing more will come: leave with status 0. Sent only when every lane is empty.
 *     DUMP      asks for the stack of the thread that runs this request id; with id 0, of every thread.
 *     INTERRUPT raise an exception in the thread that runs this request id, if it still does; sent after a DUMP
 *               for the same id, whose STACK tells that the worker heard of it.
 *     REOPEN    the log files have been moved: open them anew by their paths.
 *     RECALL    head: `lane N`, and on a lane of order `any` the requests that are meant: `ids N N N`. Send the answers that are finished on this lane, then give up every request on it that
 *               has not been started.
 * Control, worker → front
 *     STACK     answers DUMP, with its id. head: `thread NAME` (empty when that request does not run any more, or
 *               the id was 0); body: the stacks as text in UTF-8.
 *     RECALLED  answers RECALL, perhaps with none. head: `lane N`, `ids N N N`: these will not be answered. The front
 *               passes over those that are not under way on this lane.
 *
 * Requests on a lane of order `fifo` are answered in the order they were sent; several may be sent before
 * the first is answered. Each request is answered, after any number of EARLY, by RESPONSE, any number of BODY, the last of them with
 * LAST; or by FILE; or by FAILED. A refused OPENED is answered once more, as if it were a request. The end of a lane's connection
 * ends its requests.
 */

export const KIND = {
  REQUEST: 1,
  PING: 2,
  RESPONSE: 3,
  BODY: 4,
  FAILED: 5,
  PONG: 6,
  HELLO: 7,
  READY: 8,
  ABANDON: 9,
  DRAIN: 10,
  INTERRUPT: 11,
  DUMP: 12,
  STACK: 13,
  REOPEN: 14,
  RECALL: 15,
  RECALLED: 16,
  FILE: 17,
  OPENED: 18,
  EARLY: 19,
  HOLD: 20,
  GO: 21,
} as const;

export const FLAG = { LAST: 1, SPOOLED: 2 } as const;

export const HEADER_LENGTH = 16;
export const MAX_PART = 16 * 1024 * 1024;

export interface Frame {
  readonly kind: number;
  readonly flags: number;
  /** Request id. */
  readonly id: number;
  /** Latin-1. */
  readonly head: string;
  readonly body: Buffer;
}

/** The other side sent what is no frame: its connection cannot be used further. */
export class FrameError extends Error {
  override readonly name = 'FrameError';
}

const EMPTY = Buffer.alloc(0);
const KINDS = new Set<number>(Object.values(KIND));

/** One frame as bytes. `head` must be latin-1 and `body` at most {@link MAX_PART} bytes. */
export function encodeFrame(frame: Pick<Frame, 'kind' | 'id'> & Partial<Frame>): Buffer {
  const head = frame.head ?? '';
  const body = frame.body ?? EMPTY;
  if (head.length > MAX_PART || body.length > MAX_PART) {
    throw new FrameError(`A frame part of ${Math.max(head.length, body.length)} bytes is too long.`);
  }
  const bytes = Buffer.allocUnsafe(HEADER_LENGTH + head.length + body.length);
  bytes[0] = frame.kind;
  bytes[1] = frame.flags ?? 0;
  bytes.writeUInt16LE(0, 2);
  bytes.writeUInt32LE(frame.id, 4);
  bytes.writeUInt32LE(head.length, 8);
  bytes.writeUInt32LE(body.length, 12);
  bytes.write(head, HEADER_LENGTH, 'latin1');
  body.copy(bytes, HEADER_LENGTH + head.length);
  return bytes;
}

/** Bytes in, frames out. Keeps what is not yet a whole frame. */
export class FrameDecoder {
  #parts: Buffer[] = [];
  #length = 0;
  /** Bytes that must be there before another look pays. */
  #wanted = HEADER_LENGTH;

  /** Bytes held back for a frame that is not complete. */
  get pending(): number {
    return this.#length;
  }

  /**
   * Takes the next bytes and gives the frames that are complete now. Bodies are views into the bytes given.
   * @throws {FrameError} when the bytes are no frame.
   */
  push(chunk: Buffer): Frame[] {
    const frames: Frame[] = [];
    this.#parts.push(chunk);
    this.#length += chunk.length;
    if (this.#length < this.#wanted) return frames;
    const bytes = this.#parts.length === 1 ? chunk : Buffer.concat(this.#parts, this.#length);
    let at = 0;
    for (;;) {
      const left = bytes.length - at;
      this.#wanted = left < HEADER_LENGTH ? HEADER_LENGTH : frameLength(bytes, at);
      if (left < this.#wanted) break;
      frames.push(decodeFrame(bytes, at));
      at += this.#wanted;
    }
    this.#length = bytes.length - at;
    this.#parts = this.#length === 0 ? [] : [at === 0 ? bytes : bytes.subarray(at)];
    return frames;
  }
}

function frameLength(bytes: Buffer, at: number): number {
  const head = bytes.readUInt32LE(at + 8);
  const body = bytes.readUInt32LE(at + 12);
  const kind = bytes[at] ?? 0;
  if (!KINDS.has(kind) || bytes.readUInt16LE(at + 2) !== 0 || head > MAX_PART || body > MAX_PART) {
    throw new FrameError(`Not a frame: ${bytes.toString('hex', at, at + HEADER_LENGTH)}.`);
  }
  return HEADER_LENGTH + head + body;
}

function decodeFrame(bytes: Buffer, at: number): Frame {
  const headEnd = at + HEADER_LENGTH + bytes.readUInt32LE(at + 8);
  return {
    kind: bytes[at] ?? 0,
    flags: bytes[at + 1] ?? 0,
    id: bytes.readUInt32LE(at + 4),
    head: bytes.toString('latin1', at + HEADER_LENGTH, headEnd),
    body: bytes.subarray(headEnd, headEnd + bytes.readUInt32LE(at + 12)),
  };
}

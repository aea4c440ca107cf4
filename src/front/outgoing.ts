import type { Socket } from 'node:net';
import { ByteQueue } from './byte-queue.ts';
import type { Room } from './room.ts';
import type { SpoolFile } from './spool.ts';
import type { Turn } from './turn.ts';

/** What the socket may hold before the rest is kept back, and the size of the steps in which that follows. */
const SOCKET_BYTES = 64 * 1024;
const STEP_BYTES = 32 * 1024;
/** The same when memory is tight: what the kernel does not take at once goes to the disk, all but so much. */
const TIGHT_BYTES = 8 * 1024;
const EMPTY = Buffer.alloc(0);
/** Bytes of one response kept in memory; what follows goes to its spool file. */
const MEMORY_BYTES = 256 * 1024;
/** Bytes of one response on the disk: what follows waits, whatever room there is, until these have been sent. */
const SPOOL_BYTES = 1024 ** 3;
/** A worker faster than the disk is slowed down once this much waits to be written. */
const UNWRITTEN_LIMIT = 1024 * 1024;
/**
 * Small answers leave as one string and larger ones as Buffers under cork. Measured per response: a string 7 µs
 * for 300 B and 13 for 8 KB; two Buffers 9 and 11; at 40 KB 32 against 17.
 */
const STRING_BYTES = 6 * 1024;

/**
 * What is on its way to one client, in this order: the socket, memory, a spool file; so that a slow client holds
 * neither a worker nor memory without bound. Only when the spool has no room does the sender have to wait: what
 * it had already produced stays in memory behind the file.
 */
export class Outgoing {
  readonly #socket: Socket;
  readonly #room: Room;
  /** In memory, counted by the room: what goes out before the file, and what was too much for it. */
  #queue = new ByteQueue();
  #spool: SpoolFile | null = null;
  #tail = new ByteQueue();
  /** What the socket holds in this process, as far as the room counts it. */
  #lent = 0;
  /** Answers that leave at the end of this turn of the event loop. */
  #later = '';
  #watching = false;
  #held = false;
  #senderWaits = false;
  #reading = false;
  #closed = false;
  /** The sender waits as soon as the client lags behind, so that what it can read again is not spooled while there is memory. */
  patient = false;
  /** Called when `write` gave false and there is room again. */
  onDrain: (() => void) | null = null;
  /** Called when the socket has drained and nothing is kept back any longer. */
  onEmpty: (() => void) | null = null;
  /** Called when the client has taken what the socket held. Like `drain` it should lead to `pump`. */
  onTaken: () => void = () => this.pump();
  /** Called when the socket has been given what was to leave later. */
  onLeft: (() => void) | null = null;
  /** Called when bytes cannot be read back: the client must be cut. */
  onFailure: ((error: Error) => void) | null = null;

  constructor(socket: Socket, room: Room) {
    this.#socket = socket;
    this.#room = room;
  }

  /** Nothing is kept back: everything written so far is the socket's. */
  get empty(): boolean {
    return this.#queue.length === 0 && this.#spool === null && this.#tail.length === 0;
  }

  /** Bytes of what was written that are still in this process's memory. */
  get unsent(): number {
    const unwritten = this.#spool?.unwritten ?? 0;
    const later = this.#later.length;
    return later + this.#queue.length + this.#tail.length + this.#socket.writableLength + unwritten;
  }

  /** The client has not taken what was sent, so it should not be asked for more work. */
  get blocked(): boolean {
    return !this.empty || this.#socket.writableLength > this.#socketBytes;
  }

  /**
   * Sends a head and what follows it.
   * @param turn when it may leave with other answers at the end of this turn of the event loop.
   * @returns false when the sender should wait for `onDrain`.
   */
  writeHead(head: string, parts: readonly Buffer[], turn: Turn | null = null): boolean {
    const first = parts[0];
    const length = head.length + (first?.length ?? 0);
    if (parts.length > 1 || length > STRING_BYTES || this.#held || this.blocked || this.#closed) {
      return this.write([Buffer.from(head, 'latin1'), ...parts]);
    }
    this.#later += first === undefined ? head : head + first.toString('latin1');
    if (turn === null || this.#later.length > STRING_BYTES) this.#leave();
    else turn.add(this);
    return true;
  }

  /** Gives the socket what was to leave at the end of the turn. */
  flush(): void {
    if (this.#later === '') return;
    this.#leave();
    this.onLeft?.();
  }

  #leave(): void {
    if (this.#later === '') return;
    const text = this.#later;
    this.#later = '';
    this.#socket.write(text, 'latin1');
    this.#count();
  }

  /** Sends or keeps bytes. @returns false when the sender should wait for `onDrain`. */
  write(parts: readonly Buffer[]): boolean {
    if (this.#closed) return true;
    this.#leave();
    const limit = this.#socketBytes;
    let next = 0;
    let rest: Buffer = EMPTY;
    // Together what is short: a head and its body in one packet.
    this.#socket.cork();
    for (; rest.length === 0 && next < parts.length; next++) rest = this.#send(parts[next] as Buffer, limit);
    this.#socket.uncork();
    // And on for as long as the kernel takes all of it, which it does from a client that reads.
    for (;;) {
      for (let before = -1; rest.length > 0 && rest.length !== before; rest = this.#send(rest, limit))
        before = rest.length;
      this.#keep(rest);
      if (next === parts.length) break;
      rest = parts[next++] as Buffer;
    }
    this.#count();
    if (!this.#senderWaits && this.#isAhead()) {
      this.#senderWaits = true;
      this.#spool?.settled(() => this.pump());
    }
    return !this.#senderWaits;
  }

  /** The sender is faster than the disk; or than the client, where that is what counts or there is no disk left. */
  #isAhead(): boolean {
    const unwritten = this.#spool?.unwritten ?? 0;
    if (this.patient && this.blocked) return true;
    return this.#tail.length > 0 || unwritten > UNWRITTEN_LIMIT || (unwritten > 0 && this.#room.isTight);
  }

  /** Gathers what is written until `release`, so that a failure before it can still be answered. */
  hold(): void {
    this.#held = true;
  }

  get held(): boolean {
    return this.#held;
  }

  /** There is no room to go on holding it back. */
  get overfull(): boolean {
    return this.#held && this.#tail.length > 0;
  }

  /** Lets go what was gathered. */
  release(): void {
    this.#held = false;
    this.pump();
  }

  /** Forgets what is kept back. */
  discard(): void {
    this.#room.giveMemory(this.#queue.length + this.#tail.length);
    this.#queue.clear();
    this.#tail.clear();
    this.#spool?.close();
    this.#spool = null;
    this.#reading = false;
    this.#senderWaits = false;
    this.#held = false;
  }

  close(): void {
    this.#closed = true;
    this.#later = '';
    this.discard();
    this.#room.giveMemory(this.#lent);
    this.#lent = 0;
  }

  /** Gives the socket what it can take. Call it when the socket has drained. */
  pump(): void {
    if (this.#closed || this.#reading) return;
    if (!this.#held) {
      while (this.#socket.writableLength < (this.#room.isTight ? 1 : STEP_BYTES) && this.#step());
      this.#count();
      if (this.#reading) return;
    }
    this.#tellSender();
    if (this.empty) this.onEmpty?.();
  }

  /** What the socket may hold in this process. */
  get #socketBytes(): number {
    return this.#room.isTight ? TIGHT_BYTES : SOCKET_BYTES;
  }

  /** Hands the socket as much as it may hold and returns the rest. */
  #send(part: Buffer, limit: number): Buffer {
    if (this.#held || !this.empty) return part;
    const room = limit - this.#socket.writableLength;
    if (room <= 0) return part;
    this.#socket.write(part.length <= room ? part : part.subarray(0, room));
    return part.subarray(Math.min(room, part.length));
  }

  /** Has the room count what the socket holds: nothing, mostly, since the kernel takes an answer at once. */
  #count(): void {
    const held = this.#socket.writableLength;
    if (held === this.#lent) return;
    this.#room.addMemory(held - this.#lent);
    this.#lent = held;
    if (held === 0 || this.#watching || !this.#socket.writable) return;
    this.#watching = true;
    // Its end is told when all before it is gone; `drain` is told only of what was above the high-water mark.
    this.#socket.write(EMPTY, (error) => {
      this.#watching = false;
      // With an error the connection is over, and `close` follows.
      if (!error) this.onTaken();
    });
  }

  #keep(part: Buffer): void {
    if (part.length === 0) return;
    if (this.#spool === null && this.#tail.length === 0) {
      if (this.#queue.length + part.length <= MEMORY_BYTES && this.#room.takeMemory(part.length)) {
        this.#queue.push(part);
        return;
      }
      this.#spool = this.#openSpool();
    }
    if (this.#tail.length === 0 && this.#append(part)) return;
    this.#room.addMemory(part.length);
    this.#tail.push(part);
  }

  #openSpool(): SpoolFile | null {
    try {
      return this.#room.openSpool(SPOOL_BYTES);
    } catch (error) {
      this.#room.complain((error as Error).message);
      return null;
    }
  }

  #append(part: Buffer): boolean {
    if (this.#spool === null) return false;
    if (this.#spool.append(part)) return true;
    if (this.#spool.error !== null) this.#room.complain(this.#spool.error.message);
    return false;
  }

  /** One step towards empty. @returns false when there is nothing to do or a read is under way. */
  #step(): boolean {
    const piece = this.#queue.take(this.#room.isTight ? TIGHT_BYTES : STEP_BYTES);
    if (piece.length > 0) {
      this.#room.giveMemory(piece.length);
      this.#socket.write(piece);
      return true;
    }
    if (this.#spool !== null) return this.#stepSpool(this.#spool);
    if (this.#tail.length === 0) return false;
    [this.#queue, this.#tail] = [this.#tail, this.#queue];
    return true;
  }

  #stepSpool(spool: SpoolFile): boolean {
    if (spool.length === 0) {
      this.#spool = null;
      spool.close();
      return true;
    }
    this.#reading = true;
    spool.read(this.#room.isTight ? TIGHT_BYTES : STEP_BYTES, (error, chunk) => {
      this.#reading = false;
      if (this.#closed || this.#spool !== spool) return;
      if (error !== null) return this.onFailure?.(error);
      this.#socket.write(chunk);
      this.pump();
    });
    return false;
  }

  #tellSender(): void {
    if (!this.#senderWaits || this.#tail.length > 0 || (this.patient && this.blocked)) return;
    if ((this.#spool?.unwritten ?? 0) > UNWRITTEN_LIMIT / 2) return;
    this.#senderWaits = false;
    this.onDrain?.();
  }
}

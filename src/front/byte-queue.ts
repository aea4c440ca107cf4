/** Chunks up to this size are copied together; a larger one is kept as it is. */
const SMALL_BYTES = 512;
const BLOCK_BYTES = 2048;
const EMPTY = Buffer.alloc(0);

/**
 * A first-in, first-out queue of bytes. Small chunks share a block: a client that sends one byte a packet, or a
 * generator that yields single characters, would otherwise cost some 200 bytes of Buffer for each.
 */
export class ByteQueue {
  #parts: Buffer[] = [];
  /** Index of the first part not yet taken: shifting a long array would move all of it each time. */
  #first = 0;
  /** Where small chunks go that stand behind all parts, and how much of it is used. */
  #block = EMPTY;
  #used = 0;
  #length = 0;

  /** Bytes in it. */
  get length(): number {
    return this.#length;
  }

  /** Adds bytes. They may be kept by reference: do not write into the chunk again. */
  push(chunk: Buffer): void {
    if (chunk.length === 0) return;
    // Most bodies come in one chunk: the first is not copied however small it is.
    if (chunk.length > SMALL_BYTES || this.#length === 0) {
      this.#seal();
      this.#parts.push(chunk);
    } else {
      if (this.#block.length - this.#used < chunk.length) this.#startBlock();
      this.#used += chunk.copy(this.#block, this.#used);
    }
    this.#length += chunk.length;
  }

  #startBlock(): void {
    this.#seal();
    this.#block = Buffer.allocUnsafe(BLOCK_BYTES);
  }

  /** Makes a part of what the block holds, and goes on behind it. */
  #seal(): void {
    if (this.#used === 0) return;
    this.#parts.push(this.#block.subarray(0, this.#used));
    this.#block = this.#block.subarray(this.#used);
    this.#used = 0;
  }

  /** Takes up to `limit` of the oldest bytes, as they lie; empty when there are none. */
  take(limit: number): Buffer {
    if (this.#first === this.#parts.length) this.#seal();
    const part = this.#parts[this.#first];
    if (part === undefined) return EMPTY;
    const taken = part.subarray(0, limit);
    this.#length -= taken.length;
    if (taken.length < part.length) this.#parts[this.#first] = part.subarray(limit);
    else this.#drop();
    return taken;
  }

  #drop(): void {
    this.#parts[this.#first] = EMPTY;
    this.#first += 1;
    if (this.#first < this.#parts.length) return;
    this.#parts = [];
    this.#first = 0;
    if (this.#length === 0) this.#block = EMPTY;
  }

  /** All of it as one buffer; the queue keeps it. */
  join(): Buffer {
    this.#seal();
    const parts = this.#first === 0 ? this.#parts : this.#parts.slice(this.#first);
    return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts, this.#length);
  }

  clear(): void {
    this.#parts = [];
    this.#first = 0;
    this.#block = EMPTY;
    this.#used = 0;
    this.#length = 0;
  }
}

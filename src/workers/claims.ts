/**
 * Which requests have been begun, in memory that two threads share: the main thread, which begins them, and the one that
 * takes orders, which may give back what has not been begun while the main thread computes. Each request goes to exactly
 * one of the two.
 *
 * A slot holds a request's id (its lower 30 bits) and who has it. Ids of one lane grow, and the main thread takes them in
 * that order: a slot with a later id tells that this one was begun or given back long ago.
 */
const SLOTS = 4096;
const MASK = 0x3fffffff;
const HALF = 0x20000000;

export class Claims {
  readonly memory: SharedArrayBuffer;
  readonly #slots: Int32Array;
  /** What was given back and lost its slot to an earlier request. Only the main thread's. */
  readonly #given = new Set<number>();

  /** `memory`: that of another thread's claims, to share them. */
  constructor(memory = new SharedArrayBuffer(SLOTS * Int32Array.BYTES_PER_ELEMENT)) {
    this.memory = memory;
    this.#slots = new Int32Array(memory);
  }

  /** The main thread is about to begin a request. @returns false when it has been given back. */
  begin(id: number): boolean {
    const begun = (id & MASK) << 1;
    const at = id % SLOTS;
    let found = Atomics.load(this.#slots, at);
    while (Atomics.compareExchange(this.#slots, at, found, begun) !== found)
      found = Atomics.load(this.#slots, at);
    const wasGiven = found === (begun | 1);
    // Of a later request, which is to be passed over when its turn comes; or of none any more.
    if ((found & 1) === 1 && !wasGiven) this.#given.add(found);
    return !wasGiven && !(this.#given.size > 0 && this.#given.delete(begun | 1));
  }

  /** Another thread wants to give a request back. @returns false when it has been begun. */
  giveBack(id: number): boolean {
    const key = id & MASK;
    const given = (key << 1) | 1;
    for (;;) {
      const found = Atomics.load(this.#slots, id % SLOTS);
      const other = (found >>> 1) & MASK;
      // One that was given back and is still to be passed over must stay.
      if ((found & 1) === 1) return found === given;
      if (found !== 0 && (other === key || isLater(other, key))) return false;
      if (Atomics.compareExchange(this.#slots, id % SLOTS, found, given) === found) return true;
    }
  }
}

function isLater(other: number, key: number): boolean {
  return ((other - key) & MASK) < HALF;
}

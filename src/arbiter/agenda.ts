/**
 * What is due when, the first in front. Most of it is entered in the order in which it falls due, since all have the same
 * delay: then entering and taking cost the same for ten as for ten thousand, where a heap would sift.
 */
export interface Entry {
  readonly at: number;
  readonly worker: number;
}

export class Agenda {
  #entries: Entry[] = [];
  #head = 0;

  push(entry: Entry): void {
    let at = this.#entries.length;
    while (at > this.#head && (this.#entries[at - 1]?.at ?? 0) > entry.at) at--;
    if (at === this.#entries.length) this.#entries.push(entry);
    else this.#entries.splice(at, 0, entry);
  }

  peek(): Entry | undefined {
    return this.#entries[this.#head];
  }

  pop(): void {
    this.#head++;
    if (this.#head < this.#entries.length / 2) return;
    this.#entries = this.#entries.slice(this.#head);
    this.#head = 0;
  }
}

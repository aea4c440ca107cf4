/** Questions to fronts, whose answers come later or not at all. */
import type { FromFront, ToFront } from '../messages.ts';

type Answer = Extract<FromFront, { type: 'report' | 'stacks' }>;

export class Inquiries {
  readonly #tell: (slot: number, message: ToFront) => void;
  readonly #open = new Map<string, ((answer: Answer | null) => void)[]>();

  constructor(tell: (slot: number, message: ToFront) => void) {
    this.#tell = tell;
  }

  /** What the front does now; null when it does not say so within `patienceMs`. */
  async report(slot: number, patienceMs: number) {
    const answer = await this.#ask(`report ${slot}`, patienceMs, () => this.#tell(slot, { type: 'report' }));
    return answer?.type === 'report' ? answer.report : null;
  }

  /** The stacks of a worker of that front; empty when nothing came within `patienceMs`. */
  async stacks(slot: number, { worker, patienceMs }: { worker: number; patienceMs: number }) {
    const answer = await this.#ask(`stacks ${worker}`, patienceMs, () =>
      this.#tell(slot, { type: 'stacks', worker }),
    );
    return answer?.type === 'stacks' ? answer.text : '';
  }

  /** An answer has come. */
  take(slot: number, answer: Answer): void {
    const key = answer.type === 'report' ? `report ${slot}` : `stacks ${answer.worker}`;
    for (const resolve of this.#open.get(key) ?? []) resolve(answer);
  }

  /** Who asks while the same question is open gets the same answer. */
  #ask(key: string, patienceMs: number, send: () => void): Promise<Answer | null> {
    return new Promise((resolve) => {
      const waiting = this.#open.get(key) ?? [];
      const finish = (answer: Answer | null) => {
        clearTimeout(timer);
        // Others may have more patience left.
        const rest = (this.#open.get(key) ?? []).filter((each) => each !== finish);
        if (rest.length === 0) this.#open.delete(key);
        else this.#open.set(key, rest);
        resolve(answer);
      };
      const timer = setTimeout(() => finish(null), patienceMs);
      this.#open.set(key, [...waiting, finish]);
      if (waiting.length === 0) send();
    });
  }
}

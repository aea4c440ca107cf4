/** What has become of one application so far, and what a failure of it means. */
import type { Cause } from '../messages.ts';
import { GoneHook, type GoneHookOptions } from './gone-hook.ts';
import type { Pool } from './state.ts';

/**
 * `start`: it never served, so the start has failed.
 * `trial`: the code of a reload is no good, which is told when it is thrown away.
 * `later`: it is tried again.
 */
export type Meaning = 'start' | 'trial' | 'later';

export class Standing {
  /** Some worker was ready once: from then on the server is never ended by this application. */
  served = false;
  /** Workers that were replaced, by cause. */
  readonly restarts = new Map<Cause, number>();
  readonly goneHook: GoneHook;
  readonly #pool: Pool;
  #failure = '';

  constructor(pool: Pool, options: GoneHookOptions) {
    this.#pool = pool;
    this.goneHook = new GoneHook(options);
  }

  /** Why the new generation is no good. */
  get failure(): string {
    return this.#failure;
  }

  /** A new generation begins: what was said of another says nothing of it. */
  renew(): void {
    this.#failure = '';
  }

  /** Something of this generation has failed. What is said of code on trial first is kept: the rest follows from it. */
  blame(generation: number, text: string): Meaning {
    if (!this.served) return 'start';
    if (!this.isOnTrial(generation)) return 'later';
    this.#failure ||= text;
    return 'trial';
  }

  /** Whether this generation may still be thrown away. */
  isOnTrial(generation: number): boolean {
    const { reload, generation: wanted } = this.#pool;
    return reload !== null && !reload.proven && generation === wanted;
  }

  countRestart(cause: Cause): void {
    this.restarts.set(cause, (this.restarts.get(cause) ?? 0) + 1);
  }

  /** A worker has ended, or with id 0 what workers are forked from. */
  callGoneHook(generation: number, gone: { readonly id: number; readonly pid: number }): void {
    const { reload, population, zygotes, generation: wanted } = this.#pool;
    this.goneHook.call(generation, gone);
    const isOld = generation !== wanted && reload?.proven !== false;
    const isEmpty = (population.get(generation) ?? 0) === 0 && !zygotes.has(generation);
    if (isOld && isEmpty) this.goneHook.forget(generation);
  }
}

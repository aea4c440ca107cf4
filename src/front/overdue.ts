/**
 * Requests that ran over their deadline. The client has its 504 already; here the log is told where the request was
 * stuck, its thread is interrupted, and the worker is replaced, at once when it does not even hear of it.
 */
import { HttpError } from '../errors.ts';
import type { Logger } from '../observe/log.ts';
import { dumpStacks, NODE_PATIENCE_MS } from '../stack-file.ts';
import type { DeadlineList, Deadlines } from './deadlines.ts';
import type { Job, Place } from './job.ts';
import { Link } from './line.ts';
import type { Stack, WorkerPeer } from './worker-peer.ts';

/** How long the log waits for the stack. */
const STACK_MS = 250;
/** An interrupted request has this long to end, and a worker this long to say that it has heard of it. */
export const INTERRUPT_MS = 1000;

export interface OverdueOptions {
  readonly deadlines: Deadlines;
  readonly log: Logger;
  /** Seconds. */
  readonly settings: { readonly timeout: number; readonly gracefulTimeout: number };
  /** Path of a worker's stack file. */
  readonly stackFile: (worker: number) => string;
  /** It is to be replaced; may be said again with less time. */
  readonly onStuck: (worker: number, graceMs: number, cause: 'timeout' | 'unresponsive') => void;
}

class Case {
  readonly job: Job;
  readonly id: number;
  readonly peer: WorkerPeer;
  /** Others run beside it in the same thread: that it is interrupted harms none of them. */
  readonly isParallel: boolean;
  readonly since = performance.now();
  readonly untold = new Link<Case>(this);
  readonly unheard = new Link<Case>(this);
  /** The log knows where it is stuck. */
  told = false;

  constructor(job: Job, { id, peer, lane }: Place) {
    this.job = job;
    this.id = id;
    this.peer = peer;
    this.isParallel = lane.isParallel;
  }
}

export class Overdue {
  settings: OverdueOptions['settings'];
  readonly #options: OverdueOptions;
  /** By worker, those that still run. */
  readonly #cases = new Map<WorkerPeer, Set<Case>>();
  /** Those of which the log does not know yet where they were; they may have ended meanwhile. */
  readonly #asked = new Set<Case>();
  readonly #untold: DeadlineList<Case>;
  /** The same of those that run side by side: there another thread has to find out. */
  readonly #untoldParallel: DeadlineList<Case>;
  readonly #unheard: DeadlineList<Case>;

  constructor(options: OverdueOptions) {
    this.settings = options.settings;
    this.#options = options;
    this.#untold = options.deadlines.list(STACK_MS, (each) => void this.#tellWithoutHelp(each));
    this.#untoldParallel = options.deadlines.list(
      NODE_PATIENCE_MS,
      (each) => void this.#tellWithoutHelp(each),
    );
    this.#unheard = options.deadlines.list(INTERRUPT_MS, (each) => this.#giveUp(each));
  }

  /** A request has run over its deadline. Its worker gets nothing more already, unless it runs many side by side. */
  begin(job: Job, place: Place): void {
    job.fail(new HttpError('worker-timeout'));
    const { id, peer } = place;
    const each = new Case(job, place);
    this.#cases.set(peer, (this.#cases.get(peer) ?? new Set()).add(each));
    this.#asked.add(each);
    peer.interrupt(id);
    (each.isParallel ? this.#untoldParallel : this.#untold).add(each.untold);
    this.#unheard.add(each.unheard);
    if (!each.isParallel) this.#replace(peer);
  }

  /** The worker's answer to DUMP. */
  hear(peer: WorkerPeer, stack: Stack): void {
    for (const each of this.#asked) {
      if (each.peer !== peer || each.id !== stack.id) continue;
      // There another thread answers: that this one is alive shows only when the request ends.
      if (!each.isParallel) this.#unheard.delete(each.unheard);
      each.untold.leave();
      const where = stack.text === '' ? 'It was about to end.' : `It was here:\n${stack.text.trimEnd()}`;
      this.#tell(each, { thread: stack.thread, where });
    }
  }

  /** The lane of an overdue request is free again, or gone. */
  end(job: Job, peer: WorkerPeer): void {
    const cases = this.#cases.get(peer);
    if (cases === undefined) return;
    for (const each of cases) {
      if (each.job !== job) continue;
      cases.delete(each);
      this.#unheard.delete(each.unheard);
    }
    if (cases.size === 0) this.#cases.delete(peer);
    else if (![...cases].some(({ isParallel }) => isParallel)) this.#replace(peer);
  }

  /** When nothing but overdue requests runs in it, they have a second from their deadline on; siblings may finish. */
  #replace(peer: WorkerPeer): void {
    const cases = this.#cases.get(peer) ?? new Set<Case>();
    const last = Math.max(...[...cases].map((each) => each.since));
    const left = Math.max(0, last + INTERRUPT_MS - performance.now());
    const hasSiblings = peer.inFlight > cases.size;
    this.#options.onStuck(peer.id, hasSiblings ? this.settings.gracefulTimeout * 1000 : left, 'timeout');
  }

  #giveUp({ peer, isParallel }: Case): void {
    if (isParallel) {
      this.#options.log.error(
        `Worker ${peer.id} (pid ${peer.pid}) does not come back to its event loop: it is replaced`,
      );
    }
    this.#options.onStuck(peer.id, 0, 'unresponsive');
  }

  /** It holds the interpreter in C code: only a signal's handler can still tell where. */
  async #tellWithoutHelp(each: Case): Promise<void> {
    const text = await dumpStacks(each.peer.pid, this.#options.stackFile(each.peer.id));
    const where =
      text === ''
        ? 'Where it was could not be had.'
        : `It answers nothing (C code that keeps the interpreter?). Its threads were here:\n${text.trimEnd()}`;
    this.#tell(each, { thread: '', where });
  }

  #tell(each: Case, { thread, where }: { thread: string; where: string }): void {
    if (each.told) return;
    each.told = true;
    this.#asked.delete(each);
    const { peer, job, isParallel } = each;
    const who = `Worker ${peer.id} (pid ${peer.pid})${thread === '' ? '' : `, thread ${thread}`}`;
    const what = `${job.title} had no answer for ${this.settings.timeout} s`;
    this.#options.log.error(
      `Timeout: ${what}. ${who}${isParallel ? '' : `${thread === '' ? '' : ','} is replaced`}. ${where}`,
    );
  }
}

/** An upgrade in place, as the old Tunicorn sees it: its successor, and what is whose meanwhile. */
import { type Address, formatAddress } from '../config/address.ts';
import type { Logger } from '../observe/log.ts';
import type { Outcome } from '../status.ts';
import type { Notifier } from './notify.ts';
import type { PidFile } from './pidfile.ts';
import type { Bound } from './sockets.ts';
import { type Call, Successor } from './successor.ts';

export interface UpgradeOptions {
  readonly log: Logger;
  readonly call: Call;
  readonly sockets: readonly Bound[];
  /** What each of them was asked for. */
  readonly addresses: readonly Address[];
  readonly notifier: Notifier | null;
  readonly pidFile: PidFile | null;
  /** The successor has ended, ready or not: this one is the server again. */
  readonly onEnd: () => void;
}

export class Upgrade {
  readonly #options: UpgradeOptions;
  #successor: Successor | null = null;

  constructor(options: UpgradeOptions) {
    this.#options = options;
  }

  /** Starts a successor. Resolves when it serves, or has failed. */
  start(): Promise<Outcome> {
    const { log, call, sockets, addresses } = this.#options;
    const refusal = this.#refusal();
    if (refusal !== '') {
      log.error(refusal);
      return Promise.resolve({ ok: false, text: refusal });
    }
    log.info('Upgrade: a new Tunicorn starts on the same sockets');
    // From now on the path of a UNIX socket is not this one's alone to remove.
    for (const socket of sockets) socket.handOver(true);
    return new Promise((resolve) => {
      const successor = new Successor({
        sockets: sockets.map(({ fd, unit }, i) => ({ fd, unit, address: textOf(addresses[i]) })),
        call,
        onReady: () => resolve(this.#onReady(successor)),
        onEnd: (end) => resolve(this.#onEnd(successor, end)),
      });
      this.#successor = successor;
    });
  }

  /** This process ends, and the successor does not. */
  release(): void {
    this.#successor?.release();
  }

  #refusal(): string {
    if (process.pid === 1) {
      return 'Process 1 cannot be replaced: with it the container would end. Start a new container instead.';
    }
    const { pid = 0 } = this.#successor ?? {};
    return pid === 0 ? '' : `The upgrade was begun already: its process is ${pid}.`;
  }

  #onReady({ pid }: Successor): Outcome {
    const { log, notifier } = this.#options;
    log.info(`Upgrade: the new Tunicorn with pid ${pid} serves. This one goes on until it is told to stop`);
    notifier?.silence(true);
    return { ok: true, text: `The new Tunicorn serves, with pid ${pid}.` };
  }

  /** It may have served already. */
  #onEnd({ pid }: Successor, end: string): Outcome {
    const { log, sockets, notifier, pidFile, onEnd } = this.#options;
    this.#successor = null;
    for (const socket of sockets) socket.handOver(false);
    pidFile?.forgetSuccessor(pid);
    notifier?.silence(false);
    const text = `The new Tunicorn with pid ${pid} ${end}. This one goes on; the log tells why.`;
    log.error(text);
    onEnd();
    return { ok: false, text };
  }
}

function textOf(address: Address | undefined): string {
  return address === undefined ? '' : formatAddress(address);
}

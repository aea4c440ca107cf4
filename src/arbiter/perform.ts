/** Carries out what was planned: actions in, orders to child processes out. */
import type { Logger } from '../observe/log.ts';
import type { Code, Fleet } from './fleet.ts';
import { name } from './journal.ts';
import type { Action } from './plan.ts';
import type { Bound } from './sockets.ts';
import { poolAt, type State } from './state.ts';

export interface PerformerOptions {
  readonly state: State;
  readonly fleet: Fleet;
  readonly log: Logger;
  readonly sockets: readonly Bound[];
  /** A process with this code did not get ready in time, and where it was. */
  readonly onExpired: (code: Code, text: string) => void;
}

type Performed = Exclude<Action, { readonly type: 'exit' }>;

/** Somebody who did not get ready in time. */
interface Late {
  readonly who: string;
  readonly code: Code;
  readonly stacks: () => Promise<string>;
  readonly kill: () => void;
}

export class Performer {
  readonly #options: PerformerOptions;

  constructor(options: PerformerOptions) {
    this.#options = options;
  }

  /** To be called before the action is entered into the state. */
  perform(action: Performed): void {
    const { fleet, state } = this.#options;
    switch (action.type) {
      case 'spawn-front':
        return fleet.spawnFront(action.slot);
      case 'spawn-worker':
        return fleet.spawnWorker(action.worker, action);
      case 'spawn-zygote':
        return fleet.spawnZygote(action);
      case 'stop-fronts':
        return this.#stopFronts(action.graceMs);
      case 'park-front':
        return fleet.tell(action.slot, { type: 'stop', graceMs: action.graceMs });
      case 'kill-front':
        return fleet.killFront(action.slot);
      case 'kill-worker':
        return this.#killWorker(action.worker);
      case 'drain-worker':
        return this.#drainWorker(action.worker);
      case 'expire-worker':
        return this.#expireWorker(action.worker);
      case 'kill-zygote':
        return this.#killZygote(action);
      case 'end-zygote':
        return fleet.zygote(action)?.leave();
      case 'finish-reload':
        return fleet.adopt(currentCode(state, action.pool));
      case 'abort-reload':
        return fleet.discard(currentCode(state, action.pool));
      case 'retire-worker':
      case 'worker-worn':
        return;
      default:
        return action satisfies never;
    }
  }

  /** Fronts and arbiter let go of the sockets together: what connects later is refused, not left waiting. */
  #stopFronts(graceMs: number): void {
    this.#options.fleet.tellAll({ type: 'stop', graceMs });
    for (const socket of this.#options.sockets) socket.close();
  }

  #drainWorker(id: number): void {
    const { state, fleet } = this.#options;
    const front = state.workers.get(id)?.front;
    if (front !== undefined) fleet.tell(front, { type: 'drain-worker', worker: id });
  }

  #killWorker(id: number): void {
    const { state, fleet, log } = this.#options;
    const worker = state.workers.get(id);
    const named = name(fleet.named(id));
    // At a stop the front tells which requests were not finished.
    if (state.stop === null && worker !== undefined) {
      if (worker.cause === 'stopped')
        log.error(`${named} was stopped by a signal (SIGSTOP): it is killed and replaced`);
      else if (worker.stuck) log.warning(`${named} did not finish in time: killed`);
    }
    fleet.killWorker(id);
  }

  #expireWorker(id: number): void {
    const { state, fleet } = this.#options;
    const code = state.workers.get(id);
    if (code === undefined) return;
    const stacks = () => fleet.stacks(id);
    void this.#expire({ who: name(fleet.named(id)), code, stacks, kill: () => fleet.killWorker(id) });
  }

  #killZygote(action: Extract<Action, { type: 'kill-zygote' }>): void {
    const { fleet } = this.#options;
    const zygote = fleet.zygote(action);
    if (!action.expired || zygote === undefined) return zygote?.kill();
    const who = `The process that workers${fleet.of(action.pool)} are forked from (pid ${zygote.pid})`;
    const stacks = () => fleet.zygoteStacks(action);
    void this.#expire({ who, code: action, stacks, kill: () => zygote.kill() });
  }

  /** Its stack is the only thing that can tell why it took so long. */
  async #expire({ who, code, stacks, kill }: Late): Promise<void> {
    const { fleet, onExpired } = this.#options;
    const { bootTimeout } = fleet.setup(code).settings;
    const text = await stacks();
    const where = text === '' ? 'Its stack could not be had.' : `It was here:\n${text.trimEnd()}`;
    onExpired(code, `${who} was not ready after ${bootTimeout} s (--boot-timeout): it is killed. ${where}`);
    kill();
  }
}

/** The code that is wanted. */
function currentCode(state: State, pool: number): Code {
  return { pool, generation: poolAt(state, pool).generation };
}

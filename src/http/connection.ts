/**
 * The states of one client connection and what leads from one to the next. Whoever holds a connection changes its
 * state here and nowhere else; the diagram in `docs/lifecycle.md` is drawn from the same table.
 *
 * - `idle`: between requests, nothing of the next has come; the keep-alive deadline runs.
 * - `head`, `body`: a request is coming in; the head's or the body's deadline runs.
 * - `queued`: the request is whole and waits for a lane or for the application's head.
 * - `responding`: the answer's head is out.
 * - `closing`: the last answer is out and our side half-closed; what still comes is discarded (RFC 9112 §9.6).
 * - `closed`: the end.
 */
export const TRANSITIONS = {
  idle: { bytes: 'head', stop: 'closing', gone: 'closed' },
  head: { headers: 'body', request: 'queued', refuse: 'closing', gone: 'closed' },
  body: { request: 'queued', refuse: 'closing', gone: 'closed' },
  queued: { respond: 'responding', refuse: 'closing', gone: 'closed' },
  responding: { reuse: 'idle', finish: 'closing', gone: 'closed' },
  closing: { gone: 'closed' },
  closed: {},
} as const satisfies Record<string, Record<string, string>>;

export type State = keyof typeof TRANSITIONS;

/**
 * What happens to a connection. `bytes`: the first of a request. `headers`: its head is whole and a body follows.
 * `request`: all of it has come. `respond`: the answer's head goes out. `reuse`: the answer is out, the next request may
 * come. `finish`: the answer is out and was the last. `refuse`: an error answer of ours is out, and was the last.
 * `stop`: the keep-alive time is over, or the server stops. `gone`: the socket is closed, because the client left or
 * because we cut it, so that half an answer cannot pass for a whole one.
 */
export type Trigger = { [From in State]: keyof (typeof TRANSITIONS)[From] }[State];

/** The table as a checker of it needs it: any trigger may be missing. */
const TABLE: Readonly<Record<State, Readonly<Partial<Record<Trigger, State>>>>> = TRANSITIONS;

/** Where `trigger` leads from `state`. @throws {Error} when it may not happen there, which is a mistake of ours. */
export function nextState(state: State, trigger: Trigger): State {
  const next = TABLE[state][trigger];
  if (next === undefined) throw new Error(`A connection that is ${state} cannot take "${trigger}".`);
  return next;
}

/** The state of one connection; the only thing that changes it. */
export class ConnectionState {
  #state: State = 'idle';

  get current(): State {
    return this.#state;
  }

  /** @throws {Error} on a transition that is not in the table; the state stays. */
  apply(trigger: Trigger): State {
    this.#state = nextState(this.#state, trigger);
    return this.#state;
  }
}

/** The table as a Mermaid state diagram in a Markdown fence, for the documentation. */
export function renderTransitions(): string {
  const lines = ['```mermaid', 'stateDiagram-v2', '  [*] --> idle'];
  for (const [from, triggers] of Object.entries(TRANSITIONS)) {
    for (const [to, names] of byTarget(triggers)) lines.push(`  ${from} --> ${to}: ${names.join(', ')}`);
  }
  lines.push('  closed --> [*]', '```');
  return `${lines.join('\n')}\n`;
}

function byTarget(triggers: Record<string, string>): Map<string, string[]> {
  const targets = new Map<string, string[]>();
  for (const [trigger, to] of Object.entries(triggers))
    targets.set(to, [...(targets.get(to) ?? []), trigger]);
  return targets;
}

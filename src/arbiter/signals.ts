/** What each signal makes the arbiter do. The documentation's table is made from this one. */

export type Verb = 'stop' | 'quick-stop' | 'reload' | 'reopen' | 'more' | 'fewer' | 'upgrade' | 'winch';

export interface SignalEntry {
  readonly verb: Verb;
  /** For the documentation: what it does, and where gunicorn differs. */
  readonly text: string;
}

/** Fronts and workers act on the arbiter's orders alone: a signal that reaches them directly changes nothing. */
export const SIGNALS = {
  SIGTERM: {
    verb: 'stop',
    text: 'Stop gracefully: accept nothing more, finish requests in flight for up to `graceful-timeout`, then kill what is left.',
  },
  SIGINT: {
    verb: 'quick-stop',
    text: 'Stop quickly: requests in flight have up to 3 s (or `graceful-timeout`, if that is shorter). A second INT, QUIT or TERM kills at once.',
  },
  SIGQUIT: { verb: 'quick-stop', text: 'As INT.' },
  SIGHUP: {
    verb: 'reload',
    text: 'Reload: configuration and application anew, worker by worker, each leaving only when its replacement is ready. What cannot be loaded changes nothing. After WINCH: bring fronts and workers back. When the terminal that Tunicorn was started in has been closed: stop gracefully.',
  },
  SIGTTIN: {
    verb: 'more',
    text: 'One worker more, of each of [several applications](mounts.md); with a range of workers both bounds move up. A reload keeps that.',
  },
  SIGTTOU: {
    verb: 'fewer',
    text: 'One worker fewer, but at least one; the oldest leaves. With a range both bounds move down.',
  },
  SIGUSR1: { verb: 'reopen', text: 'Reopen the log files, after they have been rotated away.' },
  SIGUSR2: {
    verb: 'upgrade',
    text: 'Upgrade in place: start a new Tunicorn on the same listening sockets. This one goes on until it is stopped with TERM or QUIT.',
  },
  SIGWINCH: {
    verb: 'winch',
    text: 'Let fronts and workers finish and end, and keep the sockets; HUP brings them back. For upgrades. Ignored in a terminal, where it only says that the window has another size.',
  },
} as const satisfies Partial<Record<NodeJS.Signals, SignalEntry>>;

export type SignalName = keyof typeof SIGNALS;

/** Hands every signal of the table to `onSignal`, which should only queue it. @returns a function that ends it. */
export function listenSignals(onSignal: (name: SignalName) => void): () => void {
  const names = Object.keys(SIGNALS) as SignalName[];
  for (const name of names) process.on(name, onSignal);
  return () => {
    for (const name of names) process.off(name, onSignal);
  };
}

/** The table as Markdown, for `docs/signals.md`. */
export function renderSignals(): string {
  const rows = Object.entries(SIGNALS).map(([name, entry]) => `| ${name.slice(3)} | ${entry.text} |`);
  return ['| signal to the arbiter | what it does |', '|---|---|', ...rows, ''].join('\n');
}

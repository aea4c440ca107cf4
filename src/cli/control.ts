/** The commands that speak with a running server: `status`, `reload`, `scale`, `stacks`, `recycle`, `stop`, `upgrade`. */
import { connect } from 'node:net';
import { parseArgs } from 'node:util';
import type { Answer, Order } from '../arbiter/control-server.ts';
import type { ServerInfo } from '../arbiter/runtime-dir.ts';
import { UserError } from '../errors.ts';
import type { Status } from '../status.ts';
import type { Command } from './commands.ts';
import type { CommandOptions } from './main.ts';
import { chooseServer, ownerOf, rightsHint } from './servers.ts';
import { renderStatus } from './status-page.ts';

/** What stands on the line behind the command. */
interface Line {
  readonly words: readonly string[];
  readonly flags: ReadonlySet<string>;
  /** Prefix of the application that is meant; null for all. */
  readonly mount: string | null;
}

interface Shape {
  readonly help: string;
  /** What may stand behind the command, for its own help. */
  readonly usage: string;
  readonly flags?: readonly string[];
  /** Words that it takes, at least and at most. */
  readonly words?: readonly [number, number];
  /** It may be about one application of several. */
  readonly mount?: boolean;
  /** @throws UserError for words that make no sense */
  readonly order: (line: Line) => Order;
  /** Shows what came back; the default is its text. */
  readonly show?: (answer: Answer, line: Line, options: CommandOptions) => Promise<string>;
  /** How long the server may take; 0 is as long as it wants. */
  readonly patienceMs?: number;
}

const PATIENCE_MS = 5000;
const COMMON = ['pid', 'chdir'] as const;

const SHAPES = {
  status: {
    help: 'Shows what a running server does: workers, queue, totals',
    usage: '[--json | --prometheus]',
    flags: ['json', 'prometheus'],
    mount: true,
    order: () => ({ command: 'status' }),
    show: showStatus,
  },
  reload: {
    help: 'Takes up new code and configuration without losing a request, and tells whether it worked',
    usage: '',
    mount: true,
    order: ({ mount }) => ({ command: 'reload', mount }),
    patienceMs: 0,
  },
  scale: {
    help: 'Sets the number of workers: +1, -1, 4, or 2..8',
    usage: '+1 | -1 | N | MIN..MAX',
    words: [1, 1],
    mount: true,
    order: ({ words: [order = ''], mount }) => ({ command: 'scale', order, mount }),
  },
  stacks: {
    help: 'Shows what every thread of the workers is doing right now',
    usage: '[WORKER]',
    words: [0, 1],
    mount: true,
    order: ({ words: [word], mount }) => ({
      command: 'stacks',
      worker: word === undefined ? null : number(word),
      mount,
    }),
  },
  recycle: {
    help: 'Replaces one worker; its replacement is ready before it goes',
    usage: 'WORKER',
    words: [1, 1],
    order: ({ words: [word = ''] }) => ({ command: 'recycle', worker: number(word) }),
    patienceMs: 0,
  },
  stop: {
    help: 'Stops a server, and waits for its end',
    usage: '[--quick]',
    flags: ['quick'],
    order: ({ flags }) => ({ command: 'stop', quick: flags.has('quick') }),
    patienceMs: 0,
  },
  upgrade: {
    help: 'Starts a new Tunicorn on the same sockets, and lets the old one go when it serves',
    usage: '',
    order: () => ({ command: 'upgrade' }),
    patienceMs: 0,
  },
} as const satisfies Record<string, Shape>;

export const CONTROL: Readonly<Record<string, Command>> = Object.fromEntries(
  Object.entries(SHAPES).map(([name, shape]: [string, Shape]) => [
    name,
    { help: shape.help, run: (argv, options) => run(name, shape, { argv, options }) } satisfies Command,
  ]),
);

async function run(
  name: string,
  shape: Shape,
  { argv, options }: { readonly argv: readonly string[]; readonly options: CommandOptions },
): Promise<number> {
  const { values, words } = parse(name, shape, argv);
  if (values.help === true) {
    options.print(helpOf(name, shape));
    return 0;
  }
  const line: Line = {
    words,
    flags: new Set(Object.keys(values).filter((key) => values[key] === true)),
    mount: textOf(values.mount) || null,
  };
  const order = shape.order(line);
  const wanted = { pid: textOf(values.pid), chdir: textOf(values.chdir), cwd: options.cwd };
  const server = chooseServer(wanted);
  const began = performance.now();
  const answer = await ask(server, order, shape.patienceMs ?? PATIENCE_MS);
  if (!answer.ok) throw new UserError(answer.text);
  if (order.command === 'stop') {
    options.print(`Stopped after ${((performance.now() - began) / 1000).toFixed(1)} s.\n`);
    return 0;
  }
  const text = shape.show === undefined ? answer.text : await shape.show(answer, line, options);
  options.print(`${text.trimEnd()}\n`);
  return 0;
}

function parse(name: string, shape: Shape, argv: readonly string[]) {
  const flags = Object.fromEntries((shape.flags ?? []).map((flag) => [flag, { type: 'boolean' as const }]));
  const takes = shape.mount === true ? [...COMMON, 'mount'] : COMMON;
  const common = Object.fromEntries(takes.map((each) => [each, { type: 'string' as const }]));
  // `-1` is a word for `scale`, not an option.
  const words = argv.filter((word) => /^-\d+$/.test(word));
  try {
    const { values, positionals } = parseArgs({
      args: argv.filter((word) => !/^-\d+$/.test(word)),
      options: { ...flags, ...common, help: { type: 'boolean', short: 'h' } },
      allowPositionals: true,
    });
    const all = [...positionals, ...words];
    const [least, most] = shape.words ?? [0, 0];
    if (values.help !== true && (all.length < least || all.length > most)) throw new Error('words');
    return { values: values as Record<string, unknown>, words: all };
  } catch {
    throw new UserError(`This is not how it is called.\n${helpOf(name, shape)}`);
  }
}

function helpOf(name: string, { help, usage, mount }: Shape): string {
  const which = mount === true ? '[--mount PREFIX] ' : '';
  return `${help}.

  tunicorn ${name} ${usage}${usage === '' ? '' : ' '}${which}[--pid FILE | --chdir DIR]

The server is the one that runs in this folder, or in that of --chdir; or that of a pid file, or of a number (--pid).
Without any of these it is the only one that runs.
`;
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function number(word: string): number {
  if (/^\d{1,9}$/.test(word)) return Number(word);
  throw new UserError(`${JSON.stringify(word)} is no number of a worker. \`tunicorn status\` shows them.`);
}

/** @throws UserError when the server cannot be asked, or gives no answer in time */
function ask(server: ServerInfo, order: Order, patienceMs: number): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const socket = connect(server.control);
    let text = '';
    const fail = (why: string) => {
      socket.destroy();
      reject(new UserError(why));
    };
    if (patienceMs > 0) {
      socket.setTimeout(patienceMs, () =>
        fail(
          `The server (pid ${server.pid}) gave no answer for ${patienceMs / 1000} s. Is it stopped, or the machine overloaded?`,
        ),
      );
    }
    socket.setEncoding('utf8');
    socket.on('data', (chunk: string) => {
      text += chunk;
    });
    socket.once('error', (error: NodeJS.ErrnoException) => fail(connectionError(server, error.code ?? '')));
    socket.once('close', () => {
      const line = text.slice(0, text.indexOf('\n'));
      if (line !== '') resolve(JSON.parse(line) as Answer);
      else fail(`The server (pid ${server.pid}) ended before it answered.`);
    });
    socket.write(`${JSON.stringify(order)}\n`);
  });
}

function connectionError({ pid, control }: ServerInfo, code: string): string {
  if (code === 'EACCES')
    return `You may not give orders to the server with pid ${pid}: ${rightsHint(ownerOf(pid))}`;
  if (code === 'ECONNREFUSED' || code === 'ENOENT') return `The server (pid ${pid}) is just ending.`;
  return `The server (pid ${pid}) cannot be reached by ${control}: ${code}.`;
}

async function showStatus(
  answer: Answer,
  { flags, mount }: Line,
  { columns }: CommandOptions,
): Promise<string> {
  const whole: Status | null = 'status' in answer ? answer.status : null;
  if (whole === null) throw new UserError('The server is of another version: it tells no status.');
  const status = mount === null ? whole : onlyMount(whole, mount);
  if (flags.has('json')) return JSON.stringify(status, null, 2);
  if (!flags.has('prometheus')) return renderStatus(status, columns);
  const { renderMetrics } = await import('../observe/metrics.ts');
  return renderMetrics(status);
}

/** @throws UserError when nothing is mounted there */
function onlyMount(status: Status, mount: string): Status {
  const prefix = mount.replace(/(?<=.)\/$/, '');
  const found = status.mounts.find((each) => each.prefix === prefix);
  const known = status.mounts.map((each) => each.prefix).join(', ');
  if (found === undefined) throw new UserError(`Nothing is mounted at ${mount}. There are: ${known}.`);
  const workers = status.workers.filter((worker) => worker.mount === prefix);
  return { ...status, ...found, mounts: [found], workers };
}

/**
 * Every option in ONE table. From it come the command line, the environment variables, `--help`,
 * `docs/configuration.md` and the type `Settings`. gunicorn's flags that are not options here have their
 * rows in `gunicorn.ts`.
 */
import type { Value, ValueType } from './values.ts';

/** Where an option of gunicorn's stands with us; `ours` for what gunicorn does not have. */
export type Fate =
  | { readonly fate: 'same' }
  | { readonly fate: 'differs'; readonly how: string }
  /** Accepted, and one line in the log says why it changes nothing. */
  | { readonly fate: 'no-effect'; readonly why: string }
  | { readonly fate: 'ours' };

export interface Option {
  /** Without its dashes. The flag is `--name`, the variable `TUNICORN_NAME`. */
  readonly name: string;
  /** Other long names, without dashes. */
  readonly aliases?: readonly string[];
  /** One letter. */
  readonly short?: string;
  /** A variable that others set for every server; it ranks just above the default, as in gunicorn. */
  readonly env?: string;
  readonly type: ValueType;
  /** As it would be written on the command line; an array for what may be repeated. */
  readonly default: string | readonly string[];
  readonly unit?: string;
  /** What `--help` shows for the value. */
  readonly placeholder?: string;
  /** Smallest good value of a number. */
  readonly min?: number;
  readonly section: Section;
  /** Whether a reload takes up a changed value; otherwise a restart is needed. */
  readonly reloadable: boolean;
  readonly gunicorn: Fate;
  readonly help: string;
}

export const SECTIONS = [
  'Addresses',
  'Workers',
  'Application',
  'Time',
  'Limits',
  'Memory and disk',
  'Behind a proxy',
  'Static files',
  'Logs',
  'Process',
  'Look before you leap',
] as const;
export type Section = (typeof SECTIONS)[number];

const SAME = { fate: 'same' } as const;
const OURS = { fate: 'ours' } as const;
const differs = (how: string) => ({ fate: 'differs', how }) as const;

export const OPTIONS = {
  bind: {
    name: 'bind',
    short: 'b',
    type: 'addresses',
    default: ['127.0.0.1:8000'],
    section: 'Addresses',
    reloadable: false,
    gunicorn: SAME,
    help: 'Address to listen on; may be repeated. HOST:PORT, [v6]:PORT, :PORT (every IPv4 address), unix:PATH, or fd://N for a socket opened by somebody else. The default is reached from this machine only; when PORT is set it is 0.0.0.0:$PORT. Port 0 takes any free one and the log says which.',
  },
  backlog: {
    name: 'backlog',
    type: 'count',
    default: '2048',
    unit: 'connections',
    min: 1,
    section: 'Addresses',
    reloadable: false,
    gunicorn: differs('0 is refused'),
    help: 'Connections the kernel holds until the front accepts them. When it is full, clients wait and try again by themselves. The kernel caps it at net.core.somaxconn. Leave it, unless thousands connect in the same instant.',
  },
  workers: {
    name: 'workers',
    short: 'w',
    env: 'WEB_CONCURRENCY',
    type: 'workers',
    default: '1',
    unit: 'processes',
    section: 'Workers',
    reloadable: true,
    gunicorn: differs('takes auto as well; 0 is refused'),
    help: 'Processes that run the application; auto is one for each core that this process may use. Each holds the whole application in memory. As many as there are cores serve most sites; take more only when requests wait for others and threads are no choice.',
  },
  workerClass: {
    name: 'worker-class',
    short: 'k',
    type: 'worker-kind',
    default: 'sync',
    section: 'Workers',
    reloadable: false,
    gunicorn: differs(
      'sync, gthread and python are one kind; gevent, eventlet, tornado and ASGI workers are refused with what to use',
    ),
    help: 'Kind of worker. sync, gthread and python all mean Python processes: slow clients never reach them, and --threads says how many requests each runs at once. node comes with a later version.',
  },
  threads: {
    name: 'threads',
    type: 'count',
    default: '1',
    unit: 'threads',
    min: 1,
    section: 'Workers',
    reloadable: true,
    gunicorn: differs('0 is refused'),
    help: 'Requests that each worker runs at once, each in a thread of its own. More than 1 helps when requests wait for a database or another server; the application must then be safe for threads. It does not help Python code that computes.',
  },
  fronts: {
    name: 'fronts',
    type: 'count',
    default: '1',
    unit: 'processes',
    min: 1,
    section: 'Workers',
    reloadable: false,
    gunicorn: OURS,
    help: 'Processes that talk to clients. One handles tens of thousands of requests a second; take more only when it is at 100 % of a core while workers are idle. Not more than there are workers: each worker belongs to one front.',
  },
  queueSize: {
    name: 'queue-size',
    type: 'count',
    default: '2048',
    unit: 'requests',
    min: 1,
    section: 'Workers',
    reloadable: true,
    gunicorn: OURS,
    help: 'Requests that may wait for a free worker. One more gets 503 at once. A longer queue only makes people wait for pages they have given up on; add workers instead.',
  },
  preload: {
    name: 'preload',
    type: 'flag',
    default: 'false',
    section: 'Workers',
    reloadable: false,
    gunicorn: {
      fate: 'no-effect',
      why: 'not yet: each worker imports the application itself. Serving is the same; start takes longer and workers share less memory.',
    },
    help: 'Not yet: accepted, and each worker still imports the application itself. Nothing breaks without it; workers share less memory.',
  },
  python: {
    name: 'python',
    type: 'text',
    default: '',
    placeholder: 'PATH',
    section: 'Application',
    reloadable: true,
    gunicorn: OURS,
    help: 'The interpreter, CPython 3.8 or newer: a path, or a name looked up in PATH. Without it: the active virtual environment, else .venv or venv beside the application, else python3. The log says which was taken. Set it when the environment lies elsewhere.',
  },
  chdir: {
    name: 'chdir',
    type: 'folder',
    default: '.',
    placeholder: 'DIR',
    section: 'Application',
    reloadable: true,
    gunicorn: SAME,
    help: 'Folder to work in: the application is imported from here, and every relative path in other options starts here. The default is the folder that the command is called in.',
  },
  pythonpath: {
    name: 'pythonpath',
    type: 'folders',
    default: [],
    placeholder: 'DIR[,DIR]',
    section: 'Application',
    reloadable: true,
    gunicorn: SAME,
    help: 'Folders to put on sys.path in front of --chdir, separated by commas; the first named comes first. For an application that is not installed and does not lie in --chdir.',
  },
  env: {
    name: 'env',
    short: 'e',
    type: 'env',
    default: [],
    placeholder: 'NAME=VALUE',
    section: 'Application',
    reloadable: true,
    gunicorn: SAME,
    help: 'Environment variable for the application; may be repeated. Everybody on the machine can read a command line in the list of processes: keep secrets out of it.',
  },
  timeout: {
    name: 'timeout',
    short: 't',
    type: 'seconds',
    default: '30',
    unit: 's',
    min: 0,
    section: 'Time',
    reloadable: true,
    gunicorn: differs(
      'the deadline of one request, for every kind of worker: the client gets 504, and only the worker that is stuck is replaced. gunicorn kills a worker that was silent for so long',
    ),
    help: 'Time the application has for the head of its response, and then for each gap between two parts. After it the client gets 504 and the worker is replaced. 0 is no deadline: then one stuck request holds its worker for ever. Raise it for slow reports, better move them to a task queue.',
  },
  gracefulTimeout: {
    name: 'graceful-timeout',
    type: 'seconds',
    default: '30',
    unit: 's',
    min: 0,
    section: 'Time',
    reloadable: true,
    gunicorn: SAME,
    help: 'Time that requests in flight have to finish after TERM. What still runs then is killed. A supervisor that kills sooner must be told: TimeoutStopSec in systemd, stopwaitsecs in supervisor, longer than this.',
  },
  keepAlive: {
    name: 'keep-alive',
    type: 'seconds',
    default: '2',
    unit: 's',
    min: 0,
    section: 'Time',
    reloadable: true,
    gunicorn: differs(
      'holds for every kind of worker; the sync worker of gunicorn closes after each response',
    ),
    help: 'How long an idle connection stays open for the next request. 0 closes after each response. An idle connection costs a few KiB and no worker. Behind a proxy make it longer than the idle time of the proxy (75 for nginx), or now and then the proxy sends into a closing connection and answers 502.',
  },
  queueTimeout: {
    name: 'queue-timeout',
    type: 'seconds',
    default: '10',
    unit: 's',
    min: 0.001,
    section: 'Time',
    reloadable: true,
    gunicorn: OURS,
    help: 'How long a request waits for a free worker, a starting or replaced one included. After it: 503. Raise it only when people would rather wait than see an error.',
  },
  clientHeaderTimeout: {
    name: 'client-header-timeout',
    type: 'seconds',
    default: '30',
    unit: 's',
    min: 0.001,
    section: 'Time',
    reloadable: true,
    gunicorn: OURS,
    help: 'Time a client has to send the head of a request. After it: 408. It ends connections that are held open on purpose, one byte at a time.',
  },
  clientBodyTimeout: {
    name: 'client-body-timeout',
    type: 'seconds',
    default: '30',
    unit: 's',
    min: 0.001,
    section: 'Time',
    reloadable: true,
    gunicorn: OURS,
    help: 'Time without a single byte of the request body. After it: 408. A slow upload that goes on is never cut by it.',
  },
  sendTimeout: {
    name: 'send-timeout',
    type: 'seconds',
    default: '60',
    unit: 's',
    min: 0.001,
    section: 'Time',
    reloadable: true,
    gunicorn: OURS,
    help: 'Time in which a client takes nothing of its response. After it the connection is cut, and the memory of the response is free again.',
  },
  limitRequestLine: {
    name: 'limit-request-line',
    type: 'size',
    default: '4094',
    unit: 'bytes',
    min: 0,
    section: 'Limits',
    reloadable: true,
    gunicorn: differs('up to 64 KiB is honoured; gunicorn cuts it to 8190'),
    help: 'Longest request line (method, URL and version). A longer one gets 414. 0 is the most there is, 64 KiB. Raise it when the site has very long query strings.',
  },
  limitRequestFields: {
    name: 'limit-request-fields',
    type: 'count',
    default: '100',
    unit: 'fields',
    min: 0,
    section: 'Limits',
    reloadable: true,
    gunicorn: SAME,
    help: 'Most header fields in a request. More get 431. 0 is the most there is, 32768.',
  },
  limitRequestFieldSize: {
    name: 'limit-request-field_size',
    aliases: ['limit-request-field-size'],
    type: 'size',
    default: '8190',
    unit: 'bytes',
    min: 0,
    section: 'Limits',
    reloadable: true,
    gunicorn: differs('0 is 64 KiB; gunicorn takes it for 8190'),
    help: 'Longest header field of a request. A longer one gets 431. 0 is the most there is, 64 KiB. Raise it when cookies or tokens are larger than that.',
  },
  limitRequestBody: {
    name: 'limit-request-body',
    type: 'size',
    default: '1G',
    unit: 'bytes',
    min: 0,
    section: 'Limits',
    reloadable: true,
    gunicorn: OURS,
    help: 'Largest request body. A larger one gets 413 before the application hears of it. 0 is no limit: then one client can fill the spool folder up to --spool-limit. Lower it when the site takes no uploads.',
  },
  bodyMemory: {
    name: 'body-memory',
    type: 'size',
    default: '64k',
    unit: 'bytes',
    min: 0,
    section: 'Memory and disk',
    reloadable: true,
    gunicorn: OURS,
    help: 'How much of one request body is held in memory; a longer body goes to a spool file. 0 spools every body.',
  },
  memoryLimit: {
    name: 'memory-limit',
    type: 'size',
    default: '256M',
    unit: 'bytes',
    min: 0,
    section: 'Memory and disk',
    reloadable: true,
    gunicorn: OURS,
    help: 'Memory that all request bodies together may take in a front; above it they go to spool files. Lower it in a small container, so that uploads cannot make the kernel kill the server.',
  },
  spoolDir: {
    name: 'spool-dir',
    type: 'file',
    default: '/var/tmp',
    placeholder: 'DIR',
    section: 'Memory and disk',
    reloadable: true,
    gunicorn: OURS,
    help: 'Folder for spool files; they have no name in it and are gone with the process. It should lie on a disk: a tmpfs such as /tmp often is would hold the uploads in memory after all.',
  },
  spoolLimit: {
    name: 'spool-limit',
    type: 'size',
    default: '8G',
    unit: 'bytes',
    min: 0,
    section: 'Memory and disk',
    reloadable: true,
    gunicorn: OURS,
    help: 'Room that all spool files of a front together may take. When it is used up, or the disk is full, an upload that needs more gets 503, and nothing else is touched. Keep it below the free space of --spool-dir.',
  },
  forwardedAllowIps: {
    name: 'forwarded-allow-ips',
    env: 'FORWARDED_ALLOW_IPS',
    type: 'networks',
    default: ['127.0.0.1', '::1'],
    placeholder: 'ADDRESS[,ADDRESS]',
    section: 'Behind a proxy',
    reloadable: true,
    gunicorn: differs(
      'from these addresses X-Forwarded-For also sets REMOTE_ADDR, and only X-Forwarded-Proto sets the scheme (not X-Forwarded-Protocol or X-Forwarded-SSL)',
    ),
    help: 'Addresses and networks (10.0.0.0/8) of your own proxies, separated by commas: whose forwarded headers are believed. * believes everybody, and then every client can pretend to come from any address: only where nobody but the proxy can connect. Peers on a UNIX socket are always believed. An empty list believes nobody else.',
  },
  forwardedHeaders: {
    name: 'forwarded-headers',
    type: 'forwarded-headers',
    default: ['x-forwarded-for', 'x-forwarded-proto'],
    placeholder: 'NAME[,NAME]',
    section: 'Behind a proxy',
    reloadable: true,
    gunicorn: OURS,
    help: 'Which headers of a believed proxy count: x-forwarded-for, x-forwarded-proto, x-forwarded-host, x-forwarded-port; or forwarded (RFC 7239) alone. Name only what your proxy sets itself: what it merely passes through was written by the client.',
  },
  static: {
    name: 'static',
    type: 'static',
    default: [],
    placeholder: '/PREFIX/=DIR',
    section: 'Static files',
    reloadable: true,
    gunicorn: OURS,
    help: 'Serves the files of a folder under a URL prefix without asking the application, e.g. /static/=./static; may be repeated. Everything in the folder is public. What is not found there goes on to the next folder of the same prefix, and then is 404.',
  },
  accessLogfile: {
    name: 'access-logfile',
    type: 'log-file',
    default: '',
    placeholder: 'FILE',
    section: 'Logs',
    reloadable: true,
    gunicorn: SAME,
    help: 'File for one line about each request; - is standard output. Without it there is no access log.',
  },
  accessLogformat: {
    name: 'access-logformat',
    type: 'text',
    default: '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"',
    placeholder: 'FORMAT',
    section: 'Logs',
    reloadable: true,
    gunicorn: SAME,
    help: 'Format of a line of the access log, in the atoms listed in docs/configuration.md. Values are escaped, so that no client can forge a line. Keep texts of the client in double quotes.',
  },
  errorLogfile: {
    name: 'error-logfile',
    aliases: ['log-file'],
    type: 'log-file',
    default: '-',
    placeholder: 'FILE',
    section: 'Logs',
    reloadable: true,
    gunicorn: SAME,
    help: 'File for everything else that happens; - is standard error.',
  },
  logLevel: {
    name: 'log-level',
    type: 'log-level',
    default: 'info',
    section: 'Logs',
    reloadable: true,
    gunicorn: differs('an unknown level is refused; gunicorn takes it for info'),
    help: 'What is written to the error log: debug, info, warning, error or critical, and all that is graver.',
  },
  captureOutput: {
    name: 'capture-output',
    type: 'flag',
    default: 'false',
    section: 'Logs',
    reloadable: true,
    gunicorn: SAME,
    help: 'Sends what the application prints to the error log too.',
  },
  pid: {
    name: 'pid',
    short: 'p',
    type: 'file',
    default: '',
    placeholder: 'FILE',
    section: 'Process',
    reloadable: false,
    gunicorn: SAME,
    help: 'File that holds the number of the main process while it runs, for scripts that signal it. Without it none is written.',
  },
  user: {
    name: 'user',
    short: 'u',
    type: 'text',
    default: '',
    placeholder: 'USER',
    section: 'Process',
    reloadable: false,
    gunicorn: SAME,
    help: 'User, by name or number, that fronts and workers run as. Only root can set it, e.g. to bind port 80; the application should never run as root.',
  },
  group: {
    name: 'group',
    short: 'g',
    type: 'text',
    default: '',
    placeholder: 'GROUP',
    section: 'Process',
    reloadable: false,
    gunicorn: differs("without it, --user brings the user's own group; gunicorn stays in the group of root"),
    help: "Group, by name or number, that fronts and workers run as. With --user alone it is that user's own group.",
  },
  umask: {
    name: 'umask',
    short: 'm',
    type: 'umask',
    default: '0',
    section: 'Process',
    reloadable: false,
    gunicorn: differs(
      'octal only; a plain decimal such as 18 is refused, because most who write 22 mean 022',
    ),
    help: 'Rights that new files and UNIX sockets do not get, in octal, e.g. 007 or 022. The default lets everybody on the machine connect to a UNIX socket and write to files that the application makes: 022 is safer.',
  },
  name: {
    name: 'name',
    short: 'n',
    type: 'text',
    default: '',
    placeholder: 'NAME',
    section: 'Process',
    reloadable: false,
    gunicorn: SAME,
    help: 'Name of the processes in ps and top. Without it, the name of the application.',
  },
  checkConfig: {
    name: 'check-config',
    type: 'flag',
    default: 'false',
    section: 'Look before you leap',
    reloadable: false,
    gunicorn: SAME,
    help: 'Reads the options, imports the application, and ends: status 0 when all is well.',
  },
  printConfig: {
    name: 'print-config',
    type: 'flag',
    default: 'false',
    section: 'Look before you leap',
    reloadable: false,
    gunicorn: differs('does not import the application; --check-config does'),
    help: 'Prints every setting with its value and where it comes from, and ends.',
  },
} as const satisfies Record<string, Option>;

export type SettingKey = keyof typeof OPTIONS;

/** All settings after every source was read and checked. Times are seconds, sizes are bytes, paths are absolute. */
export type Settings = {
  readonly [K in SettingKey]: Value<(typeof OPTIONS)[K]['type']>;
} & {
  /** The application as given on the command line; empty: find Django's. */
  readonly app: string;
};

/** The rows with their keys, in the order of the table. */
export const ROWS: readonly (readonly [SettingKey, Option])[] = (Object.keys(OPTIONS) as SettingKey[]).map(
  (key) => [key, OPTIONS[key]],
);

/** `TUNICORN_KEEP_ALIVE` for `keep-alive`. */
export function variableOf(option: Option): string {
  return `TUNICORN_${option.name.replaceAll('-', '_').toUpperCase()}`;
}

/**
 * gunicorn's flags that are not options of Tunicorn, so that a Procfile or unit with such a flag either works
 * or says what to write instead. What is harmless to leave out has no effect and says so in the log; what
 * would change who may connect, what clients get, or where something is expected to appear, is refused.
 */

export interface ForeignFlag {
  /** Long names without dashes; the first is the usual one. */
  readonly names: readonly string[];
  readonly short?: string;
  readonly takes: 'value' | 'nothing';
  /** gunicorn's own default. Given exactly so, the flag asks for nothing, and nothing is said. */
  readonly default?: string;
  readonly fate: 'no-effect' | 'refused';
  /** Why it changes nothing, or what to use instead. */
  readonly text: string;
}

type Named = readonly [names: string, fallback?: string];

/** `-x --name --alias` or `--name VALUE`: the flags as a person writes them. */
function flags(fate: ForeignFlag['fate'], text: string, rows: readonly Named[]): ForeignFlag[] {
  return rows.map(([spelling, fallback]) => {
    const words = spelling.split(' ');
    const short = words.find((word) => /^-[^-]/.test(word))?.slice(1);
    return {
      names: words.filter((word) => word.startsWith('--')).map((word) => word.slice(2)),
      ...(short === undefined ? {} : { short }),
      takes: words.some((word) => !word.startsWith('-')) ? 'value' : 'nothing',
      ...(fallback === undefined ? {} : { default: fallback }),
      fate,
      text,
    };
  });
}

const TLS =
  'TLS is not there yet. Put nginx or Caddy in front for https, and let it pass requests on to the address of --bind.';
const HTTP2 = 'HTTP/2 is not there yet. Put nginx or Caddy in front; browsers then speak HTTP/2 to it.';
const STRICT =
  'Tunicorn reads requests by RFC 9112 only: what this flag lets in is how requests are smuggled past a proxy. Correct the client that sends it.';
const PROXY =
  'The PROXY protocol is not there yet. Let the proxy speak HTTP and set X-Forwarded-For, and name it in --forwarded-allow-ips.';
const UWSGI = 'Tunicorn speaks HTTP to its proxy. In nginx write proxy_pass in place of uwsgi_pass.';
const SYSLOG =
  'Logs go to files and to the standard streams. Under systemd these reach the journal; elsewhere pipe them: tunicorn … 2>&1 | logger -t mysite.';
const STATSD =
  'Metrics are given to Prometheus: --metrics 127.0.0.1:9100, or tunicorn status --prometheus. A StatsD server gets them through an exporter.';
const LOGGING =
  "The server's own log has one format; use --error-logfile, --log-level and --access-logformat. The application's logging is its own: in Django the LOGGING setting.";
const PASTE =
  'Name an application, not a PasteDeploy file: a module with application = paste.deploy.loadapp("config:/path/to/site.ini") does it.';
const DIRTY = 'A pool for long jobs is not part of Tunicorn. Use a task queue such as Celery or RQ.';
const ASGI = 'only ASGI applications use it; Tunicorn serves WSGI.';
const RELOAD = 'reloading at a change of the code is not there yet.';

/** In the order of gunicorn's own page of settings. */
export const FOREIGN_FLAGS: readonly ForeignFlag[] = [
  ...flags('no-effect', 'the front holds any number of clients, and they cost no worker.', [
    ['--worker-connections N', '1000'],
  ]),
  ...flags(
    'refused',
    'Reloading at a change of the code is not there yet. While you develop, stop with Ctrl-C and start again.',
    [['--reload']],
  ),
  ...flags('no-effect', RELOAD, [['--reload-engine NAME', 'auto'], ['--reload-extra-file FILE']]),
  ...flags('refused', 'To see every line that runs use python3 -m trace --trace.', [['--spew']]),
  ...flags('no-effect', 'files are sent by the front, which does not use sendfile().', [['--no-sendfile']]),
  ...flags(
    'no-effect',
    'all processes share one listening socket, and two Tunicorns on one port are not possible yet.',
    [['--reuse-port']],
  ),
  ...flags(
    'refused',
    'Tunicorn stays in the foreground, where its supervisor sees it. Use a systemd unit, a container, or: nohup tunicorn … &',
    [['-D --daemon']],
  ),
  ...flags(
    'no-effect',
    'there are no heartbeat files; a stuck worker is found by the deadline of its request.',
    [['--worker-tmp-dir DIR']],
  ),
  ...flags('no-effect', 'with --user the supplementary groups of that user are always set.', [
    ['--initgroups'],
  ]),
  ...flags('refused', SYSLOG, [
    ['--log-syslog'],
    ['--log-syslog-to ADDRESS', 'udp://localhost:514'],
    ['--log-syslog-prefix TEXT'],
    ['--log-syslog-facility NAME', 'user'],
    ['--disable-redirect-access-to-syslog'],
  ]),
  ...flags('refused', LOGGING, [
    ['--logger-class CLASS', 'gunicorn.glogging.Logger'],
    ['--log-config FILE'],
    ['--log-config-json FILE'],
  ]),
  ...flags('no-effect', 'standard streams are always inherited.', [['-R --enable-stdio-inheritance']]),
  ...flags('refused', STATSD, [
    ['--statsd-host ADDRESS'],
    ['--dogstatsd-tags TAGS', ''],
    ['--statsd-prefix TEXT', ''],
    ['--enable-backlog-metric'],
  ]),
  ...flags('refused', PASTE, [['--paste --paster FILE'], ['--paste-global CONF']]),
  ...flags('refused', PROXY, [
    ['--proxy-protocol MODE', 'off'],
    ['--proxy-allow-from ADDRESSES', '127.0.0.1,::1'],
  ]),
  ...flags('refused', UWSGI, [
    ['--protocol NAME', 'http'],
    ['--uwsgi-allow-from ADDRESSES', '127.0.0.1,::1'],
  ]),
  ...flags('refused', TLS, [
    ['--keyfile FILE'],
    ['--certfile FILE'],
    ['--ssl-version NAME', '2'],
    ['--cert-reqs N', '0'],
    ['--ca-certs FILE'],
    ['--suppress-ragged-eofs'],
    ['--do-handshake-on-connect'],
    ['--ciphers NAMES'],
  ]),
  ...flags('refused', HTTP2, [
    ['--http-protocols NAMES', 'h1'],
    ['--http2-cleartext MODE', 'off'],
    ['--http2-max-concurrent-streams N', '100'],
    ['--http2-initial-window-size BYTES', '65535'],
    ['--http2-max-frame-size BYTES', '16384'],
    ['--http2-max-header-list-size BYTES', '65536'],
  ]),
  ...flags('refused', STRICT, [
    ['--permit-obsolete-folding'],
    ['--strip-header-spaces'],
    ['--permit-unconventional-http-version'],
    ['--casefold-http-method'],
  ]),
  ...flags('no-effect', 'every method that RFC 9110 allows (a token, section 9.1) reaches the application.', [
    ['--permit-unconventional-http-method'],
  ]),
  ...flags(
    'refused',
    'Header names with an underscore never reach environ, whoever sends them. Set SCRIPT_NAME in the application: FORCE_SCRIPT_NAME in Django.',
    [
      ['--forwarder-headers NAMES', 'SCRIPT_NAME,PATH_INFO'],
      ['--header-map MODE', 'drop'],
    ],
  ),
  ...flags('no-effect', ASGI, [
    ['--asgi-loop NAME', 'auto'],
    ['--asgi-lifespan MODE', 'auto'],
    ['--asgi-disconnect-grace-period S', '3'],
    ['--root-path PATH', ''],
    ['--websocket-max-message-size BYTES'],
  ]),
  ...flags('no-effect', 'there is one parser: strict, and fast enough not to need another.', [
    ['--http-parser NAME', 'auto'],
  ]),
  ...flags('refused', DIRTY, [
    ['--dirty-app APP'],
    ['--dirty-workers N', '0'],
    ['--dirty-timeout S', '300'],
    ['--dirty-threads N', '1'],
    ['--dirty-graceful-timeout S', '30'],
  ]),
  ...flags(
    'refused',
    'The control socket of Tunicorn always lies in its runtime folder, and nobody else may use it; tunicorn status and its like find it by themselves, or by --pid.',
    [['--control-socket PATH'], ['--control-socket-mode MODE', '384']],
  ),
  ...flags('no-effect', 'the control socket is always there; nobody but the own user may use it.', [
    ['--no-control-socket'],
  ]),
];

/** Names in gunicorn's configuration file that are not those of its flags, and the flag that they mean. */
export const FLAG_OF_NAME: Readonly<Record<string, string>> = {
  keepalive: 'keep-alive',
  limit_request_field_size: 'limit-request-field_size',
  reload_extra_files: 'reload-extra-file',
  preload_app: 'preload',
  sendfile: 'no-sendfile',
  raw_env: 'env',
  pidfile: 'pid',
  accesslog: 'access-logfile',
  access_log_format: 'access-logformat',
  errorlog: 'error-logfile',
  loglevel: 'log-level',
  logconfig: 'log-config',
  logconfig_json: 'log-config-json',
  syslog_addr: 'log-syslog-to',
  syslog: 'log-syslog',
  syslog_prefix: 'log-syslog-prefix',
  syslog_facility: 'log-syslog-facility',
  proc_name: 'name',
  proxy_allow_ips: 'proxy-allow-from',
  uwsgi_allow_ips: 'uwsgi-allow-from',
  raw_paste_global_conf: 'paste-global',
  dirty_apps: 'dirty-app',
  control_socket_disable: 'no-control-socket',
};

/** What gunicorn takes from its configuration file alone. */
export type FileOnly =
  | { readonly fate: 'application' }
  /** A function. `instead` is what does the same here, as the rest of a sentence; empty when nothing does. */
  | { readonly fate: 'hook'; readonly instead: string }
  | { readonly fate: 'no-effect' | 'refused'; readonly text: string };

const hook = (instead = ''): FileOnly => ({ fate: 'hook', instead });
const inModule = (name: string) => hook(`${name} of --hooks`);

export const FILE_ONLY: Readonly<Record<string, FileOnly>> = {
  wsgi_app: { fate: 'application' },
  tmp_upload_dir: { fate: 'no-effect', text: 'uploads wait in the folder of --spool-dir.' },
  secure_scheme_headers: {
    fate: 'refused',
    text: 'The scheme is taken from X-Forwarded-Proto of a believed proxy, and from nothing else. Let the proxy set that one, and see --forwarded-headers.',
  },
  logconfig_dict: { fate: 'refused', text: LOGGING },
  default_proc_name: { fate: 'no-effect', text: 'processes are named by --name, or after the application.' },
  on_starting: hook('the command of --on-start'),
  on_reload: hook('the command of --on-reload'),
  when_ready: hook(),
  pre_fork: hook(),
  post_fork: inModule('post_fork'),
  post_worker_init: inModule('worker_ready'),
  worker_int: hook(),
  worker_abort: inModule('worker_abort'),
  pre_exec: hook(),
  pre_request: inModule('pre_request'),
  post_request: inModule('post_request'),
  child_exit: inModule('worker_gone'),
  worker_exit: inModule('worker_exit'),
  nworkers_changed: hook(),
  on_exit: hook('the command of --on-exit'),
  ssl_context: { fate: 'refused', text: TLS },
  on_dirty_starting: hook(),
  dirty_post_fork: hook(),
  dirty_worker_init: hook(),
  dirty_worker_exit: hook(),
};

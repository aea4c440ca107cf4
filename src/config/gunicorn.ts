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
  'Metrics are not there yet. Until then count from the access log: --access-logfile - has status and time of every request.';
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
    'A control socket is not there yet. Signals to the main process do the same: TERM stops, and --pid says where its number stands.',
    [['--control-socket PATH'], ['--control-socket-mode MODE']],
  ),
  ...flags('no-effect', 'there is no control socket yet.', [['--no-control-socket']]),
];

/** What gunicorn takes from its configuration file alone. Ours comes later, and these wait for it. */
export const FILE_ONLY: readonly string[] = [
  'wsgi_app',
  'tmp_upload_dir',
  'secure_scheme_headers',
  'logconfig_dict',
  'default_proc_name',
  'on_starting',
  'on_reload',
  'when_ready',
  'pre_fork',
  'post_fork',
  'post_worker_init',
  'worker_int',
  'worker_abort',
  'pre_exec',
  'pre_request',
  'post_request',
  'child_exit',
  'worker_exit',
  'nworkers_changed',
  'on_exit',
  'ssl_context',
  'on_dirty_starting',
  'dirty_post_fork',
  'dirty_worker_init',
  'dirty_worker_exit',
];

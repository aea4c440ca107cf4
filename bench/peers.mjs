/**
 * The servers, one row each. `commands` gives what to start. `needs`: a program and a package without which it is
 * skipped; `version`: where the version is read. `not`: workloads that it cannot do, and why. `isReference`: it runs
 * no Python, and stands there for comparison only.
 *
 * Tunicorn has its default options. The others have theirs too, and beside that only what keeps them from being held
 * back: no line per request in a log, room for as many connections as the workload opens, sendfile where it is an option.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { given, gunicorn, installed } from './commands.mjs';
import { gunicornBehindNginx, nginxFile } from './nginx.mjs';

/**
 * @typedef {import('./server.mjs').Command} Command
 * @typedef {{ root: string, python: string, scratch: string, port: number, workers: number, threads: number,
 *   module: string, keepAlive: number | null, isRoot: boolean }} Start `scratch`: an empty folder of its own;
 *   `keepAlive`: seconds, null for the server's default.
 * @typedef {{ id: string, title: string, commands: (start: Start) => Command[], needs?: { program?: string, package?: string },
 *   version: { name?: string, package?: string, command?: string[] }, isReference?: boolean, only?: string[], not?: Record<string, string> }} Peer
 */

const DEBIANS_APACHE = '/usr/sbin/apache2';
const WITHOUT_PYTHON = { 'django-hello': 'no Python', 'django-page': 'no Python', mixed: 'no Python' };
const ONE_AT_A_TIME = { mixed: 'a sync worker has no threads' };

/** @type {Peer[]} */
export const PEERS = [
  {
    id: 'tunicorn',
    title: 'Tunicorn',
    version: { command: [process.execPath, 'bin/tunicorn', '--version'] },
    commands: ({ root, python, port, workers, threads, module, keepAlive }) => [
      {
        program: process.execPath,
        args: [
          ...[join(root, 'bin/tunicorn'), '--python', python, '-w', String(workers)],
          ...[...given(threads > 1, '--threads', threads), '-b', `127.0.0.1:${port}`],
          ...[
            ...given(keepAlive, '--keep-alive', keepAlive),
            '--log-level',
            'error',
            `${module}:application`,
          ],
        ],
      },
    ],
  },
  {
    id: 'gunicorn-sync',
    title: 'gunicorn sync',
    needs: { package: 'gunicorn' },
    version: { name: 'gunicorn', package: 'gunicorn' },
    not: ONE_AT_A_TIME,
    commands: (start) => [gunicorn(start, { kind: 'sync', bind: `127.0.0.1:${start.port}` })],
  },
  {
    id: 'gunicorn-gthread',
    title: 'gunicorn gthread',
    needs: { package: 'gunicorn' },
    version: { name: 'gunicorn', package: 'gunicorn' },
    commands: (start) => [gunicorn(start, { kind: 'gthread', bind: `127.0.0.1:${start.port}` })],
  },
  {
    id: 'nginx-gunicorn',
    title: 'nginx + gunicorn',
    needs: { program: 'nginx', package: 'gunicorn' },
    version: { command: ['nginx', '-v'] },
    commands: gunicornBehindNginx,
  },
  {
    id: 'uwsgi',
    title: 'uWSGI',
    needs: { program: 'uwsgi' },
    version: { command: ['uwsgi', '--version'] },
    commands: ({ python, port, workers, threads, module, keepAlive }) => [
      {
        program: 'uwsgi',
        args: [
          ...[
            '--plugin',
            'python3',
            '--virtualenv',
            join(python, '../..'),
            '--module',
            `${module}:application`,
          ],
          ...['--http11-socket', `127.0.0.1:${port}`, '--master', '--die-on-term', '--need-app'],
          ...['--processes', String(workers), ...given(threads > 1, '--threads', threads)],
          ...['--disable-logging', '--listen', '1024', '--single-interpreter'],
          ...given(keepAlive, '--socket-timeout', keepAlive),
        ],
      },
    ],
  },
  {
    id: 'granian',
    title: 'Granian',
    needs: { package: 'granian' },
    version: { package: 'granian' },
    commands: ({ python, port, workers, threads, module }) => [
      {
        program: installed(python, 'granian'),
        args: [
          ...['--interface', 'wsgi', '--host', '127.0.0.1', '--port', String(port), '--log-level', 'error'],
          ...['--workers', String(workers), '--blocking-threads', String(threads), `${module}:application`],
        ],
      },
    ],
  },
  {
    id: 'waitress',
    title: 'waitress',
    needs: { package: 'waitress' },
    version: { package: 'waitress' },
    commands: ({ python, port, workers, threads, module }) => [
      {
        program: installed(python, 'waitress-serve'),
        args: [
          ...[`--listen=127.0.0.1:${port}`, `--threads=${workers * threads}`, '--connection-limit=10000'],
          ...['--asyncore-use-poll', `${module}:application`],
        ],
      },
    ],
  },
  {
    id: 'caddy-snake',
    title: 'caddy-snake',
    needs: { package: 'caddysnake' },
    version: { package: 'caddysnake' },
    commands: ({ python, port, workers, module, scratch }) => [
      {
        program: installed(python, 'caddysnake'),
        args: [
          ...['--server-type', 'wsgi', '--app', `${module}:application`, '--listen', `127.0.0.1:${port}`],
          ...['--workers', String(workers), '--workers-runtime', 'process'],
        ],
        // Its administration would listen on a fixed port, and its state would go into the home folder.
        env: {
          CADDY_ADMIN: `unix/${join(scratch, 'admin')}`,
          XDG_CONFIG_HOME: scratch,
          XDG_DATA_HOME: scratch,
        },
      },
    ],
  },
  {
    id: 'mod-wsgi',
    title: 'mod_wsgi-express',
    needs: { package: 'mod_wsgi' },
    version: { package: 'mod_wsgi' },
    commands: ({ python, port, workers, threads, module, scratch, keepAlive, isRoot }) => [
      {
        program: installed(python, 'mod_wsgi-express'),
        args: [
          ...['start-server', '--host', '127.0.0.1', '--port', String(port), '--server-root', scratch],
          ...[
            '--processes',
            String(workers),
            '--threads',
            String(threads),
            '--enable-sendfile',
            '--max-clients',
            '512',
          ],
          ...[
            '--log-to-terminal',
            '--log-level',
            'error',
            ...given(isRoot, '--user', 'nobody', '--group', 'nogroup'),
            // Debian's has this name, and mod_wsgi-express looks for httpd.
            ...given(existsSync(DEBIANS_APACHE), '--httpd-executable', DEBIANS_APACHE),
          ],
          ...[...given(keepAlive, '--keep-alive-timeout', keepAlive), '--application-type', 'module', module],
        ],
      },
    ],
  },
  {
    id: 'node-http',
    title: 'Node http (no Python)',
    version: { command: [process.execPath, '--version'] },
    isReference: true,
    not: WITHOUT_PYTHON,
    commands: ({ root, port, keepAlive }) => [
      {
        program: process.execPath,
        args: [join(root, 'bench/apps/node-http.mjs'), String(port)],
        env: { BENCH_KEEP_ALIVE: String(keepAlive ?? 5) },
      },
    ],
  },
  {
    id: 'nginx-file',
    title: 'nginx sendfile (no Python)',
    needs: { program: 'nginx' },
    version: { command: ['nginx', '-v'] },
    isReference: true,
    only: ['file'],
    commands: nginxFile,
  },
];

/**
 * @param {Peer} peer @param {string} workload
 * @returns {string | null | undefined} why it is left out of this workload; null when it takes part; undefined when it was
 *   never meant for it.
 */
export function whyNot(peer, workload) {
  if (peer.only && !peer.only.includes(workload)) return undefined;
  return peer.not?.[workload] ?? null;
}

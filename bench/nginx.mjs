/** The configurations of nginx: in front of gunicorn as gunicorn's documentation gives it, and alone with a file. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunicorn } from './commands.mjs';

/** @typedef {import('./peers.mjs').Start} Start @typedef {import('./server.mjs').Command} Command */

/** @param {Start} start @returns {Command[]} */
export function gunicornBehindNginx(start) {
  const socket = `unix:${join(start.scratch, 'gunicorn.sock')}`;
  const kind = start.threads > 1 ? 'gthread' : 'sync';
  const server = `
    upstream app { server ${socket} fail_timeout=0; }
    server {
      listen 127.0.0.1:${start.port} backlog=4096;
      client_max_body_size 4G;
      location / {
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_set_header Host $http_host;
        proxy_redirect off;
        proxy_pass http://app;
      }
    }`;
  return [gunicorn(start, { kind, bind: socket }), nginx(start, server)];
}

/** @param {Start} start @returns {Command[]} */
export function nginxFile(start) {
  const server = `
    server {
      listen 127.0.0.1:${start.port} backlog=4096;
      location / { root ${join(start.scratch, '..')}; }
    }`;
  return [nginx(start, server)];
}

/** @param {Start} start @param {string} server @returns {Command} */
function nginx({ scratch, workers }, server) {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${join(scratch, name)};`,
  );
  const path = join(scratch, 'nginx.conf');
  writeFileSync(
    path,
    `daemon off;
worker_processes ${workers};
pid ${join(scratch, 'nginx.pid')};
error_log stderr error;
events { worker_connections 16384; }
http {
    access_log off;
    sendfile on;
    tcp_nopush on;
    ${temporary.join('\n    ')}
    ${server}
}
`,
  );
  return { program: 'nginx', args: ['-c', path, '-p', scratch] };
}

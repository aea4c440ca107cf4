/** A real nginx in front, for tests: installed when it is missing and the tests run as root. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import net from 'node:net';
import { join } from 'node:path';
import { freePort } from '../support/port.ts';

const PATHS = [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/usr/local/sbin', '/opt/homebrew/bin'];

/** Path of nginx, or null when there is none and it could not be installed. */
export function findNginx(): string | null {
  return look() ?? (process.getuid?.() === 0 && existsSync('/usr/bin/apt-get') ? install() : null);
}

function look(): string | null {
  return PATHS.map((folder) => join(folder, 'nginx')).find(existsSync) ?? null;
}

function install(): string | null {
  // RUNLEVEL=1: Debian's scripts then do not start the service, which would take port 80.
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
  try {
    execFileSync('apt-get', ['install', '-y', '--no-install-recommends', 'nginx-light'], {
      env,
      stdio: 'ignore',
      timeout: 50_000,
    });
  } catch {
    // No network, no such package: the tests are skipped.
  }
  return look();
}

/** A `server` block: what follows `listen`. `$name` of the other servers stands for their port. */
export type Servers = Readonly<Record<string, string>>;

export interface Nginx extends AsyncDisposable {
  /** Ports by the names of the servers. */
  readonly ports: Readonly<Record<string, number>>;
}

/**
 * Starts nginx with these servers, each on a port of its own, and waits until it listens.
 * @param folder for its files.
 * @throws {Error} with its output when it does not start.
 */
export async function startNginx(program: string, folder: string, servers: Servers): Promise<Nginx> {
  await mkdir(folder, { recursive: true });
  const ports: Record<string, number> = {};
  for (const name of Object.keys(servers)) ports[name] = await freePort();
  const conf = join(folder, 'nginx.conf');
  await writeFile(conf, configuration(folder, servers, ports));
  const child = spawn(program, ['-p', folder, '-c', conf, '-e', 'stderr'], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let output = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  await Promise.all(Object.values(ports).map((port) => listening(port, child, () => output)));
  return {
    ports,
    async [Symbol.asyncDispose]() {
      child.kill('SIGTERM');
      await ended;
    },
  };
}

function configuration(folder: string, servers: Servers, ports: Readonly<Record<string, number>>): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${folder}/${name};`,
  );
  const blocks = Object.entries(servers).map(([name, body]) => {
    const text = body.replace(/\$PORT_(\w+)/g, (_, other: string) => String(ports[other]));
    return `server { listen 127.0.0.1:${ports[name]}; client_max_body_size 0; ${text} }`;
  });
  // As root its worker would be another user, who may not open our socket.
  const user = process.getuid?.() === 0 ? 'user root;' : '';
  return `${user} daemon off; worker_processes 1; pid ${folder}/nginx.pid; error_log stderr;
events { worker_connections 256; }
http { access_log off; ${temporary.join(' ')} ${blocks.join('\n')} }
`;
}

async function listening(port: number, child: ChildProcess, output: () => string): Promise<void> {
  const deadline = performance.now() + 20_000;
  for (;;) {
    const isThere = await new Promise<boolean>((resolve) => {
      const socket = net.connect({ port, host: '127.0.0.1' });
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
      socket.once('connect', () => socket.destroy());
    });
    if (isThere) return;
    if (child.exitCode !== null || performance.now() > deadline)
      throw new Error(`nginx did not start:\n${output()}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

import type { Server } from 'node:net';
import { UserError } from '../errors.ts';

/**
 * Makes the server listen.
 * @param to An empty host is every address of this machine; port 0 any free one.
 * @throws {UserError} when it cannot, with what to do
 */
export function listen(server: Server, to: { host: string; port: number; backlog: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    const refuse = (error: NodeJS.ErrnoException) => reject(explain(error, to));
    server.once('error', refuse);
    server.listen({ ...to, host: to.host === '' ? undefined : to.host }, () => {
      server.off('error', refuse);
      resolve();
    });
  });
}

const ADVICE: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another program listens there. Stop it, or choose another port (0 takes any free one).',
  EACCES: 'permission denied. Ports under 1024 need root or CAP_NET_BIND_SERVICE.',
  EADDRNOTAVAIL: 'this machine has no such address.',
  ENOTFOUND: 'there is no such host.',
};

function explain(error: NodeJS.ErrnoException, { host, port }: { host: string; port: number }): UserError {
  const where = `${host.includes(':') ? `[${host}]` : host || '*'}:${port}`;
  const why = ADVICE[error.code ?? ''] ?? error.message;
  return Object.assign(new UserError(`Cannot listen on ${where}: ${why}`), { cause: error });
}

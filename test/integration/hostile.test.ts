/** Hostile clients, hostile applications and unlucky operators, against the real command. */
import { once } from 'node:events';
import net from 'node:net';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { fetchOnce } from '../support/client.ts';
import { ROOT, type Server, startTunicorn } from '../support/tunicorn.ts';

const APPS = join(ROOT, 'test/apps');

function start(app: string, args: readonly string[] = []): Promise<Server> {
  return startTunicorn({ cwd: APPS, args: [...args, `hostile:${app}`] });
}

const get = (server: Server, path = '/') => fetchOnce({ port: server.port }, path);

describe('a client that resets its connection', () => {
  /** Sends a whole request and a reset right behind it. */
  async function hitAndRun(server: Server): Promise<void> {
    const socket = net.connect(server.port, '127.0.0.1');
    await once(socket, 'connect');
    socket.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n');
    socket.resetAndDestroy();
    await once(socket, 'close');
  }

  test('never has its request run without an address', async () => {
    await using server = await start('addresses', ['--access-logfile', '-']);
    for (let round = 0; round < 50; round++) {
      await Promise.all(Array.from({ length: 40 }, () => hitAndRun(server)));
    }
    expect(`${(await get(server)).body}`).toMatch(/^\[('127\.0\.0\.1')?\]$/);
    await server.stop();
    expect(server.log()).not.toMatch(/^- .*"POST /m);
  });
});

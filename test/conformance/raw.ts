import net from 'node:net';

export interface RawAnswer {
  /** All that came until the connection ended. */
  readonly bytes: Buffer;
  readonly ends: 'closed' | 'reset';
}

const WAIT_MS = 20_000;

/**
 * Sends bytes, and takes all that comes until the connection ends.
 *
 * Where bytes and a reset arrive together, Node's streams see bytes and an end: libuv takes the hang-up for the end
 * and does not read the error behind it. So one more byte is written after the end: it fails after a reset, while a
 * server that closed in order still takes it.
 */
export function exchange(port: number, request: Buffer): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    const late = setTimeout(() => {
      socket.destroy();
      reject(
        new Error(`The connection did not end; so far: ${Buffer.concat(chunks).toString('latin1', 0, 500)}`),
      );
    }, WAIT_MS);
    const finish = (ends: RawAnswer['ends']) => {
      clearTimeout(late);
      socket.destroy();
      resolve({ bytes: Buffer.concat(chunks), ends });
    };
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.on('end', () => socket.write('x', (error) => error ?? finish('closed')));
    socket.on('error', () => finish('reset'));
    socket.write(request);
  });
}

/** What goes out to one client, over a real socket, and the client's end of it. */
import { type AddressInfo, createServer, connect as dial, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { expect } from 'vitest';
import { Outgoing } from '../../src/front/outgoing.ts';
import { Room } from '../../src/front/room.ts';
import { until } from './harness.ts';

export interface Pair extends AsyncDisposable {
  readonly outgoing: Outgoing;
  readonly room: Room;
  readonly socket: Socket;
  readonly reader: Socket;
  readonly received: Buffer[];
  end(): void;
}

/** Its end checks that nothing is held any more. */
export async function openPair({
  memoryLimit = 1e9,
  spoolLimit = 1e9,
  spoolDir = tmpdir(),
} = {}): Promise<Pair> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve));
  const reader = dial((server.address() as AddressInfo).port);
  const received: Buffer[] = [];
  reader.on('data', (chunk) => received.push(chunk));
  const socket = await accepted;
  const room = new Room({ memoryLimit, spoolLimit, spoolDir, warn: () => {} });
  const outgoing = new Outgoing(socket, room);
  socket.on('drain', () => outgoing.pump());
  const dispose = async () => {
    reader.destroy();
    socket.destroy();
    server.close();
    outgoing.close();
    await until(() => expect(room.used).toEqual({ memory: 0, spooled: 0 }));
  };
  return {
    outgoing,
    room,
    socket,
    reader,
    received,
    end: () => socket.end(),
    [Symbol.asyncDispose]: dispose,
  };
}

/** All that was received once `length` bytes have been. */
export async function received(pair: Pair, length: number): Promise<Buffer> {
  await until(() =>
    expect(pair.received.reduce((sum, chunk) => sum + chunk.length, 0)).toBeGreaterThanOrEqual(length),
  );
  return Buffer.concat(pair.received);
}

import { connect } from 'node:net';

/** Whether a process listens on the UNIX socket at `path`. One whose process died refuses. */
export function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    // EAGAIN: it listens, and its queue is full.
    socket.once('error', (error: NodeJS.ErrnoException) =>
      resolve(error.code === 'EAGAIN' || error.code === 'EACCES'),
    );
  });
}

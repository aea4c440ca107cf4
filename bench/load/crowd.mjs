/** Clients that are only there: idle connections after one request, and clients that send a byte now and then. */
import { connect } from 'node:net';
import { Client } from './client.mjs';

/** So many are opened at a time: a flood of SYNs would measure the kernel's queue. */
const AT_ONCE = 50;
const OPEN_WITHIN_MS = 15_000;
const SLOW_BYTE_MS = 2000;

/**
 * @param {{ port: number, count: number, bytes: Buffer, expected: Buffer }} load
 * @returns {Promise<{ countOpen: () => number, end: () => void }>} when each has had one answer and is idle.
 * @throws {Error} when the server does not answer them all.
 */
export async function openIdle({ port, count, bytes, expected }) {
  const clients = Array.from({ length: count }, () => new Client(port));
  const end = () => {
    for (const client of clients) client.end();
  };
  let answered = 0;
  let nth = 0;
  const opener = async () => {
    while (nth < count) {
      await clients[nth++].request(bytes, expected);
      answered++;
    }
  };
  const deadline = setTimeout(end, OPEN_WITHIN_MS);
  try {
    await Promise.all(Array.from({ length: AT_ONCE }, opener));
  } catch (error) {
    end();
    throw new Error(`only ${answered} of ${count} connections were answered (${error.message})`);
  } finally {
    clearTimeout(deadline);
  }
  return { countOpen: () => clients.filter((client) => client.isOpen).length, end };
}

/**
 * Half of them send the head of a GET, half the body of a POST, a byte every 2 s. One that is cut off comes again.
 * @param {{ port: number, count: number }} load
 * @returns {{ end: () => void }}
 */
export function openSlow({ port, count }) {
  const sockets = new Map();
  const open = (nth) => {
    const socket = connect({ port, host: '127.0.0.1' });
    const isHead = nth % 2 === 0;
    const start = isHead
      ? 'GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: '
      : 'POST /post HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 65536\r\n\r\n';
    socket.write(start);
    socket.on('error', () => {});
    socket.resume();
    sockets.set(nth, socket);
  };
  for (let nth = 0; nth < count; nth++) open(nth);
  const slices = 20;
  let slice = 0;
  // A twentieth of them at a time, so that they do not come in one burst.
  const timer = setInterval(() => {
    for (let nth = slice; nth < count; nth += slices) {
      if (sockets.get(nth).destroyed) open(nth);
      else sockets.get(nth).write('a');
    }
    slice = (slice + 1) % slices;
  }, SLOW_BYTE_MS / slices);
  const end = () => {
    clearInterval(timer);
    for (const socket of sockets.values()) socket.destroy();
  };
  return { end };
}

/**
 * A closed loop of clients that each keep a connection and ask again as soon as they have their answer. It counts for
 * each client, so that it shows who is left waiting.
 */
import { Client } from './client.mjs';

/**
 * @param {{ port: number, clients: number, seconds: number, next: () => { bytes: Buffer, expected: Buffer } }} load
 *   `next`: the request to send, and the body to come.
 * @returns {Promise<{ counts: number[], rate: number }>} `counts`: answers of each client.
 * @throws {Error} when one answer was wrong or cut.
 */
export async function closedLoop({ port, clients, seconds, next }) {
  const all = Array.from({ length: clients }, () => new Client(port));
  const counts = all.map(() => 0);
  let isOver = false;
  const began = performance.now();
  const loops = all.map(async (client, nth) => {
    while (!isOver) {
      const { bytes, expected } = next();
      try {
        await client.request(bytes, expected);
      } catch (error) {
        if (isOver) return;
        throw error;
      }
      counts[nth]++;
    }
  });
  const time = new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  try {
    await Promise.race([time, Promise.all(loops)]);
  } finally {
    isOver = true;
    for (const client of all) client.end();
    await Promise.allSettled(loops);
  }
  const elapsed = (performance.now() - began) / 1000;
  return { counts, rate: counts.reduce((sum, count) => sum + count, 0) / elapsed };
}

/**
 * @param {number[]} counts
 * @returns {number} 1 when the slowest client got as much as the average, 0 when it got nothing.
 */
export function slowestShare(counts) {
  const total = counts.reduce((sum, count) => sum + count, 0);
  return total === 0 ? 0 : (Math.min(...counts) * counts.length) / total;
}

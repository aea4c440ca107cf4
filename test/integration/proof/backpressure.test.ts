/** Clients that read nothing: their answers go to the disk, the workers go on, and the operator sees where the bytes are. */
import { expect, test } from 'vitest';
import { pattern } from '../../front/harness.ts';
import { type Connection, connect, fetchOnce, formatRequest } from '../../support/client.ts';
import { KINDS } from '../../support/kinds.ts';
import { type Scenario, startScenario, until } from './scenario.ts';

const MIB = 1024 * 1024;
const READERS = 40;
const SIZE = 8_000_000;
const LIMIT = 4 * MIB;
/** What each connection may have in its socket while memory is tight, and what may be on its way to the disk. */
const EACH = 16 * 1024;
const ON_ITS_WAY = 2 * MIB;

async function askAndReadNothing({ server }: Scenario): Promise<Connection> {
  const client = await connect({ port: server.port });
  client.socket.pause();
  await client.send(formatRequest('GET', `/produce?size=${SIZE}`));
  return client;
}

async function held(scenario: Scenario): Promise<{ memory: number; spooled: number }> {
  const [front] = (await scenario.status()).fronts;
  return { memory: front?.report?.memory ?? Number.NaN, spooled: front?.report?.spooled ?? Number.NaN };
}

test.each(KINDS)(
  '40 readers that stand still: the one %s worker is free, memory stays at its limit, and status and metrics tell it',
  async (kind) => {
    await using scenario = await startScenario({ kind, app: 'traffic', args: ['--memory-limit', '4M'] });
    const clients: Connection[] = [];
    let most = 0;
    for (let i = 0; i < READERS; i++) {
      clients.push(await askAndReadNothing(scenario));
      if (i % 5 === 0) most = Math.max(most, (await held(scenario)).memory);
    }
    // It has given its last block of each, though nobody has read a byte: it serves others.
    const answer = await fetchOnce({ port: scenario.server.port }, '/echo/free');
    expect(String(answer.body)).toBe('GET /echo/free?\n');
    const then = await held(scenario);
    console.info(`At most ${Math.max(most, then.memory)} bytes in memory, ${then.spooled} spooled.`);
    expect(Math.max(most, then.memory)).toBeLessThan(LIMIT + READERS * EACH + ON_ITS_WAY);
    expect(then.memory).toBeGreaterThan(LIMIT / 2);
    expect(then.spooled).toBeGreaterThan(READERS * MIB);
    expect((await scenario.command('status')).text).toMatch(/[0-9.]+ MiB held, [0-9.]+ MiB spooled/);
    const metrics = (await scenario.command('status', '--prometheus')).text;
    expect(metrics).toMatch(/^tunicorn_held_bytes [1-9]\d{6}$/m);
    expect(metrics).toMatch(/^tunicorn_spooled_bytes [1-9]\d{7,}$/m);

    const whole = pattern(SIZE);
    for (const client of clients) {
      client.socket.resume();
      expect((await client.read()).body.equals(whole)).toBe(true);
      client.close();
    }
    await until('nothing is held any more', async () => {
      const { memory, spooled } = await held(scenario);
      return memory === 0 && spooled === 0;
    });
    expect(scenario.server.log()).not.toMatch(/\[(WARNING|ERROR)\]/);
  },
  90_000,
);

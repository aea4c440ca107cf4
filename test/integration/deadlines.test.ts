import { describe, expect, test } from 'vitest';
import { connect, fetchOnce, field, formatRequest, Incomplete } from '../support/client.ts';
import { appArgs, KINDS, type Kind } from '../support/kinds.ts';
import { type Server, startTunicorn } from '../support/tunicorn.ts';

/** One request at a time, in workers of either kind. */
function start(kind: Kind, ...args: string[]): Promise<Server> {
  return startTunicorn({
    args: ['--access-logfile', '-', '--threads', '1', ...args, ...appArgs(kind, 'traffic')],
  });
}

const get = (server: Server, path: string) => fetchOnce({ port: server.port }, path);

describe.each(KINDS)('%s workers', (kind) => {
  test('--timeout: 504 at the deadline, and the next request is served', async () => {
    await using server = await start(kind, '--timeout', '1');
    const [before] = await server.workers();
    const started = performance.now();
    const slow = get(server, '/sleep?s=60');
    // Waits behind it for the only worker, and is served by the next one.
    const queued = get(server, '/echo/next');
    expect((await slow).status).toBe(504);
    const took = performance.now() - started;
    expect([took > 900, took < 5000]).toEqual([true, true]);
    expect((await queued).status).toBe(200);
    await server.waitForLog(/Timeout: GET \/sleep\?s=60 had no answer for 1 s\. Worker \d+ \(pid \d+\)/);
    await server.waitForLog('"GET /sleep?s=60 HTTP/1.1" 504');
    // A promise that nobody waits for any more leaves nothing torn, as an exception in the middle of it does.
    if (kind === 'node') return expect(await server.workers()).toEqual([before]);
    // It may take a moment to let go.
    await expect.poll(() => server.workers(), { timeout: 10_000 }).not.toContain(before);
  });

  test('--timeout holds for each gap of an answer, and cuts it', async () => {
    await using server = await start(kind, '--timeout', '1');
    expect(String((await get(server, '/gap?s=0.5')).body)).toBe('firstlater');
    await expect(get(server, '/gap?s=60')).rejects.toThrow(Incomplete);
    expect((await get(server, '/echo/x')).status).toBe(200);
  });
});

// The front alone decides these, whatever workers it has.

test('--timeout 0 is none', async () => {
  await using server = await start('python', '--timeout', '0');
  expect(String((await get(server, '/sleep?s=1.5')).body)).toBe('slept');
});

test('--queue-timeout and --queue-size: 503 with Retry-After', async () => {
  await using server = await start('python', '--queue-timeout', '0.5', '--queue-size', '2');
  const held = get(server, '/sleep?s=2');
  // The one worker must have it.
  await new Promise((resolve) => setTimeout(resolve, 200));
  const started = performance.now();
  const [first, second] = [get(server, '/echo/1'), get(server, '/echo/2')];
  await new Promise((resolve) => setTimeout(resolve, 100));
  const full = await get(server, '/echo/full');
  expect([full.status, field(full, 'Retry-After')]).toEqual([503, '1']);
  expect(performance.now() - started).toBeLessThan(450);
  for (const answer of await Promise.all([first, second])) {
    expect([answer.status, field(answer, 'Retry-After')]).toEqual([503, '1']);
  }
  expect((await held).status).toBe(200);
  expect((await get(server, '/echo/after')).status).toBe(200);
  await server.stop();
  expect(server.log().match(/"GET \/echo\/(1|2|full) HTTP\/1\.1" 503/g)?.length).toBe(3);
});

test('--client-header-timeout and --client-body-timeout: 408, and no word to whom who said nothing', async () => {
  await using server = await start(
    'python',
    '--client-header-timeout',
    '0.5',
    '--client-body-timeout',
    '0.5',
  );
  using head = await connect({ port: server.port });
  using body = await connect({ port: server.port });
  using silent = await connect({ port: server.port });
  await head.send('GET /echo/half HTTP/1.1\r\nHo');
  await body.send(formatRequest('POST', '/echo/half', { body: 'x'.repeat(100) }).subarray(0, -50));
  expect((await head.read()).status).toBe(408);
  expect((await body.read()).status).toBe(408);
  expect((await silent.ended()).rest.length).toBe(0);
  await server.stop();
  expect(server.log()).toMatch(/"GET \/echo\/half HTTP\/1\.1" 408 /);
  expect(server.log()).toMatch(/"POST \/echo\/half HTTP\/1\.1" 408 /);
  expect(server.log().match(/" 408 /g)?.length).toBe(2);
});

test('--keep-alive: an idle connection is closed, and with 0 after each answer', async () => {
  await using server = await start('python', '--keep-alive', '1');
  using client = await connect({ port: server.port });
  for (let i = 0; i < 3; i++) expect((await client.request('GET', `/echo/${i}`)).status).toBe(200);
  const started = performance.now();
  await client.ended();
  expect(performance.now() - started).toBeGreaterThan(800);
  await using off = await start('python', '--keep-alive', '0');
  using once = await connect({ port: off.port });
  expect(field(await once.request('GET', '/echo/x'), 'Connection')).toBe('close');
  await once.ended();
});

/**
 * A worker that lives, and that nobody can reach any more. Python only: the control connection of a Node worker belongs to
 * a thread of its own, which the application cannot get at.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { fetchOnce } from '../support/client.ts';
import { isAlive, startTunicorn } from '../support/tunicorn.ts';

/** Each worker looks for its own orders in a thread, so that it is idle when it loses the connection. */
const APP = `
import gc, os, threading, time

def lose_control():
    path = os.path.join(os.environ["SITE"], "cut-%d" % os.getpid())
    while not os.path.exists(path):
        time.sleep(0.02)
    for each in gc.get_objects():
        if type(each).__module__ == "_tunicorn.session" and type(each).__name__ == "Session":
            os.close(each.control.fileno())

threading.Thread(target=lose_control, daemon=True).start()

def application(environ, start_response):
    start_response("200 OK", [])
    return [str(os.getpid()).encode()]
`;

let site = '';
beforeEach(() => {
  site = mkdtempSync(join(tmpdir(), 'lost-'));
  writeFileSync(join(site, 'app.py'), APP);
});
afterEach(() => rmSync(site, { recursive: true }));

test.each([1, 2])('with %i threads it is replaced before a request finds it', async (threads) => {
  const args = ['-w', '2', `--threads=${threads}`, 'app'];
  await using server = await startTunicorn({ cwd: site, args, env: { SITE: site } });
  const [victim = 0, other = 0] = await server.workers();
  writeFileSync(join(site, `cut-${victim}`), '');
  const cutAt = performance.now();
  const answers: string[] = [];
  let isReplaced = false;
  // One after the other, so that one of the two is idle at any time.
  const traffic = (async () => {
    while (!isReplaced) {
      const { status, body } = await fetchOnce({ port: server.port }, '/');
      answers.push(status === 200 ? String(body) : `failed: ${status}`);
    }
  })();
  await server.waitForLog(/Worker 3 \(pid \d+\) is ready/, 30_000);
  const ms = performance.now() - cutAt;
  await expect.poll(() => isAlive(victim), { timeout: 30_000 }).toBe(false);
  isReplaced = true;
  await traffic;
  // Promised are 2 s: it looks once a second. The rest is for a machine that does other things, too.
  expect(ms).toBeLessThan(2000 + 3000);
  const now = await server.workers();
  expect(now).toHaveLength(2);
  expect(now).toContain(other);
  expect(answers.filter((answer) => answer.startsWith('failed'))).toEqual([]);
  expect(server.log()).toContain('the application has closed the connection to the front');
  expect(server.log()).not.toContain('Traceback');
});

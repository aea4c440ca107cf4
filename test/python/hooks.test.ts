import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { KIND } from '../../src/gateway/frames.ts';
import { pythons } from '../support/python.ts';
import { Harness, requestFrame, within } from './harness.ts';

const app = `
print("import", flush=True)
def application(environ, start_response):
    start_response("200 OK", [])
    return [b"ok"]
`;

async function open(source: string): Promise<Harness> {
  return Harness.open({ app, files: { 'turns.py': source }, start: { hooks: 'turns' } });
}

describe('hooks', () => {
  it('run in order: before the import, after it, and at the end', async () => {
    const name = (hook: string) => `def ${hook}(worker): print("${hook}", worker.id, flush=True)\n`;
    await using worker = await open(['post_fork', 'worker_ready', 'worker_exit'].map(name).join(''));
    let out = '';
    worker.child.stdout?.on('data', (data: Buffer) => {
      out += data.toString();
    });
    const ended = new Promise<void>((resolve) => worker.child.once('close', () => resolve()));
    await worker.order(KIND.DRAIN);
    await within(ended, 'the end of the output');
    expect(out).toBe('post_fork 1\nimport\nworker_ready 1\nworker_exit 1\n');
  });

  it.each([
    ['def worker_ready(worker): raise ValueError("no cache")', 'no cache'],
    ['def post_forks(worker): pass', 'did you mean post_fork?'],
    ['x = 1', 'has no hooks'],
    ['def pre_request(worker, environ): pass\ndef pre_requests(worker): pass', 'did you mean pre_request?'],
  ])('fail the start: %s', async (source, message) => {
    await using worker = await open(source);
    expect(await within(worker.exit, 'the exit')).toMatchObject({ code: 3 });
    const failed = await worker.said.first((said) => said.event === 'failed', 'failed');
    expect(JSON.stringify(failed)).toContain(message);
  });

  it.each(['_post_forks = lambda worker: None', 'post_forks = 1', 'from other import post_forks'])(
    'take no offence at names that nobody could mean: %s',
    async (line) => {
      const files = {
        'turns.py': `${line}\ndef post_fork(worker): pass`,
        'other.py': 'def post_forks(): pass',
      };
      await using worker = await Harness.ready({ app, files, start: { hooks: 'turns' } });
      expect(worker.said.all).toMatchObject([{ event: 'loaded', hooks: ['post_fork'] }]);
    },
  );

  it.each([
    ['turns', 'there is no module turns in FOLDER or elsewhere'],
    ['site_of.hooks', 'there is no module site_of in FOLDER or elsewhere'],
  ])('that are not there: %s', async (hooks, message) => {
    await using worker = await Harness.open({ app, start: { hooks } });
    expect(await within(worker.exit, 'the exit')).toMatchObject({ code: 3 });
    const failed = await worker.said.first((said) => said.event === 'failed', 'failed');
    expect(failed).toMatchObject({ code: 'no-hooks', traceback: '' });
    expect(JSON.stringify(failed)).toContain(message.replace('FOLDER', join(worker.folder, 'site')));
  });

  it('whose own import fails are told with their traceback', async () => {
    await using worker = await open('import missing_module');
    const failed = await worker.said.first((said) => said.event === 'failed', 'failed');
    expect(failed).toMatchObject({ code: 'application-failed' });
    expect(JSON.stringify(failed)).toContain('turns.py');
  });
});

/** An answer for each path, and hooks that print what they are told. */
const site = `
import time
def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/fails":
        raise ValueError("a view")
    if path == "/sleeps":
        print("begun", flush=True)
        while True:
            time.sleep(0.05)
    start_response("404 Nowhere" if path == "/nowhere" else "200 OK", [])
    return [environ.get("added", "nothing").encode()]
`;

const prints = `
def pre_request(worker, environ):
    environ["added"] = "by pre_request"
    print("pre", worker.id, environ["PATH_INFO"], flush=True)
    if environ["PATH_INFO"] == "/exits":
        raise SystemExit(3)

def post_request(worker, environ, status):
    print("post", worker.id, environ["PATH_INFO"], status, flush=True)
    raise RuntimeError("no counter")

def worker_abort(worker, environ):
    print("abort", worker.id, environ["PATH_INFO"], flush=True)
    raise KeyError("no report")
`;

describe.each(pythons())('the hooks of requests, Python $version', ({ path: python }) => {
  async function ready(threads: number) {
    const start = { hooks: 'turns', threads };
    const worker = await Harness.ready({ app: site, files: { 'turns.py': prints }, start, python });
    let out = '';
    worker.child.stdout?.on('data', (data: Buffer) => {
      out += data.toString();
    });
    const printed = (text: string) => expect.poll(() => out, { timeout: 20_000, interval: 5 }).toBe(text);
    return { worker, printed };
  }

  it.each([1, 2])(
    'run before and after each, and their errors are only logged: %i lane(s)',
    async (threads) => {
      const { worker, printed } = await ready(threads);
      await using _ = worker;
      const answers = [];
      for (const path of ['/', '/nowhere', '/fails', '/exits']) answers.push(await worker.ask({ path }));
      expect(answers.map(({ status, failed }) => failed?.error ?? status)).toEqual([
        '200 OK',
        '404 Nowhere',
        'ValueError',
        '200 OK',
      ]);
      expect(String(answers[0]?.body)).toBe('by pre_request');
      await printed(
        [
          ...['pre 1 /', 'post 1 / 200 OK', 'pre 1 /nowhere', 'post 1 /nowhere 404 Nowhere'],
          ...[
            'pre 1 /fails',
            'post 1 /fails 500 Internal Server Error',
            'pre 1 /exits',
            'post 1 /exits 200 OK',
          ],
          '',
        ].join('\n'),
      );
      await expect.poll(() => worker.errorLog.match(/Hook post_request of turns failed:/g)?.length).toBe(4);
      expect(worker.errorLog).toMatch(
        /Hook pre_request of turns failed:\nTraceback .*\n {2}File ".*turns.py", line 6.*\n.*\nSystemExit: 3/,
      );
    },
  );

  it.each([1, 2])('worker_abort runs right before the interrupt: %i lane(s)', async (threads) => {
    const { worker, printed } = await ready(threads);
    await using _ = worker;
    const lane = await worker.lane(threads - 1);
    lane.write(requestFrame(77, { path: '/sleeps' }));
    await printed('pre 1 /sleeps\nbegun\n');
    await worker.order(KIND.INTERRUPT, 77);
    expect((await lane.answer(77)).failed?.error).toBe('RequestTimeout');
    const after = 'post 1 /sleeps 500 Internal Server Error';
    await printed(`pre 1 /sleeps\nbegun\nabort 1 /sleeps\n${after}\n`);
    expect(worker.errorLog).toContain('Hook worker_abort of turns failed:');
  });
});

describe('worker_exit', () => {
  it.each([
    ['hangs', 'import time\ndef worker_exit(worker): time.sleep(60)'],
    ['fails', 'def worker_exit(worker): raise ValueError("no farewell")'],
  ])('that %s does not keep the worker', async (what, source) => {
    await using worker = await open(source);
    await worker.order(KIND.DRAIN);
    expect(await within(worker.exit, 'the exit')).toEqual({ code: 0, signal: null });
    if (what === 'fails') expect(worker.errorLog).toContain('ValueError: no farewell');
  });
});

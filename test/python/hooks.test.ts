import { describe, expect, it } from 'vitest';
import { KIND } from '../../src/gateway/frames.ts';
import { Harness, within } from './harness.ts';

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
  ])('fail the start: %s', async (source, message) => {
    await using worker = await open(source);
    expect(await within(worker.exit, 'the exit')).toMatchObject({ code: 3 });
    const failed = await worker.said.first((said) => said.event === 'failed', 'failed');
    expect(JSON.stringify(failed)).toContain(message);
  });
});

import { expect, test } from 'vitest';
import { KIND } from '../../src/gateway/frames.ts';
import { Harness } from './harness.ts';

test('serves a request and leaves on DRAIN', async () => {
  const harness = await Harness.ready({
    app: `
def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [environ['PATH_INFO'].encode()]
`,
  });
  try {
    const answer = await harness.ask({ path: '/hello' });
    expect(answer.status).toBe('200 OK');
    expect(answer.body.toString()).toBe('/hello');
    await harness.order(KIND.DRAIN);
    expect(await harness.exit).toEqual({ code: 0, signal: null });
  } finally {
    await harness.close();
  }
});

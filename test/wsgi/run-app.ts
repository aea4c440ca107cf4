import { callOf } from '../../src/wsgi/call.ts';
import { runApplication } from '../../src/wsgi/run.ts';
import type { Application } from '../../src/wsgi/types.ts';
import { FakeExchange } from './fake-exchange.ts';

/** Runs an application as the server does, and gives what it did with the exchange and what it logged. */
export async function runApp(
  app: Application,
  exchange = new FakeExchange(),
): Promise<{ calls: readonly string[]; errors: string }> {
  let errors = '';
  await runApplication(app, callOf(exchange), {
    errors: (text) => {
      errors += text;
    },
    serverSoftware: 'tunicorn/test',
  });
  return { calls: exchange.calls, errors };
}

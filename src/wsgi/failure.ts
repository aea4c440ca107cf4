/** What the log says of an application that failed. */
import { inspect } from 'node:util';

/** Where the application is called (run.ts; in the built library, server.js): what stands below that in a stack is the server. */
const CALLER =
  /^\s+at (?:async )?(?:runApplication|runOn|finish|sendParts|sendWhole|stop|quietly) \(.*\/(?:wsgi\/run|dist\/server)\.[jt]s:\d+:\d+\)$/m;

/** The error with its stack, as far as it is the application's. */
export function describeFailure(error: unknown): string {
  return applicationPart(inspect(error));
}

/** The lines of a stack that tell of the application; all of them when it does not stand there. */
export function applicationPart(text: string): string {
  const found = CALLER.exec(text);
  if (found === null) return text;
  const rest = text.slice(found.index).split('\n');
  const end = rest.findIndex((line) => !/^\s+at /.test(line));
  const head = text.slice(0, found.index).trimEnd();
  return end < 0 ? head : `${head}${rest.slice(end).join('\n')}`;
}

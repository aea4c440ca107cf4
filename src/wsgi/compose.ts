import type { Middleware } from './types.ts';

/**
 * Several middleware as one: `compose(a, b)(app)` is `a(b(app))`, so the first sees the request first and the
 * response last.
 */
export function compose(...middleware: readonly Middleware[]): Middleware {
  return (app) => middleware.reduceRight((inner, wrap) => wrap(inner), app);
}

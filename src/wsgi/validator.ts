import { isPromise, kindOf } from './kind.ts';
import type { Application, Body, Environ, StartResponse } from './types.ts';
import { ValidatedAnswer } from './validate-answer.ts';
import { checkBody, validatedBody } from './validate-body.ts';
import { checkEnviron } from './validate-environ.ts';
import { ValidatedErrors, ValidatedInput } from './validate-streams.ts';
import { application, server, type Warn } from './violation.ts';

export interface ValidatorOptions {
  /** Takes what is odd but no violation, and a body that was never closed. Default: `process.emitWarning`. */
  readonly warn?: (message: string) => void;
}

/**
 * Middleware that holds both sides to PEP 3333, the server (or middleware) around it and the application in it: every
 * check of Python's `wsgiref.validate`, and those that a language without its types needs. It changes nothing. For
 * development and tests: it costs time.
 *
 * What breaks a rule throws a {@link WsgiViolation} where it does so; that says which rule, and who broke it.
 */
export function validator(app: Application, options: ValidatorOptions = {}): Application {
  const { warn = (message: string) => process.emitWarning(message, 'WsgiWarning') } = options;
  if (typeof app !== 'function') {
    application.breaks('application', `An application is a function, not ${kindOf(app)}.`);
  }
  return (environ: Environ, startResponse: StartResponse, ...more: readonly unknown[]) => {
    checkCall({ environ, startResponse, more }, warn);
    environ['wsgi.input'] = new ValidatedInput(environ['wsgi.input']);
    environ['wsgi.errors'] = new ValidatedErrors(environ['wsgi.errors']);
    const answer = new ValidatedAnswer({ method: environ.REQUEST_METHOD, warn });
    const title = `${environ.REQUEST_METHOD} ${environ.SCRIPT_NAME}${environ.PATH_INFO}`;
    const validate = (body: unknown): Body => {
      checkBody(body);
      return validatedBody(body, { answer, warn, title });
    };
    const given = app(environ, (...args: readonly unknown[]) => answer.start(startResponse, args));
    return isPromise(given) ? Promise.resolve(given).then(validate) : validate(given);
  };
}

interface Arguments {
  readonly environ: unknown;
  readonly startResponse: unknown;
  readonly more: readonly unknown[];
}

function checkCall({ environ, startResponse, more }: Arguments, warn: Warn): void {
  if (more.length > 0 || startResponse === undefined) {
    server.breaks('application', 'An application is called with two arguments, environ and startResponse.');
  }
  checkEnviron(environ, warn);
  if (typeof startResponse !== 'function') {
    server.breaks('application', `startResponse must be a function, not ${kindOf(startResponse)}.`);
  }
}

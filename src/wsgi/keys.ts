import type { SecureContext, SecureContextOptions } from 'node:tls';
import { UserError } from '../errors.ts';

/** As node:tls has them: `key` and `cert` in PEM, or `pfx`; `ca`, `ciphers`, `minVersion` and the rest as wanted. */
export type TlsOptions = SecureContextOptions;

/** @throws {UserError} when the key is missing or not the certificate's, or one of them cannot be read */
export function secureContext(options: TlsOptions): SecureContext {
  const { key, cert, pfx } = options;
  if (pfx === undefined && (key === undefined || cert === undefined)) {
    const missing = cert === undefined ? 'cert (the certificate chain)' : 'key (the private key)';
    throw new UserError(`tls: ${missing} is missing. Give both in PEM, or pfx, which holds both.`);
  }
  try {
    // Loaded only by those who use it: it takes as long as all the rest.
    return process.getBuiltinModule('node:tls').createSecureContext(options);
  } catch (error) {
    const { message } = error as Error;
    const isMismatch = /key values mismatch/i.test(message);
    const why = isMismatch ? 'the key is not the one of the certificate' : message;
    throw Object.assign(
      new UserError(`tls: ${why}. key and cert are the text of the PEM files, not their paths.`),
      { cause: error },
    );
  }
}

/** The public API of the npm package: WSGI (PEP 3333) in TypeScript. */
export { UserError } from './errors.ts';
export { type AccessLogOptions, accessLog } from './wsgi/access-log.ts';
export { compose } from './wsgi/compose.ts';
export type { ConnectionOptions } from './wsgi/connection-options.ts';
export { type FetchHandler, fromFetch } from './wsgi/from-fetch.ts';
export { fromNode, type NodeApplication, type NodeListener } from './wsgi/from-node.ts';
export type { TlsOptions } from './wsgi/keys.ts';
export { makeServer, type ServerOptions, type WsgiServer } from './wsgi/make-server.ts';
export { mount } from './wsgi/mount.ts';
export { type RequestIdOptions, requestId } from './wsgi/request-id.ts';
export { type ToFetchOptions, toFetch } from './wsgi/to-fetch.ts';
export type {
  Application,
  Body,
  Chunk,
  Environ,
  ErrorStream,
  ExcInfo,
  FileLike,
  Header,
  InputStream,
  Middleware,
  StartResponse,
  Write,
} from './wsgi/types.ts';
export { type ValidatorOptions, validator } from './wsgi/validator.ts';
export { WsgiViolation } from './wsgi/violation.ts';

/** `make-server.mjs PORT`: the hello of node-http.mjs from `makeServer`. Says on standard error when it listens. */
const began = performance.now();
const { makeServer } = await import('../../dist/index.js');

const server = makeServer('127.0.0.1', Number(process.argv[2]), (_, startResponse) => {
  startResponse('200 OK', [
    ['Content-Type', 'text/plain'],
    ['Content-Length', '14'],
  ]);
  return ['Hello, world!\n'];
});
await server.ready;
process.stderr.write(`${performance.now() - began}\n`);
await server.serveForever();

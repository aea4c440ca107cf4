/**
 * `node-http.mjs PORT`: the answers of plain.py from Node's own `http`, in one process without any worker. It is no
 * peer, but the reference for the platform: what its HTTP server alone costs.
 */
import { createReadStream, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { pipeline } from 'node:stream';
import { crc32 } from 'node:zlib';

const FILE = process.env.BENCH_FILE ?? '';
const BIG = Buffer.from(Array.from({ length: 1 << 20 }, (_, i) => i & 255));
const HELLO = Buffer.from('Hello, world!\n');

function send(response, body) {
  response.writeHead(200, { 'Content-Type': 'text/plain', 'Content-Length': body.length });
  response.end(body);
}

function post(request, response) {
  const blocks = [];
  request.on('data', (block) => blocks.push(block));
  request.on('end', () => {
    const body = Buffer.concat(blocks);
    send(response, Buffer.from(`${body.length} ${crc32(body).toString(16).padStart(8, '0')}\n`));
  });
}

function sendFile(response) {
  response.writeHead(200, {
    'Content-Type': 'application/octet-stream',
    'Content-Length': statSync(FILE).size,
  });
  pipeline(createReadStream(FILE), response, () => {});
}

const keepAliveTimeout = Number(process.env.BENCH_KEEP_ALIVE ?? 5) * 1000;
createServer({ keepAliveTimeout }, (request, response) => {
  if (request.url === '/') send(response, HELLO);
  else if (request.url === '/big') send(response, BIG);
  else if (request.url === '/post') post(request, response);
  else sendFile(response);
}).listen(Number(process.argv[2]), '127.0.0.1');

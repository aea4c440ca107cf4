import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Bound, bindAll } from '../../src/arbiter/sockets.ts';
import { parseAddress } from '../../src/config/address.ts';

let root = '';
const open: { close(): void }[] = [];

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'sockets-'));
});

afterEach(() => {
  for (const one of open.splice(0)) one.close();
  rmSync(root, { recursive: true, force: true });
});

async function bind(...texts: string[]): Promise<Bound[]> {
  const bound = await bindAll(texts.map(parseAddress), { umask: 0o007, rights: null });
  open.push(...bound);
  return bound;
}

function listen(where: { port: number; host: string } | { path: string } | { fd: number }): Promise<Server> {
  const server = createServer((socket) => socket.on('error', () => {}).end('hello'));
  open.push(server);
  return new Promise((resolve, reject) => server.once('error', reject).listen(where, () => resolve(server)));
}

/** What a client hears. */
function ask(where: { port: number; host: string } | { path: string }): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    connect(where)
      .on('data', (data) => {
        text += data;
      })
      .on('end', () => resolve(text))
      .on('error', reject);
  });
}

test('port 0 becomes the real one; a server can listen on the descriptor', async () => {
  const [bound] = await bind('127.0.0.1:0');
  expect(bound?.port).toBeGreaterThan(0);
  expect(bound?.url).toBe(`http://127.0.0.1:${bound?.port}`);
  await listen({ fd: bound?.fd ?? -1 });
  expect(await ask({ port: bound?.port ?? 0, host: '127.0.0.1' })).toBe('hello');
});

test('a name is looked up, IPv4 first', async () => {
  const [bound] = await bind('localhost:0');
  await listen({ fd: bound?.fd ?? -1 });
  expect(await ask({ port: bound?.port ?? 0, host: '127.0.0.1' })).toBe('hello');
});

test('IPv6 takes IPv4 too, unless both are asked for', async () => {
  const [both] = await bind('[::]:0');
  await listen({ fd: both?.fd ?? -1 });
  expect(await ask({ port: both?.port ?? 0, host: '127.0.0.1' })).toBe('hello');
  expect(both?.url).toBe(`http://[::]:${both?.port}`);
  open.splice(0).forEach((one) => {
    one.close();
  });
  const [four, six] = await bind(`0.0.0.0:${both?.port}`, `[::]:${both?.port}`);
  await listen({ fd: four?.fd ?? -1 });
  await listen({ fd: six?.fd ?? -1 });
});

test('a busy port is told with its owner, and what was bound before is let go', async () => {
  const { port } = (await listen({ port: 0, host: '127.0.0.1' })).address() as AddressInfo;
  const path = join(root, 'site.sock');
  const failed = bind(`unix:${path}`, `127.0.0.1:${port}`);
  await expect(failed).rejects.toThrow(`Cannot listen on 127.0.0.1:${port}: the port is in use by`);
  await expect(failed).rejects.toThrow(`(pid ${process.pid})`);
  expect(existsSync(path)).toBe(false);
});

test.each([
  ['192.0.2.1:0', 'this machine has no such address'],
  ['nohost.invalid:80', 'the name nohost.invalid is not known'],
  ['fd://987654', 'no socket was passed on as descriptor 987654'],
  ['unix:/nope/site.sock', 'its folder does not exist'],
])('%s: %s', async (address, message) => {
  await expect(bind(address)).rejects.toThrow(message);
});

test('a UNIX socket has the rights that umask leaves, and is removed', async () => {
  const path = join(root, 'site.sock');
  const [bound] = await bind(`unix:${path}`);
  expect(statSync(path).mode & 0o777).toBe(0o770);
  expect(bound).toMatchObject({ host: path, port: 0, unix: true, url: `unix:${path}` });
  await listen({ fd: bound?.fd ?? -1 });
  expect(await ask({ path })).toBe('hello');
  bound?.close();
  expect(existsSync(path)).toBe(false);
});

test('a socket that nobody answers on is replaced; one that answers is not', async () => {
  const path = join(root, 'site.sock');
  await bind(`unix:${path}`);
  const [second] = await bind(`unix:${path}`);
  await listen({ fd: second?.fd ?? -1 });
  await expect(bind(`unix:${path}`)).rejects.toThrow(/the socket is in use by `.*` \(pid \d+\)/);
  expect(await ask({ path })).toBe('hello');
});

test('a file in the way is not removed', async () => {
  const path = join(root, 'file');
  writeFileSync(path, 'precious');
  await expect(bind(`unix:${path}`)).rejects.toThrow('there is a file that is no socket');
  expect(existsSync(path)).toBe(true);
});

test('the path is not removed when it is another socket by now', async () => {
  const path = join(root, 'site.sock');
  const [bound] = await bind(`unix:${path}`);
  unlinkSync(path);
  await listen({ path });
  bound?.close();
  expect(existsSync(path)).toBe(true);
});

test('an inherited descriptor that is no socket', async () => {
  const fd = openSync('/dev/null', 'r');
  open.push({ close: () => closeSync(fd) });
  await expect(bind(`fd://${fd}`)).rejects.toThrow(`descriptor ${fd} is no socket but /dev/null`);
});

test('an inherited TCP socket tells its address', async () => {
  const [bound] = await bind('127.0.0.1:0');
  const [again] = await bindAll([parseAddress(`fd://${bound?.fd}`)], { umask: 0, rights: null });
  expect(again).toMatchObject({ fd: bound?.fd, host: '127.0.0.1', port: bound?.port, unix: false });
});

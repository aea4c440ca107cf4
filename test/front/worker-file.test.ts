/** FILE answers: the front opens what a worker holds, and what becomes of an answer when it cannot. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  fstatSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openOffer, readOffer } from '../../src/front/worker-file.ts';
import { encodeFrame, FLAG, type Frame, KIND } from '../../src/gateway/frames.ts';
import { field, formatRequest, Incomplete } from '../support/client.ts';
import { python } from '../support/python.ts';
import type { FakeWorker, Wire } from './fake-worker.ts';
import { pattern, until } from './harness.ts';
import { openTheatre, type Theatre } from './theatre.ts';

const SIZE = 1_000_003;
const BYTES = pattern(SIZE);

let folder = '';
let held = -1;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tunicorn-held-'));
  writeFileSync(join(folder, 'content'), BYTES);
  held = openSync(join(folder, 'content'), 'r');
});
afterAll(() => {
  closeSync(held);
  rmSync(folder, { recursive: true, force: true });
});

/** The body of a FILE frame for a descriptor of this process. */
function offerOf(fd: number, part: { offset?: number; length?: number; ino?: bigint } = {}): string {
  const { dev, ino, size } = fstatSync(fd, { bigint: true });
  const { offset = 0, length = Number(size) - offset } = part;
  const words = ['fd', fd, 'dev', dev, 'ino', part.ino ?? ino, 'offset', offset, 'length', length];
  return words.join('\0');
}

/** Descriptors of this process for files of this name, those of the test included. */
function openCount(name = 'content'): number {
  return readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith(join(folder, name));
    } catch {
      return false;
    }
  }).length;
}

/** A worker that answers its first request with a FILE, and reads nothing more. */
const DEAF = `
import socket, sys, time
def dial():
    end = socket.socket(socket.AF_UNIX)
    end.connect(sys.argv[1])
    return end
control, lane = dial(), dial()
hello, ready, hello_lane, pong, file = map(bytes.fromhex, sys.argv[2:])
lane.sendall(hello_lane)
control.sendall(hello + ready)
lane.recv(16, socket.MSG_WAITALL)
lane.sendall(pong)
time.sleep(0.5)
lane.recv(65536)
lane.sendall(file)
time.sleep(60)
`;

/** How DEAF introduces itself: control, READY, a lane of this capacity, PONG. */
function helloFrames(capacity: number): string[] {
  const hello = (...head: string[]) => encodeFrame({ kind: KIND.HELLO, id: 0, head: head.join('\0') });
  const frames = [
    hello('role', 'control', 'worker', '1', 'pid', `${process.pid}`, 'lanes', '1'),
    encodeFrame({ kind: KIND.READY, id: 0 }),
    hello('role', 'lane', 'worker', '1', 'lane', '0', 'capacity', `${capacity}`, 'order', 'fifo'),
    encodeFrame({ kind: KIND.PONG, id: 0 }),
  ];
  return frames.map((frame) => frame.toString('hex'));
}

interface Reply {
  readonly fd?: number;
  readonly body?: string;
  readonly head?: readonly string[];
}

/** A worker, which is this process, that answers each request with the file, and hears what becomes of it. */
async function fileWorker(theatre: Theatre, reply: Reply | ((frame: Frame) => Reply) = {}, id = 1) {
  const worker = await theatre.worker({
    id,
    pid: process.pid,
    onRequest: (frame, wire) => {
      const { fd = held, body = offerOf(fd), head = [] } = typeof reply === 'function' ? reply(frame) : reply;
      wire.send(KIND.FILE, { id: frame.id, flags: FLAG.LAST, head: ['200 OK', ...head], body });
    },
  });
  return worker;
}

function openedFrames(worker: FakeWorker): [number, string][] {
  return worker.lane.frames
    .filter(({ kind }) => kind === KIND.OPENED)
    .map(({ id, head }) => [id, head.replace('\0', ' ')]);
}

async function get(theatre: Theatre, fields: Readonly<Record<string, string>> = {}, method = 'GET') {
  const client = await theatre.stage.connect();
  return client.request(method, '/x', { fields });
}

describe('readOffer', () => {
  test.each([
    'fd 3 dev 1 ino 2 offset 0',
    'fd -1 dev 1 ino 2 offset 0 length 5',
    'fd 3 dev 1 ino 2 offset x length 5',
    'fd 3 dev 1 offset 0 length 5',
    'fd 3 ino 1 offset 0 length 5',
    'fd 3 dev 1 ino 2 offset 0 length 1234567890123456',
    '',
  ])('%s is none', (text) => {
    expect(readOffer(Buffer.from(text.replaceAll(' ', '\0')))).toBeNull();
  });
});

describe('openOffer', () => {
  const offer = (fd: number, part = {}) => {
    const read = readOffer(Buffer.from(offerOf(fd, part)));
    if (read === null) throw new Error('It is no offer.');
    return read;
  };
  const refused = (what: 'file' | 'worker') => ({ refused: what, why: expect.any(String) });

  test('another file under that number is not opened', () => {
    expect(openOffer(process.pid, offer(held, { ino: 1n }))).toEqual(refused('worker'));
    expect(openCount()).toBe(1);
  });

  test('a process that is gone is no news', async () => {
    expect(openOffer(0x7fff_fff0, offer(held))).toEqual({ refused: 'worker', why: '' });
    // Its parent is a shell that asks for no child's end.
    const shell = spawn('sh', ['-c', 'sleep 0 & echo $!; exec sleep 60'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const [said] = await once(shell.stdout, 'data');
    const zombie = Number(String(said));
    await until(() => expect(readFileSync(`/proc/${zombie}/stat`, 'latin1')).toContain(') Z '));
    expect(openOffer(zombie, offer(held))).toEqual({ refused: 'worker', why: '' });
    shell.kill('SIGKILL');
  });

  test('a descriptor that is gone', () => {
    expect(openOffer(process.pid, { ...offer(held), fd: 99_999 })).toEqual(refused('worker'));
  });

  test('a FIFO does not make it wait', () => {
    execFileSync('mkfifo', [join(folder, 'fifo')]);
    const fifo = openSync(join(folder, 'fifo'), 'r+');
    expect(openOffer(process.pid, offer(fifo))).toEqual(refused('worker'));
    closeSync(fifo);
    expect(openCount('fifo')).toBe(0);
  });

  test('what cannot be opened again is refused alone', async () => {
    await using _theatre = await openTheatre();
    expect(openOffer(process.pid, { ...offer(held), fd: socketDescriptor() })).toEqual(refused('file'));
  });
});

/** Of a socket of this process: it can be seen in /proc and not be opened. */
function socketDescriptor(): number {
  const found = readdirSync('/proc/self/fd').find((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith('socket:');
    } catch {
      return false;
    }
  });
  return Number(found);
}

describe('a file that a worker holds', () => {
  test('is sent whole with its length, and the worker hears that it is open', async () => {
    await using theatre = await openTheatre();
    const worker = await fileWorker(theatre, { head: ['Content-Type', 'a/b', 'Set-Cookie', 'a=1'] });
    const answer = await get(theatre);
    expect(answer.body.equals(BYTES)).toBe(true);
    expect(
      ['content-type', 'set-cookie', 'content-length', 'accept-ranges'].map((n) => field(answer, n)),
    ).toEqual(['a/b', 'a=1', String(SIZE), 'bytes']);
    await until(() => expect(openedFrames(worker)).toEqual([[1, '']]));
    await until(() => expect(openCount()).toBe(1));
    expect(theatre.dispatcher.crew.report()[0]?.requests).toBe(1);
  });

  test('has lost its name, and its worker has closed it while it is sent', async () => {
    await using theatre = await openTheatre();
    const path = join(folder, 'nameless');
    writeFileSync(path, Buffer.alloc(8_000_000, 7));
    const fd = openSync(path, 'r');
    unlinkSync(path);
    const worker = await fileWorker(theatre, { fd });
    const client = await theatre.stage.connect();
    client.socket.pause();
    await client.send(formatRequest('GET', '/x'));
    await until(() => expect(openedFrames(worker)).toHaveLength(1));
    closeSync(fd);
    worker.die();
    theatre.dispatcher.crew.gone(1);
    client.socket.resume();
    const answer = await client.read();
    expect(answer.body.equals(Buffer.alloc(8_000_000, 7))).toBe(true);
  });

  test.each([
    [{ offset: 1000 }, [], BYTES.subarray(1000)],
    [{ offset: 1000, length: 10 }, [], BYTES.subarray(1000, 1010)],
    [{ offset: 5 }, ['Content-Length', '7'], BYTES.subarray(5, 12)],
    [{}, ['content-length', '0'], Buffer.alloc(0)],
  ])("from its position, up to its length or the application's: %j %j", async (part, head, content) => {
    await using theatre = await openTheatre();
    await fileWorker(theatre, { body: offerOf(held, part), head });
    const answer = await get(theatre);
    expect(answer.body.equals(content)).toBe(true);
    expect(field(answer, 'content-length')).toBe(String(content.length));
  });

  test('is longer than 4 GiB', async () => {
    await using theatre = await openTheatre();
    const fd = openSync(join(folder, 'sparse'), 'w+');
    ftruncateSync(fd, 5_000_000_000);
    writeSync(fd, 'end', 4_999_999_997);
    await fileWorker(theatre, { fd });
    const answer = await get(theatre, { Range: 'bytes=4999999996-' });
    expect([String(answer.body), field(answer, 'content-range')]).toEqual([
      '\0end',
      'bytes 4999999996-4999999999/5000000000',
    ]);
    closeSync(fd);
  });

  test('HEAD has its length, and nothing is read', async () => {
    await using theatre = await openTheatre();
    const worker = await fileWorker(theatre);
    const answer = await get(theatre, { Range: 'bytes=0-1' }, 'HEAD');
    expect([answer.status, answer.body.length, field(answer, 'content-length')]).toEqual([
      200,
      0,
      String(SIZE),
    ]);
    await until(() => expect(openedFrames(worker)).toHaveLength(1));
  });

  test('HTTP/1.0 with keep-alive gets one after the other', async () => {
    await using theatre = await openTheatre();
    await fileWorker(theatre);
    const client = await theatre.stage.connect();
    for (let turn = 0; turn < 3; turn++) {
      await client.send('GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n');
      const answer = await client.read();
      expect([
        answer.body.equals(BYTES),
        field(answer, 'connection'),
        field(answer, 'transfer-encoding'),
      ]).toEqual([true, 'keep-alive', undefined]);
    }
  });

  test.each([
    ['304 Not Modified', 'GET'],
    ['204 No Content', 'GET'],
  ])('%s has no body', async (status, method) => {
    await using theatre = await openTheatre();
    await theatre.worker({
      pid: process.pid,
      onRequest: (frame, wire) =>
        wire.send(KIND.FILE, { id: frame.id, flags: FLAG.LAST, head: [status], body: offerOf(held) }),
    });
    const client = await theatre.stage.connect();
    await client.send(formatRequest(method, '/x'));
    expect((await client.read()).body.length).toBe(0);
    await client.send(formatRequest(method, '/x'));
    expect((await client.read()).body.length).toBe(0);
    expect(theatre.stage.warnings).toEqual([]);
  });

  const TAGGED = ['ETag', '"abc"', 'Last-Modified', 'Thu, 29 Feb 2024 12:00:00 GMT'];
  test.each<[string, readonly string[], Readonly<Record<string, string>>, number, string]>([
    ['a part', [], { Range: 'bytes=10-19' }, 206, 'bytes 10-19/1000003'],
    ['to the end', [], { Range: 'bytes=1000000-' }, 206, 'bytes 1000000-1000002/1000003'],
    ['the last bytes', [], { Range: 'bytes=-3' }, 206, 'bytes 1000000-1000002/1000003'],
    ['of what the length leaves', ['Content-Length', '100'], { Range: 'bytes=-3' }, 206, 'bytes 97-99/100'],
    ['beyond the end', [], { Range: 'bytes=1000003-' }, 416, 'bytes */1000003'],
    ['several', [], { Range: 'bytes=0-1,5-6' }, 200, ''],
    ['none', [], { Range: 'lines=0-1' }, 200, ''],
    ['If-Range with the tag', TAGGED, { Range: 'bytes=0-1', 'If-Range': '"abc"' }, 206, 'bytes 0-1/1000003'],
    [
      'If-Range with the time',
      TAGGED,
      { Range: 'bytes=0-1', 'If-Range': TAGGED[3] ?? '' },
      206,
      'bytes 0-1/1000003',
    ],
    ['If-Range with another tag', TAGGED, { Range: 'bytes=0-1', 'If-Range': '"x"' }, 200, ''],
    ['If-Range with a weak tag', ['ETag', 'W/"abc"'], { Range: 'bytes=0-1', 'If-Range': 'W/"abc"' }, 200, ''],
    ['If-Range, and no validator', [], { Range: 'bytes=0-1', 'If-Range': '"abc"' }, 200, ''],
    ['If-Range that is empty', [], { Range: 'bytes=0-1', 'If-Range': '' }, 200, ''],
    ['an encoded body', ['Content-Encoding', 'gzip'], { Range: 'bytes=0-1' }, 200, ''],
    ['refused by the application', ['Accept-Ranges', 'none'], { Range: 'bytes=0-1' }, 200, ''],
    ['a condition that the application saw', TAGGED, { 'If-None-Match': '"abc"' }, 200, ''],
    ['a demand that the application saw', TAGGED, { 'If-Match': '"x"' }, 200, ''],
  ])('Range: %s', async (_name, head, headers, status, range) => {
    await using theatre = await openTheatre();
    await fileWorker(theatre, { head });
    const answer = await get(theatre, headers);
    expect([answer.status, field(answer, 'content-range') ?? '']).toEqual([status, range]);
    const [, from, to] = /bytes (\d+)-(\d+)/.exec(range) ?? [];
    if (status === 206) expect(answer.body.equals(BYTES.subarray(Number(from), Number(to) + 1))).toBe(true);
    if (status === 200 && head[0] !== 'Content-Length') expect(answer.body.equals(BYTES)).toBe(true);
  });

  test('another status than 200 is not divided', async () => {
    await using theatre = await openTheatre();
    await theatre.worker({
      pid: process.pid,
      onRequest: (frame, wire) =>
        wire.send(KIND.FILE, {
          id: frame.id,
          flags: FLAG.LAST,
          head: ['404 Not Found'],
          body: offerOf(held),
        }),
    });
    const answer = await get(theatre, { Range: 'bytes=0-1' });
    expect([answer.status, answer.body.length, field(answer, 'accept-ranges')]).toEqual([
      404,
      SIZE,
      undefined,
    ]);
  });

  test('POST is not divided', async () => {
    await using theatre = await openTheatre();
    await fileWorker(theatre);
    const answer = await get(theatre, { Range: 'bytes=0-1' }, 'POST');
    expect([answer.status, answer.body.length]).toEqual([200, SIZE]);
  });

  test('becomes shorter while it is sent: the client is cut, and the log says why', async () => {
    await using theatre = await openTheatre();
    const fd = openSync(join(folder, 'shrinking'), 'w+');
    writeSync(fd, Buffer.alloc(20_000_000));
    const worker = await fileWorker(theatre, { fd });
    const client = await theatre.stage.connect();
    client.socket.pause();
    await client.send(formatRequest('GET', '/x'));
    await until(() => expect(openedFrames(worker)).toHaveLength(1));
    ftruncateSync(fd, 1000);
    client.socket.resume();
    await expect(client.read()).rejects.toThrow(Incomplete);
    await until(() => expect(theatre.log.join()).toContain('It became shorter as it was sent.'));
    closeSync(fd);
    await until(() => expect(openCount('shrinking')).toBe(0));
  });

  test('becomes longer while it is sent: its length was told already', async () => {
    await using theatre = await openTheatre();
    const fd = openSync(join(folder, 'growing'), 'w+');
    writeSync(fd, BYTES);
    const body = offerOf(fd);
    writeSync(fd, BYTES);
    await fileWorker(theatre, { fd, body });
    const answer = await get(theatre);
    expect(answer.body.equals(BYTES)).toBe(true);
    closeSync(fd);
  });

  test('a head that may not be sent is a 500 and a line in the log, and ends nothing', async () => {
    await using theatre = await openTheatre();
    await fileWorker(theatre, (frame) => ({ head: frame.id === 1 ? ['X-A', 'a\x01b'] : [] }));
    expect((await get(theatre)).status).toBe(500);
    expect(theatre.log.join()).toContain('The answer to GET /x cannot be sent.');
    expect((await get(theatre)).status).toBe(200);
    expect(openCount()).toBe(1);
  });

  test.each([
    ['no offer', '', ['200 OK']],
    ['no head', undefined, ['200 OK', 'X']],
  ])('%s: 500, and the worker may close what it holds', async (_name, body, head) => {
    await using theatre = await openTheatre();
    const worker = await theatre.worker({
      pid: process.pid,
      onRequest: (frame, wire) =>
        wire.send(KIND.FILE, { id: frame.id, flags: FLAG.LAST, head, body: body ?? offerOf(held) }),
    });
    expect((await get(theatre)).status).toBe(500);
    await until(() => expect(openedFrames(worker)).toEqual([[1, '']]));
  });

  test('nobody waits for it any longer: it is not opened', async () => {
    await using theatre = await openTheatre();
    const worker = await theatre.worker({ pid: process.pid });
    const client = await theatre.ask('/x');
    await until(() => expect(worker.lane.kinds()).toEqual([KIND.REQUEST]));
    client.socket.resetAndDestroy();
    await until(() => expect(theatre.stage.outcomes.at(-1)?.status).toBe(499));
    worker.lane.send(KIND.FILE, { id: 1, flags: FLAG.LAST, head: ['200 OK'], body: offerOf(held) });
    await until(() => expect(openedFrames(worker)).toEqual([[1, '']]));
    expect(openCount()).toBe(1);
  });

  test('its client leaves half way: it is closed', async () => {
    await using theatre = await openTheatre();
    const path = join(folder, 'left');
    writeFileSync(path, Buffer.alloc(20_000_000));
    const fd = openSync(path, 'r');
    await fileWorker(theatre, { fd });
    const client = await theatre.stage.connect();
    client.socket.pause();
    await client.send(formatRequest('GET', '/x'));
    await until(() => expect(openCount('left')).toBe(2));
    client.socket.resetAndDestroy();
    await until(() => expect(openCount('left')).toBe(1));
    closeSync(fd);
  });

  test('the lane is free at once: OPENED goes with the next request', async () => {
    await using theatre = await openTheatre();
    const path = join(folder, 'slow');
    writeFileSync(path, Buffer.alloc(20_000_000));
    const fd = openSync(path, 'r');
    const worker = await theatre.worker({
      pid: process.pid,
      onRequest: (frame, wire) => {
        if (frame.head.includes('/x'))
          wire.send(KIND.FILE, { id: frame.id, flags: FLAG.LAST, head: ['200 OK'], body: offerOf(fd) });
        else wire.answer(frame.id, 'quick');
      },
    });
    const slow = await theatre.stage.connect();
    slow.socket.pause();
    await slow.send(formatRequest('GET', '/x'));
    for (let turn = 0; turn < 20; turn++) {
      const quick = await theatre.ask('/quick');
      expect(String((await quick.read()).body)).toBe('quick');
    }
    // What it holds of the file in memory meanwhile is bounded.
    expect(theatre.stage.room.used.memory).toBeLessThan(1_000_000);
    expect(theatre.stage.room.used.spooled).toBe(0);
    slow.socket.resume();
    expect((await slow.read()).body.length).toBe(20_000_000);
    expect(openedFrames(worker)).toEqual([[1, '']]);
    closeSync(fd);
  });
});

test('a worker that dies with OPENED unread has had the request before it all the same', async () => {
  await using theatre = await openTheatre({ retry: 'off' });
  const offer = Buffer.from(offerOf(held));
  const file = encodeFrame({ kind: KIND.FILE, flags: FLAG.LAST, id: 1, head: '200 OK', body: offer });
  const deaf = spawn(python().path, ['-c', DEAF, theatre.path, ...helloFrames(2), file.toString('hex')], {
    stdio: 'ignore',
  });
  await until(() => expect(theatre.ready).toEqual([1]));
  const clients = await Promise.all([theatre.ask('/file'), theatre.ask('/runs')]);
  const answers = clients.map((client) => client.read());
  expect((await answers[0])?.body.equals(BYTES)).toBe(true);
  await theatre.worker({ id: 2, onRequest: (frame, wire) => wire.answer(frame.id, 'ran twice') });
  // Until OPENED has been written.
  await new Promise((resolve) => setTimeout(resolve, 100));
  deaf.kill('SIGKILL');
  expect((await answers[1])?.status).toBe(502);
});

describe('a file that cannot be opened', () => {
  /** Answers with a file of nobody's, and then itself. */
  const stubborn = (frame: Frame, wire: Wire) => {
    const body = offerOf(held, { ino: 1n });
    wire.send(KIND.FILE, { id: frame.id, flags: FLAG.LAST, head: ['200 OK'], body });
  };

  test('is sent by its worker, and the log says so once', async () => {
    await using theatre = await openTheatre();
    const worker = await theatre.worker({ pid: process.pid, onRequest: stubborn });
    for (const id of [1, 2]) {
      const client = await theatre.ask('/x');
      await until(() => expect(openedFrames(worker).at(-1)).toEqual([id, 'refused worker']));
      worker.lane.send(KIND.RESPONSE, { id, head: ['200 OK', 'Content-Length', '6'], body: 'abc' });
      worker.lane.send(KIND.BODY, { id, flags: FLAG.LAST, body: 'def' });
      expect(String((await client.read()).body)).toBe('abcdef');
    }
    expect(theatre.log.filter((line) => line.includes('sends a file itself'))).toHaveLength(1);
    expect(theatre.dispatcher.crew.report()[0]?.requests).toBe(2);
  });

  test('occupies its lane meanwhile: nothing lines up behind it', async () => {
    await using theatre = await openTheatre();
    const worker = await theatre.worker({
      pid: process.pid,
      batch: 32,
      onRequest: (frame, wire) =>
        frame.head.includes('/x') ? stubborn(frame, wire) : wire.answer(frame.id, 'quick'),
    });
    for (let turn = 0; turn < 20; turn++) await (await theatre.ask('/quick')).read();
    const first = await theatre.ask('/x');
    await until(() => expect(openedFrames(worker)).toHaveLength(1));
    const second = await theatre.ask('/quick');
    await until(() => expect(theatre.dispatcher.waiting).toBe(1));
    worker.lane.send(KIND.RESPONSE, { id: 21, flags: FLAG.LAST, head: ['200 OK'], body: 'file' });
    expect(String((await first.read()).body)).toBe('file');
    expect(String((await second.read()).body)).toBe('quick');
  });

  test('among others on its lane it is answered in its turn', async () => {
    await using theatre = await openTheatre();
    const worker = await theatre.worker({ pid: process.pid, capacity: 2, order: 'fifo' });
    const clients = await Promise.all([theatre.ask('/x'), theatre.ask('/y')]);
    await until(() => expect(worker.lane.frames).toHaveLength(2));
    const bad = offerOf(held, { ino: 1n });
    worker.lane.send(KIND.FILE, { id: 1, flags: FLAG.LAST, head: ['200 OK'], body: bad });
    await until(() => expect(openedFrames(worker)).toHaveLength(1));
    worker.lane.answer(2, 'second');
    worker.lane.answer(1, 'first');
    const bodies = await Promise.all(clients.map(async (client) => String((await client.read()).body)));
    expect(bodies.sort()).toEqual(['first', 'second']);
    expect(theatre.log.filter((line) => line.includes('not its turn'))).toEqual([]);
  });

  test('a worker on its way out gets DRAIN only after it', async () => {
    await using theatre = await openTheatre();
    const worker = await theatre.worker({ pid: process.pid });
    const client = await theatre.ask('/x');
    await until(() => expect(worker.lane.kinds()).toContain(KIND.REQUEST));
    theatre.dispatcher.crew.drain(1);
    stubborn(worker.lane.frames[0] as Frame, worker.lane);
    await until(() => expect(openedFrames(worker)).toHaveLength(1));
    expect(worker.control.kinds()).toEqual([]);
    worker.lane.answer(1, 'itself');
    expect(String((await client.read()).body)).toBe('itself');
    await until(() => expect(worker.control.kinds()).toEqual([KIND.DRAIN]));
  });

  test.each([
    ['GET', 200],
    ['POST', 502],
  ])('because its worker has died: %s is answered %d', async (method, status) => {
    await using theatre = await openTheatre({ retry: 'safe' });
    await theatre.worker({
      id: 1,
      // Nobody's: what it offers cannot be there.
      pid: 0x7fff_fff0,
      onRequest: (frame, wire) => {
        stubborn(frame, wire);
        wire.socket.end(() => setTimeout(() => wire.socket.resetAndDestroy(), 5));
        theatre.dispatcher.crew.gone(1);
      },
    });
    const client = await theatre.stage.connect();
    await client.send(formatRequest(method, '/x'));
    if (method === 'GET') {
      await until(() => expect(theatre.dispatcher.waiting).toBe(1));
      await theatre.worker({ id: 2, onRequest: (frame, wire) => wire.answer(frame.id, 'second') });
    }
    expect((await client.read()).status).toBe(status);
  });

  test('because its worker has died before it read that: POST has run all the same, and does not run again', async () => {
    await using theatre = await openTheatre({ retry: 'safe' });
    const offer = Buffer.from(offerOf(held, { ino: 1n }));
    const file = encodeFrame({ kind: KIND.FILE, flags: FLAG.LAST, id: 1, head: '200 OK', body: offer });
    const deaf = spawn(python().path, ['-c', DEAF, theatre.path, ...helloFrames(1), file.toString('hex')], {
      stdio: 'ignore',
    });
    await until(() => expect(theatre.ready).toEqual([1]));
    const client = await theatre.ask('/x', 'a body');
    await until(() => expect(theatre.log.join()).toContain('sends a file itself'));
    await theatre.worker({ id: 2, onRequest: (frame, wire) => wire.answer(frame.id, 'ran twice') });
    // With bytes unread the kernel says ECONNRESET, which otherwise means that no code has seen the request.
    deaf.kill('SIGKILL');
    expect((await client.read()).status).toBe(502);
  });

  test('a request that ran over its deadline then has its 504', async () => {
    await using theatre = await openTheatre({ timeout: 0.2 });
    await theatre.worker({ pid: process.pid, onRequest: stubborn });
    expect((await get(theatre)).status).toBe(504);
  });
});

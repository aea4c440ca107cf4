/**
 * The thread of a Node worker that takes orders: it listens to the arbiter and to the front's control connection whatever
 * the main thread does, and can tell where that is, also when it runs in a loop.
 */
import { appendFileSync } from 'node:fs';
import { connect, Socket } from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';
import { encodeFrame, type Frame, FrameDecoder, KIND } from '../gateway/frames.ts';
import { Claims } from './claims.ts';
import type { FromWatch, ToWatch, WatchData } from './orders.ts';
import { mainStack } from './stack.ts';

/** Descriptor of the channel to the arbiter. */
const ARBITER = 3;
/** A request that is overdue while no code runs waits for what the engine cannot name. */
const IDLE = '    (no code ran: it waits for a promise that is not settled)';
/** What the engine runs outside of JavaScript it does not stop for anybody. */
const BEYOND =
  '    (it does not answer, and runs nothing that can be looked into: a regular expression, or a call outside of JavaScript?)';
/** An event loop that turns answers within this long. */
const TURN_MS = 80;
/** How long the engine is given to stop code: where the loop turns there is mostly none, where it is stuck there must be. */
const TURNING_MS = 100;
const STUCK_MS = 500;

const { claims: memory, stackFile } = workerData as WatchData;
const claims = new Claims(memory);
let control: Socket | null = null;
let onHere: () => void = () => {};
/** What a look at the main thread gives, while one is taken: a hundred requests may be overdue in the same moment. */
let looking: Promise<string> | null = null;

function tell(message: FromWatch): void {
  parentPort?.postMessage(message);
}

function openControl({ session, gateway, worker, pid }: Extract<ToWatch, { type: 'connect' }>): void {
  const socket = connect(gateway);
  const decoder = new FrameDecoder();
  control = socket;
  const head = `role\0control\0worker\0${worker}\0pid\0${pid}\0lanes\0${1}`;
  socket.write(encodeFrame({ kind: KIND.HELLO, id: 0, head }));
  socket.write(encodeFrame({ kind: KIND.READY, id: 0 }));
  socket.on('data', (chunk: Buffer) => {
    try {
      for (const frame of decoder.push(chunk)) take(frame, socket);
    } catch {
      socket.destroy();
    }
  });
  socket.on('error', () => {});
  socket.on('close', () => {
    if (control === socket) control = null;
    tell({ type: 'lost', session });
  });
}

function take({ kind, id, head }: Frame, socket: Socket): void {
  switch (kind) {
    case KIND.ABANDON:
      return tell({ type: 'abandon', id });
    case KIND.INTERRUPT:
      // Not while the other thread is looked at: what it then does is no news.
      return void Promise.resolve(looking).then(() => tell({ type: 'interrupt', id }));
    case KIND.DRAIN:
      return tell({ type: 'drain' });
    case KIND.REOPEN:
      return tell({ type: 'reopen' });
    case KIND.DUMP:
      return void dump(id, socket);
    case KIND.RECALL:
      return recall(head, socket);
  }
}

/** Never empty. */
function whereMainIs(): Promise<string> {
  looking ??= look().finally(() => {
    looking = null;
  });
  return looking;
}

async function look(): Promise<string> {
  const isTurning = await turns();
  const stack = await mainStack(isTurning ? TURNING_MS : STUCK_MS);
  return stack || (isTurning ? IDLE : BEYOND);
}

/** Whether the event loop of the main thread comes round. */
function turns(): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), TURN_MS);
    onHere = () => {
      clearTimeout(timer);
      resolve(true);
    };
    tell({ type: 'there' });
  });
}

async function dump(id: number, socket: Socket): Promise<void> {
  const body = Buffer.from(await whereMainIs());
  socket.write(encodeFrame({ kind: KIND.STACK, id, head: id === 0 ? '' : 'thread\0main', body }));
}

/** Gives back what the main thread has not begun. */
function recall(head: string, socket: Socket): void {
  const [, lane, , ids = ''] = head.split('\0');
  const given = ids.split(' ').filter((id) => id !== '' && claims.giveBack(Number(id)));
  socket.write(encodeFrame({ kind: KIND.RECALLED, id: 0, head: `lane\0${lane}\0ids\0${given.join(' ')}` }));
}

/** For the arbiter, while the application is still loaded: no front knows this worker yet. */
async function dumpToFile(): Promise<void> {
  const where = await whereMainIs();
  if (stackFile !== '') appendFileSync(stackFile, `${where}\n`);
}

parentPort?.on('message', (message: ToWatch) => {
  if (message.type === 'connect') openControl(message);
  else if (message.type === 'here') onHere();
  else control?.destroy();
});

const arbiter = new Socket({ fd: ARBITER, readable: true, writable: false });
arbiter.on('data', (bytes: Buffer) => {
  if (bytes.includes('dump')) void dumpToFile();
});
arbiter.on('error', () => {});
// There are no orphans, and no main thread that has to be asked.
arbiter.on('close', () => process.kill(process.pid, 'SIGKILL'));

import { existsSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { isAlive } from '../../src/arbiter/alive.ts';
import { type ChildEvent, Fleet, title } from '../../src/arbiter/fleet.ts';
import { FrontHandle } from '../../src/arbiter/front.ts';
import type { Settings } from '../../src/config/options.ts';
import type { StaticMount, WorkerStart } from '../../src/messages.ts';
import { FakePython } from './fake-python.ts';
import { keepLog, setupOf } from './stand-ins.ts';

let python: FakePython;
let fleet: Fleet;
let events: ChildEvent[] = [];

beforeEach(() => {
  python = new FakePython();
  events = [];
  const setups = [setup({ app: 'shop' })];
  fleet = new Fleet(python.fleetOptions(keepLog(2), setups), (event) => events.push(event));
});

afterEach(async () => {
  const started = new Set<string>();
  for (let id = 1; id <= 9; id++) {
    if (fleet.named(id).pid > 0) started.add(`worker-end ${id}`);
    fleet.killWorker(id);
    if (fleet.zygote(code(id)) !== undefined) started.add(`zygote-end ${id}`);
    fleet.zygote(code(id))?.kill();
    if (fleet.frontPid(id) > 0) started.add(`front-end ${id}`);
    fleet.killFront(id);
  }
  await python.until(() => [...started].every((name) => names().includes(name)));
  python.remove();
});

const code = (generation: number) => ({ pool: 0, generation });
const setup = (settings: Partial<Settings>, path = python.path) => setupOf(settings, path);

/** `worker-end 2` and the like. */
const names = () =>
  events.map((event) => {
    if ('worker' in event) return `${event.type} ${event.worker}`;
    return `${event.type} ${'slot' in event ? event.slot : event.generation}`;
  });
const until = (name: string) => python.until(() => names().includes(name));

/** The start line that a worker got, which the fake Python says back. */
async function startOf(worker: number): Promise<WorkerStart> {
  await until(`worker ${worker}`);
  const event = events.find((each) => each.type === 'worker' && each.worker === worker);
  if (event?.type !== 'worker' || event.message.event !== 'loaded') throw new Error(`Not: ${event?.type}`);
  return JSON.parse(event.message.app) as WorkerStart;
}

describe('workers', () => {
  test('each is told whom to serve, where, and as what', async () => {
    fleet.spawnWorker(2, { pool: 0, front: 1, generation: 1 });
    const { gateway, stackFile } = python.fleetOptions(keepLog());
    expect(await startOf(2)).toMatchObject({
      mode: 'worker',
      worker: 2,
      generation: 1,
      app: 'shop',
      gateway: gateway(1, 0),
      stackFile: stackFile(2),
    });
  });

  test('one is known by its pid until it is forgotten, and its stack file goes with it', async () => {
    expect(fleet.named(1)).toMatchObject({ id: 1, pid: 0 });
    fleet.spawnWorker(1, { pool: 0, front: 0, generation: 1 });
    const { pid } = fleet.named(1);
    const { stackFile } = await startOf(1);
    writeFileSync(stackFile, 'File "app.py"');
    fleet.killWorker(1);
    await until('worker-end 1');
    expect(events.at(-1)).toMatchObject({ end: { code: null, signal: 'SIGKILL' } });
    expect(isAlive(pid)).toBe(false);
    expect(existsSync(stackFile)).toBe(true);
    fleet.forgetWorker(1);
    expect(existsSync(stackFile)).toBe(false);
    expect(fleet.named(1)).toMatchObject({ id: 1, pid: 0 });
    // One that made no such file is forgotten as well.
    fleet.forgetWorker(1);
  });

  test('one that cannot be started has ended', async () => {
    fleet.prepare(code(2), setup({}, '/nowhere/python'));
    fleet.spawnWorker(1, { pool: 0, front: 0, generation: 2 });
    expect(events).toEqual([]);
    await until('worker-end 1');
    expect(events).toMatchObject([{ end: { code: null, signal: null, error: { code: 'ENOENT' } } }]);
    expect(fleet.named(1).pid).toBe(0);
  });

  test('what an application writes to the channel is no message, nor is what only a zygote may say', async () => {
    fleet.prepare(code(2), setup({ app: 'noise' }));
    fleet.spawnWorker(1, { pool: 0, front: 0, generation: 2 });
    expect(await startOf(1)).toMatchObject({ app: 'noise' });
    expect(names()).toEqual(['worker 1']);
  });

  test('the last words come before the end', async () => {
    fleet.prepare(code(2), setup({ app: 'broken' }));
    fleet.spawnWorker(1, { pool: 0, front: 0, generation: 2 });
    await until('worker-end 1');
    expect(events).toMatchObject([
      { type: 'worker', message: { event: 'failed', message: 'No module named broken.' } },
      { type: 'worker-end', end: { code: 3, signal: null } },
    ]);
  });
});

describe('generations', () => {
  test('a new one has a setup of its own, until it is discarded', async () => {
    fleet.prepare(code(2), setup({ app: 'shop2', threads: 4 }));
    fleet.spawnWorker(1, { pool: 0, front: 0, generation: 1 });
    fleet.spawnWorker(2, { pool: 0, front: 0, generation: 2 });
    expect(await startOf(1)).toMatchObject({ app: 'shop', threads: 1, generation: 1 });
    expect(await startOf(2)).toMatchObject({ app: 'shop2', threads: 4, generation: 2 });
    fleet.discard(code(2));
    expect(fleet.setup(code(2)).settings.app).toBe('shop');
  });

  test('once adopted it is what is run, also where an older one is asked for', () => {
    fleet.prepare(code(2), setup({ app: 'shop2' }));
    expect(fleet.setup(code(1)).settings.app).toBe('shop');
    fleet.adopt(code(2));
    expect(fleet.setup(code(2)).settings.app).toBe('shop2');
    expect(fleet.setup(code(1)).settings.app).toBe('shop2');
    expect(fleet.setup(code(99)).settings.app).toBe('shop2');
  });
});

describe('a zygote', () => {
  test('forks the workers of its generation, and no others', async () => {
    fleet.prepare(code(2), setup({ app: 'shop2' }));
    fleet.spawnZygote(code(2));
    await until('zygote 2');
    fleet.spawnWorker(1, { pool: 0, front: 0, generation: 1 });
    fleet.spawnWorker(2, { pool: 0, front: 0, generation: 2 });
    expect(await startOf(1)).toMatchObject({ app: 'shop' });
    await until('worker 2');
    const forked = fleet.named(2).pid;
    expect(isAlive(forked)).toBe(true);
    fleet.zygote(code(2))?.kill();
    await until('zygote-end 2');
    expect(names()).toContain('worker-end 2');
    expect(names()).not.toContain('worker-end 1');
    fleet.forgetZygote(code(2));
    expect(fleet.zygote(code(2))).toBeUndefined();
  });

  test('has a stack file by its generation', async () => {
    fleet.spawnZygote(code(1));
    await until('zygote 1');
    const [event] = events;
    const app = event?.type === 'zygote' && event.message.event === 'loaded' ? event.message.app : '{}';
    const { stackFile } = python.fleetOptions(keepLog());
    expect(JSON.parse(app)).toMatchObject({ mode: 'zygote', stackFile: stackFile('zygote-1-1') });
  });
});

/** Processes of the front itself, without a listener. */
describe('fronts', () => {
  /** What a front would be told, without one. */
  const MOUNT: StaticMount = { prefix: '/static/', folders: ['/nowhere'] };

  async function spawnFront(slot: number): Promise<void> {
    fleet.spawnFront(slot);
    await python.until(() => said(slot).includes('listening'));
  }

  const said = (slot: number) =>
    events.flatMap((event) => (event.type === 'front' && event.slot === slot ? [event.message.type] : []));

  test('one says when it is up and listens, answers alone, and its end is told', async () => {
    await spawnFront(1);
    await spawnFront(2);
    expect(said(1)).toEqual(['up', 'listening']);
    fleet.tell(2, { type: 'report' });
    await python.until(() => said(2).includes('report'));
    const answer = events.findLast((event) => event.type === 'front');
    expect(answer).toMatchObject({ slot: 2, message: { report: { pid: fleet.frontPid(2) } } });
    expect(said(1)).not.toContain('report');
    fleet.killFront(1);
    await until('front-end 1');
    expect(events.at(-1)).toEqual({ type: 'front-end', slot: 1, end: { code: null, signal: 'SIGKILL' } });
    fleet.forgetFront(1);
    expect(fleet.frontPid(1)).toBe(0);
  });

  test('all are told, and one that stops says so before it ends', async () => {
    await spawnFront(1);
    await spawnFront(2);
    fleet.tellAll({ type: 'stop', graceMs: 0 });
    await until('front-end 1');
    await until('front-end 2');
    for (const slot of [1, 2]) expect(said(slot)).toEqual(['up', 'listening', 'stopped']);
    expect(events.at(-1)).toMatchObject({ type: 'front-end', end: { code: 0, signal: null } });
  });

  test('nobody is told when there is none', () => {
    fleet.tell(5, { type: 'report' });
    fleet.tellAll({ type: 'report' });
    expect(fleet.frontPid(5)).toBe(0);
    expect(events).toEqual([]);
  });

  test('static files are told when they have changed; settings when they are taken up', async () => {
    const send = vi.spyOn(FrontHandle.prototype, 'send');
    await spawnFront(1);
    const told = () => send.mock.calls.map(([message]) => message).filter(({ type }) => type !== 'start');
    fleet.setStaticMounts(0, []);
    fleet.setStaticMounts(0, [MOUNT]);
    fleet.setStaticMounts(0, [{ ...MOUNT }]);
    expect(told()).toEqual([{ type: 'static-mounts', staticMounts: [MOUNT] }]);
    fleet.prepare(code(2), setup({ app: 'shop2', timeout: 7 }));
    fleet.adopt(code(2));
    const mounts = [{ prefix: '/', settings: { timeout: 7 } }];
    expect(told().at(-1)).toMatchObject({ type: 'settings', settings: { name: 'shop' }, mounts });
    fleet.configure(setup({ app: 'shop2', keepAlive: 7 }).settings);
    expect(told().at(-1)).toMatchObject({ settings: { name: 'shop2', keepAlive: 7 }, mounts });
    send.mockRestore();
    // It goes on with them.
    fleet.tell(1, { type: 'report' });
    await python.until(() => said(1).includes('report'));
  });
});

test.each<[Partial<Settings>, string]>([
  [{ name: 'Shop', app: 'shop' }, 'Shop'],
  [{ app: 'shop' }, 'shop'],
  [{ app: '' }, 'manage.py'],
])('what ps shows: %j', (settings, expected) => {
  expect(title(setupOf(settings).settings)).toBe(expected);
});

import { describe, expect, test } from 'vitest';
import type { Setup } from '../../src/arbiter/fleet.ts';
import { Reloads, type Reread } from '../../src/arbiter/reload.ts';
import { UserError } from '../../src/errors.ts';
import { keepLog, setupOf } from './stand-ins.ts';

interface Gate {
  readonly give: (reread: Partial<Reread>) => void;
  readonly refuse: (error: Error) => void;
}

/** Reloads whose configuration is read when the test says so. */
class Desk {
  readonly log = keepLog();
  readonly begun: Setup[] = [];
  readonly #gates: Gate[] = [];
  #reads = 0;
  readonly reloads = new Reloads({
    log: this.log,
    read: () => this.#read(),
    begin: (setup) => this.begun.push(setup) + 1,
    count: () => '2 workers',
  });

  get reads(): number {
    return this.#reads;
  }

  /** The configuration that is read at the moment. */
  get gate(): Gate {
    const gate = this.#gates.at(-1);
    if (gate === undefined) throw new Error('Nothing is read.');
    return gate;
  }

  /** A new generation has begun. */
  async begin(reread: Partial<Reread> = {}): Promise<void> {
    const before = this.begun.length;
    this.gate.give(reread);
    await turn();
    expect(this.begun).toHaveLength(before + 1);
  }

  #read(): Promise<Reread> {
    this.#reads++;
    return new Promise((resolve, reject) => {
      const give = (reread: Partial<Reread>) => resolve({ setup: setupOf(), restart: '', ...reread });
      this.#gates.push({ give, refuse: reject });
    });
  }
}

/** Everything that is settled has been told. */
const turn = () => new Promise((resolve) => setImmediate(resolve));

/** Whether a promise is still open. */
async function isOpen(promise: Promise<unknown>): Promise<boolean> {
  const open = Symbol('open');
  const first = await Promise.race([promise, turn().then(() => open)]);
  return first === open;
}

describe('one reload', () => {
  test('ends when the new generation serves alone', async () => {
    const desk = new Desk();
    const setup = setupOf({ app: 'next' });
    const outcome = desk.reloads.request();
    expect(desk.reloads.active).toBe(true);
    await desk.begin({ setup });
    expect(desk.begun).toEqual([setup]);
    expect(await isOpen(outcome)).toBe(true);
    desk.reloads.end(null);
    expect(await outcome).toEqual({
      ok: true,
      text: expect.stringMatching(/^Reloaded: 2 workers of generation 2 after \d+\.\d s$/),
    });
    expect(desk.log.lines).toEqual([expect.stringMatching(/^INFO Reloaded: 2 workers/)]);
    expect(desk.reloads.active).toBe(false);
  });

  test('says what needs a restart: to who asked, and once in the log', async () => {
    const desk = new Desk();
    const outcome = desk.reloads.request();
    await desk.begin({ restart: 'Only a restart changes --bind.' });
    expect(desk.log.lines).toEqual(['WARNING Only a restart changes --bind.']);
    desk.reloads.end(null);
    expect((await outcome).text).toMatch(/ s\. Only a restart changes --bind\.$/);
    expect(desk.log.lines.at(-1)).toMatch(/ s$/);
  });

  test('fails with the reason when the new code is thrown away', async () => {
    const desk = new Desk();
    const outcome = desk.reloads.request();
    await desk.begin();
    desk.reloads.end('No module named shop\nTraceback …');
    const { ok, text } = await outcome;
    expect(ok).toBe(false);
    expect(text).toBe(
      'The reload failed: the new code cannot be loaded. The old one goes on serving.\nNo module named shop\nTraceback …',
    );
    expect(desk.log.lines).toEqual([`ERROR ${text}`]);
  });

  test('is refused when the configuration is wrong, and nothing begins', async () => {
    const desk = new Desk();
    const outcome = desk.reloads.request();
    desk.gate.refuse(new UserError('tunicorn.toml:3: there is no option “thread”.'));
    const text =
      'The reload was refused, and nothing has changed. tunicorn.toml:3: there is no option “thread”.';
    expect(await outcome).toEqual({ ok: false, text });
    expect(desk.begun).toEqual([]);
    expect(desk.log.lines).toEqual([`ERROR ${text}`]);
  });

  test('an error of ours is no user’s mistake, and does not keep the next from being made', async () => {
    const desk = new Desk();
    const outcome = desk.reloads.request();
    desk.gate.refuse(new TypeError('a bug'));
    expect(await outcome).toMatchObject({
      ok: false,
      text: expect.stringMatching(/refused.*TypeError: a bug\n +at/s),
    });
    expect(desk.reloads.active).toBe(false);
    const next = desk.reloads.request();
    await desk.begin();
    desk.reloads.end(null);
    expect((await next).ok).toBe(true);
  });

  test('an end without a reload changes nothing', async () => {
    const desk = new Desk();
    desk.reloads.end('Nobody asked.');
    const outcome = desk.reloads.request();
    await desk.begin();
    expect(await isOpen(outcome)).toBe(true);
    desk.reloads.end(null);
    expect((await outcome).ok).toBe(true);
  });
});

describe('a second wish', () => {
  test('during a reload: the configuration is read again when that one has ended', async () => {
    const desk = new Desk();
    const first = desk.reloads.request();
    await desk.begin();
    const [second, third] = [desk.reloads.request(), desk.reloads.request()];
    expect(desk.reads).toBe(1);
    desk.reloads.end('Broken.');
    expect((await first).ok).toBe(false);
    await turn();
    expect(desk.reads).toBe(2);
    await desk.begin();
    desk.reloads.end(null);
    expect(await second).toMatchObject({ ok: true });
    expect(await third).toBe(await second);
    expect(desk.reads).toBe(2);
  });

  test('during that one, too: what it has read may be older than the wish', async () => {
    const desk = new Desk();
    const outcomes = [desk.reloads.request(), desk.reloads.request()];
    for (let reads = 1; reads <= 3; reads++) {
      expect(desk.reads).toBe(reads);
      await desk.begin();
      if (reads === 2) outcomes.push(desk.reloads.request());
      desk.reloads.end(null);
      await outcomes[reads - 1];
      await turn();
    }
    expect(desk.reads).toBe(3);
    expect(desk.reloads.active).toBe(false);
  });

  test('as many as come while one waits are one', async () => {
    const desk = new Desk();
    const first = desk.reloads.request();
    const wishes = Array.from({ length: 20 }, () => desk.reloads.request());
    await desk.begin();
    desk.reloads.end(null);
    await first;
    await turn();
    await desk.begin();
    desk.reloads.end(null);
    expect(new Set(await Promise.all(wishes)).size).toBe(1);
    expect(desk.reads).toBe(2);
    expect(desk.reloads.active).toBe(false);
  });
});

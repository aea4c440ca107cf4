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
  /** What the server took up as a whole. */
  readonly configured: string[] = [];
  readonly reloads: Reloads;

  /** `prefixes`: of the applications. */
  constructor(prefixes: readonly string[] = ['/']) {
    this.reloads = new Reloads({
      log: this.log,
      pools: prefixes.length,
      read: () => this.#read(),
      begin: (_pool, setup) => this.begun.push(setup) + 1,
      configure: (settings) => void this.configured.push(settings.app),
      count: () => '2 workers',
      of: (pool) => (prefixes.length === 1 ? '' : ` of ${prefixes[pool]}`),
      onEnd: () => {},
    });
  }

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
      const give = (reread: Partial<Reread>) => resolve({ ...REREAD, ...reread });
      this.#gates.push({ give, refuse: reject });
    });
  }
}

const REREAD: Reread = { settings: setupOf({ app: 'server' }).settings, setups: [setupOf()], restart: '' };

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
    await desk.begin({ setups: [setup] });
    expect(desk.begun).toEqual([setup]);
    expect(await isOpen(outcome)).toBe(true);
    desk.reloads.end(0, null);
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
    desk.reloads.end(0, null);
    expect((await outcome).text).toMatch(/ s\. Only a restart changes --bind\.$/);
    expect(desk.log.lines.at(-1)).toMatch(/ s$/);
  });

  test('fails with the reason when the new code is thrown away', async () => {
    const desk = new Desk();
    const outcome = desk.reloads.request();
    await desk.begin();
    desk.reloads.end(0, 'No module named shop\nTraceback …');
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
    desk.reloads.end(0, null);
    expect((await next).ok).toBe(true);
  });

  test('an end without a reload changes nothing', async () => {
    const desk = new Desk();
    desk.reloads.end(0, 'Nobody asked.');
    const outcome = desk.reloads.request();
    await desk.begin();
    expect(await isOpen(outcome)).toBe(true);
    desk.reloads.end(0, null);
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
    desk.reloads.end(0, 'Broken.');
    expect((await first).ok).toBe(false);
    await turn();
    expect(desk.reads).toBe(2);
    await desk.begin();
    desk.reloads.end(0, null);
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
      desk.reloads.end(0, null);
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
    desk.reloads.end(0, null);
    await first;
    await turn();
    await desk.begin();
    desk.reloads.end(0, null);
    expect(new Set(await Promise.all(wishes)).size).toBe(1);
    expect(desk.reads).toBe(2);
    expect(desk.reloads.active).toBe(false);
  });
});

describe('several applications', () => {
  const SETUPS = [setupOf({ app: 'site' }), setupOf({ app: 'api' })];
  const several = () => new Desk(['/', '/api']);

  test('all are renewed, and then the server takes up what belongs to none', async () => {
    const desk = several();
    const outcome = desk.reloads.request();
    desk.gate.give({ setups: SETUPS });
    await turn();
    expect(desk.begun).toEqual(SETUPS);
    desk.reloads.end(1, null);
    expect(await isOpen(outcome)).toBe(true);
    expect(desk.configured).toEqual([]);
    desk.reloads.end(0, null);
    const { ok, text } = await outcome;
    expect(ok).toBe(true);
    expect(text).toMatch(
      /^Reloaded: 2 workers of \/, generation 2 after .* s\nReloaded: 2 workers of \/api, generation 3 after/,
    );
    expect(desk.configured).toEqual(['server']);
  });

  test('one that fails leaves the other new, and the server as it was', async () => {
    const desk = several();
    const outcome = desk.reloads.request();
    desk.gate.give({ setups: SETUPS });
    await turn();
    desk.reloads.end(0, null);
    desk.reloads.end(1, 'No module named api');
    expect((await outcome).ok).toBe(false);
    expect(desk.log.lines).toEqual([
      expect.stringMatching(/^INFO Reloaded: 2 workers of \/,/),
      expect.stringMatching(/^ERROR The reload of \/api failed: .*\nNo module named api$/),
    ]);
    expect(desk.configured).toEqual([]);
  });

  test('one alone is renewed', async () => {
    const desk = several();
    const outcome = desk.reloads.request(1);
    await desk.begin({ setups: SETUPS });
    expect(desk.begun).toEqual([SETUPS[1]]);
    desk.reloads.end(1, null);
    expect((await outcome).ok).toBe(true);
    expect(desk.configured).toEqual([]);
  });

  test('wishes for each during a reload become one for both', async () => {
    const desk = several();
    const first = desk.reloads.request(0);
    const wishes = [desk.reloads.request(1), desk.reloads.request(0)];
    await desk.begin({ setups: SETUPS });
    desk.reloads.end(0, null);
    await first;
    await turn();
    desk.gate.give({ setups: SETUPS });
    await turn();
    expect(desk.begun).toHaveLength(3);
    for (const pool of [0, 1]) desk.reloads.end(pool, null);
    expect(new Set(await Promise.all(wishes)).size).toBe(1);
  });
});

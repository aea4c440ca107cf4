/** Holds our tables against gunicorn's own list of settings. Nothing of gunicorn's is run but its `config` module. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { FILE_ONLY, FLAG_OF_NAME, FOREIGN_FLAGS } from '../../src/config/gunicorn.ts';
import { GUNICORN_NAMES } from '../../src/config/gunicorn-file.ts';
import { type Option, ROWS } from '../../src/config/options.ts';

interface Setting {
  readonly name: string;
  /** With their dashes; empty for what only a configuration file sets. */
  readonly cli: readonly string[];
  readonly takesValue: boolean;
  /** As it would be written on a command line; null when there is none. */
  readonly default: string | null;
}

const LIST = `
import json, gunicorn
from gunicorn import config
def text(value):
    if value is None or callable(value): return None
    if isinstance(value, bool): return str(value).lower()
    if isinstance(value, (list, tuple)): return ",".join(value)
    if isinstance(value, dict): return None
    return str(int(value)) if isinstance(value, int) else str(value)
print(json.dumps({"version": gunicorn.__version__, "settings": [
    {"name": s.name, "cli": s.cli or [], "takesValue": s.action in (None, "append"), "default": text(s.default)}
    for s in config.KNOWN_SETTINGS]}))
`;

/** `TUNICORN_TEST_GUNICORN_PYTHON` names an interpreter that has gunicorn, where `.venv-test/` is not made. */
const python =
  process.env.TUNICORN_TEST_GUNICORN_PYTHON ??
  fileURLToPath(new URL('../../.venv-test/bin/python', import.meta.url));

function listSettings(): { version: string; settings: Setting[] } | null {
  if (!existsSync(python)) return null;
  const env = { PATH: process.env.PATH ?? '' };
  try {
    return JSON.parse(
      execFileSync(python, ['-c', LIST], { env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }),
    );
  } catch {
    return null;
  }
}

const list = listSettings();
const settings = list?.settings ?? [];
/** Computed from the machine at import: the user, the group, the folder. And the file, which we read only when it is named. */
const COMPUTED = ['user', 'group', 'chdir', 'config'];

function ourOption(cli: readonly string[]): Option | undefined {
  return ROWS.map(([, option]) => option).find((option) => cli.includes(`--${option.name}`));
}

function spellings({ names, short }: { names: readonly string[]; short?: string | undefined }): string[] {
  return [...(short === undefined ? [] : [`-${short}`]), ...names.map((name) => `--${name}`)].sort();
}

describe.skipIf(list === null)(
  'every flag of gunicorn (needs gunicorn in .venv-test: npm test makes it)',
  () => {
    it('is one of gunicorn 26', () => {
      expect(list?.version).toMatch(/^26\./);
      expect(settings.length).toBeGreaterThan(100);
    });

    it.each(settings.filter(({ cli }) => cli.length > 0))(
      '$name has a fate, under all its names',
      ({ cli, takesValue }) => {
        const option = ourOption(cli);
        if (option !== undefined) {
          const names = [option.name, ...(option.aliases ?? [])];
          expect(spellings({ names, short: option.short })).toEqual(expect.arrayContaining([...cli]));
          expect(option.short).toBe(cli.find((flag) => /^-[^-]/.test(flag))?.slice(1));
          expect(option.type !== 'flag').toBe(takesValue);
          expect(option.gunicorn.fate).not.toBe('ours');
          return;
        }
        const flag = FOREIGN_FLAGS.find(({ names }) => cli.includes(`--${names[0]}`));
        expect(flag, `no fate for ${cli.join(', ')}`).toBeDefined();
        if (flag === undefined) return;
        expect(spellings(flag)).toEqual([...cli].sort());
        expect(flag.takes === 'value').toBe(takesValue);
        expect(flag.text).not.toBe('');
      },
    );

    it.each(settings.filter(({ cli, name }) => ourOption(cli) && !COMPUTED.includes(name)))(
      '$name has the same default',
      (setting) => {
        const fallback = ourOption(setting.cli)?.default;
        expect(typeof fallback === 'string' ? fallback : fallback?.join(',')).toBe(setting.default ?? '');
      },
    );

    it.each(settings.filter(({ cli }) => cli.length > 0 && !ourOption(cli)))(
      '$name is compared with its own default',
      (setting) => {
        const flag = FOREIGN_FLAGS.find(({ names }) => setting.cli.includes(`--${names[0]}`));
        // Switches have none to give; the control socket and the mode 0600 are refused in any case.
        if (flag?.default !== undefined) expect(flag.default).toBe(setting.default);
      },
    );

    it('is not among those of the configuration file, which are all listed', () => {
      expect(Object.keys(FILE_ONLY).sort()).toEqual(
        settings
          .filter(({ cli }) => cli.length === 0)
          .map(({ name }) => name)
          .sort(),
      );
    });

    it.each(settings.filter(({ cli }) => cli.length > 0))(
      '$name of the configuration file is known by the name of its flag',
      ({ name, cli }) => {
        expect(cli).toContain(`--${FLAG_OF_NAME[name] ?? name.replaceAll('_', '-')}`);
      },
    );

    it('is looked for in its configuration files, and nothing else is', () => {
      const outside = ['config', 'check_config', 'print_config'];
      const names = settings.map(({ name }) => name).filter((name) => !outside.includes(name));
      const later = ['websocket_max_message_size'];
      expect(GUNICORN_NAMES.filter((name) => !later.includes(name)).sort()).toEqual(names.sort());
    });

    it('is a flag of gunicorn, where we say so', () => {
      const known = new Set(settings.flatMap(({ cli }) => cli));
      // gunicorn 27 has one more, and that is what pip installs by now.
      for (const flag of ['--websocket-max-message-size']) known.add(flag);
      const stray = FOREIGN_FLAGS.flatMap(spellings).filter((flag) => !known.has(flag));
      const claimed = ROWS.filter(
        ([, { gunicorn, name }]) => gunicorn.fate !== 'ours' && !known.has(`--${name}`),
      );
      expect([stray, claimed.map(([key]) => key)]).toEqual([[], []]);
      const ours = ROWS.filter(
        ([, { gunicorn, name }]) => gunicorn.fate === 'ours' && known.has(`--${name}`),
      );
      expect(ours.map(([key]) => key)).toEqual([]);
    });
  },
);

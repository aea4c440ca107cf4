/** What the command prints from the table of options: `--help`, `--print-config`, and what `tunicorn check` found. */
import type { Loaded } from './load.ts';
import { quoted } from './mount-text.ts';
import {
  type Mount,
  OPTIONS,
  type Option,
  ROWS,
  SECTIONS,
  type SettingKey,
  type Settings,
} from './options.ts';
import type { ValueType } from './values.ts';
import { wrap } from './wrap.ts';

const HELP_HEAD = `Runs Django, Flask and other WSGI applications: supervisor, web server and application server in one.

  tunicorn [options] APP

  tunicorn mysite.wsgi                        a Django site, on http://127.0.0.1:8000
  tunicorn -w 4 -b :8000 mysite.wsgi          four workers, for the whole network
  tunicorn --threads 4 app:app                a Flask application named app in app.py

APP is package.module:callable, package.module (its application or app), module:factory(), or a path such as
site/app.py. Without APP, in a folder with manage.py, it is Django's.
`;

const HELP_TAIL = `Every option can also be set by a variable, --keep-alive 5 is TUNICORN_KEEP_ALIVE=5, and in tunicorn.toml: keep-alive = 5. The
command line is stronger than variables, these than GUNICORN_CMD_ARGS, that than the file, and the file than WEB_CONCURRENCY,
PORT and FORWARDED_ALLOW_IPS.
`;

/** The names by which a value is shown in help where a row names none. */
const PLACEHOLDERS: Partial<Record<ValueType, string>> = {
  address: 'ADDRESS',
  addresses: 'ADDRESS',
  count: 'N',
  seconds: 'SECONDS',
  size: 'BYTES',
  workers: 'N|MIN..MAX|auto',
  'worker-kind': 'KIND',
  'log-level': 'LEVEL',
  umask: 'MODE',
  folder: 'DIR',
  file: 'FILE',
};

/** A word that stands where an application could, and what it does. */
export interface CommandHelp {
  readonly name: string;
  readonly help: string;
}

/** `--help`, wrapped to a terminal of so many columns. */
export function renderHelp(columns: number, commands: readonly CommandHelp[] = []): string {
  const width = Math.max(40, Math.min(columns, 100));
  const sections = SECTIONS.map((section) => {
    const rows = ROWS.filter(([, option]) => option.section === section);
    return [`${section}:`, ...rows.flatMap(([, option]) => helpOf(option, width)), ''].join('\n');
  });
  const asking = ['  -h, --help', '  -v, --version', ''].join('\n');
  const words = commands.map(({ name, help }) => [
    `  tunicorn ${name}`,
    ...wrap(`${help}.`, { columns: width, indent: 6 }),
  ]);
  const other = words.length === 0 ? [] : [['Instead of an application:', ...words.flat(), ''].join('\n')];
  return [paragraphs(HELP_HEAD, width), ...other, ...sections, asking, paragraphs(HELP_TAIL, width)].join(
    '\n',
  );
}

function helpOf(option: Option, columns: number): string[] {
  const text = `${option.help} [${shownDefault(option) || 'none'}${option.unit ? ` ${option.unit}` : ''}]`;
  return [`  ${spelling(option)}`, ...wrap(text, { columns, indent: 6 })];
}

/** Wraps running text and leaves indented lines as they are. */
function paragraphs(text: string, columns: number): string {
  const blocks = text.trimEnd().split('\n\n');
  const wrapped = blocks.map((block) =>
    block.startsWith(' ') ? block : wrap(block, { columns, indent: 0 }).join('\n'),
  );
  return `${wrapped.join('\n\n')}\n`;
}

/** `-w, --workers N|auto` */
export function spelling(option: Option): string {
  const names = [option.name, ...(option.aliases ?? [])].map((name) => `--${name}`);
  const short = option.short === undefined ? [] : [`-${option.short}`];
  return `${[...short, ...names].join(', ')} ${placeholder(option)}`.trimEnd();
}

function placeholder({ placeholder, type }: Option): string {
  return placeholder ?? PLACEHOLDERS[type] ?? '';
}

/** As it would be written on the command line. */
export function shownDefault(option: Option): string {
  if (option.type === 'flag') return 'off';
  return typeof option.default === 'string' ? option.default : option.default.join(',');
}

/** `--print-config`: one line for each setting, `name = value`, with where it comes from unless that is the default. */
export function renderSettings({ settings, sources }: Pick<Loaded, 'settings' | 'sources'>): string {
  const rows = ROWS.filter(([key]) => key !== 'printConfig' && key !== 'checkConfig').map(
    ([key, { name }]) => ({ name, value: shownValue(key, settings), source: sources[key] }),
  );
  return aligned([{ name: 'application', value: settings.app, source: sources.app }, ...rows]);
}

/** `tunicorn check`: only the settings that somebody chose. */
export function renderChosen({ settings, sources }: Pick<Loaded, 'settings' | 'sources'>): string {
  const rows = ROWS.filter(([key]) => sources[key] !== 'default').map(([key, { name }]) => ({
    name,
    value: shownValue(key, settings),
    source: sources[key],
  }));
  return rows.length === 0 ? '' : aligned(rows);
}

interface Shown {
  readonly name: string;
  readonly value: string;
  readonly source: string;
}

function aligned(rows: readonly Shown[]): string {
  const width = Math.max(...rows.map(({ name }) => name.length));
  const lines = rows.map(({ name, value, source }) =>
    `${name.padEnd(width)} = ${value}${source === 'default' ? '' : `   (${source})`}`.trimEnd(),
  );
  return `${lines.join('\n')}\n`;
}

function shownValue(key: SettingKey, settings: Settings): string {
  if (key === 'static' || key === 'accel')
    return settings[key].map(({ prefix, folder }) => `${prefix}=${folder}`).join(',');
  if (key === 'umask') return `0${settings.umask.toString(8)}`.replace(/^00$/, '0');
  // What it holds is often secret, and this output ends up in tickets.
  if (key === 'env') return [...new Set(settings.env.map((pair) => pair.replace(/=.*/s, '=…')))].join(',');
  if (key === 'workers') return shownRange(settings.workers);
  if (key === 'mount') return settings.mount.map(shownMount).join(', ');
  const value = settings[key];
  return Array.isArray(value) ? value.join(',') : String(value);
}

/** As it would be written on the command line. */
function shownMount({ prefix, settings, own }: Mount): string {
  const words = own.map((key) => `${OPTIONS[key].name}=${shownValue(key, settings)}`);
  return [`${prefix}=${settings.app}`, ...words].map(quoted).join(' ');
}

function shownRange({ min, max }: Settings['workers']): string {
  return min === max ? String(min) : `${min}..${max}`;
}

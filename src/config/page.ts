/** The page `docs/configuration.md`, written from the table of options. */
import { ATOMS } from '../observe/access-format.ts';
import { FILE_ONLY, FOREIGN_FLAGS } from './gunicorn.ts';
import { OPTIONS, type Option, ROWS, SECTIONS, variableOf } from './options.ts';
import { shownDefault, spelling } from './render.ts';
import { isList } from './values.ts';

export function renderConfigurationPage(): string {
  const page = [
    INTRODUCTION,
    FILES,
    overview(),
    ...SECTIONS.map(sectionOfPage),
    atomsOfPage(),
    gunicornOfPage(),
  ];
  return `${page.join('\n\n').trim()}\n`;
}

/** Shown on the page, and read by a test. */
export const EXAMPLE_FILE = `app = "mysite.wsgi"
bind = ["127.0.0.1:8000", "unix:/run/mysite/web.sock"]
workers = "2..8"
threads = 4
timeout = 60
max-memory = "512M"
preload = true
access-logfile = "-"

[env]
DJANGO_SETTINGS_MODULE = "mysite.settings"

[static]
"/static/" = "./static"
`;

const INTRODUCTION = `<!-- Generated from src/config/options.ts: node scripts/docs.mjs --write -->

# Configuration

    tunicorn [options] APP

Options stand before or after APP: \`--workers 4\`, \`--workers=4\`, \`-w 4\` and \`-w4\` are the same. Names are written in full.
The stronger source wins, option by option:

1. the command line
2. \`TUNICORN_…\` variables: \`--keep-alive\` is \`TUNICORN_KEEP_ALIVE\`; what may be repeated is separated by commas
   (\`TUNICORN_ENV\` and \`TUNICORN_MOUNT\`: one a line). An empty variable counts as not set, except an empty list of addresses or headers
3. \`GUNICORN_CMD_ARGS\`: options as on a command line, quoted as in a shell
4. the configuration file
5. what gunicorn reads as defaults: \`WEB_CONCURRENCY\` (workers), \`PORT\` (bind to \`0.0.0.0:$PORT\`), \`FORWARDED_ALLOW_IPS\`
6. the default

Sizes are bytes, or take k, M or G (of 1024). Times are seconds. Relative paths start from \`--chdir\`. A mistake ends the start
with status 1 and says which values are good; \`tunicorn --print-config\` shows what came of all sources. \`tunicorn check\` reads
everything, tells every mistake, an unknown user, group or module of hooks included, and starts nothing. A reload (HUP) reads all of it anew; a column says what it takes up. The last one says what each of several applications may have for itself
([mounts](mounts.md)).`;

const FILES = `## The configuration file

\`-c FILE\` names one, from the folder of the call. Without it \`tunicorn.toml\` in the folder of \`--chdir\` is read, else a
\`pyproject.toml\` there with a table \`[tool.tunicorn]\`. Keys are the names of the options, with \`-\` or \`_\`, and \`app\` is the
application. What may be repeated is a list; \`env\`, \`static\` and \`accel\` can be tables, and \`mount\` is a table for each
application: \`[[mount]]\` with \`prefix\`, \`app\` and settings of its own. A complete \`tunicorn.toml\`:

\`\`\`toml
${EXAMPLE_FILE}\`\`\`

Relative paths in it start from \`chdir\`, as everywhere; \`chdir\` itself starts from the folder of the file, and is the folder of
the call when nobody sets it. The schema in docs/tunicorn.schema.json completes and checks keys in editors.

\`-c gunicorn.conf.py\` (or \`python:MODULE\`) is executed by the Python of the application, in the folder of the call and with
\`--chdir\` on \`sys.path\`. Its settings are taken, with gunicorn's names and types; its \`chdir\` starts from the folder of the call,
as in gunicorn. Hooks are named and not run: they get objects of gunicorn's arbiter, which is not there. It is executed with the
rights of whoever starts Tunicorn. A file that nobody named is not executed.`;

function overview(): string {
  const rows = ROWS.map(
    ([, option]) =>
      `| [\`--${option.name}\`](#--${option.name}) | ${option.short ? `\`-${option.short}\`` : ''} | ${code(shownDefault(option))} | ${option.unit ?? ''} | ${option.reloadable ? 'yes' : 'no'} | ${option.perMount === true ? 'yes' : ''} |`,
  );
  return [
    '## All options',
    '',
    '| option | short | default | unit | reloadable | per mount |',
    '|---|---|---|---|---|---|',
    ...rows,
  ].join('\n');
}

function sectionOfPage(section: string): string {
  const rows = ROWS.filter(([, option]) => option.section === section);
  return [`## ${section}`, ...rows.map(([, option]) => optionOfPage(option))].join('\n\n');
}

function optionOfPage(option: Option): string {
  const facts = [
    `\`${spelling(option)}\``,
    ...(isList(option.type) ? ['a list'] : []),
    `variable \`${variableOf(option)}\`${option.env ? ` or \`${option.env}\`` : ''}`,
    `default ${code(shownDefault(option)) || 'none'}${option.unit ? ` ${option.unit}` : ''}`,
    option.reloadable ? 'reloadable' : 'needs a restart',
    ...(option.perMount === true ? ['per mount'] : []),
  ];
  return [`### --${option.name}`, `${facts.join(' · ')}`, option.help, besideGunicorn(option)]
    .join('\n\n')
    .trim();
}

function besideGunicorn({ gunicorn }: Option): string {
  if (gunicorn.fate === 'same') return 'As in gunicorn.';
  if (gunicorn.fate === 'differs') return `Unlike gunicorn: ${gunicorn.how}.`;
  return gunicorn.fate === 'ours' ? 'gunicorn has no such option.' : `Without effect: ${gunicorn.why}`;
}

function atomsOfPage(): string {
  const rows = Object.entries(ATOMS).map(([name, [shows]]) => `| \`%(${name})s\` | ${shows} |`);
  return `## Atoms of the access log

The default is \`${OPTIONS.accessLogformat.default}\`. An atom that does not exist, or has nothing to show, is \`-\`. Quotes,
backslashes, controls and everything beyond ASCII are escaped in values (\`\\"\`, \`\\\\\`, \`\\x0a\`).

| atom | shows |
|---|---|
${rows.join('\n')}
| \`%({name}i)s\` | field of the request, e.g. \`%({x-request-id}i)s\` |
| \`%({name}o)s\` | field of the response |
| \`%({name}e)s\` | key of \`environ\`, e.g. \`%({remote_user}e)s\` |
| \`%%\` | a percent sign |`;
}

function gunicornOfPage(): string {
  const texts = new Map(
    FOREIGN_FLAGS.map((flag) => [flag.text, FOREIGN_FLAGS.filter(({ text }) => text === flag.text)]),
  );
  const rows = [...texts].map(([text, flags]) => {
    const names = flags.flatMap(({ names, short }) => [
      ...(short ? [`-${short}`] : []),
      ...names.map((name) => `--${name}`),
    ]);
    const fate = flags[0]?.fate === 'refused' ? 'refused' : 'no effect';
    const what = text.charAt(0).toUpperCase() + text.slice(1);
    return `| ${names.map(code).join(', ')} | ${fate} | ${escapeCell(what)} |`;
  });
  return `## gunicorn's other flags

Without effect: accepted, and a line in the log says why. Refused: the start ends and says what to use instead. A flag that is
given gunicorn's own default asks for nothing and is always accepted.

| flag | fate | why, or what instead |
|---|---|---|
${rows.join('\n')}

${fileOnlyOfPage()}`;
}

function fileOnlyOfPage(): string {
  const rows = Object.entries(FILE_ONLY).map(([name, only]) => {
    if (only.fate === 'application')
      return `| \`${name}\` | taken | The application, where the command line names none |`;
    if (only.fate === 'hook')
      return `| \`${name}\` | not run | ${only.instead || 'nothing here does the same'} |`;
    const fate = only.fate === 'refused' ? 'refused' : 'no effect';
    return `| \`${name}\` | ${fate} | ${escapeCell(only.text)} |`;
  });
  return `What gunicorn takes from its configuration file alone:

| name | fate | why, or what instead |
|---|---|---|
${rows.join('\n')}`;
}

function code(text: string): string {
  return text === '' ? '' : `\`${escapeCell(text)}\``;
}

function escapeCell(text: string): string {
  return text.replaceAll('|', '\\|');
}

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { FOREIGN_FLAGS } from '../../src/config/gunicorn.ts';
import { loadSettings } from '../../src/config/load.ts';
import { ROWS, variableOf } from '../../src/config/options.ts';
import { renderConfigurationPage, renderHelp, renderSettings } from '../../src/config/render.ts';

describe('renderHelp', () => {
  const help = renderHelp(80);

  it('says first what it is, how it is called, and shows an example', () => {
    const [first = ''] = help.split('\n');
    expect(first).toContain('Django, Flask');
    expect(help.split('\n').slice(0, 6).join('\n')).toMatch(
      /tunicorn \[options\] APP[\s\S]*tunicorn mysite\.wsgi /,
    );
  });

  it.each(ROWS)('tells of %s, with its letter and default', (_key, { name, short, help: text }) => {
    expect(help).toContain(short === undefined ? `  --${name}` : `  -${short}, --${name}`);
    expect(help.replace(/\s+/g, ' ')).toContain(text);
  });

  it('shows defaults with their units', () => {
    expect(help.replace(/\s+/g, ' ')).toContain('[30 s]');
    expect(help.replace(/\s+/g, ' ')).toContain('[127.0.0.1:8000]');
  });

  it.each([40, 80, 100])('fits into %i columns', (columns) => {
    const examples = /^ {2}(tunicorn|-|--)/;
    const long = renderHelp(columns)
      .split('\n')
      .filter((line) => line.length > columns && !examples.test(line) && line.trim().includes(' '));
    expect(long).toEqual([]);
  });
});

describe('renderSettings', () => {
  const show = (argv: string[], env = {}) => renderSettings(loadSettings({ argv, env, cwd: '/' }));

  it('shows every setting, and where it comes from', () => {
    const text = show(['-w', '3', 'app:app'], { TUNICORN_KEEP_ALIVE: '5', PORT: '81' });
    expect(text).toMatch(/^application +=\s+app:app$/m);
    expect(text).toMatch(/^workers +=\s+3 {3}\(--workers\)$/m);
    expect(show(['-w', '2..8'])).toMatch(/^workers +=\s+2\.\.8 {3}\(--workers\)$/m);
    expect(text).toMatch(/^keep-alive +=\s+5 {3}\(TUNICORN_KEEP_ALIVE\)$/m);
    expect(text).toMatch(/^bind +=\s+0\.0\.0\.0:81 {3}\(PORT\)$/m);
    expect(text).toMatch(/^timeout +=\s+30$/m);
    expect(text.split('\n').length).toBeGreaterThan(ROWS.length - 2);
  });

  it('shows the umask in octal, and of the environment only the names', () => {
    const text = show(['-m', '027', '-e', 'SECRET=abc', '--static', '/s/=/']);
    expect(text).toMatch(/^umask +=\s+027 /m);
    expect(text).toMatch(/^env +=\s+SECRET=… /m);
    expect(text).not.toContain('abc');
    expect(text).toMatch(/^static +=\s+\/s\/=\/ /m);
  });
});

describe('renderConfigurationPage', () => {
  const page = renderConfigurationPage();

  it('is what docs/configuration.md holds (node scripts/docs.mjs --write brings it up to date)', () => {
    expect(readFileSync(new URL('../../docs/configuration.md', import.meta.url), 'utf8')).toBe(page);
  });

  it.each(ROWS)('tells of %s: flag, variable, default, unit, and what gunicorn does', (_key, option) => {
    const part = page.split(/^### /m).find((text) => text.startsWith(`--${option.name}\n`)) ?? '';
    expect(part).toContain(`\`${variableOf(option)}\``);
    expect(part).toContain(option.help);
    expect(part).toMatch(/reloadable|needs a restart/);
    expect(part).toMatch(/^(As in gunicorn|Unlike gunicorn: |gunicorn has no such option|Without effect: )/m);
    if (option.unit !== undefined) expect(part).toContain(option.unit);
  });

  it("tells the fate of gunicorn's other flags", () => {
    for (const { names } of FOREIGN_FLAGS) for (const name of names) expect(page).toContain(`\`--${name}\``);
  });

  it('lists the atoms of the access log', () => {
    for (const atom of [
      'h',
      'l',
      'u',
      't',
      'r',
      'm',
      'U',
      'q',
      'H',
      's',
      'B',
      'b',
      'f',
      'a',
      'T',
      'D',
      'M',
      'L',
      'p',
    ]) {
      expect(page).toContain(`\`%(${atom})s\``);
    }
  });
});
